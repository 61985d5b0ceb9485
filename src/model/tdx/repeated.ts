// Which accesses of a vCPU can be repeated often enough that the module's filter against zero-stepping sees them, worked out before anything runs; and the
// words that are kept of those. A vCPU without them costs nothing.

import { asU64 } from "../../base/units.ts";
import type { Call, Program } from "../../scenario/program.ts";
import type { Field, Layout } from "../layout.ts";
import { SHARED_BIT } from "../objects.ts";
import type { TdxObjects } from "./objects.ts";

/** STEPPING_EPF_THRESHOLD: so many violations at one RIP are counted; the next one has its page listed. */
export const STEPPING_THRESHOLD = 6;
/** Violations in a row that are told apart: more are as many. */
export const COUNTED_VIOLATIONS = STEPPING_THRESHOLD + 1;

/** How far a TDH.VP.ENTER that meets the filter has come: behind the count in REFCOUNT; with the tree of the secure EPT locked. */
export const FILTERED_ENTRY = { NONE: 0, COUNTED: 1, LOCKED: 2 } as const;

/**
 * An access that can leave its vCPU with so many EPT violations in a row that the filter sees it. Equal accesses of a vCPU stand for one instruction, which
 * runs again behind its violation: its RIP is the same. It touches one page, so that the module's list of 32 never holds more than one.
 */
export interface RepeatedAccess {
  /** What equal accesses share: call, address and value. */
  readonly key: string;
  /** Its page, a private one. */
  readonly gpa: bigint;
}

/** What the module keeps of a vCPU whose accesses can be repeated so often; no other vCPU has it. */
export interface SteppingState {
  readonly accesses: readonly RepeatedAccess[];
  /** 0, or 1 + 7 × index in `accesses` + how many violations came before the last one; 6 is the most: the page is listed. */
  readonly violations: Field;
  /** A `FILTERED_ENTRY`. */
  readonly entry: Field;
}

const isAccess = ({ spec }: Call): boolean => spec === "guest.load" || spec === "guest.store";

/** The access that a call is; undefined for what is none, or goes to shared memory whatever the TD's address width. */
export function repeatableAccess(call: Call): RepeatedAccess | undefined {
  const [address, value] = call.operands;
  const raw = isAccess(call) && address?.kind === "int" ? asU64(address.value) : SHARED_BIT;
  if ((raw & SHARED_BIT) !== 0n) return undefined;
  return { key: `${call.spec} ${raw} ${value?.kind === "int" ? value.value & 0xffn : ""}`, gpa: raw & ~4095n };
}

/** Host calls that take no page of a TD away: what is not here may. */
const HARMLESS =
  /^(KVM_(CREATE_|CHECK_|ENABLE_CAP|TDX_(CAP|INIT|FINAL|GET)|PRE_FAULT|RUN)|(alloc|store|load)_frame$|memfd_create$|mmap$|host\.|signal$|hlt$|run$|guest\.|TDG\.|TDH\.(MNG|VP|MR)\.)/;

const SLOT = /^KVM_SET_USER_MEMORY_REGION2?$/;

/** What a kernel does with a violation that it cannot resolve. */
interface Retries {
  readonly td_private_retry: string;
  readonly td_slot_deleted: string;
  readonly td_pending_access: string;
}

/**
 * How many violations in a row KVM can make of the accesses of a scenario beside one for each: it enters again where it has resolved the last one, so that
 * somebody must have taken the page away since; or for ever, where it leaves its own loop unresolved.
 */
export function entersAgain(program: Program, features: Retries): number {
  const calls = program.calls.filter((call) => call.known);
  const leaves = features.td_slot_deleted === "leaves" && calls.filter(({ spec }) => SLOT.test(spec)).length > 1;
  const unresolved = leaves || features.td_private_retry === "enters" || features.td_pending_access === "spurious";
  // Nobody knows the order of a variant's steps; and a leaf that the scenario calls itself leaves KVM's mirror as it was.
  const unknown = program.profile.edits.length > 0 || calls.some(({ spec }) => spec.startsWith("TDH.MEM."));
  if (unresolved || unknown) return Number.POSITIVE_INFINITY;
  return calls.filter(({ spec }) => !HARMLESS.test(spec)).length;
}

/** By vCPU: the accesses that can come to have their page listed. A vCPU without them costs nothing. */
export function repeatedAccesses(program: Program, objects: TdxObjects, features: Retries): RepeatedAccess[][] {
  const again = objects.vcpus.some(({ vcpu }) => vcpu !== undefined) ? entersAgain(program, features) : 0;
  return objects.vcpus.map(({ handle, vcpu }) => {
    const own = program.calls.filter((call) => call.known && handle !== undefined && program.actors[call.actor].handle === handle);
    const found = new Map<string, { readonly gpa: bigint; times: number }>();
    for (const call of own) {
      const access = repeatableAccess(call);
      const before = access && found.get(access.key);
      if (before) before.times += 1;
      else if (access) found.set(access.key, { gpa: access.gpa, times: 1 });
    }
    const extra = vcpu === undefined ? 0 : again;
    return [...found].flatMap(([key, { gpa, times }]) => (times + extra > STEPPING_THRESHOLD ? [{ key, gpa }] : []));
  });
}

/** Undefined for a vCPU without such accesses. */
export function steppingState(layout: Layout, name: string, accesses: readonly RepeatedAccess[]): SteppingState | undefined {
  if (accesses.length === 0) return undefined;
  return { accesses, violations: layout.field("td", accesses.length * COUNTED_VIOLATIONS, name), entry: layout.field("td", FILTERED_ENTRY.LOCKED, name) };
}
