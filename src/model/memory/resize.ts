// ftruncate and fallocate: size, allocation and holes (fs/open.c vfs_fallocate; mm/shmem.c shmem_setattr, shmem_fallocate, shmem_undo_range; v4 01/12;
// v8 1/8). What KVM is told on the way stands in kvm/notifier.ts.

import type { Errno } from "../../base/errno.ts";
import { isPageAligned, pageDown, pageUp } from "../../base/units.ts";
import type { Call, CallId } from "../../scenario/program.ts";
import { invalidateHva } from "../kvm/notifier.ts";
import { type Resize, rangeOfBytes } from "../kvm/ranges.ts";
import type { Field } from "../layout.ts";
import { AGAIN, BLOCKED, type Context, type Machine, NEXT, type Plan, type StepCode } from "../machine.ts";
import { intOf, NotModelled } from "../objects.ts";
import { canWrite, fileOperand, openDescriptor, openOperand, plan, ZERO } from "../plan.ts";
import { dropPage, isInaccessible, isMadeInaccessible, pagesOf, setSize, sizeOf, zeroPart } from "./file.ts";
import { release } from "./frames.ts";
import { hugeRange, isHuge } from "./huge.ts";
import { growsTooFar, sizeLimit } from "./limits.ts";
import { KEEP_SIZE, PUNCH_HOLE, vfsRefuses } from "./modes.ts";
import { inodeLockOf, truncateLocksOf } from "./narrow.ts";
import { fileScope, poolScope } from "./scopes.ts";
import { type FileState, type MappingState, SEAL } from "./state.ts";
import { fileUnmaps } from "./unmaps.ts";

export const resize = (context: Context): Resize => context.plan.data as Resize;
const fileOf = (context: Context): FileState => context.machine.files[context.plan.file];
const me = (context: Context): number => context.thread.index + 1;

export function planTruncate(machine: Machine, id: CallId, call: Call): Plan {
  const length = intOf(call, id, 1);
  const writable = canWrite(openOperand(machine, call.operands[0]));
  const file = fileOperand(machine, id, call.operands[0]);
  const state = file === undefined ? undefined : machine.files[file];
  checkLimit(machine, id, state);
  const cells = state && length >= 0n ? cellsFrom(state, length) : [];
  const parts = new Map<number, { from: number; to: number }>();
  if (state && length > 0n && !isPageAligned(length) && cells.length > 0) parts.set(cells[0], { from: Number(length & 4095n), to: 4096 });
  return plan(id, call, {
    operations: ["ftruncate", "ftruncate.plain"],
    success: ZERO,
    file: file ?? -1,
    cells,
    ...fileUnmaps(machine, state, wholeCells(cells, parts)),
    reads: ["handle", "file"],
    scope: () => fileScope(machine, call, file, cells),
    data: { call: "ftruncate", mode: 0n, offset: length, length: 0n, end: length, range: rangeOfBytes(length, 1n << 63n), told: [], parts } satisfies Resize,
    decode: (context) => (length < 0n ? "EINVAL" : (openDescriptor(machine, context, call.operands[0]) ?? (writable ? undefined : "EINVAL"))),
    select: (context) => (isInaccessible(context.state, machine.files[file as number]) ? "ftruncate" : "ftruncate.plain"),
  });
}

function checkLimit(machine: Machine, id: CallId, file: FileState | undefined): void {
  if (file && isMadeInaccessible(machine, file.object) && sizeLimit(machine, id) !== undefined)
    throw new NotModelled(id, "RLIMIT_FSIZE on an inaccessible file is not modelled");
}

/** Pages that go as a whole. */
export const wholeCells = (cells: readonly number[], parts: Resize["parts"]): number[] => cells.filter((cell) => !parts.has(cell));

/** All cells from the page that holds `length` on. */
function cellsFrom(file: FileState, length: bigint): number[] {
  const page = Number(pageDown(length) >> 12n);
  return file.frames.map((_, cell) => cell).filter((cell) => file.cells.end(cell) > page);
}

/** Names of the operations, for a private file and for an ordinary one. */
const PUNCH = ["fallocate.punch_hole", "fallocate.punch_hole.plain"] as const;
const ALLOCATE = ["fallocate.allocate", "fallocate.allocate.plain"] as const;

