// Random lives of TDs, call by call held against a small model of its own: every status, and the PAMT, the key ids and the counts at the end.

import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { check } from "../../../src/check/index.ts";
import { answers, assertJudged, program, still } from "../support.ts";
import { Oracle } from "./life-cycle.oracle.ts";
import { FRAMES, type Life, life, wholeLife } from "./life-cycle.random.ts";
import { scenarioText } from "./td.ts";

const KINDS = { NDA: "PT_NDA", TDR: "PT_TDR", TDCX: "PT_TDCX", TDVPR: "PT_TDVPR" } as const;
const LIVES = { assigned: "TD_HKID_ASSIGNED", configured: "TD_KEYS_CONFIGURED", blocked: "TD_BLOCKED", teardown: "TD_TEARDOWN" } as const;
const OP_STATES = ["OP_STATE_UNINITIALIZED", "OP_STATE_INITIALIZED", "OP_STATE_RUNNABLE"] as const;

/** What holds at the end, as assertions. */
function facts(oracle: Oracle): string[] {
  const key = (hkid: number): string => {
    const state = oracle.keys.get(hkid);
    return state === undefined ? "HKID_FREE" : state === "assigned" ? "HKID_ASSIGNED" : "HKID_FLUSHED";
  };
  return [
    ...oracle.frames.map(({ kind }, at) => `assert pamt(f[${at}]) == ${KINDS[kind]}`),
    ...[33, 34].map((hkid) => `assert key_state(${hkid}) == ${key(hkid)}`),
    ...[...oracle.tds].flatMap(([at, td]) => [
      `assert chldcnt(f[${at}]) == ${td.children}`,
      `assert life_cycle(f[${at}]) == ${LIVES[td.life]}`,
      ...(td.controlPages >= 6 ? [`assert op_state(f[${at}]) == ${OP_STATES[td.op]}`] : []),
    ]),
    ...[...oracle.vcpus].map(([at, vcpu]) => `assert vcpu_state(f[${at}]) == ${vcpu.ready ? "VCPU_READY" : "VCPU_UNINITIALIZED"}`),
  ];
}

function run({ packages, commands }: Life): { readonly wanted: string[]; readonly found: string[]; readonly oracle: Oracle } {
  const oracle = new Oracle(FRAMES, packages);
  const wanted = commands.map(({ answer }) => answer(oracle));
  const lines = commands.map(({ text }, at) => `${text(at)} @c${at}`);
  // Key ids 33 and 34 are named, so that they can be asked.
  const text = scenarioText([`repeat ${FRAMES} as i { f[i] = alloc_frame() }`, ...lines, ...facts(oracle)], { machine: `packages=${packages}` });
  const one = program(text);
  const judged = check(one, { now: still });
  assertJudged(judged, text);
  assert.ok(judged.exploration.complete, text);
  assert.equal(judged.verdict, "pass", `${text}\n${JSON.stringify(judged.remarks)}`);
  const found = commands.map((_, at) =>
    answers(
      one,
      judged,
      one.calls.findIndex(({ label }) => label === `c${at}`),
    ),
  );
  return { wanted, found, oracle };
}

it("a whole life succeeds from the first call to the last, and its key id serves the next TD", () => {
  const { found, oracle } = run({ packages: 2, commands: wholeLife(2, 33) });
  assert.deepEqual(new Set(found), new Set(["TDX_SUCCESS"]));
  assert.equal(oracle.tds.size, 1);
});

const without = (call: string): Life["commands"] => wholeLife(1, 33).filter(({ text }) => !text(0).startsWith(call));

it("lives that go wrong somewhere answer what the oracle answers, call by call", () => {
  const met = new Set<string>();
  fc.assert(
    fc.property(life, (one) => {
      const { wanted, found } = run(one);
      assert.deepEqual(found, wanted);
      for (const status of found) met.add(status.replace(/\/.*/, ""));
    }),
    // What few random lives come to: a step of the teardown is left out.
    { numRuns: 250, examples: ["TDH.VP.FLUSH(", "TDH.PHYMEM.CACHE.WB("].map((call) => [{ packages: 1, commands: without(call) }]) },
  );
  // Enough goes wrong, and enough goes well.
  for (const status of [
    "TDX_SUCCESS",
    "TDX_PAGE_METADATA_INCORRECT",
    "TDX_HKID_NOT_FREE",
    "TDX_LIFECYCLE_STATE_INCORRECT",
    "TDX_TD_KEYS_NOT_CONFIGURED",
    "TDX_TDCS_NOT_ALLOCATED",
    "TDX_OP_STATE_INCORRECT",
    "TDX_FLUSHVP_NOT_DONE",
    "TDX_WBCACHE_NOT_COMPLETE",
    "TDX_TD_ASSOCIATED_PAGES_EXIST",
  ])
    assert.ok(met.has(status), `${status} in ${[...met].sort().join(", ")}`);
});
