// The catalogue is consistent in itself, and says what the headers and the mails of each kernel say.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isErrno } from "../../src/base/errno.ts";
import { isTdxOperand, isTdxStatus } from "../../src/base/tdx-status.ts";
import { INVARIANTS } from "../../src/invariants/index.ts";
import { PROFILES, resolveProfile } from "../../src/model/profile/index.ts";
import { isModelled } from "../../src/model/steps.ts";
import {
  callSpec,
  calls,
  callsNamed,
  constant,
  constants,
  constantsNamed,
  features,
  flagNames,
  invariants,
  isLaterStep,
  isStepName,
  operations,
  operationsOf,
  profile,
  profiles,
  queries,
  steps,
} from "../../src/scenario/catalogue/index.ts";
import type { ProfileEdit } from "../../src/scenario/program.ts";

const NAMES = profiles.map((row) => row.name);
/** A status of the TDX module, with the operand that it is about. */
const isStatus = (text: string): boolean => {
  const [status, operand] = text.split("/");
  return isTdxStatus(status) && (operand === undefined || isTdxOperand(operand));
};
const duplicates = (names: readonly string[]): string[] => names.filter((name, index) => names.indexOf(name) !== index);

test("keys are unique", () => {
  assert.deepEqual(duplicates(calls.map((spec) => spec.id)), []);
  assert.deepEqual(duplicates(NAMES), []);
  assert.deepEqual(duplicates(steps.map((row) => row.name)), []);
  assert.deepEqual(duplicates(queries.map((row) => row.name)), []);
  assert.deepEqual(duplicates(invariants.map((row) => row.name)), []);
});

test("two meanings of one word differ in where they may stand", () => {
  for (const spec of calls) assert.deepEqual(duplicates(callsNamed(spec.name).map((each) => each.context)), [], spec.name);
  assert.deepEqual(
    callsNamed("load")
      .map((spec) => spec.id)
      .sort(),
    ["guest.load", "host.load"],
  );
  assert.equal(callSpec("guest.store").params.length, 2);
  assert.equal(callSpec("host.store").params.length, 3);
  assert.deepEqual(callsNamed("no_such_call"), []);
  assert.throws(() => callSpec("no_such_call"), /no call no_such_call/);
});

test("rows name only kernels, constants and errnos that exist", () => {
  const groups = new Set(constants.map((row) => row.group));
  for (const spec of calls) {
    assert.ok(spec.profiles.length > 0, spec.id);
    for (const name of [...spec.profiles, ...spec.errors.flatMap((row) => row.profiles ?? [])]) assert.ok(NAMES.includes(name), `${spec.id}: ${name}`);
    for (const param of spec.params) {
      for (const group of [param.group, ...Object.values(param.groups ?? {})]) assert.ok(group === undefined || groups.has(group), `${spec.id}: ${group}`);
      for (const name of Object.keys(param.groups ?? {})) assert.ok(constantsNamed(name).length > 0, `${spec.id}: ${name}`);
    }
    for (const row of spec.errors) {
      const isKnown = isErrno(row.errno) || constantsNamed(row.errno).length > 0 || ["SIGBUS", "SIGSEGV"].includes(row.errno) || isStatus(row.errno);
      assert.ok(isKnown, `${spec.id}: ${row.errno}`);
      for (const name of row.profiles ?? []) assert.ok(spec.profiles.includes(name), `${spec.id}: an error in ${name}, which does not know the call`);
    }
  }
  for (const row of constants) for (const name of row.profiles ?? []) assert.ok(NAMES.includes(name), `${row.name}: ${name}`);
});

test("an optional parameter is never followed by a required one, but for the /dev/kvm target", () => {
  for (const spec of calls) {
    const params = spec.params.filter((param) => param.type !== "kvm");
    const optional = params.findIndex((param) => param.optional);
    assert.ok(optional < 0 || params.slice(optional).every((param) => param.optional), spec.id);
  }
});