export function planFallocate(machine: Machine, id: CallId, call: Call): Plan {
  const [mode, offset, length] = [BigInt.asUintN(32, intOf(call, id, 1)), intOf(call, id, 2), intOf(call, id, 3)];
  const file = fileOperand(machine, id, call.operands[0]);
  const punch = (mode & PUNCH_HOLE) !== 0n;
  checkLimit(machine, id, machine.files[file ?? -1]);
  const writable = canWrite(openOperand(machine, call.operands[0]));
  const refused = vfsRefuses(mode, offset, length, writable, machine.features.fallocate_modes);
  const data: Resize = {
    call: "fallocate",
    mode,
    offset,
    length,
    end: offset + length,
    range: rangeOfBytes(offset, offset + length),
    told: [],
    parts: new Map(),
  };
  const cells = refused || file === undefined ? [] : rangeCells(machine.files[file], data, punch);
  const [name, plain] = punch ? PUNCH : ALLOCATE;
  return plan(id, call, {
    operations: [name, plain],
    success: ZERO,
    file: file ?? -1,
    cells,
    ...(punch ? fileUnmaps(machine, machine.files[file ?? -1], wholeCells(cells, data.parts)) : {}),
    data,
    reads: ["handle", "file"],
    scope: () => (punch ? fileScope(machine, call, file, cells) : poolScope(machine, call, file, cells)),
    decode(context) {
      const closed = openDescriptor(machine, context, call.operands[0]);
      if (closed || refused) return closed ?? refused;
      const inner = mode & ~(KEEP_SIZE | PUNCH_HOLE);
      return inner && machine.files[file as number].shim.get(context.state) === 0 ? "EOPNOTSUPP" : undefined;
    },
    select: (context) => (isPrivateFile(context, machine.files[file as number]) ? name : plain),
  });
}

/** The private file of this kernel: marked, or (v4, whose seal is never set) made with MFD_INACCESSIBLE. */
function isPrivateFile(context: Context, file: FileState): boolean {
  return isInaccessible(context.state, file) || isMadeInaccessible(context.machine, file.object);
}

/** Pages of the range; a hole only zeroes the pages that it covers in part. */
export function rangeCells(file: FileState, data: Resize, punch: boolean): number[] {
  if (isHuge(file)) {
    const { from, to } = hugeRange(file, data.offset, data.end, punch);
    return file.cells.range(from, to);
  }
  const cells = file.cells.range(Number(pageDown(data.offset) >> 12n), Number(pageUp(data.end) >> 12n));
  if (!punch) return cells;
  for (const cell of cells) {
    const start = BigInt(file.cells.start(cell)) << 12n;
    const end = BigInt(file.cells.end(cell)) << 12n;
    const from = data.offset > start ? data.offset - start : 0n;
    const to = data.end < end ? data.end - start : end - start;
    if (from > 0n || to < end - start) (data.parts as Map<number, { from: number; to: number }>).set(cell, { from: Number(from), to: Number(to) });
  }
  return cells;
}

/** inode_lock of the inode that the descriptor leads to: v8's shim has a lock of its own, beside that of the tmpfs file below it. */
function inodeLock(context: Context): Field {
  const { lock, shim, shimLock } = fileOf(context);
  return shim.get(context.state) === 1 ? shimLock : lock;
}

const lockInode: StepCode = {
  reads: ["file", "lock"],
  writes: ["lock"],
  jumps: [],
  returns: false,
  acquires: inodeLockOf,
  run(context) {
    const lock = inodeLock(context);
    if (lock.get(context.state) !== 0) return BLOCKED;
    lock.set(context.state, me(context));
    if (context.telling) context.say("inode_lock taken");
    return NEXT;
  },
};

const unlockInode: StepCode = {
  reads: ["file"],
  writes: ["lock"],
  jumps: [],
  returns: false,
  run(context) {
    unlock(context);
    if (context.telling) context.say("inode_lock released");
    return NEXT;
  },
};

export function unlock(context: Context): void {
  const lock = inodeLock(context);
  if (lock.get(context.state) === me(context)) lock.set(context.state, 0);
}

/** Fails a call that holds the inode lock. */
export function failUnlocked(context: Context, errno: Errno): number {
  unlock(context);
  return context.fail(errno);
}

