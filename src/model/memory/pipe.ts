// Pipes as far as they hold pages of files: splice from a file, vmsplice from a mapping, and read, which drains them (fs/pipe.c, fs/splice.c, mm/shmem.c
// shmem_file_splice_read: such a page keeps F_SEAL_WRITE away). The other end of a pipe stays open as long as its process lives.

import type { Errno } from "../../base/errno.ts";
import { asU64, S64_MAX } from "../../base/units.ts";
import type { Call, CallId, Result } from "../../scenario/program.ts";
import type { Field } from "../layout.ts";
import { AGAIN, BLOCKED, type Context, type Machine, NEXT, type Plan, type StepCode } from "../machine.ts";
import { fileOfOperand, intOf, mappingOfOperand, NotModelled } from "../objects.ts";
import { bound, canRead, canWrite, openDescriptor, openOperand, plan, ZERO } from "../plan.ts";
import { doesNotWait } from "./descriptors.ts";
import { sizeOf } from "./file.ts";
import { readRange, release } from "./frames.ts";
import { getUserPage } from "./gup.ts";
import { PAGE_BYTES, PIPE_BUFFERS, type PipeState } from "./pipe-state.ts";
import { both, fileScope, mappingScope } from "./scopes.ts";
import type { MappingState, OpenState } from "./state.ts";

const SPLICE_FLAGS = 0xfn;
const SPLICE_F_NONBLOCK = 2n;
const MAX_DATA = 64n;

/** pipe->mutex keeps its users apart over several pages, and no step stands for it. */
function checkUsers(machine: Machine, id: CallId, file: number): void {
  const { program, objects } = machine;
  const uses = (call: Call): boolean => call.operands.some((operand) => fileOfOperand(program, objects, operand) === file);
  const inParallel = program.body.flatMap((statement) => (statement.kind === "parallel" ? statement.threads.map((thread) => thread.actor) : []));
  const actors = new Set(program.calls.filter((call) => inParallel.includes(call.actor) && uses(call)).map((call) => call.actor));
  if (actors.size > 1) throw new NotModelled(id, "a pipe that several threads use is not modelled");
}

interface Fill {
  readonly pipe: PipeState;
  readonly length: bigint;
  /** Undefined: at the file offset, which moves. */
  readonly offset: bigint | undefined;
  readonly open: OpenState | undefined;
  readonly mapping: MappingState | undefined;
  readonly mayWait: boolean;
  /** The end of the pipe that splice looks at for O_NONBLOCK; vmsplice does not. */
  readonly out: OpenState | undefined;
}

const fill = (context: Context): Fill => context.plan.data as Fill;
const NO_PIPE: PipeState = { buffers: [], used: undefined as unknown as Field };

const pipeOf = (machine: Machine, call: Call, at: number): number | undefined => {
  const file = fileOfOperand(machine.program, machine.objects, call.operands[at]);
  return file !== undefined && machine.pipes.has(file) ? file : undefined;
};

