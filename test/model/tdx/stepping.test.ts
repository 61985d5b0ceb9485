// The TDX module's filter against zero-stepping: what is counted, when the page is listed, what TDH.VP.ENTER answers then and which locks others meet.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { repeatedAccesses, STEPPING_THRESHOLD } from "../../../src/model/tdx/repeated.ts";
import { labelled, onMachine, program, report } from "../support.ts";
import { running } from "./support.ts";

const scenario = (body: string, setup = running(2)): string => `kernel 6.18\n${setup}\np = alloc_frame()\nq = alloc_frame()\n${body}\n`;
const results = (body: string, setup?: string): Record<string, string> => labelled(scenario(body, setup));

const violation = (gpa: string, eeq: number): string => `exit EXIT_REASON_EPT_VIOLATION {gpa=${gpa}, eeq=${eeq}}`;
const AUG = "TDH.MEM.PAGE.AUG(td, 0x2000, 0, p) = TDX_SUCCESS";
const times = (count: number, line = "load(0x2000)"): string => `vcpu0 {\n${`  ${line}\n`.repeat(count)}}`;
/** So often that the page is listed behind it. */
const LISTED = STEPPING_THRESHOLD + 1;
const FREE = violation("0x2000", 0);

/** A pending page tells the two exits apart: the violation of an access has extended exit qualification 6, the one that is made up has none. */
const behind = (before: string, line = "vcpu0: load(0x2000) @it", setup?: string): string => results(`${AUG}\n${before}\n${line}`, setup).it;

describe("what is counted", () => {
  const cases: readonly (readonly [what: string, before: string, refused: boolean])[] = [
    ["six violations of one load", times(LISTED - 1), false],
    ["seven", times(LISTED), true],
    ["more", times(LISTED + 5), true],
    ["in blocks of one", Array(LISTED).fill("vcpu0: load(0x2000)").join("\n"), true],
    ["of a store", times(LISTED, "store(0x2000, 1)"), true],
    ["of stores of other values", `${times(3, "store(0x2000, 1)")}\n${times(4, "store(0x2000, 2)")}`, false],
    ["of loads at two places of the page", `${times(3)}\n${times(4, "load(0x2008)")}`, false],
    ["with another one in between", `${times(4)}\n${times(1, "load(0x3000)")}\n${times(4)}`, false],
    ["with a load that passes in between", `${times(4)}\n${times(1, "load(0x1000)")}\n${times(4)}`, false],
    ["with a leaf in between", `${times(4)}\n${times(1, "TDG.MEM.PAGE.ATTR.RD(0x1000)")}\n${times(4)}`, false],
    ["with a request to the host in between", `${times(4)}\n${times(1, "TDG.VP.VMCALL.MAPGPA(0x1000, 4K)")}\n${times(4)}`, false],
    ["with an access to shared memory in between", `${times(4)}\n${times(1, "load(SHARED|0x2000)")}\n${times(4)}`, false],
    ["of shared memory", times(9, "load(SHARED|0x2000)"), false],
    ["by another vCPU", times(LISTED).replace("vcpu0", "vcpu1"), false],
    ["with an entry in between that a kick ends", `${times(4)}\nTDH.VP.ENTER(vcpu0)\nkick(vcpu0)\n${times(3)}`, true],
  ];
  for (const [what, before, refused] of cases) it(what, () => assert.equal(behind(before), violation("0x2000", refused ? 0 : 6)));

  it("TDG.MEM.PAGE.ACCEPT and TDG.MEM.PAGE.ATTR.WR leave with a violation that is not logged", () => {
    for (const leaf of ["TDG.MEM.PAGE.ACCEPT(0x3000, 0)", "TDG.MEM.PAGE.ATTR.WR(0x3000, 0)", "TDG.MEM.PAGE.ATTR.RD(0x3000)"]) {
      const other = "parallel {\n  other { TDH.MEM.PAGE.AUG(td, 0x3000, 0, q) @aug }\n";
      const found = results(`${times(9, leaf)}\n${other}  vcpu0 { ${leaf} }\n}`);
      // The entry's lock, which the leaf takes to look at it; never the tree's, which the filter would take.
      assert.equal(found.aug, "TDX_OPERAND_BUSY/RCX or TDX_SUCCESS", leaf);
    }
  });
});

