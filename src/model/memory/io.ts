// read, pread, write, pwrite (mm/shmem.c shmem_file_read_iter, shmem_write_begin, shmem_write_end; mm/filemap.c generic_perform_write).

import type { Errno } from "../../base/errno.ts";
import { S64_MAX } from "../../base/units.ts";
import type { Call, CallId, Operand } from "../../scenario/program.ts";
import { BYTES } from "../cells.ts";
import { AGAIN, BLOCKED, type Context, DONE, type Machine, NEXT, type Plan, type StepCode } from "../machine.ts";
import { intOf, NotModelled } from "../objects.ts";
import { canRead, canWrite, fileOperand, openDescriptor, openOperand, plan, ZERO } from "../plan.ts";
import { CutNeeded } from "../refine.ts";
import { INTERRUPTIBLE, isKilled } from "../signals.ts";
import { appends, mayAppend } from "./descriptors.ts";
import { addPage, isInaccessible, isMadeInaccessible, makeUptodate, setSize, sizeOf } from "./file.ts";
import { framesLeft, readRange, writeRange } from "./frames.ts";
import { isHuge } from "./huge.ts";
import { sizeLimit } from "./limits.ts";
import { READ_AT } from "./narrow.ts";
import { failUnlocked, unlock } from "./resize.ts";
import { transferScope } from "./scopes.ts";
import { type FileState, type OpenState, SEAL } from "./state.ts";

/** A transfer may cover this many pages; of data, this many bytes are kept in a result. */
const MAX_PAGES = 64n;
const MAX_DATA = 64n;

interface Transfer {
  readonly length: bigint;
  /** Undefined: at the file offset, which moves. */
  readonly offset: bigint | undefined;
  readonly data: (Operand & { kind: "data" }) | undefined;
  /** struct file; undefined for a descriptor that never opens. */
  readonly open: OpenState | undefined;
  /** RLIMIT_FSIZE of a write. */
  readonly limit: bigint | undefined;
}

const transfer = (context: Context): Transfer => context.plan.data as Transfer;
const fileOf = (context: Context): FileState => context.machine.files[context.plan.file];

/** read(fd, count), pread(fd, count, offset), write(fd, data), pwrite(fd, data, offset). */
export function planTransfer(machine: Machine, id: CallId, call: Call): Plan {
  const positioned = call.spec === "pread" || call.spec === "pwrite";
  const source = call.operands[1];
  const data = source?.kind === "data" ? source : undefined;
  const length = data ? data.length : intOf(call, id, 1);
  const offset = positioned ? intOf(call, id, 2) : undefined;
  const file = fileOperand(machine, id, call.operands[0]);
  const open = openOperand(machine, call.operands[0]);
  const writes = source?.kind === "data" || call.spec.endsWith("write");
  const allowed = writes ? canWrite(open) : canRead(open);
  const limit = writes ? sizeLimit(machine, id) : undefined;
  if (limit !== undefined && file !== undefined && isMadeInaccessible(machine, machine.objects.files[file]))
    throw new NotModelled(id, "RLIMIT_FSIZE on an inaccessible file is not modelled");
  if (open && !positioned) checkPositions(machine, id, open);
  if (length > MAX_PAGES << 12n) throw new NotModelled(id, `${call.spec} of more than ${MAX_PAGES} pages is not modelled`);
  return plan(id, call, {
    operations: [call.spec],
    success: ZERO,
    file: file ?? -1,
    reads: ["handle", "file", "position"],
    scope: () => transferScope(machine, call, file, writes && mayAppend(machine, open) ? undefined : offset, length),
    data: { length, offset, data, open, limit } satisfies Transfer,
    cells: Array.from({ length: Number((length + 4095n) >> 12n) + 1 }, (_, index) => index),
    decode(context) {
      if (offset !== undefined && offset < 0n) return "EINVAL";
      const closed = openDescriptor(machine, context, call.operands[0]);
      if (closed) return closed;
      const shim = machine.files[file as number].shim.get(context.state) === 1;
      if (shim && positioned) return "ESPIPE";
      if (!allowed) return "EBADF";
      // The shim has neither method, hugetlbfs has no write.
      if (shim || (writes && machine.objects.files[file as number].huge !== undefined)) return "EINVAL";
      // rw_verify_area: the end of the range is a loff_t too, which is why EFBIG is out of reach.
      if (length < 0n || (offset ?? positionOf(machine, context.state, open)) + length > S64_MAX) return "EINVAL";
      return length === 0n ? ZERO : undefined;
    },
    begin({ state, thread }) {
      if (open && !positioned) thread.offset.set(state, open.position.get(state) + 1);
    },
  });
}

const positionOf = (machine: Machine, state: Int32Array, open: OpenState | undefined): bigint => machine.values.value(open?.position.get(state) ?? 0);

