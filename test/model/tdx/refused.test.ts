// Leaves that are refused: what they have locked by then is met by other threads, what they have done by then stays, and nothing stays locked.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isInside } from "../../../src/model/tdx/enter.ts";
import { LINE } from "../../../src/model/tdx/state.ts";
import { PT } from "../../../src/model/tdx/tables.ts";
import { labelled, onMachine, report } from "../support.ts";
import { ends, everyState, frameNamed } from "./states.ts";
import { building, running, scenario } from "./support.ts";
import { scenarioText, stages, upTo } from "./td.ts";

const results = (body: string, setup: string): Record<string, string> => labelled(`kernel 6.18\n${setup}\np = alloc_frame()\nq = alloc_frame()\n${body}\n`);
const race = (one: string, two: string, setup = running(2)): Record<string, string> =>
  results(`parallel {\n  one { ${one} @one }\n  two { ${two} @two }\n}`, setup);

describe("a leaf that is going to be refused", () => {
  // Entry 0x1000 is mapped, so that AUG is refused behind the locks of TDR, tree and entry.
  const refused = "TDH.MEM.PAGE.AUG(td, 0x1000, 0, p)";

  it("shares the tree on its way, which BLOCK wants for itself", () => {
    const found = race(refused, "TDH.MEM.RANGE.BLOCK(td, 0x1000, 0)");
    assert.equal(found.one, "TDX_EPT_ENTRY_STATE_INCORRECT/RCX or TDX_OPERAND_BUSY/SEPT_TREE");
    assert.equal(found.two, "TDX_OPERAND_BUSY/SEPT_TREE or TDX_SUCCESS");
  });
  it("holds the entry, and who meets it asks for priority over the guest", () => {
    const body = `parallel {\n  one: ${refused}\n  two: TDH.MEM.SEPT.RD(td, 0x1000, 0) @read\n}\nvcpu0: TDG.MEM.PAGE.ACCEPT(0x1000, 0) @accept`;
    const found = results(body, running(2));
    assert.equal(found.read, "TDX_OPERAND_BUSY/RCX or TDX_SUCCESS");
    assert.equal(found.accept, "TDX_OPERAND_BUSY/RCX or TDX_PAGE_ALREADY_ACCEPTED");
  });
  it("holds a page, which somebody else would have been given", () => {
    // AUG locks page p last, for which it is refused: p is the module's already.
    const found = race("TDH.MEM.PAGE.AUG(td, 0x2000, 0, a)", "TDH.PHYMEM.PAGE.RDMD(a)");
    assert.equal(found.two, "TDX_OPERAND_BUSY/RCX or TDX_SUCCESS");
  });
  it("is busy for another one that would be refused, too", () => {
    const second = stages(["created", "configured"], { tdr: "root2", td: "td2" }).replace("33", "34");
    const found = race("TDH.MNG.ADDCX(td, root2)", "TDH.MNG.ADDCX(td2, root)", `${building(1)}\n${second}`);
    assert.equal(found.one, "TDX_OPERAND_BUSY/RDX or TDX_PAGE_METADATA_INCORRECT/RCX");
    assert.equal(found.two, found.one);
  });
  it("does not hold what a check has locked that fails itself: the walk of the PAMT unlocks its way", () => {
    const large = "alloc = alloc_frame(2M)\ntdr2 = alloc_frame()\ntd2 = TDH.MNG.CREATE(tdr2, 34)";
    const found = results(`${large}\nparallel {\n  one { TDH.PHYMEM.PAGE.RDMD(alloc) @one }\n  two { TDH.PHYMEM.PAGE.RECLAIM(alloc) @two }\n}`, running(1));
    assert.equal(found.one, "TDX_OPERAND_BUSY/RCX or TDX_SUCCESS");
    assert.equal(found.two, "TDX_OPERAND_BUSY/RCX or TDX_PAGE_METADATA_INCORRECT/RCX");
  });

  const pairs: readonly (readonly [one: string, two: string])[] = [
    [refused, "TDH.MEM.RANGE.BLOCK(td, 0x1000, 0)"],
    [refused, refused],
    ["TDH.MEM.PAGE.REMOVE(td, 0x1000, 0)", "TDH.MEM.RANGE.UNBLOCK(td, 0x1000, 0)"],
    ["TDH.VP.ENTER(vcpu0, 5)", "TDH.VP.FLUSH(vcpu0, 6)"],
    ["TDH.MNG.VPFLUSHDONE(td)", "TDH.MEM.TRACK(td)"],
    ["TDH.MNG.KEY.FREEID(td)", "TDH.MNG.CREATE(p, 33)"],
    ["TDH.PHYMEM.CACHE.WB(0)", "TDH.PHYMEM.CACHE.WB(1)"],
    ["TDH.PHYMEM.PAGE.RECLAIM(a)", "TDH.PHYMEM.PAGE.RECLAIM(root)"],
  ];
  for (const [one, two] of pairs) {
    it(`leaves nothing locked: ${one} against ${two}`, () => {
      const text = scenario(`p = alloc_frame()\nparallel {\n  one: ${one}\n  two: ${two}\n}`, running(2));
      const locked = ends(text, ({ tdx, state }) =>
        [
          tdx.kotLock,
          ...tdx.cacheLocks,
          ...tdx.pamt.map(({ lock }) => lock),
          ...tdx.tds.flatMap((td) => [td.tree, td.epochLock, ...td.entries.flatMap((level) => [...level.values()].map(({ lock }) => lock))]),
          ...tdx.vcpus.map(({ association }) => association),
        ].flatMap(({ name, field }) => (field.get(state) === 0 ? [] : [name])),
      );
      assert.deepEqual(locked, [[]]);
    });
  }

  it("costs a scenario without TDX nothing", () => {
    const remembers = (text: string): boolean => onMachine(text, (machine) => machine.threads[0].refusal !== undefined);
    assert.equal(remembers("kernel 6.18\npage = alloc_frame()\n"), false);
    assert.equal(remembers(`kernel 6.18\n${upTo("created")}\n`), true);
  });
});