test("what a call runs is an operation of a modelled kernel that knows the call, and every operation is run by some call", () => {
  for (const row of PROFILES) {
    assert.equal(profile(row.name)?.modelled, true);
    const run = new Set(operationsOf(row.name));
    for (const operation of run) assert.ok(Object.hasOwn(row.operations, operation), `${row.name} has no ${operation}`);
    for (const operation of Object.keys(row.operations)) assert.ok(run.has(operation) || operation === "unknown", `no call runs ${operation} of ${row.name}`);
  }
  assert.deepEqual(
    profiles.filter((row) => row.modelled).map((row) => row.name),
    PROFILES.map((row) => row.name),
  );
});

test("every row is described", () => {
  for (const spec of calls) for (const text of [spec.prototype, spec.help, spec.source]) assert.ok(text.length > 3, spec.id);
  for (const row of [...steps, ...queries, ...constants]) assert.ok(row.help.length > 3, row.name);
  for (const row of invariants) {
    assert.match(row.statement, /^[A-Z].*\.$/, row.name);
    assert.equal(row.statement.split(". ").length, 1, `${row.name}: one sentence`);
  }
});

test("a constant has one value per kernel", () => {
  for (const row of constants) {
    for (const name of row.profiles ?? NAMES) {
      assert.equal(constantsNamed(row.name).filter((each) => each.profiles === undefined || each.profiles.includes(name)).length, 1, `${row.name} in ${name}`);
    }
  }
});

test("the values that changed between the series and mainline", () => {
  assert.equal(constant("MFD_INACCESSIBLE", "v4")?.value, 8n);
  assert.equal(constant("MFD_INACCESSIBLE", "v8")?.value, 8n);
  assert.equal(constant("MFD_INACCESSIBLE", "v9"), undefined);
  assert.equal(constant("MFD_INACCESSIBLE", "6.18"), undefined);
  assert.equal(constant("MFD_NOEXEC_SEAL", "v8"), undefined);
  assert.equal(constant("MFD_NOEXEC_SEAL", "6.18")?.value, 8n);
  assert.equal(constant("F_SEAL_INACCESSIBLE", "v4")?.value, 0x20n);
  assert.equal(constant("F_SEAL_INACCESSIBLE", "v8"), undefined);
  assert.equal(constant("F_SEAL_EXEC", "v4"), undefined);
  assert.deepEqual(
    ["v6", "v7", "v8", "v10", "6.8", "mainline"].map((name) => constant("KVM_EXIT_MEMORY_FAULT", name)?.value),
    [36n, 37n, 38n, 38n, 39n, 39n],
  );
  assert.deepEqual(
    ["v4", "v5", "v6"].map((name) => constant("KVM_EXIT_MEMORY_ERROR", name)?.value),
    [36n, 36n, undefined],
  );
  assert.deepEqual(
    ["v4", "v10", "6.8"].map((name) => constant("KVM_MEMORY_EXIT_FLAG_PRIVATE", name)?.value),
    [1n, 1n, 8n],
  );
  assert.equal(constant("SHARED", "v8")?.value, 1n << 51n);
});

test("calls that came and went", () => {
  assert.deepEqual(callSpec("KVM_MEMORY_ENCRYPT_REG_REGION").profiles, ["v7", "v8", "v9"]);
  assert.deepEqual(callSpec("memfd_restricted").profiles, ["v9", "v10"]);
  assert.ok(!callSpec("KVM_CREATE_GUEST_MEMFD").profiles.includes("v10"));
  assert.ok(callSpec("KVM_SET_MEMORY_ATTRIBUTES").profiles.includes("v10"));
  assert.deepEqual(
    profiles.filter((row) => row.modelled && row.name.startsWith("v")).map((row) => row.name),
    ["v4", "v5", "v6", "v7", "v8", "v9", "v10"],
  );
  assert.equal(profile("v8")?.modelled, true);
  assert.equal(profile("v11"), undefined);
});