/** splice(fd_in, off_in, fd_out, off_out, len, flags) of a file into a pipe; what else it may be asked for ends in its checks. */
export function planSplice(machine: Machine, id: CallId, call: Call): Plan {
  const [from, offIn, to, offOut] = call.operands;
  const [length, flags] = [asU64(intOf(call, id, 4)), BigInt.asUintN(32, intOf(call, id, 5))];
  const [pipeIn, pipeOut] = [pipeOf(machine, call, 0), pipeOf(machine, call, 2)];
  const file = fileOfOperand(machine.program, machine.objects, from);
  const object = machine.objects.files[file ?? -1];
  const [openIn, openOut] = [openOperand(machine, from), openOperand(machine, to)];
  const offset = offIn?.kind === "absent" ? undefined : intOf(call, id, 1);
  for (const pipe of [pipeIn, pipeOut]) if (pipe !== undefined) checkUsers(machine, id, pipe);
  const data: Fill = {
    pipe: machine.pipes.get(pipeOut ?? -1) ?? NO_PIPE,
    length: length > BigInt(PIPE_BUFFERS * PAGE_BYTES) ? BigInt(PIPE_BUFFERS * PAGE_BYTES) : length,
    offset,
    open: openIn,
    mapping: undefined,
    mayWait: !(flags & SPLICE_F_NONBLOCK),
    out: openOut,
  };
  const refuses = (context: Context): Errno | Result | undefined => {
    if (length === 0n) return ZERO;
    if (flags & ~SPLICE_FLAGS) return "EINVAL";
    const closed = openDescriptor(machine, context, from) ?? openDescriptor(machine, context, to);
    if (closed) return closed;
    if ((pipeIn !== undefined && offIn?.kind !== "absent") || (pipeOut !== undefined && offOut?.kind !== "absent")) return "ESPIPE";
    if (!canRead(openIn) || !canWrite(openOut)) return "EBADF";
    if (pipeIn === undefined && pipeOut === undefined) return "EINVAL";
    // A guest_memfd cannot seek, and has no method to splice from or to (measured on 6.18.44).
    if (object?.kind === "guest_memfd" || machine.objects.files[fileOfOperand(machine.program, machine.objects, to) ?? -1]?.kind === "guest_memfd")
      return "EINVAL";
    if (pipeIn !== undefined) throw new NotModelled(id, "splicing out of a pipe is not modelled");
    if (object?.huge !== undefined || object?.special !== undefined) throw new NotModelled(id, "splicing from this kind of file is not modelled");
    const at = offset ?? machine.values.value(openIn?.position.get(context.state) ?? 0);
    return at < 0n || at + length > S64_MAX ? "EINVAL" : undefined;
  };
  return plan(id, call, {
    operations: ["splice"],
    success: ZERO,
    file: file ?? -1,
    reads: ["handle", "position", "file"],
    scope: () => both(fileScope(machine, call, file), fileScope(machine, call, pipeOut, [])),
    cells: Array.from({ length: Number((data.length + 4095n) >> 12n) + 1 }, (_, at) => at),
    data,
    decode: refuses,
    begin({ state, thread }) {
      if (openIn && offset === undefined) thread.offset.set(state, openIn.position.get(state) + 1);
    },
  });
}

/** vmsplice(fd, addr, len, flags): the pages behind a mapping, as one iovec. */
export function planVmsplice(machine: Machine, id: CallId, call: Call): Plan {
  const [length, flags] = [asU64(intOf(call, id, 2)), BigInt.asUintN(32, intOf(call, id, 3))];
  const pipe = pipeOf(machine, call, 0);
  const open = openOperand(machine, call.operands[0]);
  const target = call.operands[1];
  const index = mappingOfOperand(machine.program, machine.objects, target, call.actor);
  const mapping = index === undefined ? undefined : machine.mappings[index];
  if (pipe !== undefined) checkUsers(machine, id, pipe);
  const clipped = length > BigInt(PIPE_BUFFERS * PAGE_BYTES) ? BigInt(PIPE_BUFFERS * PAGE_BYTES) : length;
  const data: Fill = {
    pipe: machine.pipes.get(pipe ?? -1) ?? NO_PIPE,
    length: clipped,
    offset: target?.kind === "handle" ? target.offset : 0n,
    open: undefined,
    mapping,
    mayWait: !(flags & SPLICE_F_NONBLOCK),
    out: undefined,
  };
  return plan(id, call, {
    operations: ["vmsplice"],
    success: ZERO,
    file: mapping?.object.file ?? -1,
    reads: ["handle"],
    scope: () => both(mappingScope(machine, call, undefined, index), fileScope(machine, call, mapping?.object.file)),
    cells: Array.from({ length: Number((clipped + 4095n) >> 12n) + 1 }, (_, at) => at),
    data,
    decode(context) {
      if (flags & ~SPLICE_FLAGS) return "EINVAL";
      const closed = openDescriptor(machine, context, call.operands[0]);
      if (closed) return closed;
      if (length === 0n) return ZERO;
      if (pipe === undefined) return "EBADF";
      if (!canWrite(open)) throw new NotModelled(id, "vmsplice out of a pipe is not modelled");
      if (!mapping || !bound(machine, context.state, target) || (data.offset as bigint) < 0n)
        throw new NotModelled(id, "vmsplice of anything but a mapping of this scenario is not modelled");
      return undefined;
    },
  });
}

