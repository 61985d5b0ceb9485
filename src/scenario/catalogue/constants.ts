// Constants of the kernel's UAPI headers that scenario calls take or answer, per profile where a value or its meaning changed.

import { IN } from "./profiles.ts";
import type { Constant } from "./types.ts";

type Row = readonly [name: string, value: bigint, help: string, profiles?: readonly string[]];
const group = (name: string, rows: readonly Row[]): Constant[] =>
  rows.map(([constant, value, help, profiles]) =>
    profiles ? { name: constant, value, group: name, help, profiles } : { name: constant, value, group: name, help },
  );

const MEMFD = [
  ...group("MFD_", [
    ["MFD_CLOEXEC", 0x1n, "set close-on-exec on the new descriptor"],
    ["MFD_ALLOW_SEALING", 0x2n, "start with no seal, so that F_ADD_SEALS works"],
    ["MFD_HUGETLB", 0x4n, "back the file by hugetlbfs"],
    ["MFD_HUGE_2MB", 21n << 26n, "with MFD_HUGETLB: pages of 2 MiB"],
    ["MFD_HUGE_1GB", 30n << 26n, "with MFD_HUGETLB: pages of 1 GiB"],
    ["MFD_INACCESSIBLE", 0x8n, "user space gets no access to the content; the memory is meant for a guest", IN.v4v8],
    ["MFD_NOEXEC_SEAL", 0x8n, "mode 0666, F_SEAL_EXEC set, sealing allowed (Linux 6.3)", IN.upstream],
    ["MFD_EXEC", 0x10n, "mode 0777, whatever vm.memfd_noexec says below 2 (Linux 6.3)", IN.upstream],
  ]),
  ...group("O_", [
    ["O_RDONLY", 0n, "for reading"],
    ["O_WRONLY", 0x1n, "for writing"],
    ["O_RDWR", 0x2n, "for both"],
    ["O_CREAT", 0x40n, "create the file if there is none"],
    ["O_EXCL", 0x80n, "with O_CREAT: fail where there is one"],
    ["O_TRUNC", 0x200n, "cut to size 0"],
    ["O_APPEND", 0x400n, "write at the end"],
    ["O_NONBLOCK", 0x800n, "fail with EAGAIN where the call would wait"],
    ["O_DIRECT", 0x4000n, "bypass the page cache"],
    ["O_LARGEFILE", 0x8000n, "offsets of 64 bits; set by itself on x86-64"],
    ["O_NOATIME", 0x40000n, "reads leave the access time alone"],
    ["O_CLOEXEC", 0x80000n, "set close-on-exec on the new descriptor"],
    ["O_PATH", 0x200000n, "name the file, without access to its content"],
  ]),
  ...group("F_", [
    ["F_DUPFD", 0n, "fcntl command: a second descriptor, of this number or above"],
    ["F_GETFD", 1n, "fcntl command: read the flags of the descriptor"],
    ["F_SETFD", 2n, "fcntl command: set the flags of the descriptor"],
    ["F_GETFL", 3n, "fcntl command: read access mode and flags of the open file"],
    ["F_SETFL", 4n, "fcntl command: set the flags of the open file"],
    ["F_DUPFD_CLOEXEC", 1030n, "fcntl command: F_DUPFD with close-on-exec"],
    ["F_ADD_SEALS", 1033n, "fcntl command: add seals to the inode"],
    ["F_GET_SEALS", 1034n, "fcntl command: read the seals of the inode"],
  ]),
  ...group("FD_", [["FD_CLOEXEC", 1n, "flag of a descriptor: close it at execve"]]),
  ...group("st_", [
    ["st_nlink", 16n, "fstat: directory entries of the inode; its offset in struct stat"],
    ["st_mode", 24n, "fstat: kind and permission bits of the inode; its offset in struct stat"],
    ["st_uid", 28n, "fstat: owner of the inode; its offset in struct stat"],
    ["st_size", 48n, "fstat: i_size; its offset in struct stat"],
    ["st_blksize", 56n, "fstat: the size of the file's pages; its offset in struct stat"],
    ["st_blocks", 64n, "fstat: memory of the file in units of 512 bytes; its offset in struct stat"],
  ]),
  ...group("f_", [
    ["f_type", 0n, "fstatfs: magic number of the file system; its offset in struct statfs"],
    ["f_bsize", 8n, "fstatfs: block size of the file system; its offset in struct statfs"],
  ]),
  ...group("RLIMIT_", [
    ["RLIMIT_FSIZE", 1n, "setrlimit: the largest size that a write may give a file"],
    ["RLIMIT_NOFILE", 7n, "setrlimit: one more than the largest descriptor"],
  ]),
  ...group("RLIM_", [["RLIM_INFINITY", -1n, "setrlimit: no limit"]]),
  ...group("SPLICE_F_", [
    ["SPLICE_F_MOVE", 0x1n, "move pages where that is possible"],
    ["SPLICE_F_NONBLOCK", 0x2n, "do not wait for the pipe"],
    ["SPLICE_F_MORE", 0x4n, "more data follows"],
    ["SPLICE_F_GIFT", 0x8n, "vmsplice: the pages are a gift to the kernel"],
  ]),
  ...group("F_SEAL_", [
    ["F_SEAL_SEAL", 0x1n, "no further seal can be added"],
    ["F_SEAL_SHRINK", 0x2n, "the file cannot shrink"],
    ["F_SEAL_GROW", 0x4n, "the file cannot grow"],
    ["F_SEAL_WRITE", 0x8n, "no write, no shared writable mapping, no hole"],
    ["F_SEAL_FUTURE_WRITE", 0x10n, "as F_SEAL_WRITE, but existing writable mappings go on working"],
    ["F_SEAL_INACCESSIBLE", 0x20n, "user space cannot read, write or map the content; F_ADD_SEALS refuses it, only MFD_INACCESSIBLE is meant to set it", IN.v4],
    ["F_SEAL_AUTO_ALLOCATE", 0x20n, "writes and faults do not fill holes", ["v7"]],
    ["F_SEAL_EXEC", 0x20n, "the x bits of the mode cannot change (Linux 6.3)", IN.upstream],
  ]),
  ...group("FALLOC_FL_", [
    ["FALLOC_FL_KEEP_SIZE", 0x1n, "i_size stays, also when memory is allocated behind it"],
    ["FALLOC_FL_PUNCH_HOLE", 0x2n, "free the pages of the range; needs KEEP_SIZE"],
    ["FALLOC_FL_NO_HIDE_STALE", 0x4n, "reserved"],
    ["FALLOC_FL_COLLAPSE_RANGE", 0x8n, "not supported by shmem"],
    ["FALLOC_FL_ZERO_RANGE", 0x10n, "not supported by shmem"],
    ["FALLOC_FL_INSERT_RANGE", 0x20n, "not supported by shmem"],
    ["FALLOC_FL_UNSHARE_RANGE", 0x40n, "not supported by shmem"],
    ["FALLOC_FL_WRITE_ZEROES", 0x80n, "not supported by shmem (Linux 6.17)", IN.gmemMmap],
  ]),
];

