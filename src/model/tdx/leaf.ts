// A leaf of the TDX module as a row: its checks and locks in the module's order, and its effect. It runs in two steps, for between them another thread meets
// its locks and answers TDX_OPERAND_BUSY: `acquire` goes down the checks, and `commit` has the effect and unlocks; where a check fails `acquire` comes again to
// drop the locks before it, for those too are met by others.

import { assert } from "../../base/assert.ts";
import type { TdxOperandName, TdxStatus } from "../../base/tdx-status.ts";
import type { Result } from "../../scenario/program.ts";
import type { Field, Region } from "../layout.ts";
import { AGAIN, type Context, type Machine, NEXT, type Shape, type StepCode } from "../machine.ts";
import { NotModelled } from "../objects.ts";
import { acquire, type LockMode, release, type TryLock } from "./locks.ts";
import type { SeptEntry, TdState, TdVcpuState, TdxState } from "./state.ts";
import { ALLOWED_ENTRY_STATES, ANSWERS_MAX, CHECKS_MAX, KEYS_AWAY, LIFECYCLE } from "./tables.ts";

/** A physical address as the model has it: the number of a frame, or one of the three below. */
export type Hpa = number;
/** An address in no TDMR. */
export const NO_TDMR = 0;
/** The same, at a boundary of 2 MB. */
export const NO_TDMR_2M = -2;
/** Not page aligned, or wider than the physical address. */
export const MALFORMED = -1;

/** What the caller has put into the registers, by the names of the operands in the leaf's prototype. */
export interface Registers {
  readonly tdr?: Hpa;
  readonly tdvpr?: Hpa;
  /** The page that changes hands. */
  readonly page?: Hpa;
  readonly source?: Hpa;
  /** Guest physical address, unsigned. */
  readonly gpa?: bigint;
  readonly level?: number;
  readonly hkid?: number;
  /** Package and logical processor that the leaf runs on; without `lp` the one that the vCPU is associated with, or its own. */
  readonly package?: number;
  readonly lp?: number;
  /** Of a leaf that makes a TD or a vCPU: its index in `TdxState.tds` or `.vcpus`. */
  readonly makes?: number;
  /** Of TDH.VP.ENTER: the vCPU stays inside until it exits or is kicked, not only to the end of its actor's block. */
  readonly stays?: boolean;
  /** Other operands by their name in the prototype, and addresses that the text gives as numbers. */
  readonly values?: Readonly<Record<string, bigint>>;
}

/** One running leaf: what its operands have turned out to be. Made anew by each of its two steps. */
export class LeafCall {
  readonly leaf: Leaf;
  readonly context: Context;
  readonly machine: Machine;
  readonly tdx: TdxState;
  readonly state: Int32Array;
  readonly registers: Registers;
  /** Filled by `resolve` of the checks. */
  td: TdState | undefined;
  vcpu: TdVcpuState | undefined;
  entry: SeptEntry | undefined;
  /** The page or table that the entry names. */
  mapped: Hpa = NO_TDMR;
  /** What the leaf leaves in RCX, where that is a frame. */
  output: Hpa = NO_TDMR;
  /** Guest address of an EPT violation that the leaf leaves with, though the guest was not entered. */
  violation: bigint | undefined;
  readonly #held: { readonly lock: TryLock; readonly mode: LockMode }[] = [];

  constructor(leaf: Leaf, context: Context, registers: Registers) {
    const { tdx } = context.machine;
    assert(tdx, "a leaf runs on a machine with TDX");
    this.leaf = leaf;
    this.context = context;
    this.machine = context.machine;
    this.tdx = tdx;
    this.state = context.state;
    this.registers = registers;
  }

  take(lock: TryLock, mode: LockMode): boolean {
    if (!acquire(this.state, lock, mode)) return false;
    this.holds(lock, mode);
    return true;
  }

  /** Taken by the `acquire` step before. */
  holds(lock: TryLock, mode: LockMode): void {
    this.#held.push({ lock, mode });
  }

  /** The lock stays taken behind the leaf (TDH.VP.ENTER); whoever ends that drops it. */
  keep(lock: TryLock): void {
    const at = this.#held.findIndex((held) => held.lock === lock);
    // Where a variant has taken the checks away it is taken here, for whoever drops it.
    if (at < 0) acquire(this.state, lock, "shared");
    else this.#held.splice(at, 1);
  }

