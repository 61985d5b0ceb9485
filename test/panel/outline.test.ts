// The timeline's rows without a DOM: what is folded, what is joined, where the cursor and the editor's line lead, and what is said.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fileName } from "../../src/base/file-name.ts";
import { readMessage } from "../../src/panel/host.ts";
import { statesOf } from "../../src/panel/kernels-words.ts";
import { firstCursor, outline, rowOfStep, stepAtLine } from "../../src/panel/outline.ts";
import { Player, target } from "../../src/panel/player.ts";
import { announcement, blameSentence, callName } from "../../src/panel/words.ts";
import { summary } from "../../src/server/lenses.ts";
import type { KernelColumn, KernelsView } from "../../src/view/kernels.ts";
import type { TraceStep, TraceView } from "../../src/view/rows.ts";
import { storyText } from "../../src/view/story.ts";
import { traceText } from "../../src/view/text.ts";
import { traceOf } from "./tdx-trace.ts";
import { longTrace, punchWindow } from "./traces.ts";

const trace = punchWindow();
const named = (name: string): number => trace.steps.findIndex((step) => step.step === name);
const FILE = trace.files[0];

test("outside parallel a call is one row until it is opened; inside, every atomic step is one", () => {
  const rows = outline(trace, new Set());
  const text = rows.map((row) => `${row.kind} ${row.first}${row.last > row.first ? `-${row.last}` : ""}`);
  assert.deepEqual(text.slice(0, 4), ["start 0", "call 1-5", "call 6-7", "call 8-10"]);
  assert.deepEqual(text.slice(-9), ["band 20", "caption 20", "step 20", "step 21", "step 22", "violation 22", "caption 23", "step 23", "step 24"]);
  assert.equal(outline(trace, new Set([1])).length, rows.length + 5);
});

test("a call's steps stay joined while another actor runs between them", () => {
  const rows = outline(trace, new Set());
  const access = rows.find((row) => row.kind === "step" && row.first === 23);
  assert.ok(access);
  assert.equal(access.actor, 1);
  assert.equal(access.through, 1, "vmm's fallocate is open across the guest's access");
  assert.deepEqual(
    rows.filter((row) => row.kind === "step" && row.actor === 0).map((row) => [row.up, row.down]),
    [
      [true, true],
      [true, true],
      [true, true],
      [true, false],
    ],
  );
});

const randomTrace = fc
  .array(fc.record({ actor: fc.nat(3), parallel: fc.boolean(), call: fc.nat(2), breaks: fc.boolean() }), { minLength: 1, maxLength: 60 })
  .map((list): TraceView => {
    const steps: TraceStep[] = [trace.steps[0]];
    const violations: TraceView["violations"][number][] = [];
    for (const item of list) {
      if (item.breaks) violations.push({ ...trace.violations[0], step: steps.length });
      steps.push({
        ...trace.steps[1],
        actor: item.actor,
        callId: item.actor * 3 + item.call,
        parallel: item.parallel,
        violations: item.breaks ? [violations.length - 1] : [],
      });
    }
    return { ...trace, steps, violations };
  });

test("every step is shown by exactly the row that the cursor finds, whatever is unfolded", () => {
  fc.assert(
    fc.property(randomTrace, fc.uniqueArray(fc.nat(60)), (any, open) => {
      const rows = outline(any, new Set(open));
      for (let step = 0; step < any.steps.length; step += 1) {
        const showing = rows.flatMap((row, index) =>
          (row.kind === "start" || row.kind === "step" || (row.kind === "call" && row.open !== true)) && row.first <= step && step <= row.last ? [index] : [],
        );
        assert.deepEqual([rowOfStep(rows, step)], showing, `step ${step}`);
      }
      assert.equal(rows.filter((row) => row.kind === "violation").length, any.violations.length);
    }),
  );
});

test("bars neither begin nor end in the air", () => {
  fc.assert(
    fc.property(randomTrace, (any) => {
      const rows = outline(any, new Set());
      for (const lane of [0, 1, 2, 3]) {
        const marks = rows.map((row) =>
          row.actor === lane && row.kind !== "violation" ? [row.up, row.down] : [(row.through & (1 << lane)) !== 0, (row.through & (1 << lane)) !== 0],
        );
        const inside = rows.map((row) => row.parallel);
        for (let index = 1; index < rows.length; index += 1) {
          if (inside[index] && inside[index - 1] && rows[index].kind !== "band")
            assert.equal(marks[index - 1][1], marks[index][0], `lane ${lane}, row ${index}`);
        }
      }
    }),
  );
});

test("moves: steps, rows, violations, ends", () => {
  const rows = outline(trace, new Set());
  const from = (cursor: number, move: Parameters<typeof target>[3]): number => target(trace, rows, cursor, move);
  assert.equal(from(0, "next"), 1);
  assert.equal(from(0, "previous"), 0);
  assert.equal(from(0, "down"), 5, "a folded call is left at its end");
  assert.equal(from(3, "down"), 7);
  assert.equal(from(5, "up"), 0);
  assert.equal(from(0, "nextViolation"), named("truncate"));
  assert.equal(from(named("truncate"), "nextViolation"), named("truncate"), "there is no other");
  assert.equal(from(24, "previousViolation"), named("truncate"));
  assert.equal(from(3, "last"), 24);
});

