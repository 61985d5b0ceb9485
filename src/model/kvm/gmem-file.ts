// KVM_CREATE_GUEST_MEMFD, and what the file answers to the calls on files (virt/kvm/guest_memfd.c kvm_gmem_create, kvm_gmem_fallocate, kvm_gmem_mmap; measured
// on 6.18.44).

import type { Errno } from "../../base/errno.ts";
import { isPageAligned } from "../../base/units.ts";
import type { Call, CallId } from "../../scenario/program.ts";
import { BLOCKED, type Context, type Machine, NEXT, type Plan, type StepCode } from "../machine.ts";
import { planFlags } from "../memory/descriptors.ts";
import { addPage, dropPage, offsetOf, pagesOf, setSize } from "../memory/file.ts";
import { framesLeft } from "../memory/frames.ts";
import { noDescriptor } from "../memory/limits.ts";
import { KEEP_SIZE, PUNCH_HOLE, vfsRefuses } from "../memory/modes.ts";
import { fileScope } from "../memory/scopes.ts";
import type { FileState } from "../memory/state.ts";
import { intOf, NotModelled, objectOfOperand } from "../objects.ts";
import { bound, descriptor, plan, ZERO } from "../plan.ts";
import { CutNeeded } from "../refine.ts";
import { INTERRUPTIBLE, isSignalled, signalPending } from "../signals.ts";
import { GUEST_MEMFD_FLAG_INIT_SHARED, GUEST_MEMFD_FLAG_MMAP } from "./gmem-state.ts";
import { invalidateHva } from "./notifier.ts";
import { type Resize, rangeOfBytes } from "./ranges.ts";

const fileOf = (context: Context): FileState => context.machine.files[context.plan.file];

/** VMs of this type may have private memory: kvm_arch_has_private_mem. */
export const hasPrivateMemory = (machine: Machine, vm: number): boolean =>
  machine.features.access_kind === "attribute" && PRIVATE_TYPES.includes(machine.objects.vms[vm].type);
/** KVM_X86_SW_PROTECTED_VM and KVM_X86_TDX_VM. */
const PRIVATE_TYPES: readonly bigint[] = [1n, 5n];

/** Flags that KVM_CREATE_GUEST_MEMFD knows for a VM, as KVM_CAP_GUEST_MEMFD_FLAGS answers them (44c6cb9fe988). */
export function gmemFlags(machine: Machine, vm: number): bigint {
  if (machine.features.guest_memfd !== "mmap") return 0n;
  return hasPrivateMemory(machine, vm) ? GUEST_MEMFD_FLAG_MMAP : GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
}

export function planCreateGmem(machine: Machine, id: CallId, call: Call): Plan {
  const target = call.operands[0];
  const vm = objectOfOperand(machine.program, machine.objects.vmOf, target);
  const file = machine.objects.fileOf.get(id);
  return plan(id, call, {
    operations: ["KVM_CREATE_GUEST_MEMFD"],
    success: { kind: "handle", handle: "fd" },
    reads: ["handle"],
    file: file ?? -1,
    scope: () => fileScope(machine, call, file),
    data: vm,
    decode: (context) => (vm !== undefined && bound(machine, context.state, target) ? undefined : "EBADF"),
  });
}

const checkFlags: StepCode = {
  reads: [],
  writes: [],
  jumps: [],
  run(context) {
    const { machine, plan } = context;
    if (fileOf(context).object.flags & ~gmemFlags(machine, plan.data as number)) return context.fail("EINVAL");
    context.say("the flags are known for this type of VM");
    return NEXT;
  },
};

const checkSize: StepCode = {
  reads: [],
  writes: [],
  jumps: [],
  run(context) {
    const size = fileOf(context).object.size ?? 0n;
    if (size <= 0n || !isPageAligned(size)) return context.fail("EINVAL");
    if (noDescriptor(context.machine, context.plan.id)) return context.fail("EMFILE");
    context.say("the size is positive and page aligned");
    return NEXT;
  },
};

const newFile: StepCode = {
  reads: [],
  writes: ["size", "file"],
  jumps: [],
  returns: false,
  run(context) {
    const file = fileOf(context);
    setSize(context.machine, context.state, file, file.object.size ?? 0n);
    file.mode.set(context.state, 0o600);
    context.say(`a guest_memfd of ${file.object.size} bytes, for good; it holds a reference on the VM`);
    return NEXT;
  },
};

/** ftruncate and the other changes of attributes: kvm_gmem_setattr. */
const refuse: StepCode = {
  reads: [],
  writes: [],
  jumps: [],
  run(context) {
    context.say("a guest_memfd has the size and the mode that it was made with");
    return context.fail("EINVAL");
  },
};

