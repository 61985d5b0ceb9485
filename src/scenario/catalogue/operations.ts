// The operations whose steps a kernel variant may rewrite. Which kernels have one follows from the calls that run it; its order of steps in a kernel is
// data of the model.

import type { OperationRow } from "./types.ts";

export const operations: readonly OperationRow[] = [
  { name: "memfd_create", help: "memfd_create with MFD_INACCESSIBLE." },
  { name: "memfd_create.plain", help: "memfd_create of an ordinary memfd." },
  { name: "ftruncate", help: "ftruncate of an inaccessible file: its size is set once." },
  { name: "ftruncate.plain", help: "ftruncate of an ordinary memfd: grows it, or frees what lies behind the new size." },
  { name: "fallocate.allocate", help: "fallocate without FALLOC_FL_PUNCH_HOLE on an inaccessible file." },
  { name: "fallocate.allocate.plain", help: "fallocate without FALLOC_FL_PUNCH_HOLE on an ordinary memfd." },
  { name: "fallocate.punch_hole", help: "fallocate with FALLOC_FL_PUNCH_HOLE on an inaccessible file: frees pages that a guest may have mapped." },
  { name: "fallocate.punch_hole.plain", help: "fallocate with FALLOC_FL_PUNCH_HOLE on an ordinary memfd." },
  { name: "read", help: "read at the file position." },
  { name: "pread", help: "read at an offset." },
  { name: "write", help: "write at the file position, page by page." },
  { name: "pwrite", help: "write at an offset, page by page." },
  { name: "mmap", help: "mmap: enters the mapping, pages come with the faults." },
  { name: "munmap", help: "munmap of a whole mapping." },
  { name: "host.load", help: "A load by a host thread through its mapping, with the page fault that it may take." },
  { name: "host.store", help: "A store by a host thread through its mapping, with the page fault that it may take." },
  { name: "fcntl.add_seals", help: "fcntl F_ADD_SEALS." },
  { name: "fcntl.get_seals", help: "fcntl F_GET_SEALS." },
  { name: "dup", help: "dup: a second descriptor of the same open file." },
  { name: "close", help: "close; the last reference frees the pages of the file." },
  { name: "readlink_fd", help: "readlink of /proc/self/fd/N." },
  { name: "KVM_CREATE_VM", help: "The ioctl KVM_CREATE_VM." },
  { name: "KVM_CREATE_VCPU", help: "The ioctl KVM_CREATE_VCPU." },
  { name: "KVM_SET_USER_MEMORY_REGION.create", help: "KVM_SET_USER_MEMORY_REGION with a slot number that is not in use." },
  { name: "KVM_SET_USER_MEMORY_REGION.delete", help: "KVM_SET_USER_MEMORY_REGION with memory_size 0." },
  { name: "KVM_SET_USER_MEMORY_REGION.move", help: "KVM_SET_USER_MEMORY_REGION that moves a slot to another guest_phys_addr." },
  { name: "KVM_SET_USER_MEMORY_REGION.flags", help: "KVM_SET_USER_MEMORY_REGION that changes only the flags of a slot." },
  { name: "KVM_MEMORY_ENCRYPT_REG_REGION", help: "Converts a range of guest memory to private (series v7 to v9)." },
  { name: "KVM_MEMORY_ENCRYPT_UNREG_REGION", help: "Converts a range of guest memory to shared (series v7 to v9)." },
  { name: "fault", help: "KVM's fault handler for an access of the guest that no TLB or EPT entry answers." },
  { name: "alloc_frame", help: "An allocation by somebody else takes a free frame." },
  { name: "store_frame", help: "A host write to a frame by physical address." },
  { name: "migrate", help: "The kernel moves a page to another frame." },
  { name: "reclaim", help: "The kernel swaps or drops a page." },
];

export function operation(name: string): OperationRow | undefined {
  return operations.find((row) => row.name === name);
}