const pushed = (context: Context): bigint => {
  const number = context.thread.answer.get(context.state);
  const result = number > 0 ? context.machine.results.result(number - 1) : undefined;
  return result?.kind === "value" ? result.value : 0n;
};

const startOf = (context: Context): bigint =>
  fill(context).offset ?? context.machine.values.value(context.thread.offset.get(context.state) > 0 ? context.thread.offset.get(context.state) - 1 : 0);

/** The pipe is full: with nothing moved yet the call waits, or fails where it must not. */
function whenFull(context: Context, moved: bigint): number {
  if (moved > 0n) return finish(context, moved);
  const { mayWait, out } = fill(context);
  return mayWait && !doesNotWait(context.machine, context.state, out) ? BLOCKED : context.fail("EAGAIN");
}

function finish(context: Context, moved: bigint): number {
  const { machine, state } = context;
  const { offset, open, mapping } = fill(context);
  if (mapping === undefined && offset === undefined) open?.position.set(state, machine.values.number(startOf(context) + moved));
  return context.done({ kind: "value", value: moved });
}

function push(context: Context, frame: number, from: number, to: number): void {
  const { state } = context;
  const { buffers, used } = fill(context).pipe;
  const buffer = buffers[used.get(state)];
  buffer.frame.set(state, frame);
  buffer.from.set(state, from);
  buffer.to.set(state, to);
  used.set(state, used.get(state) + 1);
}

function goOn(context: Context, moved: bigint): number {
  if (moved >= fill(context).length) return finish(context, moved);
  context.remember({ kind: "value", value: moved });
  context.thread.cursor.set(context.state, context.cursor + 1);
  return AGAIN;
}

const isFull = (context: Context): boolean => fill(context).pipe.used.get(context.state) === PIPE_BUFFERS;

/** One page of the file goes into the pipe by reference; a hole, and a page that was never used, as the zero page. */
const splicePage: StepCode = {
  reads: ["file", "size", "page", "uptodate", "reference"],
  writes: ["reference", "position", "free"],
  jumps: [],
  run(context) {
    const { machine, state } = context;
    const file = machine.files[context.plan.file];
    const moved = pushed(context);
    if (isFull(context)) return whenFull(context, moved);
    const at = startOf(context) + moved;
    const size = sizeOf(machine, state, file);
    if (at >= size) return finish(context, moved);
    const pageEnd = ((at >> 12n) + 1n) << 12n;
    const [end, limit] = [startOf(context) + fill(context).length, pageEnd < size ? pageEnd : size];
    const to = end < limit ? end : limit;
    const cell = file.cells.one(Number(at >> 12n));
    const frame = file.uptodate[cell].get(state) === 1 ? file.frames[cell].get(state) : 0;
    push(context, frame, Number(at & 4095n), Number(at & 4095n) + Number(to - at));
    if (context.telling) context.say(frame === 0 ? "the pipe holds the zero page" : `the pipe holds a reference on frame ${frame}`);
    return goOn(context, moved + (to - at));
  },
};

/** Pages that iov_iter_get_pages takes at once. */
const BATCH = 16;

/**
 * One page behind the mapping, faulted in where it is not there. They are taken in batches and only then put into the pipe: those that find it full have been
 * faulted in all the same.
 */
