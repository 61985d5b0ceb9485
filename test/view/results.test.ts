// Result sets as JSON version 1 writes them.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Report } from "../../src/check/report.ts";
import type { Program, Result } from "../../src/scenario/program.ts";
import { callResults, jsonInteger, jsonResult } from "../../src/view/results.ts";

test("each kind of result has its own shape", () => {
  const cases: [Result, unknown][] = [
    [{ kind: "value", value: 0n }, { value: 0 }],
    [
      { kind: "value", value: 2n, data: [65, 66] },
      { value: 2, data: [65, 66] },
    ],
    [{ kind: "handle", handle: "fd" }, { handle: "fd" }],
    [{ kind: "found" }, { found: true }],
    [{ kind: "text", text: "/memfd:x (deleted)" }, { text: "/memfd:x (deleted)" }],
    [{ kind: "errno", errno: "EINVAL" }, { errno: "EINVAL" }],
    [{ kind: "status", status: "TDX_OPERAND_BUSY" }, { status: "TDX_OPERAND_BUSY" }],
    [
      { kind: "status", status: "TDX_OPERAND_BUSY", operand: "RCX" },
      { status: "TDX_OPERAND_BUSY", operand: "RCX" },
    ],
    [
      { kind: "exit", exit: "KVM_EXIT_MEMORY_FAULT", fields: [{ name: "gpa", value: 0n }] },
      { exit: "KVM_EXIT_MEMORY_FAULT", fields: { gpa: 0 } },
    ],
    [{ kind: "signal", signal: "SIGBUS" }, { signal: "SIGBUS" }],
    [{ kind: "exception", exception: "#VE" }, { exception: "#VE" }],
    [{ kind: "blocks" }, { blocks: true }],
  ];
  for (const [result, json] of cases) assert.deepEqual(jsonResult(result), json);
});

test("integers that a JSON number cannot hold exactly are hexadecimal text", () => {
  assert.equal(jsonInteger(-22n), -22);
  assert.equal(jsonInteger((1n << 53n) - 1n), 2 ** 53 - 1);
  assert.equal(jsonInteger(1n << 53n), "0x20000000000000");
  assert.equal(jsonInteger(-(1n << 63n)), "-0x8000000000000000");
});

test("a call's results are a set, in the order they were found, also where the call was never reached", () => {
  const span = { file: "a.memfd", from: 0, to: 1 };
  const call = { spec: "fallocate", known: true, actor: 0, operands: [], site: 1, statement: 1 };
  const program = {
    actors: [{ name: "vmm", kind: "vmm" }],
    calls: [call, { ...call, spec: "guest.load", site: 2 }],
    sites: [span, span, { ...span, file: "lib.memfd" }],
    site: 0,
  } as unknown as Program;
  const schedule = [{ actor: 0, choice: 0 }];
  const outcome = (result: Result) => ({ result, schedule });
  const zero: Result = { kind: "value", value: 0n };
  const report = { calls: [{ results: [outcome(zero), outcome({ kind: "errno", errno: "EINVAL" }), outcome(zero)] }, { results: [] }] } as unknown as Report;
  assert.deepEqual(
    callResults(program, report, (site) => ({ file: program.sites[site].file, line: site * 10 })),
    [
      { line: 10, actor: "vmm", call: "fallocate", results: [{ value: 0 }, { errno: "EINVAL" }] },
      { line: 20, actor: "vmm", call: "load", results: [], file: "lib.memfd" },
    ],
  );
});
