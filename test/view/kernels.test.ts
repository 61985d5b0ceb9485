// Kernels side by side: verdicts, answers and invariants on which they differ, the first step at which they part, and that nothing is left unsaid.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { analyse } from "../../src/language/index.ts";
import type { KernelsView } from "../../src/view/kernels.ts";
import type { DivergingCall } from "../../src/view/kernels-diverge.ts";
import { kernelsText, sideText } from "../../src/view/kernels-text.ts";
import { sideBySide } from "./side-by-side.ts";

const SCENARIOS = join(import.meta.dirname, "../../scenarios");
const read = (name: string): string => readFileSync(join(SCENARIOS, name), "utf8");
const WINDOW = read("series/v8-punch-window.memfd");
const FEW = ["v4", "v8", "v8-pages", "v8-reordered", "v8-bracketed", "v8-untested", "v8-half"];
const window = (name: string): KernelsView => sideBySide("window.memfd", WINDOW, name, {}, FEW);

const of = (view: KernelsView, kernel: string): number => {
  const index = view.kernels.findIndex((column) => column.kernel === kernel);
  assert.ok(index >= 0, `${kernel} is among the kernels`);
  return index;
};
const lineOf = (text: string, part: string): number => text.slice(0, text.indexOf(part)).split("\n").length;
const parting = (view: KernelsView, kernel: string): { first?: DivergingCall; race?: DivergingCall; calls: number } => {
  const found = view.divergences.find((each) => each.kernel === of(view, kernel));
  assert.ok(found, `${kernel} is held against the reference`);
  return found;
};
const told = (call: DivergingCall | undefined): string[] => {
  assert.ok(call);
  return [`${call.kind} in ${call.call.split("(")[0]}`, sideText(call.left, call.right), sideText(call.right, call.left)];
};

const PUNCH = "between the punch and the invalidation the guest runs on a page that the file no longer holds";

test("the window of v8: a verdict per kernel, variants of the file among them", () => {
  const view = window(PUNCH);
  const verdicts = Object.fromEntries(view.kernels.map((column) => [column.kernel, column.verdict]));
  assert.equal(verdicts["v8-pages"], "pass");
  for (const kernel of ["v4", "v8", "v8-reordered", "v8-bracketed", "v8-half"]) assert.equal(verdicts[kernel], "fail", kernel);
  assert.equal(view.kernels[view.reference].kernel, "v8-pages", "the kernel that the scenario names");
  assert.deepEqual(view.kernels[of(view, "v8-pages")].changes, ["notifier_units = pages"]);
  assert.equal(view.kernels[of(view, "v8-pages")].base, "v8");
  assert.ok(view.unmodelled.length > 0);
  assert.deepEqual(
    view.unmodelled.filter((name) => view.kernels.some((column) => column.kernel === name)),
    [],
  );
});

test("only the calls that answer differently are rows; the reference's answers come first", () => {
  const view = window(PUNCH);
  const [load] = view.calls;
  assert.equal(view.calls.length, 1);
  assert.equal(view.agreed, 8);
  assert.deepEqual([load.actor, load.call, load.line], ["vcpu0", "load(0x1000)", lineOf(WINDOW, "vcpu0 { load(0x1000)")]);
  assert.deepEqual(load.answers[load.cells[view.reference].answer], ["0x41", "as found"]);
  assert.equal(load.cells[view.reference].answer, 0);
  const v4 = load.cells[of(view, "v4")];
  assert.match(load.answers[v4.answer].join(), /KVM_EXIT_MEMORY_ERROR/);
  assert.equal(v4.wrong, true, "the line expects ok");
  assert.equal(load.cells[of(view, "v8")].wrong, false);
  assert.ok(v4.schedule, "a schedule that shows the answer");
});

