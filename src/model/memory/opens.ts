// What a descriptor gives access to beside the content: its offset (lseek), the mode of its inode (fchmod), and the file once more through
// /proc/self/fd (mm/shmem.c shmem_file_llseek, shmem_setattr; fs/open.c).

import type { Errno } from "../../base/errno.ts";
import { S64_MAX } from "../../base/units.ts";
import type { Call, CallId } from "../../scenario/program.ts";
import { type Resize, rangeOfBytes } from "../kvm/ranges.ts";
import { BLOCKED, type Context, type Machine, NEXT, type Plan, type StepCode } from "../machine.ts";
import { intOf, NotModelled, O_ACCMODE, O_PATH } from "../objects.ts";
import { descriptor, fileOperand, openDescriptor, openOperand, plan, ZERO } from "../plan.ts";
import { O_APPEND } from "./descriptors.ts";
import { isMadeInaccessible, sizeOf } from "./file.ts";
import { hugeSeek, isHuge } from "./huge.ts";
import { checkPositions } from "./io.ts";
import { noDescriptor } from "./limits.ts";
import { inodeLockOf } from "./narrow.ts";
import { failUnlocked } from "./resize.ts";
import { fileScope } from "./scopes.ts";
import { X_BITS } from "./seals.ts";
import { type FileState, type OpenState, SEAL } from "./state.ts";
import { fileUnmaps } from "./unmaps.ts";

const SEEK = { SET: 0, CUR: 1, END: 2, DATA: 3, HOLE: 4 } as const;

interface Seek {
  readonly offset: bigint;
  readonly whence: number;
  readonly open: OpenState | undefined;
}

const fileOf = (context: Context): FileState => context.machine.files[context.plan.file];

/** lseek(fd, offset, whence). */
export function planSeek(machine: Machine, id: CallId, call: Call): Plan {
  const offset = intOf(call, id, 1);
  const whence = Number(BigInt.asUintN(32, intOf(call, id, 2)));
  const file = fileOperand(machine, id, call.operands[0]);
  const open = openOperand(machine, call.operands[0]);
  if (open) checkPositions(machine, id, open);
  return plan(id, call, {
    operations: ["lseek"],
    success: ZERO,
    file: file ?? -1,
    reads: ["handle", "file"],
    scope: () => fileScope(machine, call, file),
    data: { offset, whence, open } satisfies Seek,
    decode(context) {
      const closed = openDescriptor(machine, context, call.operands[0]);
      if (closed) return closed;
      if (whence > SEEK.HOLE) return "EINVAL";
      return machine.files[file as number].shim.get(context.state) === 1 ? "ESPIPE" : undefined;
    },
  });
}

const seek: StepCode = {
  reads: ["lock", "size", "position", "page", "uptodate"],
  writes: ["position"],
  jumps: [],
  run(context) {
    const { machine, state } = context;
    const { offset, whence, open } = context.plan.data as Seek;
    const file = fileOf(context);
    if (whence >= SEEK.DATA && file.lock.get(state) !== 0) return BLOCKED;
    const from = machine.values.value(open?.position.get(state) ?? 0);
    const to = target(machine, state, file, from, offset, whence);
    if (typeof to !== "bigint") return context.fail(to);
    if (to === OVERFLOWN && whence === SEEK.HOLE) return context.done({ kind: "value", value: to });
    if (to < 0n || to > S64_MAX) return context.fail("EINVAL");
    open?.position.set(state, machine.values.number(to));
    if (context.telling) context.say(`the offset is ${to}`);
    return context.done({ kind: "value", value: to });
  },
};

function target(machine: Machine, state: Int32Array, file: FileState, from: bigint, offset: bigint, whence: number): bigint | Errno {
  if (whence === SEEK.SET) return offset;
  if (whence === SEEK.CUR && !isHuge(file)) return from + offset;
  const size = sizeOf(machine, state, file);
  if (isHuge(file)) return hugeSeek(from, offset, whence, size);
  if (whence === SEEK.END) return size + offset;
  if (offset < 0n || offset >= size) return "ENXIO";
  const found = nextOf(state, file, offset, size, whence === SEEK.DATA);
  if (found !== undefined) return found;
  return whence === SEEK.DATA ? "ENXIO" : size;
}

const LAST_PAGE = S64_MAX >> 12n;
const OVERFLOWN = -S64_MAX - 1n;

/** A page that was allocated and never used is not up to date, so it counts as a hole. */
function isUsed(state: Int32Array, file: FileState, page: bigint): boolean {
  const cell = file.cells.at(Number(page));
  return cell >= 0 && file.frames[cell].get(state) > 0 && file.uptodate[cell].get(state) === 1;
}