describe("TDH.VP.ENTER of a vCPU whose page is listed", () => {
  it("leaves at once with the listed page, whatever the guest would do next", () => {
    assert.equal(behind(times(LISTED), "vcpu0: load(0x1000) @it"), violation("0x2000", 0));
    assert.equal(behind(times(LISTED), "TDH.VP.ENTER(vcpu0) @it"), violation("0x2000", 0));
    assert.equal(behind(times(LISTED, "load(0x2abc)"), "vcpu0: TDG.MEM.PAGE.ACCEPT(0x2000, 0) @it"), violation("0x2000", 0));
  });

  it("so that a page which is pending is never accepted by it, also where its access would be a #VE", () => {
    const setup = running(2, "TDH.MNG.INIT(td, 0)");
    assert.equal(results(`${times(LISTED)}\n${AUG}\nvcpu0: load(0x2000) @it`, setup).it, FREE);
    assert.equal(results(`${times(LISTED - 1)}\n${AUG}\nvcpu0: load(0x2000) @it`, setup).it, "#VE");
    assert.equal(results(`${times(LISTED)}\n${AUG}\nvcpu1: TDG.MEM.PAGE.ACCEPT(0x2000, 0)\nvcpu0: load(0x2000) @it`, setup).it, "0x00");
  });

  it("enters where the page is mapped by now; the access that passes clears the list", () => {
    const mapped = `${times(LISTED)}\n${AUG}\nvcpu1: TDG.MEM.PAGE.ACCEPT(0x2000, 0) = TDX_SUCCESS\nvcpu0: load(0x2000) = 0`;
    const blocked = `${mapped}\nTDH.MEM.RANGE.BLOCK(td, 0x2000, 0) = TDX_SUCCESS\nTDH.MEM.TRACK(td) = TDX_SUCCESS`;
    const race = (before: string): string =>
      results(`${before}\nparallel {\n  other { TDH.MEM.PAGE.AUG(td, 0x3000, 0, q) @it }\n  vcpu0 { load(0x2000) }\n}`).it;
    assert.equal(race(blocked), "TDX_SUCCESS");
    assert.equal(race(times(LISTED)), "TDX_OPERAND_BUSY/SEPT_TREE or TDX_SUCCESS");
  });

  it("wants the tree alone: it is busy, and others are", () => {
    const found = results(`${times(LISTED)}\nparallel {\n  other { TDH.MEM.PAGE.AUG(td, 0x3000, 0, q) @aug }\n  vcpu0 { load(0x2000) @load }\n}`);
    assert.deepEqual(found, { aug: "TDX_OPERAND_BUSY/SEPT_TREE or TDX_SUCCESS", load: ["TDX_OPERAND_BUSY/SEPT_TREE", FREE].sort().join(" or ") });
    const mapped = `${times(LISTED)}\n${AUG}\nvcpu1: TDG.MEM.PAGE.ACCEPT(0x2000, 0) = TDX_SUCCESS`;
    const entering = results(`${mapped}\nparallel {\n  other { TDH.MEM.RANGE.BLOCK(td, 0x1000, 0) @block }\n  vcpu0 { load(0x2000) @load }\n}`);
    assert.deepEqual(entering, { block: "TDX_OPERAND_BUSY/SEPT_TREE or TDX_SUCCESS", load: "0x00 or TDX_OPERAND_BUSY/SEPT_TREE" });
  });

  it("counts in its epoch until it is turned away", () => {
    const setup = running(3);
    const found = results(
      `${times(LISTED)}\nparallel {\n  other { TDH.MEM.TRACK(td) = TDX_SUCCESS or TDX_OPERAND_BUSY/TD_EPOCH @one\n TDH.MEM.TRACK(td) @two }\n  vcpu0 { load(0x2000) @load }\n}`,
      setup,
    );
    assert.equal(found.two, "TDX_OPERAND_BUSY/TD_EPOCH or TDX_PREVIOUS_TLB_EPOCH_BUSY or TDX_SUCCESS");
    const after = `${times(LISTED, "load(0x2000) = _")}\nassert epoch_refcount(td, 0) == 0 && epoch_refcount(td, 1) == 0\nassert vcpu_state(vcpu0) == VCPU_READY\nvcpu0: load(0x2000) = _
assert epoch_refcount(td, 0) == 0 && epoch_refcount(td, 1) == 0 && vcpu_state(vcpu0) == VCPU_READY`;
    assert.equal(report(scenario(after)).verdict, "pass");
  });

  it("has its processor and its epoch behind it all the same", () => {
    const before = `${AUG}\nvcpu1: TDG.MEM.PAGE.ACCEPT(0x2000, 0) = TDX_SUCCESS\nvcpu0: load(0x1000)\n${times(LISTED, "load(0x3000) = _")}`;
    const turned = `${before}\nTDH.VP.FLUSH(vcpu0) = TDX_SUCCESS\nTDH.VP.ENTER(vcpu0, lp=5) @enter\nTDH.VP.FLUSH(vcpu0, lp=5) @flush`;
    assert.deepEqual(results(turned), { enter: violation("0x3000", 0), flush: "TDX_SUCCESS" });
    const flushed = `${before}\nTDH.MEM.TRACK(td) = TDX_SUCCESS\nassert tlb(vcpu0, 0x1000) != NONE\nTDH.VP.ENTER(vcpu0) = _\nassert tlb(vcpu0, 0x1000) == NONE`;
    assert.equal(report(scenario(flushed)).verdict, "pass");
  });
});