export function planGmemTruncate(machine: Machine, id: CallId, call: Call): Plan {
  const file = machine.objects.fileOf.get(machine.program.handles[machine.handleOf(call.operands[0]) ?? -1].call);
  return plan(id, call, {
    operations: ["ftruncate"],
    success: ZERO,
    file,
    reads: ["handle"],
    scope: () => fileScope(machine, call, file, []),
    decode: (context) => (intOf(call, id, 1) < 0n ? "EINVAL" : descriptor(machine, context, call.operands[0])),
  });
}

/** Order measured on 6.18.44: length and offset, mode, overflow, alignment, size. */
export function planGmemFallocate(machine: Machine, id: CallId, call: Call): Plan {
  const [mode, offset, length] = [BigInt.asUintN(32, intOf(call, id, 1)), intOf(call, id, 2), intOf(call, id, 3)];
  const file = machine.objects.fileOf.get(machine.program.handles[machine.handleOf(call.operands[0]) ?? -1].call) as number;
  const punch = (mode & PUNCH_HOLE) !== 0n;
  const refused = vfsRefuses(mode, offset, length, true, machine.features.fallocate_modes) ?? gmemRefuses(machine, file, mode, offset, length);
  const cells = refused ? [] : machine.files[file].cells.range(Number(offset >> 12n), Number((offset + length) >> 12n));
  const range = rangeOfBytes(offset, offset + length);
  return plan(id, call, {
    operations: [punch ? "fallocate.punch_hole" : "fallocate.allocate"],
    success: ZERO,
    file,
    cells,
    data: { call: "fallocate", mode, offset, length, end: offset + length, range, told: [], parts: new Map() } satisfies Resize,
    reads: ["handle"],
    scope: () => fileScope(machine, call, file, cells),
    decode: (context) => descriptor(machine, context, call.operands[0]) ?? refused,
  });
}

function gmemRefuses(machine: Machine, file: number, mode: bigint, offset: bigint, length: bigint): Errno | undefined {
  if (!(mode & KEEP_SIZE) || mode & ~(KEEP_SIZE | PUNCH_HOLE)) return "EOPNOTSUPP";
  if (!isPageAligned(offset) || !isPageAligned(length)) return "EINVAL";
  return !(mode & PUNCH_HOLE) && offset + length > (machine.objects.files[file].size ?? 0n) ? "EINVAL" : undefined;
}

/** Adds the pages that are missing, each under its folio lock, one after the other; they are cleared at their first use. What is there stays after an error. */
const allocate: StepCode = {
  reads: ["page", "lock"],
  writes: ["page", "uptodate", "content", "free"],
  interruptible: { ...INTERRUPTIBLE, returns: false },
  jumps: ["unlock_invalidate"],
  returns: false,
  run(context) {
    const { machine, state } = context;
    const file = fileOf(context);
    if (context.plan.cells.length === 0) return NEXT;
    if (signalPending(context)) return stopAllocation(context, "EINTR", "a signal is pending");
    if (file.folios[context.cell].get(state) !== 0) return BLOCKED;
    const [from, to] = [file.cells.start(context.cell), file.cells.end(context.cell)];
    const left = file.frames[context.cell].get(state) === 0 ? framesLeft(machine, state) : to - from;
    if (left === 0) return stopAllocation(context, "ENOMEM", "no frame is free");
    if (left < to - from) throw new CutNeeded(file.cells.space, from + left);
    if (isSignalled(context)) tellPagesApart(context, file);
    if (file.frames[context.cell].get(state) === 0) addPage(context, file, context.cell);
    else context.say(`${pagesOf(file, context.cell)} is there already`);
    return context.each();
  },
};

/** Above this the pages of a range are not told apart, as elsewhere. */
const PAGES_APART = 64n;

/** The signal may come behind each page. */
function tellPagesApart(context: Context, file: FileState): void {
  const { machine, cell } = context;
  const { length } = context.plan.data as Resize;
  if (file.cells.single(cell)) return;
  if (length >> 12n <= PAGES_APART) throw new CutNeeded(file.cells.space, file.cells.start(cell) + 1);
  machine.limit ??= `a signal ends an allocation of ${length >> 12n} pages behind any of them; of more than ${PAGES_APART} not each one is tried`;
}

function stopAllocation(context: Context, errno: "EINTR" | "ENOMEM", why: string): number {
  context.say(`${why}: the pages that are there stay`);
  context.thread.cursor.set(context.state, 0);
  context.remember({ kind: "errno", errno });
  return context.jump("unlock_invalidate");
}

