// How a vCPU of a TD leaves the guest behind KVM where something is in its way: a leaf that is not through, and a TD that has died.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { labelled } from "../support.ts";
import { ends } from "../tdx/states.ts";
import { PUNCH, race } from "./tdx-support.ts";

describe("an IPI", () => {
  it("waits until a leaf has dropped the lock of an entry that it does not work on", () => {
    const text = race("6.18", `vcpu0 { TDG.MEM.PAGE.ATTR.RD(0x2000) }\n vmm { ${PUNCH(0x1000)} }`);
    const locked = ends(text, ({ tdx, state }) =>
      tdx.tds.flatMap((td) => td.entries.flatMap((level) => [...level.values()].flatMap(({ lock }) => (lock.field.get(state) === 0 ? [] : [lock.name])))),
    );
    assert.deepEqual(locked, [[]]);
  });
});

describe("out of a TD that has died KVM_RUN ends with what brought the vCPU to the module", () => {
  const error = (data0: string): string => `exit KVM_EXIT_INTERNAL_ERROR {suberror=4, data0=${data0}}`;
  const meets = (code: string, others = ""): Record<string, string> =>
    labelled(race("6.18", `vcpu0 { load(0x1000) @check }\n vcpu1 { ${code} }\n ${others}`, "movdir64b(frame(ram, 0x1000))"));

  it("a machine check", () => assert.ok(meets("").check.split(" or ").includes(error("0x6000000500000000"))));

  for (const [code, data0] of [
    ["TDG.MEM.PAGE.ACCEPT(0x1000, 0) @end", "0x600000050000004d"],
    ["hlt() @end", "0x600000050000000c"],
    ["load(0x2000) @end", "0x6000000500000030"],
  ])
    it(`${code} as the next`, () => assert.ok(meets(code).end.split(" or ").includes(error(data0))));

  it("an IPI, in the guest and in front of a leaf", () => {
    const hole = `vmm { ${PUNCH(0x1000)} }`;
    for (const code of ["run() @end", "hlt()\n TDG.MEM.PAGE.ACCEPT(0x1000, 0) @end"])
      assert.ok(meets(code, hole).end.split(" or ").includes(error("0x6000000500000001")), code);
  });
});
