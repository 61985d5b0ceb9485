// The long form of a story as text: who does which step, where a rule breaks, the page tables at that moment; never wider than 80 columns.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Cell, type ColumnId, type MachineView, PAGE_COLUMNS, type PageRow, type TraceStep, type TraceView } from "../../src/view/rows.ts";
import { traceText } from "../../src/view/text.ts";

const row = (key: string, cells: Partial<Record<ColumnId, Cell>>): PageRow => ({
  key,
  label: "0x1000",
  space: "vm",
  cells: Object.fromEntries(PAGE_COLUMNS.map(({ id }) => [id, cells[id] ?? { text: "" }])) as Record<ColumnId, Cell>,
});
const machine = (cells: Partial<Record<ColumnId, Cell>>): MachineView => ({
  pages: [row("vm/1", cells)],
  facts: [{ key: "vm:seq", group: "vm", name: "mmu_notifier_seq", value: "3" }],
});
const EMPTY = machine({});
const MAPPED = machine({ file: { text: "0x1000" }, ept: { text: "7" } });
const STALE = machine({ file: { text: "hole" }, ept: { text: "7", detail: "gfn 0x1 → frame 7", broken: "no-stale-mapping" } });

const step = (fields: Partial<TraceStep>): TraceStep => ({
  actor: 0,
  call: "",
  callId: 0,
  step: "check_args",
  effect: "",
  file: 0,
  line: 1,
  machine: EMPTY,
  changed: [],
  violations: [],
  parallel: false,
  ...fields,
});

function view(steps: readonly TraceStep[], fields: Partial<TraceView> = {}): TraceView {
  return {
    version: 1,
    scenario: "the guest runs on a page that the file gave back",
    kernel: "v8",
    verdict: "fail",
    summary: "12 states, all interleavings.",
    schedule: "b a2",
    files: ["a.memfd"],
    actors: [
      { name: "vmm", kind: "vmm" },
      { name: "vcpu0", kind: "vcpu" },
    ],
    columns: PAGE_COLUMNS,
    steps: [step({ actor: -1 }), ...steps],
    violations: [],
    stories: [],
    ...fields,
  };
}

const PUNCH = "fallocate(ram, FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE, 0x1000, 4K)";
const RACE = view(
  [
    step({
      actor: 1,
      call: "store(0x1000, 0x41)",
      callId: 1,
      step: "map",
      effect: "installs frame 7",
      machine: MAPPED,
      changed: ["vm/1/ept", "vm/1/file"],
      line: 5,
      result: "ok",
    }),
    step({ call: PUNCH, callId: 2, step: "check_alignment", effect: "whole pages", parallel: true, machine: MAPPED, line: 9 }),
    step({
      call: PUNCH,
      callId: 2,
      step: "truncate",
      effect: "frame 7 leaves the file",
      parallel: true,
      machine: STALE,
      changed: ["vm/1/file", "vm/1/ept/x"],
      violations: [0],
      line: 9,
    }),
    step({
      actor: 1,
      call: "load(0x1000)",
      callId: 3,
      step: "access",
      effect: "reads 0x41 from frame 7",
      parallel: true,
      machine: STALE,
      line: 10,
      result: "0x41",
    }),
    step({ call: PUNCH, callId: 2, step: "invalidate", effect: "zaps gfn 0x1", parallel: true, machine: EMPTY, line: 9, result: "0" }),
  ],
  {
    violations: [
      { invariant: "no-stale-mapping", statement: "Mappings lead to the file's frames.", message: "frame 7 is free", step: 3, line: 9, expected: true },
    ],
  },
);

