// Which order saves it? The punch of series v8 and races like it: what is suggested is run again here, as a text, with every invariant watched; what only looks
// like an answer is refused, and the schedule that refuses it is run too.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { check } from "../../src/check/index.ts";
import { type Suggestion, type Suggestions, type SuggestOptions, suggest } from "../../src/check/suggest/index.ts";
import { editsAt, isFlat, MOST_COST } from "../../src/check/suggest/steps.ts";
import { analyse } from "../../src/language/index.ts";
import { PROFILES } from "../../src/model/profile/index.ts";
import { printProgram } from "../../src/scenario/print.ts";
import type { Program } from "../../src/scenario/program.ts";
import { suggestionsText } from "../../src/view/suggestions.ts";
import { program, programs, still } from "../model/support.ts";
import { GUEST } from "./punch.ts";

const RACE = `  parallel {
    vmm   { fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0x1000, 4K) = 0 }
    vcpu0 { load(0x1000) = ok }
  }
`;
const KERNELS = `kernel v8-pages extends v8 { notifier_units = pages }
kernel v8-swapped extends v8-pages { fallocate.punch_hole = check_alignment, invalidate, truncate }
kernel v8-bracketed extends v8-pages { fallocate.punch_hole = check_alignment, invalidate_begin, truncate, invalidate_end }
kernel v8-half extends v8-bracketed { fallocate.punch_hole without invalidate_end }
kernel v8-untested extends v8-bracketed { private_fault_check = folio_lock }
kernel v8-late extends v8-bracketed { fault = find_slot, check_kind, get_page, snapshot, gup, map, put_page }
`;
const punch = (kernel: string, watch: string, race = RACE): string => `${KERNELS}scenario "punch" {\n  kernel ${kernel}\n  ${watch}\n${GUEST}${race}}\n`;

function suggestions(text: string, options: Partial<SuggestOptions> = {}): { program: Program; answer: Suggestions } {
  const one = program(text);
  return { program: one, answer: suggest(one, check(one, { now: still }), { now: still, ...options }) };
}

const broken = (one: Program): string[] => [...new Set(check(one, { now: still }).violations.map((violation) => violation.invariant))].sort();

/** Runs a suggestion again, without any of the code that made it: the watched invariants, then all of them against the unchanged scenario. */
function holds(before: Program, { program: after, removes, remains, title }: Suggestion): void {
  const report = check(after, { now: still });
  assert.ok(report.exploration.complete, title);
  const gone = removes.filter((name) => !name.includes(" "));
  assert.deepEqual(
    report.violations.filter((violation) => gone.includes(violation.invariant)).map((violation) => violation.message),
    [],
    title,
  );
  if (remains.length === 0) assert.equal(report.verdict, "pass", title);
  const everything = (one: Program): string[] => broken({ ...one, watch: {}, expected: [] });
  const worse = everything(after).filter((name) => !everything(before).includes(name) || gone.includes(name));
  assert.deepEqual(worse, [], title);
  const printed = printProgram(after);
  assert.equal(printProgram(program(printed)), printed, "the changed scenario is a text too");
}