const MAPPING = [
  ...group("PROT_", [
    ["PROT_NONE", 0n, "no access"],
    ["PROT_READ", 0x1n, "loads"],
    ["PROT_WRITE", 0x2n, "stores"],
    ["PROT_EXEC", 0x4n, "instruction fetches"],
  ]),
  ...group("MAP_", [
    ["MAP_SHARED", 0x1n, "stores reach the file"],
    ["MAP_PRIVATE", 0x2n, "copy on write"],
    ["MAP_SHARED_VALIDATE", 0x3n, "MAP_SHARED that refuses unknown flags"],
    ["MAP_FIXED", 0x10n, "take the address as given"],
    ["MAP_ANONYMOUS", 0x20n, "no file"],
    ["MAP_LOCKED", 0x2000n, "lock the pages"],
    ["MAP_NORESERVE", 0x4000n, "reserve no swap"],
    ["MAP_POPULATE", 0x8000n, "fault the pages in at once"],
    ["MAP_HUGETLB", 0x40000n, "huge pages"],
  ]),
  ...group("SEEK_", [
    ["SEEK_SET", 0n, "from the start"],
    ["SEEK_CUR", 1n, "from the current offset"],
    ["SEEK_END", 2n, "from the end"],
    ["SEEK_DATA", 3n, "next data at or behind the offset"],
    ["SEEK_HOLE", 4n, "next hole at or behind the offset"],
  ]),
  ...group("SIG", [["SIGKILL", 9n, "ends a process; nothing can block or handle it"]]),
  ...group("MADV_", [
    ["MADV_NORMAL", 0n, "no advice"],
    ["MADV_RANDOM", 1n, "expect accesses in no order"],
    ["MADV_SEQUENTIAL", 2n, "expect accesses in order"],
    ["MADV_WILLNEED", 3n, "expect accesses soon"],
    ["MADV_DONTNEED", 4n, "drop the mappings of the range"],
    ["MADV_FREE", 8n, "the content may be dropped lazily"],
    ["MADV_REMOVE", 9n, "punch a hole in the mapped file"],
    ["MADV_DONTFORK", 10n, "leave the range out of a child"],
    ["MADV_DOFORK", 11n, "take MADV_DONTFORK back"],
    ["MADV_MERGEABLE", 12n, "equal pages may be merged"],
    ["MADV_HUGEPAGE", 14n, "prefer huge pages"],
    ["MADV_NOHUGEPAGE", 15n, "avoid huge pages"],
    ["MADV_DONTDUMP", 16n, "leave the range out of core dumps"],
    ["MADV_DODUMP", 17n, "take MADV_DONTDUMP back"],
    ["MADV_COLD", 20n, "not used for some time"],
    ["MADV_PAGEOUT", 21n, "reclaim the range"],
    ["MADV_POPULATE_READ", 22n, "fault in for loads"],
    ["MADV_POPULATE_WRITE", 23n, "fault in for stores"],
    ["MADV_COLLAPSE", 25n, "collapse into a huge page now"],
  ]),
];

