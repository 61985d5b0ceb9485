// What the pools of several processes begin with: a memfd and memory of its own in a VM with two slots, and where the kernel has it a guest_memfd in a third.

/** `more`: lines behind the mappings. TYPE and GPA stand for what hangs on the kernel. */
export const vmOfProcesses = (more = ""): string => `
  mem = memfd_create("mem", MFD_ALLOW_SEALING)
  ftruncate(mem, 8K) = 0
  map = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED, mem, 0)
  own = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)
${more}  store(own, 0, 0x11)
  vm = KVM_CREATE_VM(TYPE)
  vcpu0 = KVM_CREATE_VCPU(vm, 0)
  KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0x8000, memory_size=8K, userspace_addr=own) = 0
  KVM_SET_USER_MEMORY_REGION(vm, slot=1, flags=0, guest_phys_addr=0xc000, memory_size=4K, userspace_addr=map) = 0
  vcpu0: load(GPA|0x8000)
`;

export const GMEM = `
  gm = KVM_CREATE_GUEST_MEMFD(vm, size=8K, flags=0)
  KVM_SET_USER_MEMORY_REGION2(vm, slot=2, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0, memory_size=8K, userspace_addr=0, guest_memfd_offset=0, guest_memfd=gm) = 0
  KVM_SET_MEMORY_ATTRIBUTES(vm, 0, 4K, KVM_MEMORY_ATTRIBUTE_PRIVATE) = 0
`;
