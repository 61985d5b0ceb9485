// Lines of a key id between the cache and memory: what CACHE.WB, PAGE.WBINVD and the making of pages leave, per key id and package; interruption and
// resumption.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LINE } from "../../../src/model/tdx/state.ts";
import { labelled, report } from "../support.ts";
import { ends, frameNamed, type Look } from "./states.ts";
import { scenarioText, stages, upTo } from "./td.ts";

/** Under which private key id the lines of a frame are modified in a cache, and whose they are. */
function lines(at: Look, name: string): { key: number | undefined; shared: boolean; owner: number } {
  const { tdx, state } = at;
  const { privateDirty, sharedDirty, owner } = tdx.lines[frameNamed(at, name)];
  const key = privateDirty.get(state);
  return { key: key === 0 ? undefined : tdx.keys[key - 1].hkid, shared: sharedDirty.get(state) === 1, owner: owner[0].get(state) };
}

const linesAfter = (text: readonly string[], name: string, machine?: string) =>
  ends(scenarioText(text, machine === undefined ? {} : { machine }), (at) => lines(at, name));

const CLEAN = { key: undefined, shared: false, owner: LINE.TD };
/** Every host page that the module makes its own, and nothing else of a TD. */
const SHORT = stages(["created", "configured", "allocated", "blocked"]);