test("flags are printed by their names, and the text has the same value", () => {
  assert.equal(flagNames("FALLOC_FL_", 3n, "v8"), "FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE");
  assert.equal(flagNames("MFD_", 8n, "v8"), "MFD_INACCESSIBLE");
  assert.equal(flagNames("MFD_", 8n, "6.18"), "MFD_NOEXEC_SEAL");
  assert.equal(flagNames("MFD_", 0x28n, "v8"), "MFD_INACCESSIBLE|0x20");
  assert.equal(flagNames("PROT_", 0n, "v8"), "PROT_NONE");
  assert.equal(flagNames("MFD_", 0n, "v8"), "0");
  assert.equal(flagNames("MAP_", 0x22n, "v8"), "MAP_PRIVATE|MAP_ANONYMOUS");
  assert.equal(flagNames("F_", 1033n, "v4"), "F_ADD_SEALS");
  assert.equal(flagNames("F_", 3n, "v4"), "F_GETFL");
  assert.equal(flagNames("F_", 5n, "v4"), "5");
  const groups = [...new Set(constants.map((row) => row.group))];
  fc.assert(
    fc.property(fc.constantFrom(...groups), fc.bigInt({ min: 0n, max: (1n << 53n) - 1n }), fc.constantFrom(...NAMES), (group, value, name) => {
      const parts = flagNames(group, value, name)
        .split("|")
        .map((part) => constant(part, name)?.value ?? BigInt(part));
      assert.equal(
        parts.reduce((sum, part) => sum | part, 0n),
        value,
      );
    }),
  );
});

test("the steps of the two mails and of the variants that answer them are known", () => {
  for (const name of ["check_alignment", "truncate", "invalidate", "invalidate_begin", "invalidate_end", "set_marker", "snapshot", "map", "notify_fallocate"]) {
    assert.ok(isStepName(name), name);
  }
  assert.ok(!isStepName("toString"));
});

test("every invariant is modelled, and those that are judged over the graph are the only ones without a predicate", () => {
  assert.deepEqual(
    invariants.filter((row) => !row.modelled).map((row) => row.name),
    [],
  );
  const judged = INVARIANTS.map((row) => row.name);
  assert.deepEqual(
    invariants.map((row) => row.name).filter((name) => !judged.includes(name)),
    ["no-deadlock", "no-livelock"],
  );
});

test("operations: one row for each that a call runs, and the calls of a modelled kernel run the operations that its model has", () => {
  const run = [...new Set(calls.flatMap((spec) => spec.operations))].sort();
  assert.deepEqual(operations.map((row) => row.name).sort(), run);
  // `unknown` is what the model runs for a call that this kernel does not have.
  for (const row of PROFILES) {
    const own = Object.keys(row.operations).filter((name) => name !== "unknown");
    assert.deepEqual(own.sort(), [...operationsOf(row.base)].sort(), row.name);
  }
});

test("a step is said to be modelled where the model has its code, and only there", () => {
  for (const row of steps) assert.equal(!isLaterStep(row.name), isModelled(row.name), row.name);
});

test("features: unique names and values, and each modelled kernel has one of them", () => {
  assert.deepEqual(duplicates(features.map((row) => row.name)), []);
  for (const row of features) {
    const values = row.values.map((value) => value.name as string);
    assert.deepEqual(duplicates(values), [], row.name);
    assert.match(row.help, /^[A-Z].*\.$/);
    for (const kernel of PROFILES) assert.ok(values.includes(kernel.features[row.name]), `${kernel.name} ${row.name}`);
  }
});

test("an edit that the model cannot follow is refused, not run", () => {
  const refused = (edit: ProfileEdit): string =>
    resolveProfile({ name: "x", base: "v8", edits: [edit] })
      .problems.map((problem) => problem.message)
      .join();
  assert.match(refused({ kind: "steps", operation: "fault", steps: ["snapshot", "exit_memory_fault"], site: 0 }), /exit_memory_fault.*not modelled/);
  assert.match(refused({ kind: "feature", feature: "toString", value: "x", site: 0 }), /no feature/);
  assert.match(refused({ kind: "feature", feature: "marker", value: "nowhere", site: 0 }), /seal, .*shim/);
  assert.match(refused({ kind: "without", operation: "fault", step: "truncate", site: 0 }), /no step truncate/);
  assert.equal(refused({ kind: "feature", feature: "marker", value: "shim", site: 0 }), "");
});