/** A file that a path leads to has FMODE_ATOMIC_POS: f_pos_lock keeps its readers and writers apart, and no step stands for it. */
export function checkPositions(machine: Machine, id: CallId, open: OpenState): void {
  if (machine.program.calls[open.object.call].spec !== "open_fd") return;
  const actors = new Set(
    machine.program.calls
      .filter((call) => ["read", "write", "lseek"].includes(call.spec) && openOperand(machine, call.operands[0]) === open)
      .map((call) => call.actor),
  );
  if (actors.size > 1) throw new NotModelled(id, "f_pos_lock of a reopened file, which keeps several users of its offset apart, is not modelled");
}

/** ksys_read and ksys_write copy f_pos first and write it back last; a memfd has no FMODE_ATOMIC_POS, so nothing keeps two of them apart. */
function start(context: Context): bigint {
  const taken = context.thread.offset.get(context.state);
  return taken > 0 ? context.machine.values.value(taken - 1) : (transfer(context).offset as bigint);
}

/** Bytes that the call may move: those of a write up to RLIMIT_FSIZE. */
function lengthOf(context: Context): bigint {
  const { length, limit } = transfer(context);
  const left = limit === undefined ? length : limit - start(context);
  return left < length ? left : length;
}

/** The bytes of this step's page: [from, to) in the file, at most to the end of its page. */
function chunk(context: Context): { from: bigint; to: bigint } {
  const begin = start(context);
  const firstPage = begin >> 12n;
  const from = context.cursor === 0 ? begin : (firstPage + BigInt(context.cursor)) << 12n;
  const pageEnd = ((from >> 12n) + 1n) << 12n;
  const end = begin + lengthOf(context);
  return { from, to: end < pageEnd ? end : pageEnd };
}

const checkedAnswer = (context: Context): { value: bigint; data: number[] } => {
  const number = context.thread.answer.get(context.state);
  const result = number > 0 ? context.machine.results.result(number - 1) : undefined;
  return result?.kind === "value" ? { value: result.value, data: [...(result.data ?? [])] } : { value: 0n, data: [] };
};

function finish(context: Context, answer: { value: bigint; data: number[] }): number {
  const { machine, state } = context;
  if (transfer(context).offset === undefined) transfer(context).open?.position.set(state, machine.values.number(start(context) + answer.value));
  return context.done({ kind: "value", value: answer.value, ...(answer.data.length > 0 ? { data: answer.data } : {}) });
}

/** One page of a read, up to i_size; a hole gives zeroes and allocates nothing. */
const readPage: StepCode = {
  reads: ["file", "size", "page", "content", "uptodate"],
  writes: ["position"],
  jumps: [],
  narrow: (context) => (transfer(context).offset === undefined ? undefined : READ_AT),
  events: true,
  run(context) {
    const { machine, state } = context;
    const file = fileOf(context);
    const answer = checkedAnswer(context);
    const { from, to } = chunk(context);
    const size = sizeOf(machine, state, file);
    const end = to < size ? to : size;
    if (from >= end) return finish(context, answer);
    if (isInaccessible(state, file)) return answer.value > 0n ? finish(context, answer) : context.fail("EPERM");
    const frame = isHuge(file) ? 0 : usedFrame(state, file, Number(from >> 12n));
    if (frame !== 0) machine.emit("host-access", frame);
    const bytes = pageBytes(context, frame, from, end);
    context.say(frame === 0 ? "a hole: zeroes, and no page is allocated" : `reads ${end - from} byte${end - from === 1n ? "" : "s"} of frame ${frame}`);
    const next = { value: answer.value + (end - from), data: transfer(context).length <= MAX_DATA ? [...answer.data, ...bytes] : [] };
    if (next.value >= transfer(context).length || end < to) return finish(context, next);
    context.remember({ kind: "value", ...next });
    context.thread.cursor.set(state, context.cursor + 1);
    return AGAIN;
  },
};

/** A page that was allocated and never used since reads as a hole, and stays as it is (SGP_READ). */
function usedFrame(state: Int32Array, file: FileState, page: number): number {
  const cell = file.cells.one(page);
  return file.uptodate[cell].get(state) === 1 ? file.frames[cell].get(state) : 0;
}

/** Bytes [from, to) of one page. */
function pageBytes(context: Context, frame: number, from: bigint, to: bigint): number[] {
  const { bytes } = context.machine;
  const first = Number(from & 4095n);
  const last = first + Number(to - from);
  const data: number[] = [];
  for (const range of bytes.range(first, last)) {
    const byte = frame === 0 ? 0 : readRange(context, frame, range);
    if (transfer(context).length <= MAX_DATA) for (let at = bytes.start(range); at < bytes.end(range); at++) data.push(byte);
  }
  return data;
}