describe("the punch of v8", () => {
  it("is saved by begin and end around it, and not by the plain swap", () => {
    const { program: one, answer } = suggestions(punch("v8-pages", "check no-stale-mapping"));
    assert.deepEqual(
      answer.suggestions.map(({ kind, text }) => [kind, text]),
      [["steps", "kernel v8-pages-bracketed extends v8-pages {\n  fallocate.punch_hole = check_alignment, invalidate_begin, truncate,\n    invalidate_end\n}"]],
    );
    for (const suggestion of answer.suggestions) holds(one, suggestion);
    assert.ok(answer.complete);
    assert.ok(answer.notes.includes("no order between the calls of the scenario does it"));
    const swap = answer.refused.find((refusal) => refusal.title === "fallocate.punch_hole = check_alignment, invalidate, truncate");
    assert.match(swap?.reason ?? "", /^no-stale-mapping still breaks at load\.map$/);
    assert.match(swap?.steps ?? "", /vmm: check_alignment, invalidate; vcpu0: .*get_page; vmm: truncate; vcpu0: (gup, )?map$/);
  });

  it("as posted needs more than an order, and that is said", () => {
    const { program: one, answer } = suggestions(punch("v8", "check no-stale-mapping"));
    assert.equal(answer.suggestions.length, 1);
    const [suggestion] = answer.suggestions;
    assert.equal(suggestion.kind, "steps+feature");
    assert.deepEqual(suggestion.text.split("\n").slice(1, 3), ["  notifier_units = pages", "  fresh_page = zeroed"]);
    assert.match(suggestion.text, /invalidate_begin, truncate,\n {4}invalidate_end/);
    holds(one, suggestion);
    assert.ok(answer.notes.includes("no order of steps alone does it: notifier_units and fresh_page must change too"));
    const half = answer.refused.find(({ title }) => title.startsWith("notifier_units = pages; fallocate.punch_hole = check_alignment, invalidate_begin"));
    assert.match(half?.reason ?? "", /^then zeroed-on-allocation breaks/);
    assert.equal(half?.gone, true);
  });

  it("swapped is saved by an order of the scenario too", () => {
    const { program: one, answer } = suggestions(punch("v8-swapped", "check no-stale-mapping"));
    const orders = answer.suggestions.filter(({ kind }) => kind === "order");
    assert.ok(orders.some(({ text }) => text === "order punch before load.get_page"));
    assert.deepEqual(new Set(orders.flatMap(({ labels }) => labels.map(({ label }) => label))), new Set(["punch", "load"]));
    assert.ok(answer.suggestions.some(({ kind, text }) => kind === "steps" && text.includes("invalidate_begin, truncate,")));
    for (const suggestion of answer.suggestions) holds(one, suggestion);
  });

  it("without its end gets it back behind the punch", () => {
    const { program: one, answer } = suggestions(
      punch("v8-half", "check invalidate-balanced", "  fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0x1000, 4K) = 0\n"),
    );
    assert.deepEqual(
      answer.suggestions.map(({ title }) => title),
      ["fallocate.punch_hole = check_alignment, invalidate_begin, truncate, invalidate_end"],
    );
    for (const suggestion of answer.suggestions) holds(one, suggestion);
  });
});

describe("the fault", () => {
  it("that takes its snapshot too late takes it before it looks the page up", () => {
    const { program: one, answer } = suggestions(punch("v8-late", "check no-stale-mapping, no-lost-invalidation"));
    const steps = answer.suggestions.filter(({ kind }) => kind === "steps");
    assert.ok(steps.length > 0);
    for (const suggestion of steps) {
      const list = suggestion.title.replace("fault = ", "").split(", ");
      assert.ok(list.indexOf("snapshot") < list.indexOf("get_page"), suggestion.title);
    }
    for (const suggestion of answer.suggestions) holds(one, suggestion);
  });

  it("that does not test the counter is saved by the test", () => {
    const { program: one, answer } = suggestions(punch("v8-untested", "check no-stale-mapping, no-lost-invalidation"));
    assert.ok(answer.suggestions.some(({ kind, title }) => kind === "feature" && title === "private_fault_check = seq"));
    for (const suggestion of answer.suggestions) holds(one, suggestion);
  });
});

describe("several goals", () => {
  it("are removed by one variant where one can", () => {
    const { program: one, answer } = suggestions(punch("v8-pages", ""));
    assert.deepEqual([...answer.goals].sort(), ["no-stale-mapping", "zeroed-on-allocation"]);
    assert.ok(answer.suggestions.length > 0);
    for (const suggestion of answer.suggestions) {
      assert.deepEqual(suggestion.remains, []);
      holds(one, suggestion);
    }
  });

  it("two wrong results take two orders", () => {
    const { program: one, answer } = suggestions(`kernel v8
scenario "x" {
  ram = memfd_create("ram", 0)
  ftruncate(ram, 16K) = 0
  parallel {
    first  { pwrite(ram, "a", 0) = 1 @put }
    second { pread(ram, 1, 0) = 1 "a" @get }
    third  { pread(ram, 1, 0) = 1 "a" @look }
  }
}`);
    assert.deepEqual(answer.suggestions[0].text.split("\n").sort(), [
      "order put.write_chunk before get.read_page",
      "order put.write_chunk before look.read_page",
    ]);
    assert.deepEqual(answer.suggestions[0].labels, []);
    for (const suggestion of answer.suggestions) holds(one, suggestion);
  });
});

