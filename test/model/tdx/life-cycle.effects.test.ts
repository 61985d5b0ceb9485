// What leaves of a TD's life leave behind: a processor's TLB that is flushed, words of a TD that is gone, a key id for the next one, what a machine has not.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Field } from "../../../src/model/layout.ts";
import { onMachine, report } from "../support.ts";
import { ends } from "./states.ts";
import { building, running, scenario } from "./support.ts";
import { scenarioText, upTo } from "./td.ts";

const passes = (text: string): void => {
  const { verdict, remarks, exploration } = report(text);
  assert.ok(exploration.complete);
  assert.equal(verdict, "pass", JSON.stringify(remarks.map(({ message }) => message)));
};

/** Names and values of the words that are not 0, from whatever is made of fields. */
function words(value: unknown, state: Int32Array, path = ""): string[] {
  if (value instanceof Field) return value.get(state) === 0 ? [] : [`${path} = ${value.get(state)}`];
  if (value instanceof Map) return [...value].flatMap(([key, each]) => words(each, state, `${path}.${key}`));
  return typeof value === "object" && value !== null ? Object.entries(value).flatMap(([key, each]) => words(each, state, `${path}.${key}`)) : [];
}

/** What the steps of a text say that has one thread and no choice. */
function sentences(text: string): string[] {
  return onMachine(text, (machine) => {
    const state = new Int32Array(machine.words);
    machine.initial(state);
    const said: string[] = [];
    while (machine.step(state, 0, 0, said) > 0);
    return said;
  });
}

const RECLAIM_ALL = `TDH.VP.FLUSH(vcpu0) = TDX_SUCCESS
  TDH.MNG.VPFLUSHDONE(td) = TDX_SUCCESS
  TDH.PHYMEM.CACHE.WB(0) = TDX_SUCCESS
  TDH.MNG.KEY.FREEID(td) = TDX_SUCCESS
  repeat 5 as i { TDH.PHYMEM.PAGE.RECLAIM(vpcx0[i]) = TDX_SUCCESS }
  TDH.PHYMEM.PAGE.RECLAIM(tdvpr0) = TDX_SUCCESS
  repeat 3 as i { TDH.PHYMEM.PAGE.RECLAIM(table[i]) = TDX_SUCCESS }
  repeat 6 as i { TDH.PHYMEM.PAGE.RECLAIM(tdcx[i]) = TDX_SUCCESS }
  TDH.PHYMEM.PAGE.RECLAIM(a) = TDX_SUCCESS`;

describe("a TD that is gone", () => {
  const used = "vcpu0: load(0x1000) = 0x41\nTDH.MEM.TRACK(td) = TDX_SUCCESS\nTDH.MEM.RANGE.BLOCK(td, 0x1000, 0) = TDX_SUCCESS";

  it("leaves no word of it in the state, whatever it has been through", () => {
    const left = ends(scenario(`${used}\n${RECLAIM_ALL}\nTDH.PHYMEM.PAGE.RECLAIM(root) = TDX_SUCCESS`, running(1)), ({ tdx, state }) => [
      ...words({ ...tdx.tds[0], object: undefined }, state, "td"),
      ...words({ ...tdx.vcpus[0], object: undefined }, state, "vcpu"),
      ...words(tdx.keys, state, "key"),
      ...words(
        tdx.pamt.map((entry) => ({ ...entry, lock: undefined })),
        state,
        "pamt",
      ),
    ]);
    assert.deepEqual(left, [[]]);
  });

  it("is there until its root page comes back", () => {
    const left = ends(scenario(`${used}\n${RECLAIM_ALL}`, running(1)), ({ tdx, state }) => [tdx.tds[0].tdr.get(state) > 0, tdx.tds[0].chldcnt.get(state)]);
    assert.deepEqual(left, [[true, 0]]);
  });

  it("that was fatal is taken apart like any other", () => {
    passes(
      scenario(`store_frame(a, 9)\nvcpu0: load(0x1000) = #MC\n${RECLAIM_ALL}\nTDH.PHYMEM.PAGE.RECLAIM(root) = TDX_SUCCESS`, running(1), "check no-deadlock"),
    );
  });
});