const KVM = [
  ...group("KVM_MEM_", [
    ["KVM_MEM_LOG_DIRTY_PAGES", 0x1n, "slot flag: log dirty pages"],
    ["KVM_MEM_READONLY", 0x2n, "slot flag: guest stores exit"],
    ["KVM_MEM_PRIVATE", 0x4n, "slot flag: private_fd backs the private memory of the slot", IN.series],
    ["KVM_MEM_GUEST_MEMFD", 0x4n, "slot flag: guest_memfd backs the private memory of the slot", IN.upstream],
  ]),
  ...group("KVM_EXIT_", [
    ["KVM_EXIT_HYPERCALL", 3n, "exit reason: hypercall for user space"],
    ["KVM_EXIT_HLT", 5n, "exit reason: the guest executed HLT"],
    ["KVM_EXIT_MMIO", 6n, "exit reason: access to a gpa without a slot"],
    ["KVM_EXIT_SHUTDOWN", 8n, "exit reason: triple fault; v10 uses it for a poisoned private page"],
    ["KVM_EXIT_MEMORY_ERROR", 36n, "exit reason: private access to shared memory or the reverse", IN.v4v5],
    ["KVM_EXIT_MEMORY_FAULT", 36n, "exit reason: private access to shared memory or the reverse", ["v6"]],
    ["KVM_EXIT_MEMORY_FAULT", 37n, "exit reason: private access to shared memory or the reverse", ["v7"]],
    ["KVM_EXIT_MEMORY_FAULT", 38n, "exit reason: private access to shared memory or the reverse", IN.v8v10],
    ["KVM_EXIT_MEMORY_FAULT", 39n, "exit reason: private access to shared memory or the reverse, or no memory behind a private gpa", IN.upstream],
    ["KVM_EXIT_TDX", 40n, "exit reason: a TDVMCALL that user space answers", IN.tdx],
  ]),
  ...group("KVM_MEMORY_EXIT_FLAG_", [
    ["KVM_MEMORY_EXIT_FLAG_PRIVATE", 0x1n, "the access was private (bit 0 in the series)", IN.series],
    ["KVM_MEMORY_EXIT_FLAG_PRIVATE", 0x8n, "the access was private (bit 3)", IN.upstream],
  ]),
  ...group("KVM_MEMORY_ATTRIBUTE_", [
    ["KVM_MEMORY_ATTRIBUTE_READ", 0x1n, "attribute bit 0", ["v10"]],
    ["KVM_MEMORY_ATTRIBUTE_WRITE", 0x2n, "attribute bit 1", ["v10"]],
    ["KVM_MEMORY_ATTRIBUTE_EXECUTE", 0x4n, "attribute bit 2", ["v10"]],
    ["KVM_MEMORY_ATTRIBUTE_PRIVATE", 0x8n, "the gfn is private", IN.attributes],
  ]),
  ...group("GUEST_MEMFD_FLAG_", [
    ["GUEST_MEMFD_FLAG_MMAP", 0x1n, "user space may map the file", IN.gmemMmap],
    ["GUEST_MEMFD_FLAG_INIT_SHARED", 0x2n, "the memory starts shared, so user faults are allowed", IN.gmemMmap],
  ]),
  ...group("KVM_X86_", [
    ["KVM_X86_DEFAULT_VM", 0n, "VM type: no private memory of its own"],
    ["KVM_X86_SW_PROTECTED_VM", 1n, "VM type: private memory by attribute, for testing", IN.upstream],
    ["KVM_X86_SEV_VM", 2n, "VM type: AMD SEV", IN.tdx],
    ["KVM_X86_SEV_ES_VM", 3n, "VM type: AMD SEV-ES", IN.tdx],
    ["KVM_X86_SNP_VM", 4n, "VM type: AMD SEV-SNP", IN.tdx],
    ["KVM_X86_TDX_VM", 5n, "VM type: Intel TDX", IN.tdx],
  ]),
  ...group("KVM_CAP_", [
    ["KVM_CAP_SPLIT_IRQCHIP", 121n, "capability: local APICs in the kernel, the rest of the interrupt controller in user space", IN.tdx],
    ["KVM_CAP_MEMORY_ATTRIBUTES", 225n, "capability: KVM_SET_MEMORY_ATTRIBUTES", ["v10"]],
    ["KVM_CAP_USER_MEMORY2", 231n, "capability: KVM_SET_USER_MEMORY_REGION2", IN.upstream],
    ["KVM_CAP_MEMORY_FAULT_INFO", 232n, "capability: KVM_EXIT_MEMORY_FAULT", IN.upstream],
    ["KVM_CAP_MEMORY_ATTRIBUTES", 233n, "capability: supported attributes", IN.upstream],
    ["KVM_CAP_GUEST_MEMFD", 234n, "capability: KVM_CREATE_GUEST_MEMFD", IN.upstream],
    ["KVM_CAP_VM_TYPES", 235n, "capability: bit mask of VM types", IN.upstream],
    ["KVM_CAP_PRE_FAULT_MEMORY", 236n, "capability: KVM_PRE_FAULT_MEMORY (Linux 6.11)", IN.tdx],
    ["KVM_CAP_GUEST_MEMFD_FLAGS", 244n, "capability: valid flags of KVM_CREATE_GUEST_MEMFD", IN.gmemMmap],
  ]),
  ...group("TDVMCALL_STATUS_", [
    ["TDVMCALL_STATUS_SUCCESS", 0n, "R10 of a TDCALL: the host has done what the guest asked for", IN.tdx],
    ["TDVMCALL_STATUS_INVALID_OPERAND", -(1n << 63n), "R10 of a TDCALL: an operand is wrong, or user space has refused", IN.tdx],
    ["TDVMCALL_STATUS_ALIGN_ERROR", 2n - (1n << 63n), "R10 of a TDCALL: an address or a size is not page aligned", IN.tdx],
  ]),
  ...group("TDX_TD_ATTR_", [
    ["TDX_TD_ATTR_SEPT_VE_DISABLE", 1n << 28n, "attribute of a TD: an access to a pending page leaves the guest in place of a #VE", IN.tdx],
  ]),
  ...group("KVM_TDX_", [["KVM_TDX_MEASURE_MEMORY_REGION", 0x1n, "flag of KVM_TDX_INIT_MEM_REGION: extend the measurement", IN.tdx]]),
  ...group("SEPT", [
    ["FREE", 0n, "secure EPT entry: nothing is mapped", IN.tdx],
    ["BLOCKED", 1n, "secure EPT entry: a mapped page that is blocked", IN.tdx],
    ["PENDING", 2n, "secure EPT entry: a page that the TD has to accept", IN.tdx],
    ["PENDING_BLOCKED", 3n, "secure EPT entry: a pending page that is blocked", IN.tdx],
    ["MAPPED", 4n, "secure EPT entry: a page that the TD uses", IN.tdx],
    ["NL_BLOCKED", 129n, "secure EPT entry: a table that is blocked", IN.tdx],
    ["NL_MAPPED", 132n, "secure EPT entry: a table", IN.tdx],
  ]),
  ...group("PT_", [
    ["PT_NDA", 0n, "PAMT: the page is not given to the module", IN.tdx],
    ["PT_RSVD", 1n, "PAMT: the page is reserved", IN.tdx],
    ["PT_REG", 3n, "PAMT: a page of a TD", IN.tdx],
    ["PT_TDR", 4n, "PAMT: the root page of a TD", IN.tdx],
    ["PT_TDCX", 5n, "PAMT: a control page of a TD or of a vCPU", IN.tdx],
    ["PT_TDVPR", 6n, "PAMT: the root page of a vCPU", IN.tdx],
    ["PT_EPT", 8n, "PAMT: a table of a secure EPT", IN.tdx],
  ]),
  ...group("TD_", [
    ["TD_HKID_ASSIGNED", 0n, "life cycle of a TD: it has a key id", IN.tdx],
    ["TD_KEYS_CONFIGURED", 1n, "life cycle of a TD: its key is configured on every package", IN.tdx],
    ["TD_BLOCKED", 2n, "life cycle of a TD: no vCPU can enter any more", IN.tdx],
    ["TD_TEARDOWN", 3n, "life cycle of a TD: its key id is free, its pages can be reclaimed", IN.tdx],
  ]),
  ...group("OP_STATE_", [
    ["OP_STATE_UNINITIALIZED", 0n, "OP_STATE of a TD before TDH.MNG.INIT", IN.tdx],
    ["OP_STATE_INITIALIZED", 1n, "OP_STATE of a TD that is being built", IN.tdx],
    ["OP_STATE_RUNNABLE", 2n, "OP_STATE of a TD behind TDH.MR.FINALIZE", IN.tdx],
  ]),
  ...group("VCPU_", [
    ["VCPU_UNINITIALIZED", 0n, "state of a TD's vCPU before TDH.VP.INIT", IN.tdx],
    ["VCPU_READY", 2n, "state of a TD's vCPU that is not in the guest", IN.tdx],
    ["VCPU_ACTIVE", 4n, "state of a TD's vCPU that is in the guest", IN.tdx],
    ["VCPU_DISABLED", 8n, "state of a TD's vCPU that cannot be entered any more", IN.tdx],
  ]),
  ...group("HKID_", [
    ["HKID_FREE", 0n, "key ownership table: nobody has the key id", IN.tdx],
    ["HKID_ASSIGNED", 1n, "key ownership table: a TD has it", IN.tdx],
    ["HKID_FLUSHED", 2n, "key ownership table: no vCPU uses it any more, caches may", IN.tdx],
    ["HKID_RESERVED", 3n, "key ownership table: the module's own", IN.tdx],
  ]),
  ...group("FRAME", [["NONE", 0n, "no frame: what `ept`, `tlb` and `frame` answer where nothing is mapped or allocated"]]),
  ...group("GPA", [
    [
      "SHARED",
      1n << 51n,
      "the shared bit of a guest physical address: `load(SHARED|0x1000)` is a shared access. Bit 51, as in a TD with a 52-bit address " +
        "width; in one with 48 bits it stands for bit 47; the private-memory " +
        "series has no such bit in hardware, there it says which kind of access the guest makes",
    ],
  ]),
];