describe("what is no answer", () => {
  it("an order that leaves somebody waiting for ever", () => {
    const { program: one, answer } = suggestions(`kernel v8
scenario "x" {
  ram = memfd_create("ram", 0)
  ftruncate(ram, 16K) = 0
  parallel {
    first  { pwrite(ram, "a", 0) = 1 @a }
    second { pwrite(ram, "b", 0) = 1 @b }
  }
  forall value(ram, 0) == 'b'
}`);
    assert.deepEqual(answer.goals, ["`forall value(ram, 0) == 98` fails"]);
    const orders = answer.suggestions.filter(({ kind }) => kind === "order");
    // Behind its lock_inode the second writer keeps what the first one waits for.
    assert.deepEqual(
      orders.map(({ text }) => text),
      ["order a.lock_inode before b.lock_inode"],
    );
    for (const suggestion of orders) holds(one, suggestion);
  });

  it("what takes away an `exists` of the scenario", () => {
    const shown = `${RACE.replace("load(0x1000) = ok", "load(0x1000) = ok @look")}  exists ept(vm, 0x1000) != NONE && allocated(ram, 0x1000) == 0\n`;
    const { answer } = suggestions(punch("v8-swapped", "check no-stale-mapping", shown));
    assert.deepEqual(answer.suggestions, []);
    const bracket = answer.refused.find(({ title }) => title.includes("invalidate_begin, truncate, invalidate_end"));
    assert.match(bracket?.reason ?? "", /^then `exists ept\(vm, 0x1000\) .*` fails$/);
    assert.ok(answer.notes[0].endsWith("without making the scenario worse in something else"));
  });

  it("nothing breaks: nothing is tried", () => {
    const { answer } = suggestions(punch("v8-bracketed", "check no-stale-mapping"));
    assert.deepEqual([answer.suggestions, answer.tried, answer.notes.length], [[], 0, 1]);
  });
});

describe("limits", () => {
  const text = punch("v8", "check no-stale-mapping");

  it("candidates", () => {
    const { answer } = suggestions(text, { maxCandidates: 3 });
    assert.deepEqual([answer.complete, answer.limit, answer.tried], [false, "candidates", 3]);
    assert.match(answer.notes[0], /not everything was tried/);
  });

  it("time, and patience", () => {
    let ticks = 0;
    assert.equal(suggestions(text, { now: () => ticks++, maxMilliseconds: 50 }).answer.limit, "time");
    let asked = 0;
    const { answer } = suggestions(text, { cancelled: () => ++asked > 5 });
    assert.deepEqual([answer.limit, answer.complete], ["cancelled", false]);
    assert.ok(answer.tried <= 5);
  });
});

describe("every scenario that ships", () => {
  const folder = new URL("../../scenarios/series/", import.meta.url);
  for (const name of readdirSync(folder).filter((entry) => entry.startsWith("v8-"))) {
    it(name, () => {
      const text = readFileSync(new URL(name, folder), "utf8");
      for (const one of analyse(name, text, { imports: () => undefined }).programs) {
        const report = check(one, { now: still });
        const answer = suggest(one, report, { now: still });
        for (const suggestion of answer.suggestions) holds(one, suggestion);
        assert.deepEqual(suggest(one, report, { now: still }), answer, "the same answer twice");
        const long = suggestionsText(answer, one)
          .split("\n")
          .filter((line) => line.length > 80);
        assert.deepEqual(long, []);
        for (const { kind, text: declared, kernel } of answer.suggestions) {
          if (kind !== "order")
            assert.equal(
              programs(`${text.replace(/^kernel v8$/m, `kernel v8\n${declared}`)}\nscenario "new" { kernel ${kernel}\n }`).at(-1)?.profile.name,
              kernel,
            );
        }
      }
    });
  }
});

describe("step lists", () => {
  const EFFECTS = ["truncate", "set_size", "allocate", "store", "map", "get_page", "bind", "commit_slot", "set_seals", "new_file", "free_pages"];

  it("lose no effect, and no end stands before its begin", () => {
    let seen = 0;
    for (const profile of PROFILES) {
      for (const [operation, list] of Object.entries(profile.operations)) {
        if (!isFlat(list)) continue;
        const flat = list.flat();
        const effects = flat.filter((step) => EFFECTS.includes(step)).sort();
        const costs = flat.length > 8 ? MOST_COST - 1 : MOST_COST;
        for (let cost = 1; cost <= costs; cost++) {
          for (const { steps } of editsAt(operation, flat, cost, { dropped: [], locks: false })) {
            seen += 1;
            const kept = steps.filter((step) => EFFECTS.includes(step)).sort();
            assert.deepEqual(kept, effects, `${operation} = ${steps.join(", ")}`);
            assert.ok(steps.indexOf("invalidate_begin") <= steps.indexOf("invalidate_end"), steps.join());
            assert.notDeepEqual(steps, flat);
          }
        }
      }
    }
    assert.ok(seen > 500, `${seen} lists`);
  });
});