const checkAlignment: StepCode = {
  reads: ["file"],
  writes: ["lock"],
  jumps: [],
  run(context) {
    const { offset, length } = resize(context);
    if (isInaccessible(context.state, fileOf(context)) && !(isPageAligned(offset) && isPageAligned(length))) return failUnlocked(context, "EINVAL");
    if (context.telling)
      context.say(isInaccessible(context.state, fileOf(context)) ? "offset and len are page aligned" : "an ordinary file needs no alignment");
    return NEXT;
  },
};

/** A private file gets its size once (v4 01/12 shmem_setattr, v8 1/8 inaccessible_setattr). */
const checkSizeOnce: StepCode = {
  reads: ["file", "size"],
  writes: ["lock"],
  jumps: [],
  run(context) {
    const { machine, state } = context;
    if (sizeOf(machine, state, fileOf(context)) !== 0n) return failUnlocked(context, "EPERM");
    if (!isPageAligned(resize(context).end)) return failUnlocked(context, "EINVAL");
    if (context.telling) context.say("the size is still 0 and the new one is page aligned");
    return NEXT;
  },
};

const checkSeals: StepCode = {
  reads: ["file", "size"],
  writes: ["lock"],
  jumps: [],
  run(context) {
    const { machine, state } = context;
    const { call, mode, end } = resize(context);
    const file = fileOf(context);
    const seals = file.seals.get(state);
    const size = sizeOf(machine, state, file);
    if ((call === "ftruncate" || !(mode & PUNCH_HOLE)) && growsTooFar(context, size, end)) return failUnlocked(context, "EFBIG");
    if (file.object.huge !== undefined && call === "ftruncate" && end & ((1n << BigInt(file.object.huge)) - 1n)) return failUnlocked(context, "EINVAL");
    const refused =
      call === "ftruncate"
        ? (end < size && seals & SEAL.SHRINK) || (end > size && seals & SEAL.GROW)
        : mode & PUNCH_HOLE
          ? seals & (SEAL.WRITE | SEAL.FUTURE_WRITE)
          : end > size && seals & SEAL.GROW;
    if (refused) return failUnlocked(context, "EPERM");
    if (context.telling) context.say("no seal forbids it");
    return NEXT;
  },
};

const setSizeStep: StepCode = {
  reads: ["size"],
  writes: ["size"],
  jumps: ["unlock_inode"],
  returns: false,
  run(context) {
    const { machine, state } = context;
    const { call, mode, end } = resize(context);
    const file = fileOf(context);
    const before = sizeOf(machine, state, file);
    if (call === "fallocate") {
      if (mode & KEEP_SIZE || end <= before) {
        if (context.telling) context.say("i_size stays");
        return NEXT;
      }
    }
    setSize(machine, state, file, end);
    if (context.telling) context.say(`i_size becomes ${end}`);
    return call === "ftruncate" && end >= before && context.operation.labels.has("unlock_inode") ? context.jump("unlock_inode") : NEXT;
  },
};

/** unmap_mapping_range: host PTEs of the range go, page by page, between the two halves of the MMU notifier (kvm/hva.ts) where it has something to do. */
const unmapUser: StepCode = {
  reads: ["pte", "page", "reference"],
  writes: ["pte", "page", "free", "content"],
  jumps: [],
  returns: false,
  run(context) {
    const { machine, unmapping, state, thread } = context;
    const file = fileOf(context);
    if (unmapping) {
      const mapping = machine.mappings[unmapping.mapping];
      const cell = unmapping.cells[context.cursor];
      unmapCell(context, file, mapping, file.cells.at(mapping.cells.start(cell) + mapping.object.filePage));
      const more = context.cursor + 1 < unmapping.cells.length;
      thread.cursor.set(state, more ? context.cursor + 1 : 0);
      return more ? AGAIN : NEXT;
    }
    if (context.plan.cells.length === 0) return NEXT;
    for (const mapping of machine.mappings) if (mapping.object.file === file.object.index) unmapCell(context, file, mapping, context.cell);
    return context.each();
  },
};