test("invariants: where they break, where they hold, and at which step", () => {
  const view = window(PUNCH);
  const line = lineOf(WINDOW, "vmm   { fallocate(ram, PUNCH");
  const truncate = view.violations.find((row) => row.invariant === "no-stale-mapping" && row.line === line);
  assert.ok(truncate);
  const state = (kernel: string): string => truncate.cells[of(view, kernel)].state;
  assert.deepEqual(["v8", "v8-pages", "v8-bracketed", "v4"].map(state), ["expected", "expected", "holds", "holds"]);
  assert.equal(truncate.cells[of(view, "v8")].step, "truncate");
  const map = view.violations.find((row) => row.line === line + 1);
  assert.deepEqual(
    ["v8-pages", "v8-reordered"].map((kernel) => map?.cells[of(view, kernel)].state),
    ["holds", "expected"],
  );
});

test("expectations that only some kernels meet are rows of their own, calls that have a row are not repeated", () => {
  const view = window(PUNCH);
  const rows = view.expectations.map((row) => `${row.what} ${row.line}`);
  assert.deepEqual(rows, [
    `expect violation no-stale-mapping ${lineOf(WINDOW, "expect violation no-stale-mapping at hole.truncate\n  forall")}`,
    `forall ept(vm, 0x1000) == frame(ram, 0x1000) ${lineOf(WINDOW, "forall ept(vm, 0x1000)")}`,
  ]);
  const [expected, forall] = view.expectations;
  assert.equal(expected.cells[of(view, "v8-pages")], "");
  assert.match(expected.cells[of(view, "v8-bracketed")] ?? "", /no interleaving breaks/);
  assert.notEqual(forall.cells[of(view, "v8")], "");
});

test("the first step that differs is named with what it does and the locks it does it under", () => {
  const view = window(PUNCH);
  assert.deepEqual(view.story, { kernel: "v8-pages", invariant: "no-stale-mapping" });
  const v4 = parting(view, "v4");
  assert.deepEqual(told(v4.first), ["effect in memfd_create", "install_fd: ram inode: inaccessible shim", "install_fd: ram seals: F_SEAL_SEAL"]);
  const [kind, own, other] = told(v4.race);
  assert.equal(kind, "step in fallocate");
  assert.match(own, /^truncate: page 0x1000 leaves the file/);
  assert.match(other, /^invalidate \(holding .*inode_lock.*folio.*\): the EPT of vm no longer maps gfn 0x1/);
  const [sort, , v8] = told(parting(view, "v8").first);
  assert.equal(sort, "step in fallocate");
  assert.match(v8, /^invalidate: the handler of slot 0 returns at once/, "the same step, which does nothing here");
  const reordered = parting(view, "v8-reordered").first;
  assert.deepEqual([reordered?.left.step, reordered?.right.step], ["truncate", "invalidate"]);
  assert.deepEqual([parting(view, "v8-bracketed").first?.right.step, reordered?.line], ["invalidate_begin", lineOf(WINDOW, "vmm   { fallocate(ram, PUNCH")]);
});

test("the same Programs and Reports give the same rows, and rows are JSON", () => {
  const [one, other] = [window(PUNCH), window(PUNCH)];
  assert.deepEqual(one, other);
  assert.deepEqual(JSON.parse(JSON.stringify(one)), one);
});

const PLAIN = (lines: string, head = "kernel v8"): string => `${head}\nscenario "s" {\n${lines}\n}\n`;

test("kernels that answer alike share a group, and no step differs where nothing does", () => {
  const text = `kernel twin extends v8 { }\n${PLAIN('fd = memfd_create("x", 0)\nftruncate(fd, 4K) = 0')}`;
  const view = sideBySide("a.memfd", text, undefined, {}, ["v4", "v8", "twin"]);
  assert.equal(new Set(view.kernels.map((column) => column.group)).size, 1);
  assert.deepEqual([view.calls, view.agreed, view.violations, view.expectations], [[], 2, [], []]);
  assert.deepEqual(parting(view, "twin"), { kernel: of(view, "twin"), calls: 0 });
  assert.match(kernelsText(view), /^ {2}v4, twin: no step differs$/m);
});