/** mapping_seek_hole_data. */
function nextOf(state: Int32Array, file: FileState, offset: bigint, size: bigint, data: boolean): bigint | undefined {
  const { cells } = file;
  for (let at = offset; at < size; ) {
    const cell = cells.at(Number(at >> 12n));
    const isData = isUsed(state, file, at >> 12n);
    // The end of the last page that an offset can name is no loff_t: data there is never found, and the hole behind it has the offset that the sum
    // overflows to (mm/filemap.c mapping_seek_hole_data, measured on 6.18.44).
    if (isData && at >> 12n === LAST_PAGE) return data ? undefined : OVERFLOWN;
    if (isData === data) return at;
    // Outside all cells nobody in the scenario goes: a hole up to the first cell, or to the end.
    const next = cell >= 0 ? cells.end(cell) : cells.bounds.find((bound) => BigInt(bound) << 12n > at);
    if (next === undefined) return undefined;
    at = BigInt(next) << 12n;
  }
  return undefined;
}

/** fchmod(fd, mode). */
export function planChmod(machine: Machine, id: CallId, call: Call): Plan {
  const file = fileOperand(machine, id, call.operands[0]);
  const object = machine.files[file ?? -1]?.object;
  if (object && isMadeInaccessible(machine, object)) throw new NotModelled(id, "fchmod of this kind of file is not modelled");
  return plan(id, call, {
    operations: ["fchmod"],
    success: ZERO,
    file: file ?? -1,
    reads: ["handle", "file"],
    scope: () => fileScope(machine, call, file),
    data: Number(intOf(call, id, 1) & 0o7777n),
    decode: (context) => openDescriptor(machine, context, call.operands[0]),
  });
}

const changeMode: StepCode = {
  reads: ["file"],
  writes: ["file", "lock"],
  jumps: [],
  run(context) {
    const { state, machine } = context;
    const { mode, seals } = fileOf(context);
    const wanted = context.plan.data as number;
    // hugetlbfs_setattr does not look at F_SEAL_EXEC (measured on 6.18.44).
    if (machine.features.memfd_flags === "exec" && !isHuge(fileOf(context)) && seals.get(state) & SEAL.EXEC && (mode.get(state) ^ wanted) & X_BITS)
      return failUnlocked(context, "EPERM");
    mode.set(state, wanted);
    if (context.telling) context.say(`the mode becomes 0${wanted.toString(8)}`);
    return NEXT;
  },
};

const O_CREAT = 0x40n;
const O_EXCL = 0x80n;
const O_TRUNC = 0x200n;
const O_CLOEXEC = 0x80000n;
const O_LARGEFILE = 0x8000n;
const O_NONBLOCK = 0x800n;
const OPEN_FLAGS = O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_LARGEFILE;

/** open_fd(fd, flags): open("/proc/self/fd/N", flags). */
export function planOpen(machine: Machine, id: CallId, call: Call): Plan {
  const flags = BigInt.asUintN(32, intOf(call, id, 1));
  const file = fileOperand(machine, id, call.operands[0]);
  const state = machine.files[file ?? -1];
  checkOpen(machine, id, state, flags);
  const cut = (flags & O_TRUNC) !== 0n && !(flags & O_PATH);
  const cells = state && cut ? state.frames.map((_, cell) => cell) : [];
  return plan(id, call, {
    operations: ["open_fd", "open_fd.truncate"],
    success: { kind: "handle", handle: "fd" },
    file: file ?? -1,
    cells,
    ...(cut ? fileUnmaps(machine, state, cells) : {}),
    reads: ["handle"],
    scope: () => fileScope(machine, call, file, cells),
    data: { call: "ftruncate", mode: 0n, offset: 0n, length: 0n, end: 0n, range: rangeOfBytes(0n, 1n << 63n), told: [], parts: new Map() } satisfies Resize,
    decode(context) {
      if (noDescriptor(machine, id)) return "EMFILE";
      // A descriptor that is not open has no entry in /proc/self/fd.
      if (descriptor(machine, context, call.operands[0])) return "ENOENT";
      return flags & O_CREAT && flags & O_EXCL ? "EEXIST" : undefined;
    },
    select: () => (cut ? "open_fd.truncate" : "open_fd"),
  });
}

function checkOpen(machine: Machine, id: CallId, file: FileState | undefined, flags: bigint): void {
  if (!(flags & O_PATH) && flags & ~OPEN_FLAGS)
    throw new NotModelled(id, "of the flags of open only access mode, O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_NONBLOCK, O_CLOEXEC and O_PATH are modelled");
  if ((flags & O_ACCMODE) === O_ACCMODE) throw new NotModelled(id, "the access mode 3 is not modelled");
  if (!file) return;
  if (file.object.kind !== "memfd" || isMadeInaccessible(machine, file.object)) throw new NotModelled(id, "reopening this kind of file is not modelled");
  if (machine.setting("uid") !== 0n) throw new NotModelled(id, "the permissions of a user other than root are not modelled");
}

const openFile: StepCode = {
  reads: [],
  writes: ["position"],
  jumps: [],
  returns: false,
  run(context) {
    if (context.telling) context.say("a new open file on the same inode, at offset 0");
    return NEXT;
  },
};

/** Only what looks for data or holes takes the inode lock. */
const seekLocks = (machine: Machine, plan: Plan) => ((plan.data as Seek).whence >= SEEK.DATA ? inodeLockOf(machine, plan) : []);

export const openSteps = { seek: { ...seek, acquires: seekLocks }, change_mode: changeMode, open_file: openFile };
