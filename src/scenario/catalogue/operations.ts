// The operations whose steps a kernel variant may rewrite. Which kernels have one follows from the calls that run it; its order of steps in a kernel is
// data of the model.

import { IN } from "./profiles.ts";
import type { OperationRow } from "./types.ts";

export const operations: readonly OperationRow[] = [
  { name: "memfd_create", help: "memfd_create with MFD_INACCESSIBLE." },
  { name: "memfd_restricted", help: "memfd_restricted: the private file of v9 and v10." },
  { name: "memfd_create.plain", help: "memfd_create of an ordinary memfd." },
  { name: "ftruncate", help: "ftruncate of an inaccessible file: its size is set once; of a guest_memfd: refused." },
  { name: "ftruncate.plain", help: "ftruncate of an ordinary memfd: grows it, or frees what lies behind the new size." },
  { name: "fallocate.allocate", help: "fallocate without FALLOC_FL_PUNCH_HOLE on an inaccessible file or a guest_memfd." },
  { name: "fallocate.allocate.plain", help: "fallocate without FALLOC_FL_PUNCH_HOLE on an ordinary memfd." },
  {
    name: "fallocate.punch_hole",
    help: "fallocate with FALLOC_FL_PUNCH_HOLE on an inaccessible file or a guest_memfd: frees pages that a guest may have mapped.",
  },
  { name: "fallocate.punch_hole.plain", help: "fallocate with FALLOC_FL_PUNCH_HOLE on an ordinary memfd." },
  { name: "read", help: "read at the file position." },
  { name: "pread", help: "read at an offset." },
  { name: "write", help: "write at the file position, page by page." },
  { name: "pwrite", help: "write at an offset, page by page." },
  { name: "mmap", help: "mmap: enters the mapping, pages come with the faults." },
  { name: "munmap", help: "munmap of a mapping or a part of it." },
  { name: "mprotect", help: "mprotect: new protection bits for a mapping or a part of it." },
  { name: "madvise", help: "madvise with advice that nothing here can see." },
  { name: "madvise.dontneed", help: "madvise with MADV_DONTNEED: page table entries and private copies go." },
  { name: "madvise.remove", help: "madvise with MADV_REMOVE: a hole in the file behind the mapping." },
  { name: "host.load", help: "A load by a host thread through its mapping, with the page fault that it may take." },
  { name: "host.store", help: "A store by a host thread through its mapping, with the page fault that it may take." },
  { name: "fcntl.add_seals", help: "fcntl F_ADD_SEALS." },
  { name: "fcntl.get_seals", help: "fcntl F_GET_SEALS." },
  { name: "dup", help: "dup: a second descriptor of the same open file." },
  { name: "open_fd", help: "open of /proc/self/fd/N: a new open file on the same inode." },
  { name: "open_fd.truncate", help: "open of /proc/self/fd/N with O_TRUNC." },
  { name: "lseek", help: "lseek: the offset of the open file, the next data, the next hole." },
  { name: "fchmod", help: "fchmod: the mode of the inode." },
  { name: "close", help: "close; the last reference frees the pages of the file." },
  { name: "readlink_fd", help: "readlink of /proc/self/fd/N." },
  { name: "KVM_CREATE_VM", help: "The ioctl KVM_CREATE_VM." },
  { name: "KVM_CREATE_VCPU", help: "The ioctl KVM_CREATE_VCPU." },
  { name: "KVM_SET_USER_MEMORY_REGION.create", help: "KVM_SET_USER_MEMORY_REGION with a slot number that is not in use." },
  { name: "KVM_SET_USER_MEMORY_REGION.delete", help: "KVM_SET_USER_MEMORY_REGION with memory_size 0." },
  { name: "KVM_SET_USER_MEMORY_REGION.move", help: "KVM_SET_USER_MEMORY_REGION that moves a slot to another guest_phys_addr." },
  { name: "KVM_SET_USER_MEMORY_REGION.flags", help: "KVM_SET_USER_MEMORY_REGION that changes only the flags of a slot." },
  { name: "KVM_CHECK_EXTENSION", help: "The ioctl KVM_CHECK_EXTENSION.", profiles: IN.upstream },
  { name: "KVM_CREATE_GUEST_MEMFD", help: "The ioctl KVM_CREATE_GUEST_MEMFD." },
  {
    name: "release",
    help: "What follows the call that drops the last reference on a guest_memfd, before its thread returns to user space.",
    profiles: IN.upstream,
  },
  { name: "KVM_PRE_FAULT_MEMORY", help: "The ioctl KVM_PRE_FAULT_MEMORY: the fault path page by page." },
  { name: "KVM_MEMORY_ENCRYPT_REG_REGION", help: "Converts a range of guest memory to private (series v7 to v9)." },
  { name: "KVM_MEMORY_ENCRYPT_UNREG_REGION", help: "Converts a range of guest memory to shared (series v7 to v9)." },
  { name: "KVM_SET_MEMORY_ATTRIBUTES", help: "Gives each gfn of a range its attributes (v10, and since Linux 6.8)." },
  { name: "fault", help: "KVM's fault handler for an access of the guest that no TLB or EPT entry answers." },
  { name: "alloc_frame", help: "An allocation by somebody else takes a free frame." },
  { name: "store_frame", help: "A host write to a frame by physical address." },
  { name: "migrate", help: "The kernel moves a page to another frame." },
  { name: "reclaim", help: "The kernel swaps or drops a page." },
];

export function operation(name: string): OperationRow | undefined {
  return operations.find((row) => row.name === name);
}