describe("TDH.VP.FLUSH", () => {
  const twoOnOne = `${building(2).replace("TDH.VP.INIT(vcpu1)", "TDH.VP.INIT(vcpu1, lp=0)")}
  source = alloc_frame()
  store_frame(source, 0x41)`;

  it("flushes what the processor has of the TD, for the other vCPUs that it is associated with, too", () => {
    const text = scenario(
      `b = alloc_frame()
  TDH.MEM.PAGE.ADD(td, 0x2000, b, source) = TDX_SUCCESS
  TDH.MR.FINALIZE(td) = TDX_SUCCESS
  vcpu1: load(0x2000) = 0x41
  assert tlb(vcpu1, 0x2000) == b
  TDH.VP.FLUSH(vcpu0) = TDX_SUCCESS
  assert tlb(vcpu1, 0x2000) == NONE
  vcpu1: load(0x2000) = 0x41`,
      twoOnOne,
    );
    passes(text);
  });

  it("of a vCPU that is inside meets the lock of its TDVPR", () => {
    passes(
      scenario("TDH.VP.ENTER(vcpu0) = TDX_SUCCESS\nTDH.VP.FLUSH(vcpu0) = TDX_OPERAND_BUSY/RCX\nkick(vcpu0)\nTDH.VP.FLUSH(vcpu0) = TDX_SUCCESS", running(1)),
    );
  });

  it("races with TDH.VP.ENTER: whoever has the TDVPR first goes on, and the other one is told so or comes behind", () => {
    const text = scenario(
      `parallel {
    one: TDH.VP.FLUSH(vcpu0) @flush
    two: TDH.VP.ENTER(vcpu0) @enter
  }
  forall result(flush) != TDX_OPERAND_BUSY/RCX || vcpu_state(vcpu0) == VCPU_ACTIVE || result(enter) == TDX_OPERAND_BUSY/RCX
  exists result(flush) == TDX_SUCCESS && result(enter) == TDX_SUCCESS
  exists result(flush) == TDX_SUCCESS && result(enter) == TDX_OPERAND_BUSY/RCX
  exists result(flush) == TDX_OPERAND_BUSY/RCX && result(enter) == TDX_SUCCESS`,
      running(1),
    );
    passes(text);
    // A vCPU that was flushed and has come in again is associated again.
    const found = ends(text, ({ tdx, state }) => [tdx.tds[0].numAssociated.get(state), tdx.vcpus[0].lp.get(state)]);
    assert.deepEqual(found, [
      [0, 0],
      [1, 1],
    ]);
  });

  it("is not enough while the vCPU is inside: TDH.MNG.VPFLUSHDONE meets the lock of the TDR", () => {
    passes(
      scenario(
        "TDH.VP.ENTER(vcpu0) = TDX_SUCCESS\nTDH.MNG.VPFLUSHDONE(td) = TDX_OPERAND_BUSY/RCX\nkick(vcpu0)\nTDH.MNG.VPFLUSHDONE(td) = TDX_FLUSHVP_NOT_DONE",
        running(1),
      ),
    );
  });

  it("leaves one state, whichever epoch the vCPU was in before", () => {
    const flushed = (entered: string): string[][] =>
      ends(scenario(`${entered}\nTDH.VP.FLUSH(vcpu0) = TDX_SUCCESS`, running(1)), ({ tdx, state }) => words({ ...tdx.vcpus[0], object: undefined }, state));
    assert.deepEqual(flushed("vcpu0: load(0x1000) = 0x41"), flushed(""));
  });

  it("lets the vCPU go to another processor", () => {
    passes(
      scenario(
        "TDH.VP.ENTER(vcpu0, lp=3) = TDX_VCPU_ASSOCIATED\nTDH.VP.FLUSH(vcpu0, lp=3) = TDX_VCPU_NOT_ASSOCIATED\nTDH.VP.FLUSH(vcpu0, lp=0) = TDX_SUCCESS\n" +
          "TDH.VP.ENTER(vcpu0, lp=3) = TDX_SUCCESS",
        running(1),
      ),
    );
  });
});