/** Only whole pages lose their PTEs; pages that are covered in part stay mapped. A new size takes private copies too (even_cows), a hole leaves them. */
function unmapCell(context: Context, file: FileState, mapping: MappingState, fileCell: number): void {
  const { state } = context;
  if (resize(context).parts.has(fileCell)) return;
  const cell = mapping.cells.at(file.cells.start(fileCell) - mapping.object.filePage);
  if (cell < 0 || mapping.mapped[cell].get(state) === 0) return;
  const copy = mapping.copies[cell]?.get(state) ?? 0;
  if (copy !== 0 && resize(context).call === "fallocate") return;
  mapping.copies[cell]?.set(state, 0);
  if ((mapping.ptes[cell]?.get(state) ?? 0) > 0) {
    mapping.ptes[cell]?.set(state, 0);
    if (context.telling) context.say(`the host page table no longer maps ${pagesOf(file, fileCell)}`);
  }
  release(context, copy);
}

/** Drops the pages one after the other. Where the operation holds no inode lock itself (v8), the tmpfs below takes its own for the whole loop. */
const truncate: StepCode = {
  reads: ["file", "lock", "page", "slot", "ept", "pte", "faults", "reference", "uptodate"],
  writes: ["lock", "page", "uptodate", "content", "pte", "ept", "tlb", "faults", "free"],
  jumps: [],
  returns: false,
  acquires: truncateLocksOf,
  run(context) {
    const {
      state,
      plan: { cells },
    } = context;
    const file = fileOf(context);
    if (cells.length === 0) return NEXT;
    if (!enterInnerLock(context)) return BLOCKED;
    const part = resize(context).parts.get(context.cell);
    const folio = file.folios[context.cell].get(state);
    if (folio !== 0 && folio !== me(context)) return BLOCKED;
    if (part) zeroPart(context, file, context.cell, part.from, part.to);
    else {
      unmapAgain(context, file);
      dropPage(context, file, context.cell);
    }
    return leaveInnerLock(context, context.each());
  },
};

/** truncate_cleanup_folio: a fault that passed wait_hole before the hole was announced has mapped the page once more. Private copies stay. */
function unmapAgain(context: Context, file: FileState): void {
  const { machine, state } = context;
  for (const mapping of machine.mappings) {
    const cell = mapping.object.file === file.object.index ? mapping.cells.at(file.cells.start(context.cell) - mapping.object.filePage) : -1;
    const frame = cell < 0 ? 0 : (mapping.ptes[cell]?.get(state) ?? 0);
    if (frame === 0 || mapping.copies[cell]?.get(state) === frame) continue;
    invalidateHva(context, mapping, cell);
    unmapCell(context, file, mapping, context.cell);
  }
}

const hasOuterLock = (context: Context): boolean => context.operation.labels.has("lock_inode") && fileOf(context).shim.get(context.state) === 0;

export function enterInnerLock(context: Context): boolean {
  const { lock } = fileOf(context);
  if (hasOuterLock(context)) return true;
  const owner = lock.get(context.state);
  if (owner !== 0 && owner !== me(context)) return false;
  lock.set(context.state, me(context));
  return true;
}

export function leaveInnerLock(context: Context, code: number): number {
  const { lock } = fileOf(context);
  if (!hasOuterLock(context) && code !== AGAIN && lock.get(context.state) === me(context)) lock.set(context.state, 0);
  return code;
}

/** shmem keeps faults out of the range while the hole is made (shmem_falloc, the fix for CVE-2014-4171). */
const announceHole: StepCode = {
  reads: [],
  writes: ["hole"],
  jumps: [],
  returns: false,
  run(context) {
    fileOf(context).hole.set(context.state, me(context));
    if (context.telling) context.say("faults into the range wait from here on");
    return NEXT;
  },
};

const retractHole: StepCode = {
  reads: [],
  writes: ["hole"],
  jumps: [],
  returns: false,
  run(context) {
    fileOf(context).hole.set(context.state, 0);
    if (context.telling) context.say("faults into the range go on");
    return NEXT;
  },
};

export const resizeSteps = {
  lock_inode: lockInode,
  unlock_inode: unlockInode,
  check_alignment: checkAlignment,
  check_size_once: checkSizeOnce,
  check_seals: checkSeals,
  set_size: setSizeStep,
  unmap_user: unmapUser,
  truncate,
  announce_hole: announceHole,
  retract_hole: retractHole,
};
