// Numbers that state expressions answer, against those of the module: page types, states of entries, TDs, vCPUs and key ids (memory_handlers/pamt_manager.h,
// auto_gen/sept_state_lookup.c, auto_gen/op_state_lookup.h, data_structures/td_control_structures.h, tdx_tdvps.h, tdx_global_data.h).

import assert from "node:assert/strict";
import { it } from "node:test";
import { constantsNamed } from "../../../src/scenario/catalogue/index.ts";
import { report } from "../support.ts";
import { running, scenario } from "./support.ts";

const NUMBERS: Readonly<Record<string, number>> = {
  PT_NDA: 0,
  PT_RSVD: 1,
  PT_REG: 3,
  PT_TDR: 4,
  PT_TDCX: 5,
  PT_TDVPR: 6,
  PT_EPT: 8,
  FREE: 0,
  BLOCKED: 1,
  PENDING: 2,
  PENDING_BLOCKED: 3,
  MAPPED: 4,
  NL_BLOCKED: 0x81,
  NL_MAPPED: 0x84,
  TD_HKID_ASSIGNED: 0,
  TD_KEYS_CONFIGURED: 1,
  TD_BLOCKED: 2,
  TD_TEARDOWN: 3,
  OP_STATE_UNINITIALIZED: 0,
  OP_STATE_INITIALIZED: 1,
  OP_STATE_RUNNABLE: 2,
  VCPU_UNINITIALIZED: 0,
  VCPU_READY: 2,
  VCPU_ACTIVE: 4,
  VCPU_DISABLED: 8,
  HKID_FREE: 0,
  HKID_ASSIGNED: 1,
  HKID_FLUSHED: 2,
  HKID_RESERVED: 3,
};

it("constants have the numbers of the module", () => {
  for (const [name, value] of Object.entries(NUMBERS)) assert.equal(constantsNamed(name)[0]?.value, BigInt(value), name);
});

it("so has what the state answers", () => {
  const expected = [
    "pamt(root) == 4",
    "pamt(tdvpr0) == 6",
    "pamt(tdcx[0]) == 5",
    "pamt(table[0]) == 8",
    "pamt(a) == 3",
    "pamt(source) == 0",
    "sept(td, 0x1000) == 4",
    "life_cycle(td) == 1",
    "op_state(td) == 2",
    "vcpu_state(vcpu0) == 2",
    "key_state(33) == 1",
    "key_state(32) == 3",
  ];
  const inside = "TDH.VP.ENTER(vcpu0) = TDX_SUCCESS\nassert vcpu_state(vcpu0) == 4";
  const { verdict, remarks } = report(scenario(`${expected.map((each) => `assert ${each}`).join("\n")}\n${inside}`, running(1)));
  assert.equal(verdict, "pass", JSON.stringify(remarks));
});
