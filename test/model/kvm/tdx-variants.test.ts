// KVM's TDX code with any one step dropped: a variant may break rules or say what is not modelled, but never the model.

import assert from "node:assert/strict";
import { it } from "node:test";
import { check } from "../../../src/check/index.ts";
import { PROFILES } from "../../../src/model/profile/index.ts";
import { program, still } from "../support.ts";
import { PUNCH, TD } from "./tdx-support.ts";

const OPERATIONS = ["KVM_TDX_INIT_MEM_REGION", "accept.td", "attributes.td", "fallocate.punch_hole.td"];
const BEFORE = ["TDG.MEM.PAGE.ACCEPT(0x2000, 0)", "TDG.MEM.PAGE.ATTR.RD(0x3000)"];

/** One call after the other: each variant takes the same few steps. */
const scenario = (edit: string): string => `kernel changed extends 6.18 { ${edit} }\nkernel changed\n${TD.replaceAll(") = 0", ")")}
scenario "one after the other" {
  use td
  ${BEFORE.map((call) => `vcpu0: ${call}`).join("\n  ")}
  ${PUNCH(0x1000)}
}`;

const profile = PROFILES.find(({ name }) => name === "6.18");

for (const operation of OPERATIONS) {
  it(`variants of ${operation}`, () => {
    const steps = profile?.operations[operation].flat() ?? [];
    assert.ok(steps.length > 5, `${operation} has ${steps.length} steps`);
    for (const at of steps.keys()) {
      const edit = `${operation} = ${steps.filter((_, index) => index !== at).join(", ")}`;
      const { remarks } = check(program(scenario(edit)), { now: still, maxStates: 1000 });
      assert.deepEqual(
        remarks.filter(({ code }) => code === "MEMFD9001").map(({ message }) => message),
        [],
        `without ${steps[at]}`,
      );
    }
  });
}
