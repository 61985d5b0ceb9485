// Control position and locals of each actor: where in its instructions, its call and its step it stands, and what it holds there.

import type { ActorId, Program } from "../scenario/program.ts";
import { RESULTS_MAX, VALUES_MAX } from "./intern.ts";
import { type TdLocals, tdLocals } from "./kvm/tdx-state.ts";
import type { Field, Layout, Region } from "./layout.ts";
import { handleOf, type Objects } from "./objects.ts";
import type { Segment } from "./schedule.ts";
import { REFUSAL_MAX } from "./tdx/tables.ts";

/** Control position and locals of one actor. A thread is plain data. */
export interface ThreadState {
  readonly index: ActorId;
  /** The VM whose vCPU it is; -1 for a host thread, which is never in a fault of a guest. */
  readonly vm: number;
  /** Next instruction of this actor in a parallel segment. */
  readonly at: Field;
  /** 0 between calls, else 1 + number of the running operation. */
  readonly operation: Field;
  readonly step: Field;
  /** 0 or 1 + file offset (interned) that a read or write took when it began. */
  readonly offset: Field;
  /** Loop over the plan's cells. */
  readonly cursor: Field;
  /** Loop over the plan's mappings; only where MMU notifiers have something to do. */
  readonly unmapping: Field | undefined;
  /** A frame that this thread holds a reference on (fault in flight, GUP). */
  readonly frame: Field;
  /** Slot that find_slot saw: 0 or 1 + number of the SlotConfig. */
  readonly slot: Field;
  /** 0 or 1 + result that the call returns when its operation ends. */
  readonly answer: Field;
  /** The leaf of the TDX module that it is in is about to answer a refusal: 0, or which (tdx/leaf.ts). Only where somebody calls the module. */
  readonly refusal: Field | undefined;
  /** The seals that an F_ADD_SEALS will set, from the step on that adds those which F_SEAL_EXEC implies; 0 before. */
  readonly seals: Field;
  /** Ghost: gfns that this conversion has stored. */
  readonly stored: Field;
  /** Invalidations that this call began and did not end. */
  readonly begun: Field;
  /** Set between `snapshot` and the end of the fault: the SRCU read side. */
  readonly inFault: Field;
  /** In KVM's TDX code; only where some VM is a TD. */
  readonly td: TdLocals | undefined;
  /** How far a pre-fault has come, in pages. */
  readonly page: Field;
  /** What the fault takes its access for, where the attribute of the gfn decides that. */
  readonly kind: Field;
  /** mmu_invalidate_seq moved since the snapshot. */
  readonly stale: Field;
  /** The fault has looked up what it will install. */
  readonly decided: Field;
  /** An invalidation that covers the gfn began since `decided`. */
  readonly hit: Field;
}

/** Bounds of packed fields; compiling or running past one is refused aloud. */
const OPERATIONS_MAX = 63;
const STEPS_MAX = 31;
/** What a TD does opens into calls of the TDX module. */
const TD_STEPS_MAX = 63;

/** What the words of a thread depend on. */
export interface ThreadSizes {
  readonly program: Program;
  readonly objects: Objects;
  readonly segments: readonly Segment[];
  /** How many operations the kernel has here. */
  readonly operations: number;
  /** Some VM of KVM is a TD. */
  readonly tds: boolean;
  /** MMU notifiers have something to do. */
  readonly notified: boolean;
  /** conversion-atomic is watched. */
  readonly conversions: boolean;
  readonly frames: number;
  /** The most cells that anything is cut into. */
  readonly cells: number;
}

/** One per actor; those that equal actors have stand in records of their own, so that they can be exchanged. */
export function threadStates(layout: Layout, grouped: ReadonlySet<ActorId>, sizes: ThreadSizes): ThreadState[] {
  return sizes.program.actors.map((_, index) => layout.record(grouped.has(index) ? index : undefined, () => threadState(layout, index, sizes)));
}

function threadState(layout: Layout, index: ActorId, sizes: ThreadSizes): ThreadState {
  const { program, objects, segments, operations, tds, notified, conversions, frames, cells } = sizes;
  const streams = program.calls.some(
    (call) => ["read", "write", "splice", "copy_file_range"].includes(call.spec) || (call.spec === "pwrite" && mayAppend(program)),
  );
  const field =
    (region: Region) =>
    (max: number): Field =>
      layout.field(region, max, `actor ${index}`);
  const [own, control, fault] = [field("thread"), field("control"), field("fault")];
  const longest = Math.max(1, ...segments.map((segment) => segment.threads[index]?.length ?? 0));
  const { handle } = program.actors[index];
  return {
    index,
    vm: objects.vcpus.find((vcpu) => vcpu.handle === handle)?.vm ?? prefaulted(program, objects, index),
    at: control(longest),
    operation: control(Math.max(OPERATIONS_MAX, operations)),
    step: own(tds ? TD_STEPS_MAX : STEPS_MAX),
    td: tds ? tdLocals(layout, index, cells, frames) : undefined,
    offset: own(streams ? VALUES_MAX + 1 : 0),
    cursor: own(cells),
    unmapping: notified ? own(objects.mappings.length) : undefined,
    frame: field("reference")(frames),
    slot: own(objects.slots.length),
    answer: own(RESULTS_MAX),
    refusal: tds || callsTdx(program) ? own(REFUSAL_MAX) : undefined,
    seals: own(program.calls.some((call) => call.spec === "fcntl") ? 63 : 0),
    stored: own(conversions ? cells : 0),
    begun: own(Math.max(1, objects.slots.length)),
    inFault: fault(1),
    kind: fault(1),
    page: fault(program.calls.some((call) => call.spec === "KVM_PRE_FAULT_MEMORY") ? cells : 0),
    stale: fault(1),
    decided: fault(1),
    hit: fault(1),
  };
}

/** The VM on whose vCPUs a host thread calls KVM_PRE_FAULT_MEMORY, as a guest's fault does; -1 where it does not. */
function prefaulted(program: Program, objects: Objects, actor: ActorId): number {
  const call = program.calls.find((one) => one.known && one.spec === "KVM_PRE_FAULT_MEMORY" && one.actor === actor);
  const handle = handleOf(call?.operands[0]);
  return objects.vcpus.find((vcpu) => vcpu.handle === handle)?.vm ?? -1;
}

const callsTdx = ({ calls }: Program): boolean => calls.some(({ spec }) => spec.startsWith("TDH."));

/** O_APPEND takes the offset of a pwrite from the file, too. */
const mayAppend = ({ calls }: Program): boolean => calls.some(({ spec }) => spec === "open_fd" || spec === "fcntl");
