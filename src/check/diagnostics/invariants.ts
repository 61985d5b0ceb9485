// MEMFD4xxx: one row per invariant that a scenario broke.

import type { DiagnosticRow } from "./types.ts";

const FILE =
  'ram = memfd_create("ram", MFD_INACCESSIBLE)\n' +
  "vm = KVM_CREATE_VM(0)\n" +
  "vcpu0 = KVM_CREATE_VCPU(vm, 0)\n" +
  "KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=KVM_MEM_PRIVATE, guest_phys_addr=0, memory_size=8K, private_fd=ram, private_offset=0)\n";
const PUNCH = "fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0x1000, 4K)";

const GUEST_MEMFD = "vm = KVM_CREATE_VM(0)\nram = KVM_CREATE_GUEST_MEMFD(vm, 8K)\n";
const BIND = "KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0, memory_size=8K, guest_memfd_offset=0, guest_memfd=ram)\n";

/** A TD that is being built, with a vCPU and the tables of its first pages. */
const TD = `root = alloc_frame()
td = TDH.MNG.CREATE(root, 33)
TDH.MNG.KEY.CONFIG(td)
repeat 6 as i { tdcx[i] = alloc_frame(); TDH.MNG.ADDCX(td, tdcx[i]) }
TDH.MNG.INIT(td)
tdvpr = alloc_frame()
vcpu0 = TDH.VP.CREATE(td, tdvpr)
repeat 5 as i { vpcx[i] = alloc_frame(); TDH.VP.ADDCX(vcpu0, vpcx[i]) }
TDH.VP.INIT(vcpu0)
repeat 3 as i { table[i] = alloc_frame(); TDH.MEM.SEPT.ADD(td, 0, 3 - i, table[i]) }
page = alloc_frame()
`;

/** A TD of KVM that runs, with a page at gpa 0x1000, under a variant of a kernel; the lines inside are set in. */
const tdOfKvm = (base: string, edit: string, watch: string, body: string): string => `kernel a extends ${base} { ${edit} }
scenario "x" {
  kernel a
  check ${watch}
  vm = KVM_CREATE_VM(KVM_X86_TDX_VM)
  KVM_TDX_INIT_VM(vm, attributes=TDX_TD_ATTR_SEPT_VE_DISABLE)
  vcpu0 = KVM_CREATE_VCPU(vm, 0)
  KVM_TDX_INIT_VCPU(vcpu0)
  ram = KVM_CREATE_GUEST_MEMFD(vm, 16K)
  host = mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)
  KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0, memory_size=16K, userspace_addr=host, guest_memfd=ram, guest_memfd_offset=0)
  KVM_SET_MEMORY_ATTRIBUTES(vm, address=0, size=16K, attributes=KVM_MEMORY_ATTRIBUTE_PRIVATE)
  KVM_TDX_INIT_MEM_REGION(vcpu0, source_addr=host, gpa=0x1000, nr_pages=1)
  KVM_TDX_FINALIZE_VM(vm)
  ${body}
}`;
const HOLE = "fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0x1000, 4K)";

