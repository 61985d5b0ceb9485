// The atomic steps that operations are made of, in the words of the kernel. A step is one critical section, or one access to shared data outside
// any lock; a kernel variant may put any of them into any operation.

import { kvmTdxSteps } from "./kvm-tdx-steps.ts";
import type { StepRow } from "./types.ts";

export const steps = [
  // Checks: they touch nothing and answer the errno.
  {
    name: "check_args",
    help: "Checks the arguments in the kernel's order and answers the errno; touches nothing.",
    source: "fs/open.c, mm/shmem.c, virt/kvm/kvm_main.c",
  },
  { name: "check_flags", help: "Refuses unknown flags and forbidden combinations with EINVAL.", source: "mm/memfd.c memfd_create" },
  { name: "apply_sysctl", help: "Applies vm.memfd_noexec of the pid namespace (Linux 6.3).", source: "mm/memfd.c check_sysctl_memfd_noexec" },
  { name: "check_name", help: "Reads the name: EFAULT for a bad pointer, EINVAL for more than 249 bytes.", source: "mm/memfd.c memfd_create" },
  { name: "check_size", help: "Refuses a size that is not positive or not page aligned.", source: "virt/kvm/guest_memfd.c kvm_gmem_create" },
  {
    name: "check_size_once",
    help: "Private file: a size that is set already is EPERM, an unaligned one EINVAL.",
    source: "v4 01/12; v8 1/8 inaccessible_setattr",
  },
  {
    name: "check_alignment",
    help: "Refuses a hole whose offset or length is not page aligned with EINVAL.",
    source: "v4 01/12; v8 1/8 inaccessible_fallocate",
  },
  { name: "check_seals", help: "Refuses with EPERM what a seal forbids.", source: "mm/shmem.c shmem_fallocate, shmem_setattr" },
  { name: "check_seal_seal", help: "Refuses with EPERM when F_SEAL_SEAL is set.", source: "mm/memfd.c memfd_add_seals" },
  { name: "check_seal_chunk", help: "Tests the write and grow seals before one chunk of a write.", source: "mm/shmem.c shmem_write_begin" },
  {
    name: "check_kind",
    help: "Compares the kind of the access with the kind of the gfn; a mismatch leaves the guest with a memory-fault exit.",
    source: "arch/x86/kvm/mmu/mmu.c kvm_faultin_pfn",
  },
  { name: "check_existing", help: "Tests whether the slot exists and may change.", source: "virt/kvm/kvm_main.c __kvm_set_memory_region", modelled: false },
  { name: "get_file", help: "Looks the private file of the slot up by its descriptor.", source: "v4 10/12 __kvm_set_memory_region" },
  { name: "check_overlap", help: "Refuses a gfn range that another slot covers with EEXIST.", source: "virt/kvm/kvm_main.c kvm_check_memslot_overlap" },
  { name: "check_invalid_slot", help: "Retries the fault while the slot is being deleted.", source: "arch/x86/kvm/mmu/mmu.c, Linux 6.8", modelled: false },
  {
    name: "same",
    help: "Returns 0 at once when every gfn has the attributes already.",
    source: "virt/kvm/kvm_main.c kvm_vm_set_mem_attributes",
  },
  { name: "refuse", help: "Answers EINVAL: the file has no such operation.", source: "virt/kvm/guest_memfd.c kvm_gmem_setattr" },
  // Locks that are held across steps.
  { name: "lock_inode", help: "Takes the inode lock of the file.", source: "inode_lock" },
  { name: "unlock_inode", help: "Drops the inode lock of the file.", source: "inode_unlock" },
  { name: "lock_folio", help: "Locks the page in the page cache.", source: "folio_lock, v4 03/12" },
  { name: "unlock_folio", help: "Unlocks the page in the page cache.", source: "folio_unlock, v4 03/12" },
  { name: "lock_invalidate", help: "Takes the invalidate lock of the file's mapping.", source: "filemap_invalidate_lock" },
  { name: "unlock_invalidate", help: "Drops the invalidate lock of the file's mapping.", source: "filemap_invalidate_unlock" },
  { name: "lock_kvm", help: "Takes kvm->lock of the VM.", source: "v10 6/9" },
  { name: "unlock_kvm", help: "Drops kvm->lock of the VM.", source: "v10 6/9" },
  { name: "lock_slots", help: "Takes slots_lock of the VM.", source: "virt/kvm/kvm_main.c" },
  { name: "unlock_slots", help: "Drops slots_lock of the VM.", source: "virt/kvm/kvm_main.c" },
  { name: "lock_mmu", help: "Takes mmu_lock for write over the steps that follow.", source: "arch/x86/kvm/mmu/tdp_mmu.c, Linux 6.16" },
  { name: "unlock_mmu", help: "Drops mmu_lock.", source: "arch/x86/kvm/mmu/tdp_mmu.c, Linux 6.16" },
  // Files and descriptors.
  {
    name: "new_file",
    help: "Creates the inode and the open file, size 0, seals and mode as the flags say.",
    source: "mm/memfd.c, mm/shmem.c shmem_file_setup",
  },
  {
    name: "set_marker",
    help: "Marks the file as inaccessible; v4 ands the seal word instead of or-ing it, so its seal is never set.",
    source: "v4 02/12 memfd_create; v5 01/13; v6 3/8",
  },
  { name: "wrap", help: "Puts a wrapper inode of a file system of its own over the tmpfs file.", source: "v8 1/8 memfd_mkinaccessible; v9 1/8" },
  { name: "install_fd", help: "Makes the object visible in the descriptor table.", source: "fd_install" },
  { name: "create", help: "Creates the VM or the vCPU.", source: "virt/kvm/kvm_main.c kvm_create_vm, kvm_vm_ioctl_create_vcpu" },
  { name: "dup_fd", help: "Installs a second descriptor of the same open file.", source: "fs/file.c" },
  { name: "drop_fd", help: "Takes the descriptor out of the table and drops its reference.", source: "fs/open.c close_fd" },
  { name: "free_pages", help: "Frees the pages of a file that nobody refers to any more.", source: "mm/shmem.c shmem_evict_inode" },
  { name: "free_file", help: "Frees the guest_memfd instance.", source: "virt/kvm/guest_memfd.c kvm_gmem_release" },
  { name: "clear_slots", help: "Takes the file out of every bound slot.", source: "virt/kvm/guest_memfd.c kvm_gmem_release" },
  { name: "unlink", help: "Takes the file off the inode's list.", source: "virt/kvm/guest_memfd.c kvm_gmem_release" },
  { name: "drop_vm", help: "Drops the file's reference on the VM, which may be the last one.", source: "virt/kvm/guest_memfd.c kvm_gmem_release" },
  { name: "read_link", help: "Reads the name that /proc/self/fd shows: the dentry's, not the file system's.", source: "fs/d_path.c" },
  { name: "get_seals", help: "Reads the seal word of the inode.", source: "mm/memfd.c memfd_get_seals" },
  { name: "get_flags", help: "Reads the flags of the descriptor or of the open file.", source: "fs/fcntl.c do_fcntl" },
  { name: "set_flags", help: "Writes the flags of the descriptor or of the open file.", source: "fs/fcntl.c setfl; fs/file.c set_close_on_exec" },
  { name: "read_attributes", help: "Reads one attribute of the inode, without a lock.", source: "fs/stat.c generic_fillattr; mm/shmem.c shmem_getattr" },
  { name: "read_file_system", help: "Reads what the file system says of itself.", source: "fs/statfs.c; mm/shmem.c shmem_statfs" },
  {
    name: "look_at_pages",
    help: "Looks whether the page table or the page cache has the page, one page after the other.",
    source: "mm/mincore.c mincore_pte_range",
  },
  { name: "open_pipe", help: "Makes a pipe.", source: "fs/pipe.c do_pipe2" },
  { name: "open_special", help: "Opens a file that is no memory.", source: "fs/open.c do_dentry_open; mm/secretmem.c" },
  {
    name: "splice_page",
    help: "Puts a reference on one page of the file into the pipe; a hole goes as the zero page.",
    source: "mm/shmem.c shmem_file_splice_read",
  },
  { name: "pin_page", help: "Puts a reference on one page behind a mapping into the pipe, faulting it in.", source: "fs/splice.c vmsplice_to_pipe" },
  { name: "drain_pipe", help: "Copies bytes out of the pipe and drops each page that is read to its end.", source: "fs/pipe.c pipe_read" },
  { name: "copy_page", help: "Writes one page of a file into another one, under its seals.", source: "fs/splice.c iter_file_splice_write" },
  { name: "set_limit", help: "Sets the soft limit of the process.", source: "kernel/sys.c do_prlimit" },
  {
    name: "expand_exec",
    help: "Adds the write, grow and shrink seals that F_SEAL_EXEC implies on an executable file.",
    source: "mm/memfd.c, 3b041514cb6e",
  },
  {
    name: "deny_writable",
    help: "Refuses with EBUSY when a shared mapping may become writable, else blocks new ones.",
    source: "mm/memfd.c mapping_deny_writable",
  },
  {
    name: "wait_pins",
    help: "Waits for elevated references on the pages; may give up with EBUSY. The time is not modelled.",
    source: "mm/memfd.c memfd_wait_for_pins",
  },
  { name: "allow_writable", help: "Takes deny_writable back after a failure.", source: "mm/memfd.c mapping_allow_writable", modelled: false },
  { name: "set_seals", help: "Writes the new seals into the inode.", source: "mm/memfd.c memfd_add_seals" },
  { name: "change_mode", help: "Writes the mode of the inode; EPERM where F_SEAL_EXEC is set and an x bit would change.", source: "mm/shmem.c shmem_setattr" },
  { name: "open_file", help: "A new open file on the same inode, with an access mode and an offset of its own.", source: "fs/open.c do_dentry_open" },
  { name: "seek", help: "Moves the file offset; the next data and the next hole are looked for under the inode lock.", source: "mm/shmem.c shmem_file_llseek" },
  // Size, holes and data.
  { name: "set_size", help: "Writes i_size.", source: "i_size_write" },
  { name: "unmap_user", help: "Clears the host page table entries of the range in one mapping of the file.", source: "mm/memory.c unmap_mapping_range" },
  { name: "truncate", help: "Removes the page from the page cache and frees it; a partial page is zeroed in place.", source: "mm/shmem.c shmem_undo_range" },
  { name: "announce_hole", help: "Publishes the range that is being punched, so that faults into it wait.", source: "mm/shmem.c shmem_falloc, 8e205f779d14" },
  { name: "retract_hole", help: "Takes the range back and wakes the faults that wait.", source: "mm/shmem.c shmem_falloc" },
  { name: "wait_hole", help: "A fault into a range that is being punched waits for its end.", source: "mm/shmem.c shmem_fault" },
  { name: "allocate", help: "Allocates the pages of the range that the file does not hold yet.", source: "mm/shmem.c shmem_fallocate" },
  { name: "write_chunk", help: "Copies one chunk into the page, allocating it if needed, and moves i_size.", source: "mm/filemap.c generic_perform_write" },
  { name: "read_page", help: "Copies one page out; a hole gives zeroes and allocates nothing.", source: "mm/shmem.c shmem_file_read_iter" },
  // Host mappings.
  { name: "map_vma", help: "Adds the mapping to the address space; counts it when it may become writable.", source: "mm/mmap.c mmap_region" },
  { name: "unmap_vma", help: "Takes the mapping out of the address space.", source: "mm/mmap.c do_munmap" },
  { name: "change_vma", help: "Changes the protection of the mapping.", source: "mm/mprotect.c" },
  {
    name: "zap_range",
    help: "Clears the host page table entry and drops a private copy; the page of the file stays.",
    source: "mm/madvise.c madvise_dontneed_single_vma",
  },
  { name: "populate", help: "Faults one page of a mapping in ahead of the access.", source: "mm/gup.c populate_vma_page_range, faultin_page_range" },
  { name: "access_host", help: "The load or store of a host thread through its page table.", source: "mm/memory.c" },
  {
    name: "mn_start",
    help: "MMU notifier begins, for one mapping: under mmu_lock, in-progress count up, shared gfns unmapped and flushed; swaps of slots wait until it ends.",
    source: "virt/kvm/kvm_main.c kvm_mmu_notifier_invalidate_range_start",
  },
  { name: "clear_pte", help: "Clears the host page table entry of a page that is unmapped.", source: "mm/memory.c unmap_vmas" },
  { name: "change_pte", help: "Copy on write: the host page table entry leads to the copy from here on.", source: "mm/memory.c wp_page_copy" },
  {
    name: "mn_end",
    help: "MMU notifier ends: sequence counter up, in-progress count down.",
    source: "virt/kvm/kvm_main.c kvm_mmu_notifier_invalidate_range_end",
  },
  // What the private file tells KVM.
  {
    name: "invalidate",
    help: "One call into KVM: under mmu_lock, begin, zap the gfns of the range, flush, end.",
    source: "v4 03/12; v8 1/8 inaccessible_notifier_invalidate",
  },
  {
    name: "invalidate_begin",
    help: "Under mmu_lock: in-progress count up, range noted, gfns zapped, TLBs flushed. No fault may map the range until invalidate_end.",
    source: "v9 1/8, v10 1/9; virt/kvm/guest_memfd.c kvm_gmem_invalidate_begin",
  },
  {
    name: "invalidate_end",
    help: "Under mmu_lock: sequence counter up, in-progress count down; faults may map again.",
    source: "v9 1/8, v10 1/9; virt/kvm/guest_memfd.c kvm_gmem_invalidate_end",
  },
  {
    name: "notify_fallocate",
    help: "Tells KVM that pages were allocated: under mmu_lock the gfns are unmapped and flushed, now to be private.",
    source: "v4 03/12 and 11/12",
  },
  {
    name: "begin",
    help: "Under mmu_lock: in-progress count up and range noted; nothing is unmapped yet.",
    source: "v10 5/9 and 6/9; virt/kvm/kvm_main.c kvm_mmu_invalidate_begin",
  },
  { name: "remove_page", help: "Takes one private page out of the secure EPT.", source: "arch/x86/kvm/vmx/tdx.c, Linux 6.16", modelled: false },
  // The guest's page fault.
  { name: "access", help: "The guest's load or store: TLB hit, or table walk, fill and data.", source: "Intel SDM volume 3, chapter 30 (EPT)" },
  { name: "snapshot", help: "Reads the invalidation sequence counter before anything is looked up.", source: "arch/x86/kvm/mmu/mmu.c direct_page_fault" },
  { name: "find_slot", help: "Finds the memory slot of the gfn under SRCU; none: MMIO exit.", source: "virt/kvm/kvm_main.c gfn_to_memslot" },
  {
    name: "lookup_page",
    help: "Looks the page up in the file without allocating; takes its lock and a reference, and decides between private and exit.",
    source: "v4 09/12, memfile_pfn_ops get_lock_pfn",
  },
  {
    name: "get_page",
    help: "Gets the page of the private file, allocating it if needed, with a reference and unlocked.",
    source: "v8 7/8 inaccessible_get_pfn; virt/kvm/guest_memfd.c kvm_gmem_get_pfn",
  },
  {
    name: "early_retry",
    help: "Tests for an invalidation without mmu_lock and retries the fault.",
    source: "arch/x86/kvm/mmu/mmu.c, Linux 6.8",
  },
  { name: "gup", help: "Gets the page behind the slot's userspace_addr through the host page table.", source: "virt/kvm/kvm_main.c hva_to_pfn" },
  {
    name: "map",
    help: "Under mmu_lock: retries when an invalidation came in between, else installs the EPT entry.",
    source: "arch/x86/kvm/mmu/mmu.c direct_page_fault",
  },
  { name: "unlock_folio_put", help: "Unlocks the page and drops the fault's reference.", source: "v4 09/12, memfile_pfn_ops put_unlock_pfn" },
  { name: "put_page", help: "Drops the fault's reference on the page.", source: "v8 7/8 inaccessible_put_pfn" },
  {
    name: "exit_memory_fault",
    help: "Fills kvm_run and leaves KVM_RUN with the memory-fault exit.",
    source: "v4 07/12, v8 6/8; arch/x86/kvm/mmu/mmu.c",
    modelled: false,
  },
  {
    name: "advance",
    help: "Moves gpa and size of the pre-fault request over the mapped page.",
    source: "virt/kvm/kvm_main.c kvm_vcpu_pre_fault_memory",
  },
  // Conversion.
  { name: "store", help: "Writes the new kind of one gfn into the xarray.", source: "v7 11/14, v8 5/8; virt/kvm/kvm_main.c" },
  { name: "convert", help: "Under mmu_lock: begin, store all, unmap, flush, end.", source: "v9 5/8" },
  { name: "reserve", help: "Reserves the xarray entries, so that the store cannot fail.", source: "virt/kvm/kvm_main.c, Linux 6.8" },
  { name: "unmap_end", help: "Under mmu_lock: unmap, flush, end.", source: "v10 6/9" },
  { name: "report_progress", help: "Writes the rest of the range back to the caller.", source: "v10 6/9; arch/x86/kvm/vmx/tdx.c" },
  // Slots.
  { name: "bind", help: "Takes the file into the slot and registers its notifier.", source: "v4 10/12, v8 8/8; virt/kvm/guest_memfd.c kvm_gmem_bind" },
  { name: "unbind", help: "Takes the slot off the file.", source: "v4 10/12, v8 8/8; virt/kvm/guest_memfd.c kvm_gmem_unbind" },
  {
    name: "commit_slot",
    help: "Swaps the slot arrays when no MMU notifier is active: from now on faults see the change.",
    source: "virt/kvm/kvm_main.c kvm_swap_active_memslots",
  },
  { name: "synchronize_srcu", help: "Waits until every fault that may still use the old slots has ended.", source: "virt/kvm/kvm_main.c" },
  { name: "mark_invalid", help: "Marks the slot that is being deleted, so that faults retry.", source: "virt/kvm/kvm_main.c kvm_invalidate_memslot" },
  {
    name: "wait_notifiers",
    help: "Waits until no MMU notifier is active, then swaps.",
    source: "virt/kvm/kvm_main.c mn_active_invalidate_count",
  },
  { name: "zap_slot", help: "Under mmu_lock: removes every mapping of the slot and flushes.", source: "arch/x86/kvm/mmu/mmu.c kvm_arch_flush_shadow_memslot" },
  { name: "free_slot", help: "Frees the slot structure.", source: "virt/kvm/kvm_main.c kvm_free_memslot" },
  // The TDX module.
  {
    name: "acquire",
    help: "The leaf goes down its checks and takes its locks; the first that fails is its answer, and every lock is dropped.",
    source: "intel/tdx-module TDX_1.5.01",
  },
  { name: "commit", help: "The leaf has its effect and drops its locks.", source: "intel/tdx-module TDX_1.5.01" },
  { name: "vp_acquire", help: "TDH.VP.ENTER goes down its checks and takes its locks.", source: "intel/tdx-module TDX_1.5.01 tdh_vp_enter.c" },
  {
    name: "vp_enter",
    help:
      "The vCPU counts in REFCOUNT of TD_EPOCH, flushes its TLB where it last entered in another epoch, and is in the guest. One that is suspected of being " +
      "stepped counts, locks the secure EPT tree, and enters or is turned away: three times this step.",
    source: "intel/tdx-module TDX_1.5.01 tdh_vp_enter.c",
  },
  { name: "td_access", help: "The load or store of a TD: TLB hit, or walk of the secure EPT, fill and data.", source: "Intel SDM volume 3, chapter 30 (EPT)" },
  { name: "td_leave", help: "The vCPU leaves the guest: REFCOUNT goes down.", source: "intel/tdx-module TDX_1.5.01 td_exit.c" },
  {
    name: "accept_walk",
    help: "TDG.MEM.PAGE.ACCEPT checks its operands and walks to the entry, without a lock.",
    source: "intel/tdx-module TDX_1.5.01 tdg_mem_page_accept.c",
  },
  {
    name: "accept_acquire",
    help: "It locks the entry and asks for its state: pending, or an answer.",
    source: "intel/tdx-module TDX_1.5.01 tdg_mem_page_accept.c",
  },
  {
    name: "accept_begin",
    help: "A vCPU that is inside goes to the walk of its leaf; one that is outside is entered.",
    source: "intel/tdx-module TDX_1.5.01 tdg_mem_page_accept.c",
  },
  { name: "accept_zero", help: "It zeroes the page under the TD's key.", source: "intel/tdx-module TDX_1.5.01 tdg_mem_page_accept.c" },
  {
    name: "accept_zero_large",
    help: "It zeroes pages of 4 KB one after the other; an interrupt that is pending in between stops it, and the leaf runs anew at the next entry.",
    source: "intel/tdx-module TDX_1.5.01 tdg_mem_page_accept.c",
  },
  { name: "accept_commit", help: "It writes the entry, mapped and unlocked.", source: "intel/tdx-module TDX_1.5.01 tdg_mem_page_accept.c" },
  {
    name: "attributes_acquire",
    help: "TDG.MEM.PAGE.ATTR.RD or .WR checks its operands, walks and locks the entry: a page of the TD, or an answer.",
    source: "intel/tdx-module TDX_1.5.01 tdg_mem_page_attr_rd.c, tdg_mem_page_attr_wr.c",
  },
  { name: "attributes_commit", help: "It reads the entry and drops its lock.", source: "intel/tdx-module TDX_1.5.01 tdg_mem_page_attr_rd.c" },
  { name: "td_vmcall", help: "The guest leaves with a request for the host in its registers.", source: "intel/tdx-module TDX_1.5.01 tdg_vp_vmcall.c" },
  { name: "td_hlt", help: "HLT in a TD: #VE in the guest.", source: "intel/tdx-module TDX_1.5.01 tdx_td_dispatcher.c" },
  { name: "td_run", help: "The vCPU goes on in the guest.", source: "virt/kvm/kvm_main.c kvm_vcpu_kick" },
  { name: "td_rest", help: "The vCPU is in the guest until a kick has put it out.", source: "virt/kvm/kvm_main.c kvm_vcpu_kick" },
  { name: "kick", help: "An interprocessor interrupt, sent and acknowledged.", source: "virt/kvm/kvm_main.c kvm_vcpu_kick" },
  { name: "load_frame", help: "The host reads by physical address, with the shared key.", source: "the direct map" },
  { name: "flush_lines", help: "Modified lines under the shared key reach memory.", source: "arch/x86/virt/vmx/tdx/tdx.c tdx_clflush_page" },
  { name: "movdir64b", help: "Whole lines are written past the cache with the shared key.", source: "arch/x86/virt/vmx/tdx/tdx.c tdx_quirk_reset_page" },
  { name: "movnti", help: "Part of a line is written past the cache.", source: "Documentation/arch/x86/tdx.rst" },
  // The end of a VM.
  {
    name: "unregister_notifier",
    help: "The VM's MMU notifier goes, and with it every mapping of the VM.",
    source: "virt/kvm/kvm_main.c kvm_destroy_vm, mmu_notifier_unregister",
  },
  { name: "destroy_vcpus", help: "Frees the vCPUs of the VM.", source: "virt/kvm/kvm_main.c kvm_destroy_vcpus" },
  { name: "free_slots", help: "Frees the slots of the VM; those of the series drop their private file.", source: "virt/kvm/kvm_main.c kvm_free_memslots" },
  { name: "free_vm", help: "Frees the VM.", source: "virt/kvm/kvm_main.c kvm_destroy_vm, kvm_arch_free_vm" },
  // Frames by physical address.
  { name: "take_frame", help: "Somebody else's allocation takes any free frame.", source: "mm/page_alloc.c" },
  { name: "write_frame", help: "A host write by physical address.", source: "the direct map" },
  { name: "unmap_folio", help: "Takes a page that is to move out of the host page tables.", source: "mm/rmap.c try_to_migrate" },
  { name: "migrate", help: "The kernel moves the page to another frame where nothing forbids it.", source: "mm/migrate.c" },
  { name: "poison_page", help: "Marks the page as broken; it stays in its file.", source: "mm/memory-failure.c" },
  { name: "reclaim", help: "The kernel swaps or drops the page where nothing forbids it.", source: "mm/vmscan.c" },
  { name: "halt", help: "The guest executes HLT, which leaves KVM_RUN.", source: "arch/x86/kvm/x86.c kvm_emulate_halt" },
  { name: "rest_in_guest", help: "The vCPU rests in the guest until a signal is pending.", source: "arch/x86/kvm/x86.c vcpu_run" },
  // Processes and signals.
  { name: "mark_vma", help: "madvise: VM_DONTCOPY of the range is set or cleared.", source: "mm/madvise.c madvise_vma_behavior, kernel/fork.c dup_mmap" },
  { name: "copy_files", help: "fork: the child gets a copy of the descriptor table.", source: "kernel/fork.c copy_files, fs/file.c dup_fd" },
  {
    name: "copy_mm",
    help: "fork: the child gets the mappings; pages of private ones belong to both until somebody writes.",
    source: "kernel/fork.c dup_mmap, mm/memory.c copy_page_range",
  },
  { name: "pass_fd", help: "An open file enters the descriptor table of another process.", source: "net/core/scm.c scm_fp_copy, scm_detach_fds" },
  {
    name: "zap_threads",
    help: "The end of a process: SIGKILL is pending for each thread that is in a call; the others are gone.",
    source: "kernel/exit.c do_group_exit, kernel/signal.c zap_other_threads",
  },
  {
    name: "wait_threads",
    help: "The end of a process: what its threads share goes with the last of them, when all calls have been left.",
    source: "kernel/exit.c do_exit, kernel/fork.c mmput",
  },
  {
    name: "release_notifier",
    help: "The end of an address space: KVM removes every mapping of its VM, and hears of no host memory any more.",
    source: "mm/mmu_notifier.c mn_hlist_release, virt/kvm/kvm_main.c kvm_mmu_notifier_release",
  },
  { name: "unmap_vmas", help: "The end of an address space: one VMA goes, with its PTEs.", source: "mm/mmap.c exit_mmap" },
  { name: "become_zombie", help: "The process holds nothing any more; its parent can wait for it.", source: "kernel/exit.c exit_notify" },
  { name: "send_signal", help: "A signal becomes pending for a thread.", source: "kernel/signal.c send_signal_locked" },
  ...kvmTdxSteps,
] as const satisfies readonly StepRow[];

export type StepName = (typeof steps)[number]["name"];

const LATER: ReadonlySet<string> = new Set(steps.filter((row: StepRow) => row.modelled === false).map((row) => row.name));

/** A step of the catalogue that the model has no code for yet. */
export const isLaterStep = (name: string): boolean => LATER.has(name);

const NAMES: ReadonlySet<string> = new Set(steps.map((row) => row.name));

export function isStepName(name: string): name is StepName {
  return NAMES.has(name);
}
