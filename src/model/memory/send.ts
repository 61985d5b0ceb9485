// copy_file_range and sendfile: data that the kernel moves from file to file, through a pipe of its own (fs/read_write.c vfs_copy_file_range, do_sendfile;
// fs/splice.c splice_direct_to_actor, iter_file_splice_write).

import type { Errno } from "../../base/errno.ts";
import { asU64, S64_MAX } from "../../base/units.ts";
import type { Call, CallId, Operand, Result } from "../../scenario/program.ts";
import { AGAIN, type Context, type Machine, type Plan, type StepCode } from "../machine.ts";
import { fileOfOperand, intOf, NotModelled } from "../objects.ts";
import { canRead, canWrite, openDescriptor, openOperand, plan, ZERO } from "../plan.ts";
import { INTERRUPTED, INTERRUPTIBLE, isKilled } from "../signals.ts";
import { appends } from "./descriptors.ts";
import { addPage, isMadeInaccessible, makeUptodate, setSize, sizeOf } from "./file.ts";
import { framesLeft } from "./frames.ts";
import { sizeLimit } from "./limits.ts";
import type { FileState, OpenState } from "./state.ts";
import { SEAL } from "./state.ts";

/** A copy may cover this many pages. */
const MAX_PAGES = 64n;

/** One side of a copy. `offset` undefined: at the file offset, which moves. */
interface Side {
  readonly file: number;
  readonly open: OpenState | undefined;
  readonly offset: bigint | undefined;
  readonly operand: Operand;
}

interface Copy {
  readonly from: Side;
  readonly to: Side;
  readonly length: bigint;
  readonly limit: bigint | undefined;
}

const copyOf = (context: Context): Copy => context.plan.data as Copy;

function sideOf(machine: Machine, id: CallId, call: Call, fd: number, at: number | undefined): Side {
  const operand = call.operands[fd];
  const given = at === undefined || call.operands[at]?.kind === "absent" ? undefined : intOf(call, id, at);
  return { file: fileOfOperand(machine.program, machine.objects, operand) ?? -1, open: openOperand(machine, operand), offset: given, operand };
}

const positionOf = (machine: Machine, state: Int32Array, side: Side): bigint => side.offset ?? machine.values.value(side.open?.position.get(state) ?? 0);

type Check = (context: Context, copy: Copy) => Errno | Result | undefined;

function planCopy(machine: Machine, id: CallId, call: Call, copy: Copy, check: Check): Plan {
  if (machine.segments.some((segment) => segment.parallel && segment.threads.flat().some((instruction) => instruction.call === id)))
    throw new NotModelled(id, `${call.spec} while others run is not modelled: it pins the pages on the way, and no step stands for that`);
  const clipped = copy.length > MAX_PAGES << 12n ? MAX_PAGES << 12n : copy.length;
  return plan(id, call, {
    operations: [call.spec],
    success: ZERO,
    file: copy.to.file,
    reads: ["handle", "file", "position", "size"],
    cells: Array.from({ length: Number((clipped + 4095n) >> 12n) + 1 }, (_, at) => at),
    data: copy,
    begin({ state, thread }) {
      const rest = sizeOf(machine, state, machine.files[copy.from.file]) - positionOf(machine, state, copy.from);
      if (copy.from.file === copy.to.file) thread.offset.set(state, machine.values.number(rest < copy.length ? rest : copy.length) + 1);
    },
    decode(context) {
      const refused = check(context, copy);
      if (refused === undefined) checkFiles(machine, id, call, context, copy);
      return refused;
    },
  });
}

