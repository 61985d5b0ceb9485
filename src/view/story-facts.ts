// What bears on a broken rule over the states of one schedule: each fact with the steps that brought and ended it. One small table says what matters for which
// rule; story-readers.ts reads the facts off a state.

import { formatAddress, formatSize } from "../base/units.ts";
import type { About } from "../invariants/index.ts";
import { isMadeInaccessible, sizeOf } from "../model/memory/file.ts";
import type { FileObject, SlotConfig } from "../model/objects.ts";
import type { MachineSystem } from "../model/system.ts";
import type { StepName } from "../scenario/catalogue/index.ts";
import type { StoryFact, ViolationStory } from "./rows.ts";
import { address, type FactKind, gfnName, READERS, slotOf } from "./story-readers.ts";
import type { Subject } from "./story-subject.ts";

/** Steps that take second-level mappings away or make faults try again. */
const FLUSH: readonly StepName[] = ["invalidate", "invalidate_begin", "notify_fallocate", "zap_slot", "mn_start"];

/** Steps that see to it that nobody is inside with a translation of a page that leaves; what the leaves around them do is a fact of its own. */
const UNMAP: readonly StepName[] = ["kick_send", "kick"];

interface Matter {
  readonly facts: readonly FactKind[];
  /** Facts that are wrong as long as they last: somebody has to take them away. */
  readonly wrong?: readonly FactKind[];
  /** Steps whose task it is to keep the rule. */
  readonly duties: readonly StepName[];
  /** None of them could have kept it. */
  readonly plain?: true;
}

/** What matters for each rule, in the order in which it is told. A rule without a row is told by its message alone. */
const MATTERS: Readonly<Record<string, Matter>> = {
  "no-stale-mapping": {
    facts: ["page", "host", "slot", "ept", "tlb", "entry", "tdTlb", "reference", "free", "snapshot", "progress"],
    wrong: ["ept", "tlb", "entry", "tdTlb"],
    duties: [...FLUSH, ...UNMAP],
  },
  "frame-one-owner": { facts: ["page", "owner"], duties: [] },
  "private-inaccessible": { facts: ["taint", "pamt", "page", "mark", "host"], duties: ["set_marker", "wrap", "check_seal_chunk"] },
  "inaccessible-marked": { facts: ["mark"], duties: ["set_marker", "wrap"] },
  "private-unmovable": { facts: ["taint", "page", "ept", "tlb"], duties: [] },
  "zeroed-on-allocation": { facts: ["page", "ept"], duties: [] },
  "attributes-respected": { facts: ["kind", "page", "ept", "mirror", "tlb", "snapshot"], wrong: ["ept", "mirror", "tlb"], duties: FLUSH },
  "no-lost-invalidation": { facts: ["lookup", "reference", "progress", "snapshot", "ept"], wrong: ["ept"], duties: FLUSH },
  "invalidate-balanced": { facts: ["begun", "progress", "binding"], wrong: ["progress"], duties: ["invalidate_begin", "invalidate_end", "mn_start", "mn_end"] },
  "write-sealed": { facts: ["host"], duties: ["check_seal_chunk", "deny_writable", "wait_pins", "map_vma"] },
  "bound-once": { facts: ["binding", "slot"], duties: ["bind"] },
  "binding-in-bounds": { facts: ["binding", "slot"], duties: ["bind"] },
  "binding-valid": { facts: ["binding", "slot"], duties: ["unbind", "bind"] },
  "vm-valid": { facts: ["holder"], duties: [] },
  "conversion-atomic": { facts: [], duties: ["reserve", "store", "convert"], plain: true },
  "lock-order": { facts: ["lock", "waits"], duties: [] },
  "refcount-balanced": { facts: ["page", "owner", "pin", "entry", "reference", "free"], duties: ["put_page"] },
  "no-oops": { facts: ["slot"], duties: [] },
  "sept-pamt-agree": { facts: ["entry", "pamt"], duties: [] },
  "mirror-agrees": { facts: ["mirror", "entry"], wrong: ["mirror"], duties: [] },
  "tlb-tracked": { facts: ["tdTlb", "entry", "inside", "epoch", "pamt"], wrong: ["tdTlb"], duties: UNMAP },
  "epoch-counted": { facts: ["inside", "epoch"], duties: [] },
  "cache-flushed": { facts: ["dirty", "pamt", "page", "free"], wrong: ["dirty"], duties: ["clflush", "page_wbinvd", "cache_wb"] },
  "private-integrity": { facts: ["line", "dirty", "entry", "pamt"], duties: [] },
  "td-page-held": { facts: ["page", "free", "pin", "entry", "pamt"], wrong: ["entry"], duties: UNMAP },
  "key-order": { facts: ["key"], duties: [] },
  "no-kvm-bug": { facts: ["mirror", "entry", "tdTlb", "inside", "epoch", "tryLocks"], duties: UNMAP },
  "no-deadlock": { facts: ["waits", "lock"], duties: [] },
  "no-livelock": { facts: ["waits", "lock", "progress"], duties: [] },
};

export const rulesTold: readonly string[] = Object.keys(MATTERS);

/**
 * The facts of a rule over a whole schedule. `states[i]` is the state after step i, `states[0]` the initial one; `steps[i]` names step i.
 */