/** truncate_inode_pages_range: user mappings of the folio go with it. */
const truncate: StepCode = {
  reads: ["page", "lock", "slot", "ept", "pte", "faults", "reference", "uptodate"],
  writes: ["page", "uptodate", "content", "pte", "ept", "tlb", "faults", "free"],
  jumps: [],
  returns: false,
  run(context) {
    const file = fileOf(context);
    if (context.plan.cells.length === 0) return NEXT;
    if (file.folios[context.cell].get(context.state) !== 0) return BLOCKED;
    dropFolio(context, file, context.cell);
    return context.each();
  },
};

/** Takes one folio out of the file and out of the host page tables. */
function dropFolio(context: Context, file: FileState, fileCell: number): void {
  const { machine, state } = context;
  for (const mapping of machine.mappings) {
    if (mapping.object.file !== file.object.index) continue;
    const cell = mapping.cells.at(file.cells.start(fileCell) - mapping.object.filePage);
    if (cell < 0 || (mapping.ptes[cell]?.get(state) ?? 0) === 0) continue;
    invalidateHva(context, mapping, cell);
    mapping.ptes[cell]?.set(state, 0);
    if (context.telling) context.say(`the host page table no longer maps ${offsetOf(file, fileCell)}`);
  }
  dropPage(context, file, fileCell);
}

/** read, write and lseek: there are no such methods, and the file cannot seek (measured on 6.18.44). */
export function planGmemTransfer(machine: Machine, id: CallId, call: Call): Plan {
  const positioned = call.spec === "pread" || call.spec === "pwrite";
  const unknown = call.spec === "lseek" && (intOf(call, id, 2) < 0n || intOf(call, id, 2) > 4n);
  const answer: Errno = call.spec === "read" || call.spec === "write" || unknown ? "EINVAL" : "ESPIPE";
  return plan(id, call, {
    operations: [call.spec],
    success: ZERO,
    reads: ["handle"],
    decode: (context) => (positioned && intOf(call, id, 2) < 0n ? "EINVAL" : (descriptor(machine, context, call.operands[0]) ?? answer)),
  });
}

const F_ADD_SEALS = 1033n;
const F_GET_SEALS = 1034n;

/** fchmod and the seals: a guest_memfd is no memfd. */
export function planGmemRefusal(machine: Machine, id: CallId, call: Call): Plan {
  const command = call.spec === "fcntl" ? intOf(call, id, 1) : F_ADD_SEALS;
  if (command !== F_ADD_SEALS && command !== F_GET_SEALS) return planFlags(machine, id, call);
  return plan(id, call, {
    operations: [call.spec === "fcntl" ? "fcntl.get_seals" : call.spec],
    success: ZERO,
    reads: ["handle"],
    decode: (context) => descriptor(machine, context, call.operands[0]) ?? "EINVAL",
  });
}

/** Why the host's page fault at a page of the file gets SIGBUS, in the order of kvm_gmem_fault_user_mapping; undefined where it gets the page. */
export function userFaultRefused(machine: Machine, file: FileState, page: bigint): string | undefined {
  const { flags, size } = file.object;
  if (page << 12n >= (size ?? 0n)) return "the offset is at or beyond i_size";
  if (machine.features.gmem_user_faults === "mapped") return undefined;
  return flags & GUEST_MEMFD_FLAG_INIT_SHARED ? undefined : "the memory is not shared: GUEST_MEMFD_FLAG_INIT_SHARED is not set";
}

/** migrate and reclaim: the mapping is unmovable and unevictable, so the page stays. */
export function planGmemMove(machine: Machine, id: CallId, call: Call): Plan {
  const target = call.operands[0];
  const file = target?.kind === "frame" ? machine.objects.fileOf.get(machine.program.handles[target.handle].call) : undefined;
  const page = target?.kind === "frame" ? Number(target.offset >> 12n) : 0;
  return plan(id, call, {
    operations: [call.spec],
    success: ZERO,
    reads: ["page"],
    scope: () => fileScope(machine, call, file),
    decode(context) {
      const { cells, frames } = machine.files[file as number];
      return (frames[cells.at(page)]?.get(context.state) ?? 0) === 0 ? "ENOENT" : "EBUSY";
    },
  });
}

/** readlink of /proc/self/fd: the anonymous inode's name. */
export function planGmemReadlink(machine: Machine, id: CallId, call: Call): Plan {
  if (machine.features.gmem_inode !== "anonymous") throw new NotModelled(id, "the link text of this release's guest_memfd is not modelled");
  return plan(id, call, {
    operations: ["readlink_fd"],
    success: ZERO,
    reads: ["handle"],
    decode: (context) => descriptor(machine, context, call.operands[0]) ?? { kind: "text", text: "anon_inode:[kvm-gmem]" },
  });
}

export const gmemCreateSteps = { check_flags: checkFlags, check_size: checkSize, new_file: newFile };
export const gmemRefuse = refuse;
export const gmemFallocateSteps = { allocate, truncate };