describe("a leaf of the guest that does not work on the entry that it has locked", () => {
  const MAPPED = "TDX_PAGE_ALREADY_ACCEPTED";
  it("is met there by the host, which has priority from then on", () => {
    const found = results(
      "parallel {\n  host: TDH.MEM.RANGE.BLOCK(td, 0x1000, 0) @block\n  vcpu0: TDG.MEM.PAGE.ACCEPT(0x1000, 0) @accept\n}\nvcpu1: TDG.MEM.PAGE.ACCEPT(0x1000, 0) @again",
      running(2),
    );
    assert.equal(found.block, "TDX_OPERAND_BUSY/RCX or TDX_SUCCESS");
    assert.equal(found.accept, `TDX_OPERAND_BUSY/RCX or ${MAPPED} or exit EXIT_REASON_EPT_VIOLATION {gpa=0x1000, eeq=1, level=0, state=1}`);
    assert.equal(found.again, `TDX_OPERAND_BUSY/RCX or exit EXIT_REASON_EPT_VIOLATION {gpa=0x1000, eeq=1, level=0, state=1}`);
  });
  it("also where it has locked it only to find that the host waits for it", () => {
    const waits = "parallel {\n  one: TDH.MEM.SEPT.RD(td, 0x1000, 0)\n  two: TDH.MEM.SEPT.RD(td, 0x1000, 0) @two\n}";
    const found = results(
      `${waits}\nparallel {\n  host: TDH.MEM.RANGE.BLOCK(td, 0x1000, 0) @block\n  vcpu0: TDG.MEM.PAGE.ATTR.RD(0x1000) @read\n}`,
      running(2),
    );
    assert.equal(found.block, "TDX_OPERAND_BUSY/RCX or TDX_SUCCESS");
    assert.equal(found.read, "TDX_OPERAND_BUSY/RCX or TDX_SUCCESS or exit EXIT_REASON_EPT_VIOLATION {gpa=0x1000, eeq=0}");
  });
  it("gives an interrupt no chance before it is through: a kick waits", () => {
    const body = "TDH.VP.ENTER(vcpu0)\nparallel {\n  host: kick(vcpu0)\n  vcpu0: TDG.MEM.PAGE.ACCEPT(0x1000, 0)\n}";
    let busy = 0;
    everyState(scenario(body, running(1)), ({ machine, tdx, state }) => {
      if (machine.threads.every(({ refusal }) => refusal?.get(state) === 0) || tdx.vcpus[0].leaf.get(state) === 0) return;
      busy += 1;
      assert.ok(isInside(state, tdx.vcpus[0]));
    });
    assert.ok(busy > 0);
  });
});