describe("dirty lines", () => {
  it("the TDR is written under the module's key id, other control pages under the TD's", () => {
    const text = [upTo("vcpu-allocated")];
    assert.deepEqual(linesAfter(text, "tdr"), [{ ...CLEAN, key: 32 }]);
    for (const name of ["cx[0]", "vp", "vx[4]"]) assert.deepEqual(linesAfter(text, name), [{ ...CLEAN, key: 33 }], name);
  });

  it("neither VPFLUSHDONE nor KEY.FREEID nor RECLAIM writes anything back; CACHE.WB does for the flushed key id and what else is in the cache", () => {
    assert.deepEqual(linesAfter([SHORT], "cx[0]"), [{ ...CLEAN, key: 33 }]);
    assert.deepEqual(linesAfter([SHORT, "TDH.PHYMEM.CACHE.WB(0) = TDX_SUCCESS"], "cx[0]"), [CLEAN]);
    assert.deepEqual(linesAfter([SHORT, "TDH.PHYMEM.CACHE.WB(0) = TDX_SUCCESS"], "tdr"), [CLEAN]);
    const reclaimed = [SHORT, "TDH.PHYMEM.CACHE.WB(0)\nTDH.MNG.KEY.FREEID(td)\nrepeat 6 as i { TDH.PHYMEM.PAGE.RECLAIM(cx[i]) = TDX_SUCCESS }"];
    assert.deepEqual(linesAfter([...reclaimed, "td2 = TDH.MNG.CREATE(cx[1], 34)\nTDH.PHYMEM.PAGE.RECLAIM(tdr) = TDX_SUCCESS"], "cx[1]"), [
      { ...CLEAN, key: 32 },
    ]);
  });

  it("with two packages lines of the flushed key id are out when both are through, and other lines are not said to be", () => {
    const machine = "packages=2";
    const flushed = SHORT.replace("TDH.MNG.KEY.CONFIG(td) = TDX_SUCCESS", "TDH.MNG.KEY.CONFIG(td, 0)\nTDH.MNG.KEY.CONFIG(td, 1)");
    assert.deepEqual(linesAfter([flushed, "TDH.PHYMEM.CACHE.WB(0, 0) = TDX_SUCCESS"], "cx[0]", machine), [{ ...CLEAN, key: 33 }]);
    const both = [flushed, "TDH.PHYMEM.CACHE.WB(0, 0) = TDX_SUCCESS\nTDH.PHYMEM.CACHE.WB(0, 1) = TDX_SUCCESS"];
    assert.deepEqual(linesAfter(both, "cx[0]", machine), [CLEAN]);
    assert.deepEqual(linesAfter(both, "tdr", machine), [{ ...CLEAN, key: 32 }]);
  });

  it("PAGE.WBINVD writes back what a page has under the key id that it names, and no other", () => {
    // A TD whose key was never configured: its root page is the only one, and nobody has written the caches back for the module's key id.
    const gone = "tdr = alloc_frame()\ntd = TDH.MNG.CREATE(tdr, 33)\nTDH.MNG.VPFLUSHDONE(td)\nTDH.PHYMEM.CACHE.WB(0, 0)\nTDH.PHYMEM.CACHE.WB(0, 1)";
    const reclaimed = [gone, "TDH.MNG.KEY.FREEID(td) = TDX_SUCCESS\nTDH.PHYMEM.PAGE.RECLAIM(tdr) = TDX_SUCCESS"];
    const after = (...lines: string[]) => linesAfter([...reclaimed, ...lines], "tdr", "packages=2");
    assert.deepEqual(after(), [{ ...CLEAN, key: 32 }]);
    assert.deepEqual(after("TDH.PHYMEM.PAGE.WBINVD(tdr, 33) = TDX_SUCCESS"), [{ ...CLEAN, key: 32 }]);
    assert.deepEqual(after("TDH.PHYMEM.PAGE.WBINVD(tdr, 32) = TDX_SUCCESS"), [CLEAN]);
    assert.deepEqual(after("TDH.PHYMEM.PAGE.WBINVD(tdr, 32) = TDX_SUCCESS\nmovdir64b(tdr)"), [{ ...CLEAN, owner: LINE.HOST }]);
  });

  it("a page whose making failed is the host's again, with lines that are the module's, and none in the cache: they are made with MOVDIR64B", () => {
    const late = "late = alloc_frame()\nTDH.MNG.ADDCX(td, late) = TDX_OP_STATE_INCORRECT\nassert pamt(late) == PT_NDA\nassert chldcnt(td) == 6";
    assert.deepEqual(linesAfter([upTo("initialised"), late], "late"), [CLEAN]);
    const failed = ends(scenarioText(["tdr = alloc_frame()", "TDH.MNG.CREATE(tdr, 33)"], { machine: "entropy=0" }), (at) => ({
      ...lines(at, "tdr"),
      made: at.tdx.tds[0].tdr.get(at.state) > 0,
    }));
    assert.deepEqual(failed.map(({ made, key, owner }) => [made, key, owner]).sort(), [
      [false, undefined, LINE.TD],
      [true, 32, LINE.TD],
    ]);
  });

  it("the host's own lines reach memory with PAGE.WBINVD under key id 0, and with CACHE.WB", () => {
    const stored = [SHORT, "page = alloc_frame()\nstore_frame(page, 7)"];
    const host = { key: undefined, shared: true, owner: LINE.HOST };
    assert.deepEqual(linesAfter(stored, "page"), [host]);
    assert.deepEqual(linesAfter([...stored, "TDH.PHYMEM.PAGE.WBINVD(page, 33) = TDX_SUCCESS"], "page"), [host]);
    assert.deepEqual(linesAfter([...stored, "TDH.PHYMEM.PAGE.WBINVD(page, 0) = TDX_SUCCESS"], "page"), [{ ...host, shared: false }]);
    assert.deepEqual(linesAfter([...stored, "TDH.PHYMEM.CACHE.WB(0) = TDX_SUCCESS"], "page"), [{ ...host, shared: false }]);
  });
});

describe("a page that is modified under two keys", () => {
  /** The host writes a page and gives it to a TD without CLFLUSH. */
  const given = (td: string) => `page = alloc_frame()\nstore_frame(page, 7)\nTDH.MNG.ADDCX(${td}, page) = TDX_SUCCESS`;
  const second = "tdr2 = alloc_frame()\ntd2 = TDH.MNG.CREATE(tdr2, 34) = TDX_SUCCESS\nTDH.MNG.KEY.CONFIG(td2) = TDX_SUCCESS";

  it("of a flushed key id: that one's lines are out, the host's may still be there", () => {
    const text = [upTo("configured"), given("td"), "TDH.MNG.VPFLUSHDONE(td) = TDX_SUCCESS\nTDH.PHYMEM.CACHE.WB(0) = TDX_SUCCESS"];
    assert.deepEqual(linesAfter(text, "page"), [{ key: undefined, shared: true, owner: LINE.TD }]);
  });

  it("of no flushed key id: nothing is said to be out", () => {
    const text = [upTo("created"), second, given("td2"), "TDH.MNG.VPFLUSHDONE(td) = TDX_SUCCESS\nTDH.PHYMEM.CACHE.WB(0) = TDX_SUCCESS"];
    assert.deepEqual(linesAfter(text, "page"), [{ key: 34, shared: true, owner: LINE.TD }]);
    assert.deepEqual(linesAfter(text, "tdr2"), [CLEAN]);
  });
});