const pinPage: StepCode = {
  reads: ["size", "lock", "page", "pte", "uptodate", "hole", "control", "file", "slot", "ept", "faults", "reference"],
  writes: ["page", "uptodate", "content", "free", "pte", "ept", "tlb", "faults", "reference"],
  jumps: [],
  events: true,
  run(context) {
    const moved = pushed(context);
    const full = isFull(context);
    if (full && context.cursor === 0) return whenFull(context, moved);
    const { mapping, length } = fill(context);
    const begin = startOf(context);
    const first = begin >> 12n;
    const at = context.cursor === 0 ? begin : (first + BigInt(context.cursor)) << 12n;
    const end = begin + length;
    if (at >= end || (full && context.cursor % BATCH === 0)) return finish(context, moved);
    const frame = getUserPage(context, mapping as MappingState, Number(at >> 12n), false);
    if (frame === "blocked" || frame === "again") return BLOCKED;
    if (frame === undefined) return moved > 0n ? finish(context, moved) : context.fail("EFAULT");
    const pageEnd = ((at >> 12n) + 1n) << 12n;
    const to = end < pageEnd ? end : pageEnd;
    if (!full) push(context, frame, Number(at & 4095n), Number(at & 4095n) + Number(to - at));
    if (context.telling) context.say(full ? "the pipe is full" : `the pipe holds a reference on frame ${frame}`);
    context.remember({ kind: "value", value: full ? moved : moved + (to - at) });
    context.thread.cursor.set(context.state, context.cursor + 1);
    return to === end ? finish(context, pushed(context)) : AGAIN;
  },
};

interface Drain {
  readonly pipe: PipeState;
  readonly count: bigint;
  readonly open: OpenState | undefined;
}

/** read(fd, count) on a pipe. */
export function planDrain(machine: Machine, id: CallId, call: Call): Plan {
  const file = pipeOf(machine, call, 0) as number;
  const count = intOf(call, id, 1);
  const open = openOperand(machine, call.operands[0]);
  checkUsers(machine, id, file);
  return plan(id, call, {
    operations: ["read.pipe"],
    success: ZERO,
    file,
    reads: ["handle", "position"],
    scope: () => fileScope(machine, call, file, []),
    data: { pipe: machine.pipes.get(file) as PipeState, count, open } satisfies Drain,
    decode(context) {
      const closed = openDescriptor(machine, context, call.operands[0]);
      if (closed) return closed;
      if (!canRead(open)) return "EBADF";
      return count === 0n ? ZERO : undefined;
    },
  });
}

/** pipe_read: copies out and drops each page that is read to its end; an empty pipe that can still be written is waited for. */
const drainPipe: StepCode = {
  reads: ["reference", "content", "position"],
  writes: ["reference", "free", "content"],
  jumps: [],
  events: true,
  run(context) {
    const { machine, state } = context;
    const { pipe, count, open } = context.plan.data as Drain;
    if (pipe.used.get(state) === 0) return doesNotWait(machine, state, open) ? context.fail("EAGAIN") : BLOCKED;
    let left = count;
    const data: number[] = [];
    while (left > 0n && pipe.used.get(state) > 0) {
      const [{ frame, from, to }] = pipe.buffers;
      const [first, last] = [from.get(state), Math.min(to.get(state), from.get(state) + Number(left < 4096n ? left : 4096n))];
      const held = frame.get(state);
      for (const range of machine.bytes.range(first, last)) {
        const byte = held === 0 ? 0 : readRange(context, held, range);
        if (count <= MAX_DATA) for (let at = machine.bytes.start(range); at < machine.bytes.end(range); at++) data.push(byte);
      }
      left -= BigInt(last - first);
      if (last < to.get(state)) from.set(state, last);
      else dropFirst(context, pipe);
    }
    if (context.telling) context.say(`reads ${count - left} bytes out of the pipe`);
    return context.done({ kind: "value", value: count - left, ...(data.length > 0 ? { data } : {}) });
  },
};

function dropFirst(context: Context, { buffers, used }: PipeState): void {
  const { state } = context;
  const frame = buffers[0].frame.get(state);
  for (let at = 0; at < buffers.length; at++) {
    const next = buffers[at + 1];
    buffers[at].frame.set(state, next?.frame.get(state) ?? 0);
    buffers[at].from.set(state, next?.from.get(state) ?? 0);
    buffers[at].to.set(state, next?.to.get(state) ?? 0);
  }
  used.set(state, used.get(state) - 1);
  if (frame !== 0) release(context, frame);
}

const openPipe: StepCode = {
  reads: [],
  writes: [],
  jumps: [],
  returns: false,
  run(context) {
    context.say("a pipe; the name is its read end");
    return NEXT;
  },
};

export const pipeSteps = { splice_page: splicePage, pin_page: pinPage, drain_pipe: drainPipe, open_pipe: openPipe };