test("the panel opens on what breaks, the unexpected first", () => {
  assert.equal(firstCursor(trace), named("truncate"));
  assert.equal(firstCursor({ ...trace, violations: [...trace.violations, { ...trace.violations[0], step: 23, expected: false }] }), 23);
  assert.equal(firstCursor({ ...trace, violations: [] }), 24);
});

test("the editor's line leads to the step that breaks there, else to the end of its call, and nowhere when already there", () => {
  assert.equal(stepAtLine(trace, FILE, 23, 0), named("truncate"));
  assert.equal(stepAtLine(trace, FILE, 5, 24), 5);
  assert.equal(stepAtLine(trace, FILE, 5, 2), undefined);
  assert.equal(stepAtLine(trace, FILE, 99, 0), undefined);
  assert.equal(stepAtLine(trace, "file:///other.memfd", 23, 0), undefined);
});

test("what the screen reader hears", () => {
  assert.equal(
    announcement(trace, named("truncate")),
    "step 22 of 24: vmm fallocate truncate – frame 7 leaves the file and is free; the EPT still maps it. Breaks no-stale-mapping",
  );
  assert.match(announcement(trace, 24), /Returns 0$/);
  assert.equal(blameSentence(trace, "EPT of 0x1000", 17, 22), "EPT of 0x1000: last changed by step 17, vcpu0 store map");
  assert.equal(blameSentence(trace, "EPT of 0x0", undefined, 22), "EPT of 0x0: as it was before the first step");
  assert.equal(callName("fallocate(ram, 0)"), "fallocate");
  assert.equal(fileName("file:///c%3A/x/my%20race.memfd"), "my race.memfd");
  assert.equal(fileName("100%.memfd"), "100%.memfd");
});

test("messages: ours pass, a broken trace is refused with its reason, others' are left alone", () => {
  assert.equal(readMessage({ type: "trace", trace })?.type, "trace");
  assert.deepEqual(readMessage({ type: "trace", trace: { ...trace, version: 2 } }), {
    type: "refused",
    reason: "the trace has version 2 and this panel reads version 1; reload the window",
  });
  assert.equal(readMessage({ type: "trace" })?.type, "refused");
  assert.equal(readMessage({ type: "trace", trace: { ...trace, violations: [{ ...trace.violations[0], step: 99 }] } })?.type, "refused");
  assert.equal(readMessage({ type: "select", file: FILE, line: 3 })?.type, "select");
  for (const foreign of [undefined, null, 7, "trace", [], { type: "select" }, { type: "select", file: 1, line: 2 }, { command: "x" }])
    assert.equal(readMessage(foreign), undefined);
});

test("playing goes on while told to, and stops for good", (context) => {
  context.mock.timers.enable({ apis: ["setInterval"] });
  let beats = 0;
  const player = new Player(
    () => (beats += 1) < 3,
    () => {},
  );
  player.toggle();
  assert.equal(beats, 1, "the first step does not wait");
  context.mock.timers.tick(10_000);
  assert.equal(beats, 3);
  assert.equal(player.playing, false);
});

test("twenty thousand steps are laid out in a blink", () => {
  const long = longTrace(20_000);
  const began = performance.now();
  const rows = outline(long, new Set());
  for (let step = 0; step < long.steps.length; step += 7) rowOfStep(rows, step);
  assert.ok(rows.length > 20_000);
  assert.ok(performance.now() - began < 20_000, `${performance.now() - began} ms`);
});

test("a call that returns nothing has no result, in the timeline's rows, in text and for the screen reader", () => {
  const view = traceOf('kernel 6.18\nram = memfd_create("ram", 0)\nchild = fork()\nsend_fd(ram, child)\nclose(ram)\n');
  const last = (call: string): number => view.steps.findLastIndex((step) => step.call.startsWith(call));
  assert.equal(view.steps[last("send_fd")].result, "");
  assert.equal(view.steps[last("close")].result, "0");
  assert.match(announcement(view, last("send_fd")), /\. Returns$/);
  assert.match(announcement(view, last("close")), /\. Returns 0$/);
  for (const text of [traceText(view), storyText(view)]) {
    assert.match(text, /send_fd\(ram, child\)(?! =)/);
    assert.match(text, /close\(ram\) = 0/);
  }
});

test("counts of states are grouped where people read them", () => {
  const column = (states: number) => ({ states }) as KernelColumn;
  const view = { kernels: [column(1_234_567), column(999), column(1)] } as unknown as KernelsView;
  assert.equal(statesOf(view, [0]), "1,234,567 states");
  assert.equal(statesOf(view, [1, 0]), "999–1,234,567 states");
  assert.equal(statesOf(view, [2]), "1 state");
  const verdict = { scenario: "s", kernel: "v8", state: "pass", line: 1, states: 22_698 } as const;
  assert.equal(summary([verdict]), "✓ pass · 22,698 states");
});