export function violationStory(
  machine: MachineSystem,
  invariant: string,
  about: About,
  states: readonly Int32Array[],
  steps: readonly string[],
  at: number,
): ViolationStory {
  const { facts: kinds, wrong = [], duties, plain } = MATTERS[invariant] ?? ({ facts: [], duties: [] } as Matter);
  const subject = subjectAt(machine, about, states, at);
  const facts = kinds.flatMap((kind) => spansOf(machine, kind, subject, states).map((fact) => (wrong.includes(kind) ? { ...fact, wrong: true } : fact)));
  const now = facts.filter(({ spans }) => spans.some(({ from, to }) => from <= at && (to === undefined || to > at)));
  const frames = now.flatMap(({ kind, is }) => (FRAME_KINDS.has(kind) ? (/\bframe \d+/.exec(is) ?? []) : []));
  const names = new Set([
    ...(subject.frame === undefined ? [] : [`frame ${subject.frame}`]),
    ...(subject.gfn === undefined ? [] : [gfnName(subject.gfn), ...(machine.tdx ? [`gpa ${address(subject.gfn)}`] : [])]),
    ...(about.file === undefined ? [] : [machine.files[about.file].object.name]),
    ...frames,
  ]);
  return {
    facts,
    names: [...names],
    duties: steps.flatMap((step, index) => ((duties as readonly string[]).includes(step) ? [index] : [])),
    objects: objectsOf(machine, states, subject, at),
    ...(plain ? { plain } : {}),
  };
}

const FRAME_KINDS: ReadonlySet<string> = new Set(["page", "ept", "tlb", "reference", "entry", "tdTlb", "mirror"]);

/** The slot and the file around the subject as they are when the rule breaks, or were just before. */
function subjectAt(machine: MachineSystem, about: About, states: readonly Int32Array[], at: number): Subject {
  const moments = [states[at], states[Math.max(0, at - 1)]].filter((state) => state !== undefined);
  const slot = moments.map((state) => slotOf(machine, state, about)).find((config) => config !== undefined);
  const file = moments
    .map((state) =>
      machine.files.find(({ cells, frames }) =>
        frames.some((field, cell) => about.frame !== undefined && cells.single(cell) && field.get(state) === about.frame),
      ),
    )
    .find((found) => found !== undefined);
  const leaving = about.gfn === undefined && about.frame === undefined && about.td !== undefined ? pageInWork(machine, about, moments) : {};
  return { ...about, ...leaving, ...(slot ? { slot } : {}), ...(about.file === undefined && file ? { file: file.object.index } : {}) };
}

/** The page that a thread is taking out of the TD, or bringing, when KVM gives up. */
function pageInWork(machine: MachineSystem, { vm }: About, moments: readonly Int32Array[]): { gfn?: number; frame?: number } {
  for (const state of moments) {
    for (const { cell, frame } of machine.kvmTds?.locals ?? []) {
      if (cell.get(state) > 0 && vm !== undefined)
        return { gfn: machine.vms[vm].cells.start(cell.get(state) - 1), ...(frame.get(state) > 0 ? { frame: frame.get(state) } : {}) };
    }
  }
  return {};
}

function spansOf(machine: MachineSystem, kind: FactKind, about: Subject, states: readonly Int32Array[]): StoryFact[] {
  const found = new Map<string, { fact: Omit<StoryFact, "kind" | "spans" | "wrong">; spans: { from: number; to?: number }[] }>();
  let open = new Map<string, { from: number; to?: number }>();
  states.forEach((state, step) => {
    const now = new Map<string, { from: number; to?: number }>();
    READERS[kind](machine, state, about, (key, is, ended, on, off) => {
      if (now.has(key)) return;
      const known = found.get(key) ?? { fact: { is, ended, on, off }, spans: [] };
      found.set(key, known);
      const span = open.get(key) ?? { from: step };
      if (!open.has(key)) known.spans.push(span);
      now.set(key, span);
      open.delete(key);
    });
    for (const span of open.values()) span.to = step;
    open = now;
  });
  return [...found.values()].map(({ fact, spans }) => ({ kind, ...fact, spans }));
}

/** `slot 0 of vm: gfn 0x0 to 0x3, private memory from ram (16K)`, as it was just before the step that breaks the rule. */
function objectsOf(machine: MachineSystem, states: readonly Int32Array[], about: About, at: number): string {
  const state = states[Math.max(0, at - 1)];
  const config = slotOf(machine, state, about) ?? slotOfFrame(machine, state, about);
  if (!config) return about.file === undefined ? "" : fileText(machine, state, about.file);
  const range = `${gfnName(config.gfn)} to ${formatAddress(BigInt(config.gfn + config.pages - 1))}`;
  const backing =
    config.file === undefined
      ? []
      : [`private memory from ${fileText(machine, state, config.file)}${config.filePage > 0 ? ` at ${address(config.filePage)}` : ""}`];
  const mapping =
    config.mapping === undefined
      ? []
      : [`${config.file === undefined ? "memory" : "shared memory"} from the host mapping ${machine.mappings[config.mapping].object.name}`];
  return `slot ${config.id} of ${machine.vms[config.vm].object.name} is ${range}, ${[...backing, ...mapping].join(", ")}`;
}

/** The slot that is bound to the file with the subject's frame. */
function slotOfFrame(machine: MachineSystem, state: Int32Array, { frame, vm: only }: About): SlotConfig | undefined {
  for (const vm of machine.vms) {
    for (const slotState of vm.slots) {
      const config = machine.objects.slots[slotState.config.get(state) - 1];
      const file = config?.file === undefined ? undefined : machine.files[config.file];
      if (config && vm.object.index === only) return config;
      if (frame !== undefined && file?.frames.some((field, cell) => file.cells.single(cell) && field.get(state) === frame)) return config;
    }
  }
  return undefined;
}

function madeAs(machine: MachineSystem, file: FileObject): string {
  if (file.restricted) return ", memfd_restricted";
  return isMadeInaccessible(machine, file) ? ", MFD_INACCESSIBLE" : "";
}

function fileText(machine: MachineSystem, state: Int32Array, index: number): string {
  const file = machine.files[index];
  return `${file.object.name} (${formatSize(sizeOf(machine, state, file))}${madeAs(machine, file.object)})`;
}