describe("what it costs", () => {
  const counted = (text: string): number[] =>
    onMachine(text, ({ tdx, features }) => repeatedAccesses(program(text), (tdx as NonNullable<typeof tdx>).objects, features).map(({ length }) => length));
  it("nothing, where no access comes seven times", () => {
    assert.deepEqual(counted(scenario(times(LISTED - 1))), [0, 0]);
    assert.deepEqual(counted(scenario(times(LISTED))), [1, 0]);
    assert.deepEqual(counted(scenario(`${times(LISTED)}\n${times(LISTED, "store(0x2000, 3)")}\n${times(LISTED - 1, "load(0)")}`)), [2, 0]);
    assert.deepEqual(counted(scenario(times(20, "load(SHARED|0x2000)"))), [0, 0]);
  });
});

const HOST = {
  AUG: "TDH.MEM.PAGE.AUG(td, 0x2000, 0, p)",
  BLOCK: "TDH.MEM.RANGE.BLOCK(td, 0x2000, 0)\nTDH.MEM.TRACK(td)",
  REMOVE: "TDH.MEM.PAGE.REMOVE(td, 0x2000, 0)",
  ACCEPT: "vcpu1: TDG.MEM.PAGE.ACCEPT(0x2000, 0)",
} as const;
type Host = keyof typeof HOST;
const GUEST = ["load(0x2000)", "load(0x2000)", "load(0x2000)", "store(0x2000, 1)", "load(0x1000)", "TDG.MEM.PAGE.ACCEPT(0x2000, 0)"] as const;

/** An instruction of vcpu0, again and again; now and then another one, or something that happens to its page. */
const run = fc.oneof(
  { weight: 5, arbitrary: fc.tuple(fc.constantFrom(...GUEST), fc.integer({ min: 1, max: 9 })).map(([line, count]) => Array<string>(count).fill(line)) },
  { weight: 3, arbitrary: fc.constantFrom(...(Object.keys(HOST) as Host[])).map((each) => [each] as string[]) },
);

/** States of the entry, and where each of the host's actions takes it. */
const NEXT: Readonly<Record<string, Partial<Record<Host, string>>>> = {
  FREE: { AUG: "PENDING" },
  PENDING: { BLOCK: "PENDING_BLOCKED", ACCEPT: "MAPPED" },
  MAPPED: { BLOCK: "BLOCKED" },
  BLOCKED: { REMOVE: "FREE" },
  PENDING_BLOCKED: { REMOVE: "FREE" },
};

type Said = "passes" | "leaves" | "made up";

/** What the module would do, written down once more: a count by instruction, which begins anew when the guest comes on. */
function expected(steps: readonly string[]): Said[] {
  let entry = "FREE";
  let last = { line: "", count: 0 };
  return steps.flatMap((each): Said[] => {
    if (each in HOST) {
      entry = NEXT[entry][each as Host] ?? entry;
      return [];
    }
    if (last.count >= LISTED && entry !== "MAPPED") return ["made up"];
    const isLeaf = each.startsWith("TDG");
    const passes = each === "load(0x1000)" || entry === "MAPPED" || (isLeaf && entry === "PENDING");
    if (isLeaf && entry === "PENDING") entry = "MAPPED";
    last = passes || isLeaf ? { line: "", count: 0 } : { line: each, count: last.line === each ? last.count + 1 : 1 };
    return [passes ? "passes" : "leaves"];
  });
}

it("in any order of accesses and of what the host does, the exits are those of a count by instruction", () => {
  let turned = 0;
  fc.assert(
    fc.property(fc.array(run, { minLength: 3, maxLength: 9 }), (runs) => {
      const steps = runs.flat();
      let at = 0;
      const lines = steps.map((each) => (each in HOST ? HOST[each as Host] : `vcpu0: ${each} @s${at++}`));
      const found = labelled(scenario(lines.join("\n")));
      const should = expected(steps);
      turned += should.filter((each) => each === "made up").length;
      should.forEach((each, index) => {
        const text = found[`s${index}`];
        assert.equal(text.startsWith("exit"), each !== "passes", `${lines.join("\n")}\ns${index}: ${text}, not ${each}`);
        if (each === "made up") assert.equal(text, FREE);
      });
    }),
    { numRuns: 60, seed: 7 },
  );
  assert.ok(turned > 5, `only ${turned} entries were turned away`);
});
