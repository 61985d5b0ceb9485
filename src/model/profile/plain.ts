// Operations that every modelled kernel shares: memfd without MFD_INACCESSIBLE, mappings, seals, descriptors, VMs, memory slots, frames
// (mm/shmem.c, mm/memfd.c, mm/mmap.c, virt/kvm/kvm_main.c between 5.16 and 6.0; kernel.md A and C.3).

import type { StepList } from "./types.ts";

const READ: StepList = ["check_args", "read_page"];
const WRITE: StepList = ["check_args", "lock_inode", ["check_seal_chunk", "write_chunk"], "unlock_inode"];
const HOST_ACCESS: StepList = ["access_host", "wait_hole", "lookup_page"];

export const PLAIN = {
  "memfd_create.plain": ["check_flags", "check_name", "new_file", "install_fd"],
  "ftruncate.plain": ["check_args", "lock_inode", "check_seals", "set_size", "unmap_user", "truncate", "unlock_inode"],
  "fallocate.punch_hole.plain": ["check_args", "lock_inode", "check_seals", "announce_hole", "unmap_user", "truncate", "retract_hole", "unlock_inode"],
  "fallocate.allocate.plain": ["check_args", "lock_inode", "check_seals", "allocate", "set_size", "unlock_inode"],
  read: READ,
  pread: READ,
  write: WRITE,
  pwrite: WRITE,
  mmap: ["check_args", "map_vma"],
  munmap: ["check_args", "unmap_vma"],
  "host.load": HOST_ACCESS,
  "host.store": HOST_ACCESS,
  "fcntl.add_seals": ["check_args", "lock_inode", "check_seal_seal", "deny_writable", "wait_pins", "set_seals", "unlock_inode"],
  "fcntl.get_seals": ["get_seals"],
  dup: ["check_args", "dup_fd"],
  close: ["drop_fd", "free_pages"],
  readlink_fd: ["read_link"],
  KVM_CREATE_VM: ["check_args", "create", "install_fd"],
  KVM_CREATE_VCPU: ["check_args", "create", "install_fd"],
  "KVM_SET_USER_MEMORY_REGION.create": ["check_args", "lock_slots", "check_overlap", "bind", "commit_slot", "synchronize_srcu", "unlock_slots"],
  "KVM_SET_USER_MEMORY_REGION.delete": [
    "check_args",
    "lock_slots",
    "mark_invalid",
    "synchronize_srcu",
    "zap_slot",
    "commit_slot",
    "unbind",
    "free_slot",
    "unlock_slots",
  ],
  "KVM_SET_USER_MEMORY_REGION.move": [
    "check_args",
    "lock_slots",
    "check_overlap",
    "mark_invalid",
    "synchronize_srcu",
    "zap_slot",
    "commit_slot",
    "unlock_slots",
  ],
  "KVM_SET_USER_MEMORY_REGION.flags": ["check_args", "lock_slots", "commit_slot", "synchronize_srcu", "unlock_slots"],
  alloc_frame: ["take_frame"],
  store_frame: ["write_frame"],
  migrate: ["migrate"],
  reclaim: ["reclaim"],
  unknown: ["check_args"],
} as const satisfies Record<string, StepList>;