/** What would be copied, and what no source tells. */
function checkFiles(machine: Machine, id: CallId, call: Call, { state }: Context, copy: Copy): void {
  for (const { file } of [copy.from, copy.to]) {
    const { object } = machine.files[file];
    if (object.kind !== "memfd" || object.special !== undefined || object.huge !== undefined || isMadeInaccessible(machine, object))
      throw new NotModelled(id, `${call.spec} with this kind of file is not modelled`);
  }
  if (copy.from.file === copy.to.file && call.spec === "sendfile") throw new NotModelled(id, "sendfile of a file into itself is not modelled");
  const [from, to] = [positionOf(machine, state, copy.from), positionOf(machine, state, copy.to)];
  const available = sizeOf(machine, state, machine.files[copy.from.file]) - from;
  const length = available < copy.length ? available : copy.length;
  if (length > MAX_PAGES << 12n) throw new NotModelled(id, `${call.spec} of more than ${MAX_PAGES} pages is not modelled`);
  if (length > 0n && ((from ^ to) & 4095n) !== 0n)
    throw new NotModelled(id, `${call.spec} between offsets that lie differently in their pages is not modelled`);
}

/** copy_file_range(fd_in, off_in, fd_out, off_out, len, flags), in the order of generic_copy_file_checks. */
export function planCopyRange(machine: Machine, id: CallId, call: Call): Plan {
  const flags = BigInt.asUintN(32, intOf(call, id, 5));
  const [from, to] = [sideOf(machine, id, call, 0, 1), sideOf(machine, id, call, 2, 3)];
  const limit = sizeLimit(machine, id);
  return planCopy(machine, id, call, { from, to, length: asU64(intOf(call, id, 4)), limit }, (context, copy) => {
    const { state } = context;
    const closed = openDescriptor(machine, context, from.operand) ?? openDescriptor(machine, context, to.operand);
    if (closed) return closed;
    if (flags !== 0n) return "EINVAL";
    const kind = kindRefuses(machine, state, from, to);
    if (kind) return kind;
    const [start, target] = [positionOf(machine, state, from), positionOf(machine, state, to)];
    if (asU64(start) + copy.length >= 1n << 64n || asU64(target) + copy.length >= 1n << 64n) return "EOVERFLOW";
    const size = sizeOf(machine, state, machine.files[from.file]);
    const rest = start >= size ? 0n : size - start;
    const count = rest < copy.length ? rest : copy.length;
    if ((limit !== undefined && target >= limit) || target >= S64_MAX) return "EFBIG";
    const most = (limit ?? S64_MAX) - target;
    const length = most < count ? most : count;
    if (from.file === to.file && target + length > start && target < start + length) return "EINVAL";
    if (start < 0n || target < 0n || start + length > S64_MAX) return "EINVAL";
    return length === 0n ? ZERO : undefined;
  });
}

/** generic_file_rw_checks and the super blocks. */
function kindRefuses(machine: Machine, state: Int32Array, from: Side, to: Side): Errno | undefined {
  const objects = [machine.objects.files[from.file], machine.objects.files[to.file]];
  if (objects.some((object) => object.special === "directory")) return "EISDIR";
  if (objects.some((object) => object.special === "pipe" || object.special === "null")) return "EINVAL";
  if (!canRead(from.open) || !canWrite(to.open) || appends(machine, state, to.open)) return "EBADF";
  const [a, b] = objects.map(({ kind, huge, special }) => `${kind} ${huge !== undefined} ${special ?? ""}`);
  return a === b ? undefined : "EXDEV";
}

/** sendfile(out_fd, in_fd, offset, count), in the order of do_sendfile. */
export function planSendfile(machine: Machine, id: CallId, call: Call): Plan {
  const [to, from] = [sideOf(machine, id, call, 0, undefined), sideOf(machine, id, call, 1, 2)];
  const length = asU64(intOf(call, id, 3));
  const source = machine.objects.files[from.file];
  return planCopy(machine, id, call, { from, to, length, limit: sizeLimit(machine, id) }, (context) => {
    const { state } = context;
    const closed = openDescriptor(machine, context, from.operand);
    if (closed) return closed;
    if (!canRead(from.open)) return "EBADF";
    // A guest_memfd and a pipe have no FMODE_PREAD.
    if (from.offset !== undefined && (source.kind === "guest_memfd" || source.special === "pipe")) return "ESPIPE";
    const start = positionOf(machine, state, from);
    if (start < 0n || start + length > S64_MAX || length > S64_MAX) return "EINVAL";
    const unopened = openDescriptor(machine, context, to.operand);
    if (unopened) return unopened;
    if (!canWrite(to.open)) return "EBADF";
    const target = machine.objects.files[to.file];
    if (target.special === "pipe") throw new NotModelled(id, "sendfile into a pipe is not modelled; splice is");
    if (appends(machine, state, to.open) || target.kind === "guest_memfd" || source.kind === "guest_memfd") return "EINVAL";
    if (positionOf(machine, state, to) + length > S64_MAX) return "EINVAL";
    return length === 0n ? ZERO : undefined;
  });
}

