// Calls of releases that the language does not lower yet under their kernel, from hand-made Programs: the C runs here and answers as measured.

import assert from "node:assert/strict";
import { test } from "node:test";
import { emitC } from "../../src/export/c/emit.ts";
import { callSpec } from "../../src/scenario/catalogue/index.ts";
import type { Call, Handle, HandleKind, Operand, Program, ResultPattern } from "../../src/scenario/program.ts";
import { noKvm, noRun, skipped, withBuilt } from "./support.ts";

type Given = bigint | string | undefined;

/** `fd = call(…)`: strings name handles, but for the name of a memfd; missing operands are absent. */
class Builder {
  readonly handles: Handle[] = [];
  readonly calls: Call[] = [];

  call(binds: string | undefined, spec: string, given: readonly Given[], expect?: ResultPattern): this {
    const { params } = callSpec(spec);
    const operands = params.map((param, at): Operand => {
      const value = given[at];
      if (param.type === "kvm") return { kind: "kvm" };
      if (value === undefined) return { kind: "absent" };
      if (typeof value === "bigint") return { kind: "int", value };
      if (param.type === "string" || param.type === "data") {
        return { kind: "data", runs: [...value].map((letter) => ({ byte: letter.charCodeAt(0), count: 1n })), length: BigInt(value.length) };
      }
      return { kind: "handle", handle: this.handles.findIndex((handle) => handle.name === value), offset: 0n };
    });
    const kinds: Readonly<Record<string, HandleKind>> = { fd: "fd", vm: "vm", vcpu: "vcpu", mapping: "mapping" };
    const handle =
      binds === undefined
        ? undefined
        : this.handles.push({ name: binds, kind: kinds[callSpec(spec).returns] ?? "value", call: this.calls.length, site: 0 }) - 1;
    const actor = callSpec(spec).context === "guest" ? 1 : 0;
    const expectation = expect === undefined ? {} : { expect: { any: [expect], site: 0 } };
    this.calls.push({ spec, known: true, actor, operands, site: 0, statement: 0, ...(handle === undefined ? {} : { binds: handle }), ...expectation });
    return this;
  }

  program(): Program {
    const vcpu = this.handles.findIndex((handle) => handle.kind === "vcpu");
    return {
      name: "by hand",
      site: 0,
      profile: { name: "6.18", base: "6.18", edits: [] },
      handles: this.handles,
      actors: [
        { name: "vmm", kind: "vmm" },
        { name: "vcpu0", kind: "vcpu", handle: vcpu },
      ],
      calls: this.calls,
      body: this.calls.map((_, call) => ({ kind: "call", call })),
      questions: [],
      expected: [],
      watch: {},
      sites: [{ file: "by-hand.memfd", from: 0, to: 0 }],
    };
  }
}

const value = (number: bigint): ResultPattern => ({ kind: "value", value: number });
const errno = (name: "EINVAL" | "EPERM" | "EACCES" | "ENXIO" | "EBADF"): ResultPattern => ({ kind: "errno", errno: name });
const text = (program: Program): string => emitC(program, { placeOf: () => "line 1" }).text;

const MEMFD = new Builder()
  .call("a", "memfd_create", ["a", 8n])
  .call(undefined, "fcntl", ["a", 1034n], value(0x20n))
  .call(undefined, "fchmod", ["a", 0o777n], errno("EPERM"))
  .call(undefined, "fchmod", ["a", 0o600n], value(0n))
  .call(undefined, "ftruncate", ["a", 16384n], value(0n))
  .call(undefined, "pwrite", ["a", "x", 4096n], value(1n))
  .call(undefined, "lseek", ["a", 0n, 3n], value(4096n))
  .call(undefined, "lseek", ["a", 4096n, 4n], value(8192n))
  .call(undefined, "lseek", ["a", 16384n, 3n], errno("ENXIO"))
  .call(undefined, "fcntl", ["a", 1033n, 0x10n], value(0n))
  .call("map", "mmap", [0n, 4096n, 1n, 1n, "a", 0n], { kind: "ok" })
  .call(undefined, "mprotect", ["map", 4096n, 3n], errno("EACCES"))
  .call(undefined, "madvise", ["map", 4096n, 9n], errno("EACCES"))
  .call(undefined, "madvise", ["map", 4096n, 4n], value(0n))
  .call(undefined, "host.store", ["map", 0n, 1n], { kind: "signal", signal: "SIGSEGV" })
  .program();

