// Recorded traces for the panel's tests: the window of patch v8 (punch, then invalidate), and one as long as one likes.
// Cells are set step by step on a small machine; what changed is computed by the same code that the product uses.

import { changedKeys } from "../../src/view/diff.ts";
import { type Cell, type ColumnId, type FactRow, type MachineView, PAGE_COLUMNS, type PageRow, type TraceStep, type TraceView } from "../../src/view/rows.ts";

type Set = Readonly<Record<string, string | Cell>>;

class Recorder {
  readonly steps: TraceStep[] = [];
  #cells = new Map<string, Cell>();
  #facts: FactRow[];
  readonly #rows: readonly { key: string; label: string; space: string }[];

  constructor(rows: readonly { key: string; label: string; space: string }[], facts: readonly FactRow[]) {
    this.#rows = rows;
    this.#facts = [...facts];
    const machine = this.#machine();
    this.steps.push({ actor: -1, call: "", callId: -1, step: "", effect: "", file: 0, line: 1, machine, changed: [], violations: [], parallel: false });
  }

  #machine(): MachineView {
    const pages = this.#rows.map((row): PageRow => {
      const cells = Object.fromEntries(PAGE_COLUMNS.map(({ id }) => [id, this.#cells.get(`${row.key}/${id}`) ?? { text: "" }])) as Record<ColumnId, Cell>;
      return { ...row, cells };
    });
    return { pages, facts: this.#facts.map((fact) => ({ ...fact })) };
  }

  /** `set` holds cells by `row/column` and facts by key. */
  add(step: Omit<TraceStep, "machine" | "changed" | "violations" | "file"> & { violations?: readonly number[] }, set: Set = {}): void {
    for (const [key, value] of Object.entries(set)) {
      const fact = this.#facts.findIndex((candidate) => candidate.key === key);
      if (fact >= 0) this.#facts[fact] = { ...this.#facts[fact], value: value as string };
      else this.#cells.set(key, typeof value === "string" ? { text: value } : value);
    }
    const machine = this.#machine();
    const changed = changedKeys(this.steps[this.steps.length - 1].machine, machine);
    this.steps.push({ file: 0, violations: [], ...step, machine, changed });
  }
}

const FILE = "file:///scenarios/series/v8-punch-window.memfd";

export function punchWindow(): TraceView {
  const rows = [
    { key: "vm/0", label: "0x0", space: "vm" },
    { key: "vm/1", label: "0x1000", space: "vm" },
    { key: "vm/2", label: "0x2000–0x3fff", space: "vm" },
    { key: "vm/4", label: "0x4000–0xffffffffffff", space: "vm" },
  ];
  const facts: FactRow[] = [
    { key: "file:size", group: "file", name: "ram size", value: "0" },
    { key: "file:seals", group: "file", name: "ram seals", value: "F_SEAL_SEAL" },
    { key: "vm:seq", group: "vm", name: "mmu_notifier_seq", value: "0" },
    { key: "vm:progress", group: "vm", name: "mmu_notifier_count", value: "0" },
    { key: "lock:mmu", group: "lock", name: "vm mmu_lock", value: "free" },
    { key: "lock:inode", group: "lock", name: "ram inode lock", value: "free" },
    { key: "thread:vmm", group: "thread", name: "vmm", value: "running" },
    { key: "thread:vcpu0", group: "thread", name: "vcpu0", value: "not created" },
    { key: "frame:7", group: "frame", name: "frame 7", value: "free, content as found" },
  ];
  const trace = new Recorder(rows, facts);
  setup(trace);
  race(trace);
  return {
    version: 1,
    scenario: "between the punch and the invalidation the guest runs on a page that the file no longer holds",
    kernel: "v8",
    verdict: "pass",
    summary: "Every interleaving explored: 214 states, 371 transitions. One expected violation.",
    schedule: "0*19 1*6 0*2 1 0",
    files: [FILE],
    actors: [
      { name: "vmm", kind: "vmm" },
      { name: "vcpu0", kind: "vcpu" },
    ],
    columns: PAGE_COLUMNS,
    steps: trace.steps,
    violations: [
      {
        invariant: "no-stale-mapping",
        statement: "Every second-level mapping of a gfn points to the frame that the bound file holds for it, outside an open invalidation.",
        message: "The EPT and the TLB of vcpu0 still map gfn 0x1 to frame 7, which the file gave back: the guest runs on memory free to be somebody else's.",
        step: at(trace, "truncate"),
        line: 23,
        expected: true,
      },
    ],
    stories: [
      { title: "no-stale-mapping at hole.truncate", schedule: "0*19 1*6 0*2 1 0" },
      { title: "frame-one-owner at hole.truncate (unexpected)", schedule: "0*19 1*6 0*3" },
    ],
  };
}

const at = (trace: Recorder, name: string): number => trace.steps.findIndex((step) => step.step === name);

function setup(trace: Recorder): void {
  const call =
    (callId: number, line: number, text: string, actor = 0) =>
    (step: string, effect: string, set: Set = {}, result?: string) =>
      trace.add({ actor, call: text, callId, step, effect, line, parallel: false, ...(result === undefined ? {} : { result }) }, set);
  const create = call(0, 5, 'memfd_create("guest-ram", MFD_INACCESSIBLE)');
  create("check_flags", "MFD_INACCESSIBLE stands alone: accepted");
  create("check_name", "9 bytes, below 249");
  create("new_file", "a tmpfs file of size 0");
  create("wrap", 'the shim inode "[memfd:inaccessible]" hides it', { "file:seals": "F_SEAL_SEAL" });
  create("install_fd", "ram is open", {}, "fd");
  const truncate = call(1, 6, "ftruncate(ram, 16K)");
  truncate("check_size_once", "the size was 0: may be set once");
  truncate("set_size", "the file is 16K long", { "file:size": "16K" }, "0");
  const allocate = call(2, 7, "fallocate(ram, 0, 0, 16K)");
  allocate("check_args", "page-aligned");
  allocate("allocate", "frames 6 to 9 are in the file, not cleared", {
    "vm/0/file": { text: "0x0", detail: "offset 0x0 of ram, allocated" },
    "vm/1/file": { text: "0x1000", detail: "offset 0x1000 of ram, allocated" },
    "vm/2/file": { text: "0x2000–0x3fff", detail: "offsets of ram, allocated" },
    "vm/0/frame": "6, ref 1",
    "vm/1/frame": { text: "7, ref 1", detail: "frame 7, held by the file alone" },
    "vm/2/frame": "8…9, ref 1",
    "frame:7": "in ram at 0x1000, content as found",
  });
  allocate("invalidate", "no KVM listens yet", {}, "0");
  call(3, 8, "KVM_CREATE_VM(0)")("create", "vm with no slots", {}, "fd");
  call(4, 9, "KVM_CREATE_VCPU(vm, 0)")("create", "vcpu0 is ready", { "thread:vcpu0": "ready" }, "fd");
  const region = call(
    5,
    10,
    "KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=KVM_MEM_PRIVATE, guest_phys_addr=0, memory_size=16K, private_fd=ram, private_offset=0)",
  );
  region("check_args", "aligned, inside the address space");
  region("bind", "the slot takes the file and registers a notifier");
  region(
    "commit_slot",
    "slot 0 covers gfn 0x0 to 0x3",
    {
      "vm/0/slot": "0",
      "vm/1/slot": "0",
      "vm/2/slot": "0",
      "vm/0/attribute": "private",
      "vm/1/attribute": "private",
      "vm/2/attribute": "private",
    },
    "0",
  );
  const store = call(6, 12, "store(0x1000, 0x41)", 1);
  store("get_page", "frame 7 of the file, a reference more", { "vm/1/frame": "7, ref 2" });
  store("map", "gfn 0x1 → frame 7 in the EPT", { "vm/1/ept": { text: "7", detail: "gfn 0x1 → frame 7, writable, 4K" } });
  store("put_page", "the reference is given back", { "vm/1/frame": "7, ref 1" });
  store("access", "0x41 is in frame 7", { "vm/1/tlb": { text: "vcpu0: 7", detail: "vcpu0's TLB holds gfn 0x1 → frame 7" }, "vm/1/content": "0x41 at +0" }, "0");
}

function race(trace: Recorder): void {
  const step = (actor: number, name: string, effect: string, set: Set, rest: { result?: string; violations?: number[] } = {}): void => {
    const [callId, line, call] =
      actor === 0 ? ([7, 23, "fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0x1000, 4K)"] as const) : ([8, 24, "load(0x1000)"] as const);
    trace.add({ actor, call, callId, step: name, effect, line, parallel: true, ...rest }, set);
  };
  const stale = "no-stale-mapping";
  step(0, "check_args", "FALLOC_FL_PUNCH_HOLE goes with FALLOC_FL_KEEP_SIZE", { "thread:vmm": "fallocate, next check_alignment" });
  step(0, "check_alignment", "offset and length are whole pages", { "thread:vmm": "fallocate, next truncate" });
  step(
    0,
    "truncate",
    "frame 7 leaves the file and is free; the EPT still maps it",
    {
      "thread:vmm": "fallocate, next invalidate",
      "lock:inode": "taken and released",
      "frame:7": "free, yet mapped by vm",
      "vm/1/frame": { text: "", detail: "a hole: the file holds no frame here" },
      "vm/1/file": { text: "0x1000 (hole)", detail: "offset 0x1000 of ram, a hole" },
      "vm/1/ept": { text: "7", detail: "gfn 0x1 → frame 7, writable, 4K", broken: stale },
      "vm/1/tlb": { text: "vcpu0: 7", detail: "vcpu0's TLB holds gfn 0x1 → frame 7", broken: stale },
    },
    { violations: [0] },
  );
  step(1, "access", "vcpu0 reads 0x41 from frame 7 through its TLB", { "thread:vcpu0": "in the guest" }, { result: "0x41" });
  step(
    0,
    "invalidate",
    "begin, zap, flush, end: the handler counts bytes as pages and misses gfn 0x1",
    { "vm:seq": "1", "thread:vmm": "returns" },
    { result: "0" },
  );
}

/** Two vCPUs and the VMM take turns for `steps` steps; machines are shared between neighbours to keep the fixture small. */
export function longTrace(steps: number, actors = 3): TraceView {
  const short = punchWindow();
  const list: TraceStep[] = [short.steps[0]];
  for (let index = 1; index <= steps; index += 1) {
    const like = short.steps[1 + (index % (short.steps.length - 1))];
    const actor = index % actors;
    list.push({
      ...like,
      actor,
      callId: Math.floor(index / (4 * actors)) * actors + actor,
      parallel: index > 50,
      violations: index % 1000 === 0 ? [index / 1000 - 1] : [],
    });
  }
  return {
    ...short,
    steps: list,
    actors: Array.from({ length: actors }, (_, index) => (index === 0 ? { name: "vmm", kind: "vmm" } : { name: `vcpu${index - 1}`, kind: "vcpu" })),
    violations: list.flatMap((step, index) => (step.violations.length > 0 ? [{ ...short.violations[0], step: index, expected: false }] : [])),
    verdict: "fail",
    stories: [],
  };
}
