// A file in which one scenario breaks and another does not: a hole is punched while a vCPU faults, under a kernel that invalidates too early. One change of its
// steps saves it.

/** A VM of v8 with one vCPU, and a private page that its guest has written. */
export const GUEST = `  ram = memfd_create("guest-ram", MFD_INACCESSIBLE)
  ftruncate(ram, 16K) = 0
  fallocate(ram, 0, 0, 16K) = 0
  vm = KVM_CREATE_VM(0)
  vcpu0 = KVM_CREATE_VCPU(vm, 0)
  KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=KVM_MEM_PRIVATE, guest_phys_addr=0, memory_size=16K, private_fd=ram, private_offset=0) = 0
  vcpu0: store(0x1000, 0x41)
`;

export const PUNCH = `kernel v8
kernel v8-pages extends v8 { notifier_units = pages }
setup guest {
${GUEST}}
scenario "punch" {
  kernel v8-pages
  check no-stale-mapping
  use guest
  parallel {
    vmm   { fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0x1000, 4K) = 0 }
    vcpu0 { load(0x1000) = ok }
  }
}
scenario "quiet" { use guest }
`;