test("checks in another order, without effect here, are told as such and only where nothing louder differs", () => {
  const text = `kernel quiet extends v8 { fallocate.punch_hole without check_alignment }\n${PLAIN('fd = memfd_create("x", MFD_INACCESSIBLE)\nftruncate(fd, 8K)\nfallocate(fd, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K) = 0')}`;
  const view = sideBySide("a.memfd", text);
  const { first, calls } = parting(view, "quiet");
  assert.deepEqual([first?.kind, first?.left.step, first?.right.step, calls], ["silent", "check_alignment", "truncate", 1]);
  assert.match(kernelsText(view), /no effect here/);
});

test("a constant that a kernel does not have leaves the others their answers, and the row says why", () => {
  const text = PLAIN('fd = memfd_create("x", MFD_ALLOW_SEALING)\nfcntl(fd, F_ADD_SEALS, F_SEAL_INACCESSIBLE) = ?', "kernel v4");
  const view = sideBySide("a.memfd", text, undefined, {}, ["v4", "v8"]);
  const v8 = view.kernels[of(view, "v8")];
  assert.equal(v8.verdict, "notRun");
  assert.deepEqual(
    v8.notes.map((note) => note.line),
    [4],
  );
  assert.match(v8.notes[0].message, /F_SEAL_INACCESSIBLE.*does not exist in `v8`/);
  assert.notEqual(view.kernels[of(view, "v4")].verdict, "notRun");
  assert.match(kernelsText(view).replace(/\s+/g, " "), /not run +v8: it cannot be read under this kernel; line 4: `F_SEAL_INACCESSIBLE` does not exist/);
});

test("a call that a kernel does not have is run and noted", () => {
  const view = sideBySide("conversion.memfd", read("series/v8-conversion.memfd"), "arguments");
  const v4 = view.kernels[of(view, "v4")];
  assert.equal(v4.notes.length, 4);
  const [row] = view.calls;
  assert.deepEqual([row.answers[row.cells[of(view, "v8")].answer], row.answers[row.cells[of(view, "v4")].answer]], [["-EINVAL"], ["-ENOTTY"]]);
  const text = kernelsText(view).replace(/\s+/g, " ");
  assert.match(text, /lines 37, 38, 39, 40: `KVM_MEMORY_ENCRYPT_REG_REGION` does not exist in `v4`/, "said once, of all its lines");
});

test("a run that was cut short never says that something holds", () => {
  const view = sideBySide("window.memfd", WINDOW, PUNCH, { maxStates: 2 });
  const cut = view.kernels.filter((column) => column.verdict !== "notRun" && !column.complete);
  assert.ok(cut.length > 0, "the limit was hit");
  for (const column of cut) {
    const at = of(view, column.kernel);
    assert.ok(column.verdict !== "pass" && column.reason !== undefined, column.kernel);
    for (const row of view.violations) assert.notEqual(row.cells[at].state, "holds", `${row.invariant} under ${column.kernel}`);
    for (const row of view.calls) assert.ok(row.cells[at].partial || row.cells[at].answer < 0);
    for (const row of view.expectations) assert.notEqual(row.cells[at], "");
  }
  assert.match(kernelsText(view), /not all: /);
});

test("calls of a repeat and of a setup that is used twice are told apart", () => {
  const body = 'fd = memfd_create("x", MFD_INACCESSIBLE)\nrepeat 3 as i { fallocate(fd, 0, 0x800 * i, 4K) }';
  const view = sideBySide("a.memfd", PLAIN(body));
  const rows = view.calls.filter((row) => row.call.startsWith("fallocate"));
  assert.equal(view.calls.length + view.agreed, 4);
  assert.equal(new Set(rows.map((row) => row.key)).size, rows.length);
  for (const row of rows) assert.equal(row.line, 4);
});