describe("TDH.PHYMEM.CACHE.WB that is interrupted", () => {
  const machine = "interrupts=1";
  const run = (...body: string[]): Record<string, string> => labelled(scenarioText([SHORT, ...body], { machine }));

  it("may stop at the start, and at each resumption; only then it can be resumed", () => {
    assert.deepEqual(run("TDH.PHYMEM.CACHE.WB(0) @start", "TDH.PHYMEM.CACHE.WB(1) @resume", "TDH.PHYMEM.CACHE.WB(1) @again"), {
      start: "TDX_INTERRUPTED_RESUMABLE or TDX_SUCCESS",
      resume: "TDX_INTERRUPTED_RESUMABLE or TDX_SUCCESS or TDX_WBCACHE_RESUME_ERROR",
      again: "TDX_INTERRUPTED_RESUMABLE or TDX_SUCCESS or TDX_WBCACHE_RESUME_ERROR",
    });
  });

  it("frees no key id before it is through", () => {
    const text = scenarioText(
      [
        SHORT,
        "TDH.PHYMEM.CACHE.WB(0) @start",
        "TDH.MNG.KEY.FREEID(td) @free",
        "forall result(start) != TDX_INTERRUPTED_RESUMABLE || result(free) == TDX_WBCACHE_NOT_COMPLETE",
        "forall result(start) != TDX_SUCCESS || result(free) == TDX_SUCCESS",
      ],
      { machine },
    );
    assert.equal(labelled(text).free, "TDX_SUCCESS or TDX_WBCACHE_NOT_COMPLETE");
    assert.equal(report(text).verdict, "pass");
    assert.deepEqual(
      ends(text, ({ tdx, state }) => [tdx.keys[1].state.get(state), tdx.keys[1].wbinvd.get(state)]),
      [
        [0, 0],
        [2, 1],
      ],
    );
  });

  it("does not count for a key id that was flushed after the start", () => {
    const second = "tdr2 = alloc_frame()\ntd2 = TDH.MNG.CREATE(tdr2, 34) = TDX_SUCCESS";
    const text = scenarioText([SHORT, second, "TDH.PHYMEM.CACHE.WB(0) @start", "TDH.MNG.VPFLUSHDONE(td2) = TDX_SUCCESS", "TDH.PHYMEM.CACHE.WB(1) @resume"], {
      machine,
    });
    // Started and through, or started, stopped and resumed: never is key id 34 through, which nobody has started for.
    assert.deepEqual(ends(text, ({ tdx, state }) => tdx.keys.slice(1).map((key) => key.wbinvd.get(state))).map(String), ["0,1", "1,1"]);
  });

  it("a new start forgets where the last one stopped", () => {
    const text = scenarioText(
      [
        SHORT,
        "TDH.PHYMEM.CACHE.WB(0) @first",
        "TDH.PHYMEM.CACHE.WB(0) @second",
        "TDH.PHYMEM.CACHE.WB(1) @resume",
        "forall result(second) != TDX_SUCCESS || result(resume) == TDX_WBCACHE_RESUME_ERROR",
      ],
      { machine },
    );
    assert.equal(labelled(text).resume, "TDX_INTERRUPTED_RESUMABLE or TDX_SUCCESS or TDX_WBCACHE_RESUME_ERROR");
    assert.equal(report(text).verdict, "pass");
  });

  it("is on one package: another one has nothing to resume", () => {
    const text = scenarioText([upTo("created"), "TDH.MNG.VPFLUSHDONE(td)", "TDH.PHYMEM.CACHE.WB(0, 0)", "TDH.PHYMEM.CACHE.WB(1, 1) @other"], {
      machine: "interrupts=1; packages=2",
    });
    assert.equal(labelled(text).other, "TDX_WBCACHE_RESUME_ERROR");
  });
});