/** shmem_write_begin: the seals are looked at chunk by chunk, so a write can be cut short. */
const checkSealChunk: StepCode = {
  reads: ["file", "size"],
  writes: ["lock", "position"],
  interruptible: { ...INTERRUPTIBLE, returns: false },
  jumps: [],
  run(context) {
    const { machine, state } = context;
    const file = fileOf(context);
    if (context.cursor === 0 && !writeChecks(context, file)) return failUnlocked(context, "EFBIG");
    if (isKilled(context)) return cutShort(context, "EINTR");
    const { to } = chunk(context);
    const seals = file.seals.get(state);
    const refused = isInaccessible(state, file) || seals & (SEAL.WRITE | SEAL.FUTURE_WRITE) || (seals & SEAL.GROW && to > sizeOf(machine, state, file));
    if (!refused) {
      context.say("no seal forbids this chunk");
      return NEXT;
    }
    return cutShort(context, "EPERM");
  },
};

/** generic_write_checks, under the inode lock: O_APPEND moves the write to the end of the file; false where it begins behind the largest size. */
function writeChecks(context: Context, file: FileState): boolean {
  const { machine, state, thread } = context;
  const { open, limit } = transfer(context);
  const moved = appends(machine, state, open);
  if (moved) thread.offset.set(state, machine.values.number(sizeOf(machine, state, file)) + 1);
  if (moved && start(context) + lengthOf(context) > S64_MAX)
    throw new NotModelled(context.plan.id, "a write that O_APPEND takes to the largest file size is not modelled");
  return limit === undefined || start(context) < limit;
}

/** generic_perform_write: what has been written so far counts, else the errno. */
function cutShort(context: Context, errno: Errno): number {
  const answer = checkedAnswer(context);
  if (answer.value === 0n) return failUnlocked(context, errno);
  unlock(context);
  return finish(context, answer);
}

const writeChunk: StepCode = {
  reads: ["file", "lock", "page", "size", "uptodate"],
  writes: ["lock", "page", "uptodate", "content", "free", "size", "position"],
  jumps: ["unlock_inode"],
  events: true,
  run(context) {
    const { machine, state } = context;
    const file = fileOf(context);
    const { from, to } = chunk(context);
    const cell = file.cells.one(Number(from >> 12n));
    if (file.folios[cell].get(state) !== 0) return BLOCKED;
    if (file.frames[cell].get(state) === 0 && framesLeft(machine, state) === 0) return cutShort(context, "ENOMEM");
    const frame = file.frames[cell].get(state) || addPage(context, file, cell);
    makeUptodate(context, file, cell);
    machine.emit("host-access", frame);
    if (file.seals.get(state) & (SEAL.WRITE | SEAL.FUTURE_WRITE)) machine.emit("sealed-write", file.object.index);
    storeBytes(context, frame, from, to);
    if (to > sizeOf(machine, state, file)) setSize(machine, state, file, to);
    context.say(`writes ${to - from} byte${to - from === 1n ? "" : "s"} into frame ${frame}`);
    const answer = { value: checkedAnswer(context).value + (to - from), data: [] };
    if (answer.value < lengthOf(context)) return context.remember({ kind: "value", ...answer });
    context.remember({ kind: "value", value: answer.value });
    if (transfer(context).offset === undefined) transfer(context).open?.position.set(state, machine.values.number(start(context) + answer.value));
    return context.operation.labels.has("unlock_inode") ? context.jump("unlock_inode") : finishAs(context, answer);
  },
};

function finishAs(context: Context, answer: { value: bigint; data: number[] }): number {
  context.done({ kind: "value", value: answer.value });
  return DONE;
}

function storeBytes(context: Context, frame: number, from: bigint, to: bigint): void {
  const { machine } = context;
  const base = start(context);
  const page = from & ~4095n;
  for (const range of machine.bytes.range(Number(from & 4095n), Number(from & 4095n) + Number(to - from))) {
    const first = page + BigInt(machine.bytes.start(range)) - base;
    const run = runAt(context, first);
    const rest = BigInt(machine.bytes.end(range) - machine.bytes.start(range));
    if (run.left < rest) throw new CutNeeded(BYTES, machine.bytes.start(range) + Number(run.left));
    writeRange(context, frame, range, run.byte);
  }
}

function runAt(context: Context, at: bigint): { byte: number; left: bigint } {
  let begin = 0n;
  for (const run of transfer(context).data?.runs ?? []) {
    if (at < begin + run.count) return { byte: run.byte, left: begin + run.count - at };
    begin += run.count;
  }
  return { byte: 0, left: 4096n };
}

export const ioSteps = { read_page: readPage, check_seal_chunk: checkSealChunk, write_chunk: writeChunk };