describe("key ids", () => {
  it("one that was not released is not to be had again, and all the pages stay the module's", () => {
    passes(
      scenarioText([
        upTo("runnable"),
        "TDH.MNG.VPFLUSHDONE(td) = TDX_FLUSHVP_NOT_DONE",
        "other = alloc_frame()\nTDH.MNG.CREATE(other, 33) = TDX_HKID_NOT_FREE",
        "repeat 6 as i { TDH.PHYMEM.PAGE.RECLAIM(cx[i]) = TDX_LIFECYCLE_STATE_INCORRECT }",
        "assert key_state(33) == HKID_ASSIGNED",
      ]),
    );
  });

  it("two TDs race for one: one of them has it", () => {
    const text = scenarioText([
      "a = alloc_frame()\nb = alloc_frame()",
      "parallel {\n  one: TDH.MNG.CREATE(a, 40) @one\n  two: TDH.MNG.CREATE(b, 40) @two\n}",
      "forall !(result(one) == TDX_SUCCESS && result(two) == TDX_SUCCESS)",
      "forall result(one) == TDX_SUCCESS || result(two) == TDX_SUCCESS",
      "exists result(two) == TDX_OPERAND_BUSY/KOT\nexists result(two) == TDX_HKID_NOT_FREE",
    ]);
    passes(text);
  });
});

describe("what is no operand", () => {
  const refusal = (line: string, machine?: string): string[] =>
    report(scenarioText([upTo("created"), line], machine === undefined ? {} : { machine })).remarks.map(({ code, message }) => `${code} ${message}`);

  it("a package and a processor that the machine has not are said to be so, and nothing runs", () => {
    assert.match(refusal("TDH.MNG.KEY.CONFIG(td, 1)").join(), /^MEMFD5091 .*1 processor package/);
    assert.match(refusal("TDH.PHYMEM.CACHE.WB(0, 2)", "packages=2").join(), /^MEMFD5091 .*2 processor package/);
    assert.match(refusal("TDH.MNG.KEY.CONFIG(td, -1)").join(), /^MEMFD5091 .*processor package/);
    assert.match(refusal("TDH.VP.FLUSH(tdr, 255)").join(), /^MEMFD5091 .*logical processors/);
    assert.deepEqual(refusal("TDH.MNG.KEY.CONFIG(td, 0)"), []);
  });

  it("leaves that are not modelled say why", () => {
    assert.match(refusal("TDH.MNG.RD(td, 0)").join(), /^MEMFD5091 .*metadata fields/);
    assert.match(refusal("TDH.SYS.CONFIG()").join(), /^MEMFD5091 .*initialised on every processor/);
  });

  it("RECLAIM and RDMD say what they leave in the registers", () => {
    const said = sentences(
      scenarioText([upTo("torn-down"), "TDH.PHYMEM.PAGE.RDMD(vp)\nTDH.PHYMEM.PAGE.RECLAIM(vx[0])\nTDH.PHYMEM.PAGE.RDMD(vx[0])\nTDH.PHYMEM.PAGE.RDMD(tdr)"]),
    );
    assert.deepEqual(
      said.filter((sentence) => sentence.startsWith("RCX")),
      [
        "RCX PT_TDVPR, RDX the TDR, frame 1, R8 4 KB",
        "RCX PT_TDCX, RDX the TDR, frame 1, R8 4 KB: frame 9 is the host's again",
        "RCX PT_NDA, R8 4 KB",
        "RCX PT_TDR, RDX no owner, R8 4 KB",
      ],
    );
  });
});
