// Changed cells between two machines, and blame against a slow reading of the same trace.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Blame, cellKey, changedKeys, diffMachines } from "../../src/view/diff.ts";
import { type Cell, type ColumnId, type FactRow, type MachineView, PAGE_COLUMNS, type PageRow } from "../../src/view/rows.ts";

function page(key: string, cells: Partial<Record<ColumnId, Cell>> = {}): PageRow {
  const all = Object.fromEntries(PAGE_COLUMNS.map(({ id }) => [id, cells[id] ?? { text: "" }])) as Record<ColumnId, Cell>;
  return { key, label: key, space: "vm", cells: all };
}
const fact = (key: string, value: string): FactRow => ({ key, group: "lock", name: key, value });
const machine = (pages: PageRow[], facts: FactRow[] = []): MachineView => ({ pages, facts });

test("a cell counts as changed by its text or its detail, with what it was", () => {
  const before = machine([page("vm/0", { ept: { text: "7", detail: "writable" }, frame: { text: "7" } })]);
  const after = machine([page("vm/0", { ept: { text: "7", detail: "read-only" }, frame: { text: "" } })]);
  assert.deepEqual(diffMachines(before, after), [
    { key: "vm/0/frame", before: "7", after: "" },
    { key: "vm/0/ept", before: "7", after: "7" },
  ]);
});

test("a cell that another step's deed makes wrong has not itself changed", () => {
  const before = machine([page("vm/0", { ept: { text: "7" } })]);
  const after = machine([page("vm/0", { ept: { text: "7", broken: "no-stale-mapping" } })]);
  assert.deepEqual(changedKeys(before, after), []);
});

test("rows that come and go count with their filled cells, whatever their order", () => {
  const a = page("vm/0", { slot: { text: "0" } });
  const b = page("vm/1", { tlb: { text: "vcpu0: 3" } });
  assert.deepEqual(changedKeys(machine([a]), machine([b, a])), ["vm/1/tlb"]);
  assert.deepEqual(diffMachines(machine([a, b]), machine([a])), [{ key: "vm/1/tlb", before: "vcpu0: 3", after: undefined }]);
  assert.deepEqual(changedKeys(machine([a, b]), machine([b, a])), []);
});

test("facts: changed, new and gone", () => {
  const before = machine([], [fact("mmu", "free"), fact("old", "1"), fact("same", "x")]);
  const after = machine([], [fact("mmu", "vmm"), fact("same", "x"), fact("new", "2")]);
  assert.deepEqual(diffMachines(before, after), [
    { key: "mmu", before: "free", after: "vmm" },
    { key: "new", before: undefined, after: "2" },
    { key: "old", before: "1", after: undefined },
  ]);
});

const cells = fc.dictionary(fc.constantFrom(...PAGE_COLUMNS.map(({ id }) => id)), fc.record({ text: fc.constantFrom("", "1", "2") }));
const machines = fc.record({
  pages: fc.dictionary(fc.constantFrom("vm/0", "vm/1", "a/b/c"), cells).map((rows) => Object.entries(rows).map(([key, value]) => page(key, value))),
  facts: fc.dictionary(fc.constantFrom("lock", "seq"), fc.constantFrom("1", "2")).map((rows) => Object.entries(rows).map(([key, value]) => fact(key, value))),
});

test("nothing changes against itself; the same keys change in both directions", () => {
  fc.assert(
    fc.property(machines, machines, (a, b) => {
      assert.deepEqual(changedKeys(a, a), []);
      assert.deepEqual(changedKeys(a, b).sort(), changedKeys(b, a).sort());
    }),
  );
});

test("blame answers what a walk back over the steps answers", () => {
  const keys = fc.constantFrom("vm/0/ept", "vm/1/tlb", "seq");
  fc.assert(
    fc.property(fc.array(fc.record({ changed: fc.array(keys, { maxLength: 4 }) }), { maxLength: 30 }), fc.nat(35), keys, (steps, at, key) => {
      let expected: number | undefined;
      steps.forEach((step, index) => {
        if (index <= at && step.changed.includes(key)) expected = index;
      });
      assert.equal(new Blame(steps).last(key, at), expected);
    }),
  );
});

test("a row key may hold slashes", () => {
  assert.equal(cellKey("file/ram/0x1000", "frame"), "file/ram/0x1000/frame");
});