export const constants: readonly Constant[] = [...MEMFD, ...MAPPING, ...KVM];

const BY_NAME = new Map<string, Constant[]>();
for (const row of constants) BY_NAME.set(row.name, [...(BY_NAME.get(row.name) ?? []), row]);

/** Groups whose constants are bits that are or-ed; the others enumerate. */
const BIT_GROUPS: ReadonlySet<string> = new Set([
  "MFD_",
  "F_SEAL_",
  "O_",
  "FALLOC_FL_",
  "PROT_",
  "MAP_",
  "KVM_MEM_",
  "KVM_MEMORY_EXIT_FLAG_",
  "KVM_MEMORY_ATTRIBUTE_",
  "GUEST_MEMFD_FLAG_",
  "KVM_TDX_",
  "TDX_TD_ATTR_",
  "SPLICE_F_",
  "GPA",
]);

/** Constants of the group are or-ed. */
export const isBitGroup = (group: string): boolean => BIT_GROUPS.has(group);

const has = (row: Constant, profile: string): boolean => row.profiles === undefined || row.profiles.includes(profile);

/** All rows of a name, over all profiles. */
export function constantsNamed(name: string): readonly Constant[] {
  return BY_NAME.get(name) ?? [];
}

export function constant(name: string, baseProfile: string): Constant | undefined {
  return constantsNamed(name).find((row) => has(row, baseProfile));
}

const bits = (value: bigint): number => value.toString(2).replaceAll("0", "").length;

/**
 * `0x3` of `FALLOC_FL_` → `FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE`. Unknown bits stay hexadecimal; a group that enumerates gives its one name or the
 * number. The text has the value again when it is parsed.
 */
export function flagNames(groupName: string, value: bigint, baseProfile: string): string {
  const rows = constants.filter((row) => row.group === groupName && has(row, baseProfile));
  const exact = rows.find((row) => row.value === value);
  if (exact) return exact.name;
  if (value <= 0n || !BIT_GROUPS.has(groupName)) return value.toString();
  let rest = value;
  const found: Constant[] = [];
  for (const row of rows.filter((each) => each.value !== 0n).sort((a, b) => bits(b.value) - bits(a.value))) {
    if ((rest & row.value) === row.value) {
      found.push(row);
      rest &= ~row.value;
    }
  }
  const names = found.sort((a, b) => (a.value < b.value ? -1 : 1)).map((row) => row.name);
  return rest === 0n ? names.join("|") : [...names, `0x${rest.toString(16)}`].join("|");
}