test("the race of the punch is told in two lanes, with the rule, the reason and the tables", () => {
  assert.equal(
    traceText(RACE),
    `"the guest runs on a page that the file gave back"
Kernel v8: MFD_INACCESSIBLE series, version 8 (wrapper inode over tmpfs, punch
  before invalidate)

no-stale-mapping breaks in step 3 (vmm, fallocate: truncate), line 9, as the
scenario expects.
  Rule: Mappings lead to the file's frames.
  Here: frame 7 is free

First, one after the other:

  1  vcpu0  store(0x1000, 0x41) = ok

Then vmm and vcpu0 run at the same time:

      vmm                                   vcpu0
      ------------------------------------  ------------------------------------
      fallocate(ram, FALLOC_FL_KEEP_SIZE|
          FALLOC_FL_PUNCH_HOLE, 0x1000,
          4K)
   2    check_alignment: whole pages
   3    truncate: frame 7 leaves the file
        !! no-stale-mapping breaks here
                                            load(0x1000)
   4                                          access: reads 0x41 from frame 7
                                            = 0x41
   5    invalidate: zaps gfn 0x1
      = 0

Memory after step 3 (vmm, fallocate: truncate):

  address  file offset  EPT
  -------  -----------  ---
  0x1000   hole*        7!

  ! breaks the rule   * changed by this step

  - EPT of 0x1000: gfn 0x1 -> frame 7; since step 1 (vcpu0, store: map), line 5

  mmu_notifier_seq  3

Verdict: fail. 12 states, all interleavings.
The steps are those of a model of this kernel, sequentially consistent; time and
memory barriers are not modelled.
Schedule: b a2
`,
  );
});

test("a rule that breaks outside a parallel block shows the steps of that call only", () => {
  const text = traceText(
    view(
      [
        step({ call: 'memfd_create("a", 0)', callId: 1, step: "new_file", effect: "an inode", result: "fd" }),
        step({ call: 'memfd_create("b", MFD_INACCESSIBLE)', callId: 2, step: "set_marker", effect: "seals stay F_SEAL_SEAL" }),
        step({ call: 'memfd_create("b", MFD_INACCESSIBLE)', callId: 2, step: "install_fd", effect: "visible", violations: [0], result: "fd" }),
      ],
      { kernel: "v4", violations: [{ invariant: "inaccessible-marked", statement: "Marked.", message: "no mark", step: 3, line: 2, expected: false }] },
    ),
  );
  assert.match(text, /inaccessible-marked breaks in step 3 \(vmm, memfd_create: install_fd\), line 2\.\n/);
  assert.match(text, /1 {2}vmm {2}memfd_create\("a", 0\) = fd\n/);
  assert.ok(!text.includes("an inode"));
  assert.match(
    text,
    /2-3 {2}vmm {2}memfd_create\("b", MFD_INACCESSIBLE\) = fd\n +set_marker: seals stay F_SEAL_SEAL\n +install_fd: visible\n +!! inaccessible-marked breaks here/,
  );
});

test("a variant says what it changes, and four actors are listed below each other", () => {
  const actors = ["vmm", "a", "b", "c"].map((name) => ({ name, kind: "host" as const }));
  const steps = actors.map((_, actor) => step({ actor, call: "close(ram)", callId: actor, step: "drop_fd", effect: "x", parallel: true }));
  const text = traceText(view(steps, { actors, kernel: "v8-bracketed", variant: { base: "v8", changes: ["notifier_units = pages"] } }));
  assert.match(text, /^Kernel v8-bracketed\n {4}v8-bracketed is v8 with\n {6}notifier_units = pages\n/m);
  assert.match(text, /Then vmm, a, b and c run at the same time:/);
  assert.match(text, /\n {5}c {4}close\(ram\)\n {3}4 {8}drop_fd: x/);
});

test("a scenario that runs nothing still says so", () => {
  const text = traceText(view([], { violations: [], verdict: "pass" }));
  assert.match(text, /Memory before anything ran:/);
  assert.match(text, /no page is mapped or allocated/);
  assert.ok(traceText({ ...view([]), steps: [] }).includes("Verdict: fail."));
});

test("no line is wider than 80 columns, whatever names and effects are", () => {
  const words = fc.string({ unit: "grapheme", maxLength: 120 });
  const steps = fc.array(
    fc.record({
      actor: fc.integer({ min: 0, max: 3 }),
      call: words,
      callId: fc.nat(6),
      step: fc.stringMatching(/^[a-z_]{1,20}$/),
      effect: words,
      parallel: fc.boolean(),
      result: words,
    }),
    { maxLength: 20 },
  );
  fc.assert(
    fc.property(steps, words, words, (list, scenario, value) => {
      const cells = machine({ file: { text: value }, content: { text: value, broken: "x" } });
      const actors = ["vmm", "vcpu0", "reclaimer", "x"].map((name) => ({ name, kind: "host" as const }));
      const text = traceText(
        view(
          list.map((each) => step({ ...each, machine: cells, changed: ["vm/1/file"] })),
          { scenario, actors },
        ),
      );
      for (const line of text.split("\n")) assert.ok(line.length <= 80, `${line.length}: ${line}`);
    }),
  );
});
