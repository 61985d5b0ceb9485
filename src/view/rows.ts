// The rows that people look at: machine state as a table of guest pages across all owners, and a trace as a list of such tables.
// The panel, the CLI and the goldens take exactly these; the panel gets them as JSON.

/** Columns of a page row, in the order in which memory is reached: slot → attribute → file → frame → mappings. */
export const PAGE_COLUMNS = [
  { id: "slot", title: "slot", help: "kvm_memory_slot that covers the gfn" },
  { id: "attribute", title: "kind", help: "private or shared, as this kernel decides it" },
  { id: "file", title: "file offset", help: "offset in the bound file, and whether its page cache holds a page there" },
  { id: "frame", title: "frame", help: "the frame in the file and who else holds a reference" },
  { id: "host", title: "host PTE", help: "frame that the host page tables map" },
  { id: "ept", title: "EPT", help: "frame that the second-level page table maps; of a TD the shared one" },
  { id: "mirror", title: "mirror", help: "frame that KVM's mirror of the secure EPT maps" },
  { id: "sept", title: "secure EPT", help: "state of the TDX module's entry, and the frame that it names" },
  { id: "pamt", title: "PAMT", help: "page type, owner and BEPOCH of the frame" },
  { id: "tlb", title: "TLB", help: "frame that each vCPU's TLB holds" },
  { id: "content", title: "content", help: "bytes of the frame at the offsets that the scenario names" },
] as const;

export type ColumnId = (typeof PAGE_COLUMNS)[number]["id"];

export interface Cell {
  /** Short text; empty where there is nothing. */
  readonly text: string;
  /** A longer sentence for the tooltip and the screen reader. */
  readonly detail?: string;
  /** The invariant that this cell breaks at this step. */
  readonly broken?: string;
}

export interface PageRow {
  /** Stable over the steps of a trace. */
  readonly key: string;
  /** `0x1000` or `0x2000–0x3fff`. */
  readonly label: string;
  /** The VM or file that the address belongs to. */
  readonly space: string;
  readonly cells: Readonly<Record<ColumnId, Cell>>;
}

/** A line of facts below the table: what a process has open, a lock, a sequence counter, seals, the size of a file, where a thread stands. */
export interface FactRow {
  readonly key: string;
  readonly group: "file" | "vm" | "lock" | "thread" | "process" | "frame";
  readonly name: string;
  readonly value: string;
}

/** A table of one kind of object below the pages: a secure EPT by level, the PAMT, key ids, TDs, vCPUs. */
export interface StateTable {
  /** Stable over the steps of a trace. */
  readonly id: string;
  readonly title: string;
  /** What a table is when it stands alone, for the tooltip. */
  readonly help: string;
  /** The first one heads each row. */
  readonly columns: readonly { readonly id: string; readonly title: string; readonly help: string }[];
  readonly rows: readonly StateRow[];
}

export interface StateRow {
  /** Stable over the steps of a trace, and like no other key of the view. */
  readonly key: string;
  readonly label: string;
  /** Of a tree: how far below the root it stands. */
  readonly depth?: number;
  /** By the ids of the columns behind the first. */
  readonly cells: Readonly<Record<string, Cell>>;
}

export interface MachineView {
  readonly pages: readonly PageRow[];
  readonly facts: readonly FactRow[];
  /** None for a machine without TDX. */
  readonly tables?: readonly StateTable[];
}

export interface TraceStep {
  /** Index into `TraceView.actors`; -1 for the state before the first step. */
  readonly actor: number;
  /** The call as text, without its result: `fallocate(ram, …)`. */
  readonly call: string;
  /** Number of the call, the same for all its steps. */
  readonly callId: number;
  readonly step: string;
  readonly effect: string;
  /** On the step with which the call returns; empty for a call that returns nothing. */
  readonly result?: string;
  /** The condition, where the step is an `assert`. */
  readonly asserts?: string;
  /** Where the call stands: index into `TraceView.files`, line from 1. */
  readonly file: number;
  readonly line: number;
  readonly machine: MachineView;
  /** `rowKey/columnId` of each cell of pages and tables, `key` of each fact, that this step changed. */
  readonly changed: readonly string[];
  /** Indexes into `TraceView.violations` that this step causes. */
  readonly violations: readonly number[];
  /** True while the scenario's `parallel` block runs. */
  readonly parallel: boolean;
}

/**
 * Something that is so for a while and bears on a broken rule: who holds a frame, who maps it, who holds a lock. `is` reads on as "… since", `ended` as "… in";
 * `on` and `off` are what the steps that bring and end it do, in few words.
 */
export interface StoryFact {
  readonly kind: string;
  readonly is: string;
  readonly ended: string;
  readonly on: string;
  readonly off: string;
  /** Wrong as long as it lasts: somebody has to take it away. */
  readonly wrong?: boolean;
  /** Steps that brought it (0: so from the start) and ended it, in order; without `to` it lasts to the end of the trace. */
  readonly spans: readonly { readonly from: number; readonly to?: number }[];
}

/** What a reader needs to see why a rule broke. */
export interface ViolationStory {
  /** In the order in which they are told. */
  readonly facts: readonly StoryFact[];
  /** Names by which the effects of steps speak of the subject: `frame 2`, `gfn 0x1`. */
  readonly names: readonly string[];
  /** Steps whose task it is to keep the rule, and that ran. */
  readonly duties: readonly number[];
  /** They are shown, and not said to be no help: none of them could have kept it. */
  readonly plain?: true;
  /** The objects around the subject, in one sentence; empty where there are none. */
  readonly objects: string;
}

export interface TraceViolation {
  readonly invariant: string;
  readonly statement: string;
  readonly message: string;
  readonly step: number;
  readonly line: number;
  readonly expected: boolean;
  /** The last so many steps up to this one are a round that can repeat for ever (no-livelock). */
  readonly round?: number;
  readonly story?: ViolationStory;
}

/** A trace is cut here: every step carries the whole table, and nobody walks further than this. */
export const MAX_TRACE_STEPS = 2_000;

export interface TraceView {
  readonly version: 1;
  readonly scenario: string;
  readonly kernel: string;
  /** What a kernel variant changes against the one that it extends, one entry per feature or operation; none for a kernel as it was. */
  readonly variant?: { readonly base: string; readonly changes: readonly string[] };
  readonly verdict: "pass" | "fail" | "incomplete";
  /** One sentence: states explored, complete or not. */
  readonly summary: string;
  /** The schedule as pasteable text. */
  readonly schedule: string;
  readonly files: readonly string[];
  readonly actors: readonly { readonly name: string; readonly kind: "vmm" | "host" | "vcpu" }[];
  readonly columns: readonly { readonly id: ColumnId; readonly title: string; readonly help: string }[];
  /** `steps[0]` is the state before anything ran. */
  readonly steps: readonly TraceStep[];
  readonly violations: readonly TraceViolation[];
  /** Why this schedule is shown where no rule breaks in it: what it answers, in one sentence. */
  readonly shown?: string;
  /** Expectations of the scenario that do not hold: `line 12: some final state has it`. */
  readonly unmet?: readonly string[];
  /** Limits of the claim beyond those of every run: rules that could not be judged. */
  readonly notJudged?: readonly string[];
  /** Other stories of the same run that the panel can switch to; `schedule` selects one. */
  readonly stories: readonly { readonly title: string; readonly schedule: string }[];
}