test("a call that waits for ever under one kernel is told as waiting", () => {
  const half = "kernel half extends v8 { notifier_units = pages; fallocate.punch_hole = check_alignment, invalidate_begin, truncate }";
  const setup = WINDOW.slice(WINDOW.indexOf("setup one-private-page"), WINDOW.indexOf("setup punch-against-load"));
  const text = `${half}\n${setup}\n${PLAIN("use one-private-page\nfallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0x1000, 4K)\nvcpu0: load(0x1000)")}`;
  const view = sideBySide("a.memfd", text);
  const load = view.calls.find((row) => row.call === "load(0x1000)");
  assert.deepEqual(load?.answers[load.cells[of(view, "half")].answer], [], "never answers");
  assert.match(kernelsText(view), /never reached/);
  assert.equal(parting(view, "half").first?.right.step, "invalidate_begin");
});

test("the text: at most 80 columns, every kernel named, for every scenario that ships", () => {
  const files = readdirSync(SCENARIOS, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".memfd"));
  for (const file of files) {
    const text = read(file);
    for (const { name } of analyse(file, text, { imports: () => undefined }).outline) {
      const view = sideBySide(file, text, name);
      const lines = kernelsText(view).split("\n");
      for (const line of lines) assert.ok(line.length <= 80 && line === line.trimEnd(), `${file}: ${line}`);
      const flat = lines.join(" ").replace(/\s+/g, " ");
      for (const known of [...view.kernels.map((column) => column.kernel), ...view.unmodelled]) assert.ok(flat.includes(known), `${known} in ${flat}`);
      for (const row of view.calls) assert.ok(new Set(row.cells.map((cell) => cell.answer)).size > 1, "a row has at least two answers");
    }
  }
});

test("twelve kernels that all differ still fit", () => {
  const names = Array.from({ length: 12 }, (_, index) => `variant-with-a-long-name-${index}`);
  const view = window(PUNCH);
  const [load] = view.calls;
  const kernels = names.map((kernel, group) => ({ ...view.kernels[0], kernel, group }));
  const answers = names.map((_, index) => [`0x${index}`]);
  const cells = names.map((_, answer) => ({ answer, partial: answer % 2 === 0, wrong: answer % 3 === 0 }));
  const text = kernelsText({ ...view, kernels, reference: 0, calls: [{ ...load, answers, cells }], violations: [], expectations: [], divergences: [] });
  const lines = text.split("\n");
  assert.ok(lines.every((line) => line.length <= 80));
  const row = lines.find((line) => line.includes("load(0x1000)")) ?? "";
  assert.deepEqual(row.trim().split(/\s+/).slice(-12), ["!A?", "B", "C?", "!D", "E?", "F", "!G?", "H", "I?", "!J", "K?", "L"]);
  assert.ok(lines.some((line) => /differently +1 +2 +3 +4 +5 +6 +7 +8 +9 +10 +11 +12$/.test(line)));
});

test("more kernels than have room beside the calls are told by their numbers", () => {
  const view = window(PUNCH);
  const [load] = view.calls;
  const kernels = Array.from({ length: 30 }, (_, group) => ({ ...view.kernels[0], kernel: `k${group}`, group }));
  const cells = kernels.map((_, index) => ({ answer: index % 3, partial: false, wrong: false }));
  const text = kernelsText({
    ...view,
    kernels,
    reference: 0,
    calls: [{ ...load, answers: [["0x0"], ["0x1"], ["0x2"]], cells }],
    violations: [],
    expectations: [],
    divergences: [],
  });
  assert.ok(text.split("\n").every((line) => line.length <= 80));
  assert.match(text.replace(/\s+/g, " "), /load\(0x1000\) A 1 4 7 10 13 16 19 22 25 28, B 2 5 8 .* 29, C 3 6 .* 30 A 0x0 B 0x1 C 0x2/);
});

test("nothing that can be run: every kernel is still a row", () => {
  const view = sideBySide("a.memfd", PLAIN("nonsense(1)"));
  assert.equal(view.reference, -1);
  assert.ok(view.kernels.length >= 2 && view.kernels.every((column) => column.verdict === "notRun" && column.notes.length > 0));
  assert.match(kernelsText(view), /not run/);
});