const moved = (context: Context): bigint => {
  const number = context.thread.answer.get(context.state);
  const result = number > 0 ? context.machine.results.result(number - 1) : undefined;
  return result?.kind === "value" ? result.value : 0n;
};

/** One page from the source's page cache into the target's, as a write of its bytes: seals and limits as for write. */
const copyPage: StepCode = {
  reads: ["file", "size", "position", "page", "uptodate", "content", "lock"],
  writes: ["position", "size", "page", "uptodate", "content", "free"],
  interruptible: INTERRUPTIBLE,
  jumps: [],
  events: true,
  run(context) {
    const { machine, state } = context;
    // The copy writes by generic_perform_write, which looks before each page.
    if (isKilled(context)) return context.always(INTERRUPTED);
    const { from, to, limit } = copyOf(context);
    const [source, target] = [machine.files[from.file], machine.files[to.file]];
    const done = moved(context);
    const [at, into] = [positionOf(machine, state, from) + done, positionOf(machine, state, to) + done];
    const there = smallest(lengthOf(context) - done, sizeOf(machine, state, source) - at, 4096n - (at & 4095n));
    if (there <= 0n) return finish(context, done);
    const left = limit === undefined || limit - into > there ? there : limit - into;
    const refused = left > 0n ? refuses(machine, state, target, into + left) : "EFBIG";
    if (refused) return done === 0n ? context.fail(refused) : finish(context, done);
    const cell = source.cells.one(Number(at >> 12n));
    const targetCell = target.cells.one(Number(into >> 12n));
    if (target.frames[targetCell].get(state) === 0 && framesLeft(machine, state) === 0) return done === 0n ? context.fail("ENOMEM") : finish(context, done);
    const frame = source.uptodate[cell].get(state) === 1 ? source.frames[cell].get(state) : 0;
    const written = target.frames[targetCell].get(state) || addPage(context, target, targetCell);
    makeUptodate(context, target, targetCell);
    machine.emit("host-access", written);
    const first = Number(at & 4095n);
    for (const range of machine.bytes.range(first, first + Number(left)))
      machine.frames[written].content[range].set(state, frame === 0 ? 0 : machine.frames[frame].content[range].get(state));
    if (into + left > sizeOf(machine, state, target)) setSize(machine, state, target, into + left);
    if (context.telling) context.say(`copies ${left} bytes ${frame === 0 ? "of a hole" : `of frame ${frame}`} into frame ${written}`);
    context.remember({ kind: "value", value: done + left });
    context.thread.cursor.set(state, context.cursor + 1);
    return AGAIN;
  },
};

/** copy_file_range cuts its length at the end that the source has when it begins: of a file copied into itself the end moves. */
function lengthOf(context: Context): bigint {
  const taken = context.thread.offset.get(context.state);
  return taken > 0 ? context.machine.values.value(taken - 1) : copyOf(context).length;
}

const smallest = (...values: readonly bigint[]): bigint => values.reduce((least, value) => (value < least ? value : least));

function refuses(machine: Machine, state: Int32Array, file: FileState, end: bigint): Errno | undefined {
  const seals = file.seals.get(state);
  return seals & (SEAL.WRITE | SEAL.FUTURE_WRITE) || (seals & SEAL.GROW && end > sizeOf(machine, state, file)) ? "EPERM" : undefined;
}

function finish(context: Context, count: bigint): number {
  const { machine, state } = context;
  const { from, to } = copyOf(context);
  for (const side of [from, to]) if (side.offset === undefined) side.open?.position.set(state, machine.values.number(positionOf(machine, state, side) + count));
  return context.done({ kind: "value", value: count });
}

export const sendSteps = { copy_page: copyPage };