  /** Dropped before the leaf is through. */
  unlock(lock: TryLock): void {
    const at = this.#held.findIndex((held) => held.lock === lock);
    if (at < 0) return;
    release(this.state, lock, this.#held[at].mode);
    this.#held.splice(at, 1);
  }

  /** How many it has taken so far. */
  get locks(): number {
    return this.#held.length;
  }

  /** All but the first `kept`. */
  drop(kept = 0): void {
    for (const { lock, mode } of this.#held.splice(kept).reverse()) release(this.state, lock, mode);
  }

  /** TD of the leaf, behind the check that has found it. */
  get theTd(): TdState {
    return this.checked(this.td);
  }

  get theVcpu(): TdVcpuState {
    return this.checked(this.vcpu);
  }

  get theEntry(): SeptEntry {
    return this.checked(this.entry);
  }

  /** What the checks have found to be there. Only a variant that takes them away does without. */
  checked<T>(found: T | undefined): T {
    if (found !== undefined) return found;
    throw new NotModelled(this.context.plan.id, `what ${this.leaf.name} does with operands that it has not checked is not modelled`);
  }

  say(text: string): void {
    if (this.context.telling) this.context.say(text);
  }
}

/** A lock that a leaf takes at once or answers TDX_OPERAND_BUSY with `operand`. */
export interface Locking {
  readonly lock: TryLock;
  readonly mode: LockMode;
}

/** One place in the order of a leaf's checks: it looks something up, takes a lock, or asks something; any of the three. */
export interface Check {
  /** One line, for hover and the reference: what is asked or taken. */
  readonly what: string;
  /** What it answers where it fails; the first of them for a lock. */
  readonly answers: readonly TdxStatus[];
  /** Finds what the operands name; runs in both steps. */
  readonly resolve?: (call: LeafCall) => void;
  /** What is taken here, in this order. */
  readonly lock?: (call: LeafCall) => Locking | readonly Locking[] | undefined;
  /** Locks that `test` has taken itself, one by one; `commit` drops them. */
  readonly holds?: (call: LeafCall) => readonly Locking[];
  /** Runs when a lock could not be had. */
  readonly contended?: (call: LeafCall) => void;
  readonly test?: (call: LeafCall) => TdxStatus | undefined;
  /** What is done here and stays done where a later check fails; `Leaf.acquires` names its region. */
  readonly effect?: (call: LeafCall) => void;
}

export interface Leaf {
  /** As the call is written. */
  readonly name: string;
  /** RAX bits 15:0. */
  readonly number: number;
  /** In the module's order; the first that fails is the answer. */
  readonly checks: readonly Check[];
  /** Behind the last check nothing fails; a status is answered where the leaf may stop for an interrupt, with nothing done. */
  readonly commit: (call: LeafCall) => TdxStatus | typeof MORE | undefined;
  /** Statuses that `commit` may answer beside TDX_SUCCESS. */
  readonly interruptions?: readonly TdxStatus[];
  /** Regions that an `effect` of its checks changes, or what they leave where a lock is held. */
  readonly acquires?: readonly Region[];
  /** Regions that `commit` changes. */
  readonly writes: readonly Region[];
}

/** A commit that is more than one critical section: it comes again, with its locks. */
export const MORE = "more";

export const SUCCESS: TdxStatus = { status: "TDX_SUCCESS" };
export const busy = (operand: TdxOperandName): TdxStatus => ({ status: "TDX_OPERAND_BUSY", operand });

export const statusText = ({ status, operand }: TdxStatus): string => (operand === undefined ? status : `${status}/${operand}`);

const RESULTS = new Map<string, Result>();

/** What a call answers with a status: one object each, which is interned once. */
export function statusResult(status: TdxStatus): Result {
  const text = statusText(status);
  let result = RESULTS.get(text);
  if (!result) RESULTS.set(text, (result = { kind: "status", ...status }));
  return result;
}

const NO_LOCKS: readonly Locking[] = [];
const listOf = (wanted: Locking | readonly Locking[] | undefined): readonly Locking[] =>
  wanted === undefined ? NO_LOCKS : "lock" in wanted ? [wanted] : wanted;

/** Why a leaf is refused. */
interface Refusal {
  /** Index of the check that fails. */
  readonly check: number;
  readonly status: TdxStatus;
}

/** Goes down the checks as far as the first that fails. What those before it have locked is locked still. */
function acquireLeaf(call: LeafCall): Refusal | undefined {
  for (const [index, check] of call.leaf.checks.entries()) {
    check.resolve?.(call);
    const { locks } = call;
    const status = passes(call, check);
    if (!status) continue;
    call.drop(locks);
    return { check: index, status };
  }
  return undefined;
}

function passes(call: LeafCall, check: Check): TdxStatus | undefined {
  for (const { lock, mode } of listOf(check.lock?.(call))) {
    if (call.take(lock, mode)) continue;
    check.contended?.(call);
    return check.answers[0];
  }
  const refused = check.test?.(call);
  if (!refused) check.effect?.(call);
  return refused;
}

function hold(call: LeafCall, check: Check): void {
  for (const { lock, mode } of listOf(check.lock?.(call))) call.holds(lock, mode);
  for (const { lock, mode } of check.holds?.(call) ?? NO_LOCKS) call.holds(lock, mode);
}

/** It has gone down the checks, and is about to answer. */
export const isRefused = ({ thread, state }: Context): boolean => (thread.refusal as Field).get(state) > 0;

function refusalNumber({ checks }: Leaf, { check, status }: Refusal): number {
  const answer = checks[check].answers.findIndex((one) => statusText(one) === statusText(status));
  assert(answer >= 0 && answer < ANSWERS_MAX && check < CHECKS_MAX, "a check answers what it lists");
  return 1 + check * ANSWERS_MAX + answer;
}

/** The way out of a leaf that is refused: what it has locked is dropped, and it answers. */
function backOut(call: LeafCall, refusal: number): Refusal {
  const index = Math.floor((refusal - 1) / ANSWERS_MAX);
  for (const check of call.leaf.checks.slice(0, index)) {
    check.resolve?.(call);
    hold(call, check);
  }
  call.drop();
  return { check: index, status: call.leaf.checks[index].answers[(refusal - 1) % ANSWERS_MAX] };
}

/** Leaves that fill an entry which names nothing yet. */
const FILLS: ReadonlySet<string> = new Set(["TDH.MEM.SEPT.ADD", "TDH.MEM.PAGE.ADD", "TDH.MEM.PAGE.AUG"]);

/** Without its checks a leaf would work on things that there are not: no source tells what comes of that. */
function refuseNonsense(call: LeafCall): void {
  const { page, tdr, tdvpr, source, gpa } = call.registers;
  const pages = [page, tdr, tdvpr, source].every((frame) => frame === undefined || frame > NO_TDMR);
  const roots = (tdr === undefined || call.td !== undefined) && (tdvpr === undefined || call.vcpu !== undefined);
  const entry = gpa === undefined || (call.entry?.level === (call.registers.level ?? 0) && (FILLS.has(call.leaf.name) || call.mapped > 0));
  if (!pages || !roots || !entry)
    throw new NotModelled(call.context.plan.id, `what ${call.leaf.name} does with such operands in a module that does not check them is not modelled`);
}

/** The effect, behind an `acquireLeaf` of the same call that has passed; `locked` false where a variant has taken that away, and with it the locks. */
function commitLeaf(call: LeafCall, locked = true): TdxStatus | typeof MORE {
  for (const check of call.leaf.checks) {
    check.resolve?.(call);
    if (locked) hold(call, check);
  }
  if (!locked) refuseNonsense(call);
  const keyed = call.td === undefined || call.td.lifecycle.get(call.state) === LIFECYCLE.KEYS_CONFIGURED;
  const answer = call.leaf.commit(call) ?? SUCCESS;
  if (answer === MORE) return MORE;
  if (!keyed && Object.hasOwn(ALLOWED_ENTRY_STATES, call.leaf.name)) call.machine.emit("key-order", call.td?.key.get(call.state) ?? 0, KEYS_AWAY);
  call.drop();
  return answer;
}

/** What every leaf may look at. */
const LOOKS_AT: readonly Region[] = ["module", "td", "sept", "pamt", "driver", "handle", "page"];
/** Of leaves that KVM calls; the scenario calls one that changes "content" before its last check, too. */
const ACQUIRE: Shape = { reads: LOOKS_AT, writes: ["module", "td"] };
const ACQUIRE_ANY: Shape = { reads: LOOKS_AT, writes: [...ACQUIRE.writes, "content"] };

interface Shapes {
  readonly acquire: Shape;
  readonly commit: Shape;
}
const SHAPES = new WeakMap<Leaf, Shapes>();

function shapesOf(leaf: Leaf): Shapes {
  let shapes = SHAPES.get(leaf);
  if (!shapes) {
    const acquire = { reads: LOOKS_AT, writes: ["module", ...(leaf.acquires ?? [])] } satisfies Shape;
    SHAPES.set(leaf, (shapes = { acquire, commit: { reads: [...LOOKS_AT, "tlb", "content"], writes: ["module", ...leaf.writes] } }));
  }
  return shapes;
}

interface LeafSource {
  /** The leaf that this step of this call performs, and what its caller has put into the registers: read from the state, the same in both steps. */
  readonly of: (context: Context) => { readonly leaf: Leaf; readonly registers: Registers };
  /**
   * What the caller does with the status, by the codes of machine.ts. It is asked when `acquire` fails and when `commit` is through; `output` is the frame in
   * RCX, `violation` the guest address of an exit that TDH.VP.ENTER has made up. An `acquire` that passes goes on with the next step of the operation, which
   * must be its `commit`.
   */
  readonly answered: (context: Context, status: TdxStatus, output: Hpa, violation?: bigint) => number;
  /** Name of the step that `acquire` is: a variant may have taken it out of the operation. */
  readonly acquiredBy?: string;
  /** More that `of` and `answered` read and write. */
  readonly reads?: readonly Region[];
  readonly writes?: readonly Region[];
  readonly jumps?: readonly string[];
  /** False: `answered` never ends the call. */
  readonly returns?: boolean;
}

/** Everything that some leaf's commit may change. */
const ANY: readonly Region[] = ["module", "td", "sept", "pamt", "tlb", "content"];

/** Both steps of a leaf, for the list of an operation. */
export function leafSteps(source: LeafSource): { acquire: StepCode; commit: StepCode } {
  const plain = !source.reads && !source.writes;
  const common = { jumps: source.jumps ?? [], ...(source.returns === undefined ? {} : { returns: source.returns }) };
  const own = (shape: Shape): Shape => ({
    ...shape,
    ...common,
    reads: [...shape.reads, ...(source.reads ?? [])],
    writes: [...shape.writes, ...(source.writes ?? [])],
  });
  return {
    acquire: {
      ...own(plain ? ACQUIRE_ANY : ACQUIRE),
      ...(plain ? { narrow: (context: Context) => shapesOf(source.of(context).leaf).acquire } : {}),
      run(context) {
        const { leaf, registers } = source.of(context);
        const call = new LeafCall(leaf, context, registers);
        const refusal = context.thread.refusal as Field;
        const known = refusal.get(context.state);
        refusal.set(context.state, 0);
        const refused = known > 0 ? backOut(call, known) : acquireLeaf(call);
        if (!refused) {
          if (context.telling) context.say(`${leaf.name}: every check passes, its locks are taken`);
          return NEXT;
        }
        if (call.locks > 0) {
          if (context.telling) context.say(`${leaf.name}: the locks in front of one check are taken, which fails: ${leaf.checks[refused.check].what}`);
          refusal.set(context.state, refusalNumber(leaf, refused));
          context.advanced = true;
          return AGAIN;
        }
        if (context.telling) context.say(`${leaf.name} answers ${statusText(refused.status)}`);
        return source.answered(context, refused.status, NO_TDMR);
      },
    },
    commit: {
      events: true,
      ...own({ reads: [...LOOKS_AT, "tlb", "content"], writes: ANY }),
      ...(plain ? { narrow: (context: Context) => shapesOf(source.of(context).leaf).commit } : {}),
      run(context) {
        const { leaf, registers } = source.of(context);
        const call = new LeafCall(leaf, context, registers);
        const status = commitLeaf(call, source.acquiredBy === undefined || context.operation.labels.has(source.acquiredBy));
        if (status === MORE) {
          context.advanced = true;
          return AGAIN;
        }
        if (context.telling) context.say(`${leaf.name} answers ${call.violation === undefined ? statusText(status) : "an EPT violation"}`);
        return source.answered(context, status, call.output, call.violation);
      },
    },
  };
}