const GUEST_MEMFD = new Builder()
  .call("vm", "KVM_CREATE_VM", [undefined, 0n])
  .call("vcpu0", "KVM_CREATE_VCPU", ["vm", 0n])
  .call("none", "KVM_CREATE_GUEST_MEMFD", ["vm", 100n, 0n], errno("EINVAL"))
  .call("g", "KVM_CREATE_GUEST_MEMFD", ["vm", 16384n, 3n], { kind: "ok" })
  // A KVM that emulates real mode goes through userspace_addr, so that is the same memory.
  .call("map", "mmap", [0n, 16384n, 3n, 1n, "g", 0n], { kind: "ok" })
  .call(undefined, "KVM_SET_USER_MEMORY_REGION2", ["vm", 1n, 4n, 0x10000n, 16384n, "map", 0n, "g"], value(0n))
  .call(undefined, "KVM_SET_USER_MEMORY_REGION2", ["vm", 2n, 4n, 0x20000n, 4096n, 0n, 0n, "none"], errno("EBADF"))
  .call(undefined, "guest.store", [0x10000n, 0x5an], value(0n))
  .call(undefined, "host.load", ["map", 0n], value(0x5an))
  .call(undefined, "fallocate", ["g", 3n, 0n, 4096n], value(0n))
  .call(undefined, "host.load", ["map", 0n], value(0n))
  .call(undefined, "hlt", [], { kind: "exit", exit: "KVM_EXIT_HLT", fields: [] })
  .call(undefined, "guest.store", [0x80000n, 0x77n], { kind: "exit", exit: "KVM_EXIT_MMIO", fields: [{ name: "is_write", value: 1n }] })
  .call("priv", "KVM_CREATE_VM", [undefined, 1n])
  .call(undefined, "KVM_SET_MEMORY_ATTRIBUTES", ["priv", 0n, 4096n, 8n], value(0n))
  .call(undefined, "KVM_PRE_FAULT_MEMORY", ["vcpu0", 0x10000n, 4096n])
  .program();

test("memfd calls of 6.18 answer as measured", async (context) => {
  if (skipped(context, noRun())) return;
  await withBuilt([text(MEMFD)], ({ messages, run }) => {
    assert.equal(messages, "");
    const { output, status } = run(0);
    assert.equal(status, 0, output);
  });
});

test("guest_memfd, its slots and a guest answer as measured; what this KVM lacks is skipped with its name, and what hangs on it", async (context) => {
  if (skipped(context, noRun() ?? noKvm())) return;
  const c = text(GUEST_MEMFD);
  for (const name of ["KVM_CREATE_GUEST_MEMFD", "KVM_SET_USER_MEMORY_REGION2", "KVM_SET_MEMORY_ATTRIBUTES", "KVM_PRE_FAULT_MEMORY"]) {
    assert.ok(c.includes(`#ifndef ${name}\nstruct `), `${name} has a fall-back`);
  }
  await withBuilt([c], ({ messages, run }) => {
    assert.equal(messages, "");
    const { output, status } = run(0);
    assert.equal(status, 0, output);
    const skips = output.split("\n").filter((line) => line.includes(" # SKIP "));
    for (const line of skips) assert.match(line, /this KVM lacks KVM_CAP_\w+$|depends on a call that did not run \((priv|vm|vcpu0|g|map|none)\)$/);
    if (!/lacks KVM_CAP_GUEST_MEMFD/.test(output)) assert.match(output, /ok \d+ - line 1: load\(map, 0\) = 90$/m);
  });
});