describe("what a leaf has done stays where a later check refuses it", () => {
  it("TDH.MNG.INIT has set the epoch before it looks at the parameters", () => {
    const { verdict, remarks } = report(
      scenarioText([
        `${upTo("allocated")}\nassert epoch(td) == 0\nTDH.MNG.INIT(td, xfam=1) = TDX_OPERAND_INVALID/XFAM`,
        "assert epoch(td) == 1 && op_state(td) == OP_STATE_UNINITIALIZED\nTDH.MNG.INIT(td) = TDX_SUCCESS\nassert epoch(td) == 1",
      ]),
    );
    assert.equal(verdict, "pass", JSON.stringify(remarks));
  });

  it("a TDH.PHYMEM.CACHE.WB that starts with no key id to write back for has ended the one that was interrupted", () => {
    const first = "TDH.MNG.VPFLUSHDONE(td) = TDX_SUCCESS\nTDH.PHYMEM.CACHE.WB(0, 0) @once\nTDH.PHYMEM.CACHE.WB(0, 0) @again\nTDH.PHYMEM.CACHE.WB(0, 1) @other";
    const text = scenarioText(
      [
        `${upTo("created")}\n${first}\nTDH.MNG.KEY.FREEID(td) @free\nTDH.PHYMEM.CACHE.WB(0, 0) @start\nTDH.PHYMEM.CACHE.WB(1, 0) @resume`,
        "exists result(once) == TDX_SUCCESS && result(again) == TDX_INTERRUPTED_RESUMABLE && result(start) == TDX_NO_HKID_READY_TO_WBCACHE",
        "forall result(start) != TDX_NO_HKID_READY_TO_WBCACHE || result(resume) == TDX_WBCACHE_RESUME_ERROR",
      ],
      { machine: "interrupts=1; packages=2" },
    );
    const { verdict, remarks } = report(text);
    assert.equal(verdict, "pass", JSON.stringify(remarks));
  });

  it("a TDH.MEM.PAGE.DEMOTE that stops has filled the table, whose lines are a TD's and whose page is the host's", () => {
    const large = `large = alloc_frame(2M)\ntable2 = alloc_frame()\npage = alloc_frame()\nTDH.MEM.SEPT.ADD(td, 1G, 2, table2) = TDX_SUCCESS
  TDH.MEM.PAGE.AUG(td, 1G, 1, large) = TDX_SUCCESS\nTDH.MEM.RANGE.BLOCK(td, 1G, 1) = TDX_SUCCESS\nTDH.MEM.TRACK(td) = TDX_SUCCESS`;
    const after = (call: string, machine: string): string[] =>
      ends(scenario(`${large}\n${call}`, running(1), machine), (at) => {
        const frame = frameNamed(at, "page");
        return `${at.tdx.pamt[frame].type.get(at.state) === PT.NDA ? "host's" : "table"}, lines ${at.tdx.lines[frame].owner[0].get(at.state)}`;
      });
    const demote = "TDH.MEM.PAGE.DEMOTE(td, 1G, 1, page)";
    const [HOST, TD] = [LINE.HOST, LINE.TD];
    assert.deepEqual(after(demote, "machine { interrupts = 1 }"), [`host's, lines ${TD}`, `table, lines ${TD}`]);
    const busy = `parallel {\n  one: ${demote}\n  two: TDH.PHYMEM.PAGE.RDMD(large)\n}`;
    assert.deepEqual(after(busy, ""), [`host's, lines ${TD}`, `table, lines ${TD}`]);
    assert.deepEqual(after("TDH.MEM.PAGE.DEMOTE(td, 1G, 1, large)", ""), [`host's, lines ${HOST}`]);
  });
});