export const invariantRows: readonly DiagnosticRow[] = [
  {
    code: "MEMFD4001",
    severity: "error",
    title: "no-stale-mapping",
    explanation:
      "A second-level page table entry or a usable TLB entry of a guest leads to a frame that the backing file, or the host mapping of the slot, no " +
      "longer holds at that place. The guest then reads and writes memory that may belong to somebody else by now. Whoever takes a page out of the " +
      "file must keep the entry from being there, and from coming back, while it is taken: begin, remove, end.",
    example: `kernel v8\n${FILE}vcpu0: store(0x1000, 1)\n${PUNCH}`,
  },
  {
    code: "MEMFD4002",
    severity: "error",
    title: "frame-one-owner",
    explanation:
      "A frame has two owners at once: two offsets of files, or a file and another user, or one that holds it while it is on the free list. No " +
      "kernel that is modelled reaches such a state, so no text triggers it; the rule stands guard over the model and over variants of its steps.",
    example: "",
  },
  {
    code: "MEMFD4003",
    severity: "error",
    title: "private-inaccessible",
    explanation:
      "A host access reaches a frame that a guest wrote through a private mapping since its last allocation, by read, write or a user mapping, or a " +
      "host page table entry to it is installed. With real hardware the access may crash the host or spoil the guest's data; without encryption it " +
      "reads the guest's secrets.",
    example: `kernel v4\ncheck private-inaccessible\n${FILE}fallocate(ram, 0, 0, 4K)\nvcpu0: store(0, 1)\npread(ram, 1, 0)`,
  },
  {
    code: "MEMFD4004",
    severity: "error",
    title: "inaccessible-marked",
    explanation:
      "A file that was created with MFD_INACCESSIBLE does not carry the mark that makes it inaccessible when its descriptor becomes visible. Series " +
      "v4 ands the seal word with a mask in place of or-ing the seal, so the seal is never set and read, write and mmap work as on any memfd.",
    example: 'kernel v4\nmemfd_create("ram", MFD_INACCESSIBLE)',
  },
  {
    code: "MEMFD4005",
    severity: "error",
    title: "private-unmovable",
    explanation:
      "A frame with private content is migrated, swapped or reclaimed. The host copies ciphertext bound to its physical address, or plain text that " +
      "it must not see: either way the guest's data are lost or leak. The page must be unmovable and unevictable.",
    example: 'kernel v8\nram = memfd_create("ram", MFD_INACCESSIBLE)\nfallocate(ram, 0, 0, 4K)\nmigrate(frame(ram, 0))',
  },
  {
    code: "MEMFD4006",
    severity: "error",
    title: "write-sealed",
    explanation:
      "A file with F_SEAL_WRITE has a shared mapping that is or may become writable, or a write call reaches a file with a write seal. Whoever was handed the sealed " +
      "file relies on its content staying as it is. Before 3b041514cb6e, F_SEAL_EXEC of an executable file brought F_SEAL_WRITE along without looking at the mappings.",
    example:
      'kernel 6.18.0\nf = memfd_create("f", MFD_ALLOW_SEALING|MFD_EXEC)\n' +
      "m = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_SHARED, f, 0)\nfcntl(f, F_ADD_SEALS, F_SEAL_EXEC)",
  },
  {
    code: "MEMFD4007",
    severity: "error",
    title: "zeroed-on-allocation",
    explanation:
      "A read returns bytes that lay in the frame before its present allocation: nobody cleared the page. In series v8 the page comes from the file " +
      "without the user fault that would clear it, so the guest sees what the last owner left.",
    example: `kernel v8\n${FILE}vcpu0: load(0)`,
  },
  {
    code: "MEMFD4008",
    severity: "error",
    title: "refcount-balanced",
    explanation:
      "A call returns and keeps a reference on a page that nobody will put, so the frame is never free again; or it puts a reference that it does not " +
      "hold, so the frame is free while somebody uses it. Every get needs its put, on the paths of errors and retries too.",
    example:
      "kernel a extends 6.18 { fault without put_page }\nkernel a\nvm = KVM_CREATE_VM(0)\nvcpu0 = KVM_CREATE_VCPU(vm, 0)\n" +
      "map = mmap(NULL, 4K, PROT_READ, MAP_SHARED|MAP_ANONYMOUS, -1, 0)\n" +
      "KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0, memory_size=4K, userspace_addr=map)\nvcpu0: load(0)",
  },
  {
    code: "MEMFD4009",
    severity: "error",
    title: "attributes-respected",
    explanation:
      "The guest has a shared mapping of a gfn that is private now, or a private one of a gfn that is shared, outside the open window of a " +
      "conversion. A fault that decided by the old kind must be retried, and what was mapped must be zapped after the kind is stored.",
    example: `kernel a extends v8 { notifier_units = pages; KVM_MEMORY_ENCRYPT_UNREG_REGION = check_args, store }\nkernel a\ncheck attributes-respected\n${FILE}vcpu0: load(0)\nKVM_MEMORY_ENCRYPT_UNREG_REGION(vm, 0, 4K)`,
  },
  {
    code: "MEMFD4010",
    severity: "error",
    title: "no-lost-invalidation",
    explanation:
      "A fault installs a mapping although an invalidation of its gfn began after the fault had looked the page up. The sequence counter, or a lock " +
      "held from the look-up to the mapping, must make the fault notice and retry.",
    example: `kernel v8\ncheck no-lost-invalidation\n${FILE}parallel {\n  vmm { ${PUNCH} }\n  vcpu0 { load(0x1000) }\n}`,
  },
  {
    code: "MEMFD4011",
    severity: "error",
    title: "invalidate-balanced",
    explanation:
      "A call returns and leaves mmu_invalidate_in_progress raised, so that faults of the range retry for ever; or it ends an invalidation that " +
      "nobody began. Begin and end must pair on every path, errors and newly bound slots included.",
    example: `kernel a extends v8 { notifier_units = pages; fallocate.punch_hole = check_alignment, invalidate_begin, truncate }\nkernel a\nram = memfd_create("ram", MFD_INACCESSIBLE)\nvm = KVM_CREATE_VM(0)\nKVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=KVM_MEM_PRIVATE, guest_phys_addr=0, memory_size=8K, private_fd=ram, private_offset=0)\n${PUNCH}`,
  },
  {
    code: "MEMFD4012",
    severity: "error",
    title: "bound-once",
    explanation:
      "Two memory slots of one VM refer to the same page of a file, so one page has two guest addresses, and an invalidation of one slot's range " +
      "leaves the other's mapping. guest_memfd keeps a table of its bindings and refuses the second one; the series tests nothing from v5 on.",
    example: `kernel v8\nram = memfd_create("ram", MFD_INACCESSIBLE)\nvm = KVM_CREATE_VM(0)\n${["0", "1"].map((slot) => `KVM_SET_USER_MEMORY_REGION(vm, slot=${slot}, flags=KVM_MEM_PRIVATE, guest_phys_addr=${slot}M, memory_size=8K, private_fd=ram, private_offset=0)`).join("\n")}`,
  },
  {
    code: "MEMFD4013",
    severity: "error",
    title: "binding-in-bounds",
    explanation:
      "A memory slot refers to pages that lie outside its file. Up to Linux 7.1 the end of a binding is compared as a signed number, so an offset just " +
      "below 2^63 is let through.",
    example: `kernel 6.18\n${GUEST_MEMFD}${BIND.replace("memory_size=8K, guest_memfd_offset=0", "memory_size=4K, guest_memfd_offset=0x7ffffffffffff000").trim()}`,
  },
  {
    code: "MEMFD4014",
    severity: "error",
    title: "binding-valid",
    explanation:
      "A guest_memfd keeps a pointer to a memory slot that has been freed, or a slot one to a file that has been freed, or such a pointer is followed: " +
      "use after free. Neither side holds a reference on the other, so each must take itself out of the other's table before it goes.",
    example: `kernel 6.18.0\n${GUEST_MEMFD}${BIND}KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=KVM_MEM_LOG_DIRTY_PAGES, guest_phys_addr=0, memory_size=8K)`,
  },
  {
    code: "MEMFD4015",
    severity: "error",
    title: "conversion-atomic",
    explanation:
      "A conversion fails and has changed the attributes of some gfns, or succeeds and has not changed all of them. Its caller cannot know what is " +
      "private and what is shared then. From Linux 6.8 on the entries are reserved before the first one is stored, so that no store can fail.",
    example:
      "kernel a extends 6.18 { KVM_SET_MEMORY_ATTRIBUTES without store }\nkernel a\nvm = KVM_CREATE_VM(KVM_X86_SW_PROTECTED_VM)\nKVM_SET_MEMORY_ATTRIBUTES(vm, 0, 4K, 8)",
  },
  {
    code: "MEMFD4016",
    severity: "error",
    title: "lock-order",
    explanation:
      "A lock is taken while one that stands behind it in the order is held, or mmap_lock under the invalidate lock: another thread that keeps the " +
      "order may then wait for ever, whether or not these schedules show it. The order is slots_lock, invalidate lock, mmu_lock.",
    example: `kernel a extends 6.18 { release = lock_invalidate, lock_slots, clear_slots, unlock_slots, unlock_invalidate, free_pages, free_file }\nkernel a\n${GUEST_MEMFD}close(ram)`,
  },
  {
    code: "MEMFD4017",
    severity: "error",
    title: "no-deadlock",
    explanation:
      "A state is reachable in which nobody can go on: each actor that has not ended waits for a lock, a count or another call. A call that is meant " +
      "to wait for ever expects `blocks`.",
    example: 'kernel a extends v8 { ftruncate.plain without unlock_inode }\nkernel a\nmem = memfd_create("mem", 0)\nftruncate(mem, 4K)\nftruncate(mem, 8K)',
  },
  {
    code: "MEMFD4018",
    severity: "error",
    title: "no-livelock",
    explanation:
      "A state is reachable in which somebody can always step and no call that is under way can come to an end any more: a fault retries, for what it " +
      "waits for no longer happens. No lock is held, so it is no deadlock, and on a real machine it looks like a vCPU at 100 %. The story ends with one " +
      "round of the circle. An invalidation that is begun and never ended does it to every later fault of its range; begin and end must pair on every path.",
    example: `kernel a extends v8 { notifier_units = pages; fallocate.punch_hole = check_alignment, invalidate_begin, truncate }\nkernel a\ncheck no-livelock\n${FILE}${PUNCH}\nvcpu0: load(0x1000)`,
  },
  {
    code: "MEMFD4019",
    severity: "error",
    title: "sept-pamt-agree",
    explanation:
      "A secure EPT entry names a page that the PAMT does not give to this TD, two entries name one page, a page of the TD stands in no entry, or CHLDCNT " +
      "is not the number of its pages. The module's checks keep it: it breaks where a variant takes them away.",
    example:
      "kernel a extends 6.18 { SEAMCALL without acquire }\nkernel a\nroot = alloc_frame()\ntd = TDH.MNG.CREATE(root, 33)\nTDH.MNG.KEY.CONFIG(td)\npage = alloc_frame()\nTDH.MEM.PAGE.AUG(td, 0x1000, 0, page)\nTDH.MEM.PAGE.AUG(td, 0x2000, 0, page)",
  },
  {
    code: "MEMFD4020",
    severity: "error",
    title: "tlb-tracked",
    explanation:
      "A vCPU's TLB leads to a page that its TD has no more: the page was removed before each vCPU that may have the translation had left the guest. The " +
      "module refuses that with TDX_TLB_TRACKING_NOT_DONE; it breaks where a variant takes its checks away.",
    example:
      "kernel a extends 6.18 { SEAMCALL without acquire }\nkernel a\nroot = alloc_frame()\ntd = TDH.MNG.CREATE(root, 33)\nTDH.MNG.KEY.CONFIG(td)\npage = alloc_frame()\nTDH.MEM.PAGE.ADD(td, 0x1000, page, page)\ntdvpr = alloc_frame()\nvcpu0 = TDH.VP.CREATE(td, tdvpr)\nTDH.VP.ENTER(vcpu0)\nvcpu0: load(0x1000)\nTDH.MEM.PAGE.REMOVE(td, 0x1000, 0)",
  },
  {
    code: "MEMFD4021",
    severity: "error",
    title: "cache-flushed",
    explanation:
      "A page changes hands while lines of it may lie modified in a cache under another key: written back later they destroy what its new user writes. The " +
      "host flushes a page before it gives it to the module (CLFLUSH), and with TDH.PHYMEM.PAGE.WBINVD when it has it back.",
    example: "page = alloc_frame()\nstore_frame(page, 1)\nTDH.MNG.CREATE(page, 33)",
  },
  {
    code: "MEMFD4022",
    severity: "error",
    title: "private-integrity",
    explanation:
      "A TD touches a line of its own page that somebody else has written without its key. The line is poisoned, a machine check ends the TD, and each later " +
      "call for it answers TDX_TD_FATAL.",
    example: `check private-integrity\n${TD}TDH.MEM.PAGE.ADD(td, 0x1000, page, page)\nTDH.MR.FINALIZE(td)\nstore_frame(page, 1)\nvcpu0: load(0x1000)`,
  },
  {
    code: "MEMFD4023",
    severity: "error",
    title: "mirror-agrees",
    explanation:
      "KVM's mirror page table maps a page where the secure EPT has none, or another one, or the other way round: KVM decides by the mirror, the hardware walks the " +
      "secure EPT. An entry of the mirror is FROZEN while the TDX module is called, and takes its new value only when the call has succeeded.",
    example: tdOfKvm("6.18", "KVM_PRE_FAULT_MEMORY.td without aug", "mirror-agrees", "KVM_PRE_FAULT_MEMORY(vcpu0, 0x2000, 4K)"),
  },
  {
    code: "MEMFD4024",
    severity: "error",
    title: "key-order",
    explanation:
      "A private key id is used out of order: freed without a flush, or before each package has written its caches back, given to two TDs, or a page of a TD is worked on " +
      "while its key is not configured. The module's checks keep it: it breaks where a variant takes them away.",
    example: "kernel a extends 6.18 { SEAMCALL without acquire }\nkernel a\nroot = alloc_frame()\ntd = TDH.MNG.CREATE(root, 33)\nTDH.MNG.KEY.FREEID(td)",
  },
  {
    code: "MEMFD4025",
    severity: "error",
    title: "no-kvm-bug",
    explanation:
      "KVM_BUG_ON: a call of the TDX module has answered what KVM has no answer for. The VM is bugged and dead, every later call on it is -EIO, and what KVM was about to take " +
      "from the TD stays there.",
    example: tdOfKvm("6.18", "fallocate.punch_hole.td without track", "no-kvm-bug", HOLE),
  },
  {
    code: "MEMFD4026",
    severity: "error",
    title: "epoch-counted",
    explanation:
      "REFCOUNT of a parity is not the number of vCPUs inside that entered in an epoch of it, or a vCPU is inside since an epoch before the last one: TDH.MEM.TRACK and the " +
      "check for tracking then let pages go that a TLB still has. No modelled step reaches that while the module's checks are there.",
    example:
      "kernel a extends 6.18 { SEAMCALL without acquire }\nkernel a\n" +
      "root = alloc_frame()\ntd = TDH.MNG.CREATE(root, 33)\nTDH.MNG.KEY.CONFIG(td)\ntdvpr = alloc_frame()\nvcpu0 = TDH.VP.CREATE(td, tdvpr)\n" +
      "TDH.VP.ENTER(vcpu0)\nTDH.MEM.TRACK(td)\nTDH.MEM.TRACK(td)",
  },
  {
    code: "MEMFD4027",
    severity: "error",
    title: "td-page-held",
    explanation:
      "A page goes back to the allocator while the PAMT still gives it to a TD: its next user gets poison or a machine check, and the module refuses the page with " +
      "TDX_PAGE_METADATA_INCORRECT. Up to Linux 6.18 a reference of the secure EPT keeps it; behind a removal that failed it stays for ever.",
    example: tdOfKvm("7.2", "fallocate.punch_hole.td without track", "td-page-held", HOLE),
  },
  {
    code: "MEMFD4030",
    severity: "error",
    title: "no-oops",
    explanation:
      "The kernel follows a NULL pointer. The thread dies where it stands: its call returns to nobody (write `= blocks`), and what it holds stays held, so that " +
      "a slot can no longer be deleted behind a vCPU that died in a fault. v9 asks each slot for the private file that only some of them have.",
    example: "kernel v9\nvm = KVM_CREATE_VM(0)\nvcpu0 = KVM_CREATE_VCPU(vm, 0)\nvcpu0: load(0x1000) = blocks",
  },
  {
    code: "MEMFD4031",
    severity: "error",
    title: "vm-valid",
    explanation:
      "Somebody works with a VM that has been freed: use after free. Its descriptor, each vCPU and each guest_memfd hold a reference on it, and the last of " +
      "them destroys it; its MMU notifier goes first, so that no change of the host's page tables reaches it any more.",
    example: `kernel a extends 6.18 { gmem_vm = borrowed }\nkernel a\nvm = KVM_CREATE_VM(0)\nram = KVM_CREATE_GUEST_MEMFD(vm, 4K)\nclose(vm)\nclose(ram)`,
  },
];
