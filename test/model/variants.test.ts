// Every kernel with any one step dropped or any two neighbours swapped still runs: a variant may break invariants or block, but never the model.

import assert from "node:assert/strict";
import { it } from "node:test";
import { check } from "../../src/check/index.ts";
import { PROFILES, resolveProfile } from "../../src/model/profile/index.ts";
import type { Profile } from "../../src/model/profile/types.ts";
import { printCall } from "../../src/scenario/print.ts";
import type { ProfileChoice, ProfileEdit, Program } from "../../src/scenario/program.ts";
import { GMEM_SETUP } from "./gmem-random.ts";
import { inKernel, SETUP } from "./random.ts";
import { onMachine, program, programs, still } from "./support.ts";

const PUNCH = "FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE";

const RACES = [
  `vmm { fallocate(ram, 0, 0, 8K); fallocate(ram, ${PUNCH}, 0, 8K) }\n vcpu0 { load(0x1000) }`,
  `vmm { fallocate(mem, ${PUNCH}, 0, 8K); ftruncate(mem, 4K) }\n helper { load(map, 4K) }`,
  "vmm { pwrite(mem, 0x41 * 4097, 0); fcntl(mem, F_ADD_SEALS, F_SEAL_WRITE) }\n helper { read(mem, 2); close(mem) }",
  "vmm { KVM_SET_USER_MEMORY_REGION(vm, slot=1, flags=0, guest_phys_addr=0x8000, memory_size=0) }\n vcpu0 { load(0x8000) }",
  "vmm { KVM_SET_USER_MEMORY_REGION(vm, slot=1, flags=0, guest_phys_addr=0xa000, memory_size=4K, userspace_addr=map + 8K) }\n vcpu0 { store(0x8000, 1) }",
];
const REGIONS = ["vmm { KVM_MEMORY_ENCRYPT_UNREG_REGION(vm, 0x1000, 8K); munmap(map, 4K) }\n vcpu0 { load(SHARED|0x1000) }"];
const CONVERSIONS: Readonly<Record<string, readonly string[]>> = {
  v7: ["vmm { KVM_MEMORY_ENCRYPT_REG_REGION(vm, 0x1000, 8K); KVM_MEMORY_ENCRYPT_UNREG_REGION(vm, 0x1000, 4K) }\n vcpu0 { load(0x2000) }"],
  v8: REGIONS,
  v9: REGIONS,
  v10: ["vmm { KVM_SET_MEMORY_ATTRIBUTES(vm, 0x1000, 8K, 8) }\n helper { KVM_SET_MEMORY_ATTRIBUTES(vm, 0x1000, 4K, 0) }\n vcpu0 { load(0x1000) }"],
};

const GUEST_MEMFD = [
  `vmm { fallocate(ram, FALLOC_FL_KEEP_SIZE, 0, 8K); fallocate(ram, ${PUNCH}, 0, 4K) }\n vcpu0 { load(0x1000) }`,
  "vmm { close(ram) }\n vcpu0 { load(0x1000) }",
  "vmm { KVM_SET_MEMORY_ATTRIBUTES(vm, 0x1000, 8K, 8) }\n helper { KVM_SET_MEMORY_ATTRIBUTES(vm, 0x1000, 4K, 0) }\n vcpu0 { load(0x1000) }",
  "vmm { KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=0, guest_phys_addr=0x1000, memory_size=0) }\n helper { close(ram) }\n vcpu0 { load(0x1000) }",
  "vmm { KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=0, guest_phys_addr=0x8000, memory_size=8K, userspace_addr=map) }\n vcpu0 { store(0x2000, 1) }",
  `vmm { fallocate(mem, ${PUNCH}, 0, 8K); ftruncate(mem, 4K) }\n helper { load(map, 4K) }`,
];
const PRE_FAULT = "vmm { KVM_PRE_FAULT_MEMORY(vcpu1, 0x1000, 8K) }\n helper { munmap(map, 4K) }";

/** Set-up and races of a kernel with guest_memfd, or of the series. */
function scenariosOf(profile: Profile): { readonly setup: string; readonly races: readonly string[] } {
  const { features, operations, name } = profile;
  if (features.guest_memfd === "absent") return { setup: SETUP, races: [...RACES, ...(CONVERSIONS[name] ?? [])] };
  return { setup: GMEM_SETUP, races: Object.hasOwn(operations, "KVM_PRE_FAULT_MEMORY") ? [...GUEST_MEMFD, PRE_FAULT] : GUEST_MEMFD };
}

/** Flat lists with one step less, and with two neighbours swapped. */
function variantsOf(steps: readonly string[]): string[][] {
  const dropped = steps.map((_, at) => steps.filter((_step, index) => index !== at)).filter((list) => list.length > 0);
  const swapped = steps.slice(1).map((_, at) => [...steps.slice(0, at), steps[at + 1], steps[at], ...steps.slice(at + 2)]);
  return [...dropped, ...swapped];
}

/** Lists of kernels with guest_memfd that an older row has been run with already. */
const seen = new Set<string>();
const isNew = (profile: Profile, operation: string, list: readonly unknown[]): boolean => {
  if (profile.features.guest_memfd === "absent") return true;
  const key = `${operation} ${list.flat().join()}`;
  return !seen.has(key) && seen.add(key).size > 0;
};

interface Race {
  readonly program: Program;
  /** The operations that some call of it may run; a change of any other one leaves its machine as it is. */
  readonly runs: ReadonlySet<string>;
}

function racesOf(profile: Profile): Race[] {
  const { setup, races } = scenariosOf(profile);
  return races.map((race) => {
    const lines = inKernel(profile.name, `${setup.replaceAll(") = 0", ")")}\n parallel {\n ${race}\n }`);
    const text = `scenario "x" {\n kernel ${profile.name}\n${lines}\n}`;
    return { program: program(text), runs: onMachine(text, ({ plans }) => new Set(plans.flatMap((plan) => plan?.operations ?? []))) };
  });
}

/** The variants of one operation as the language reads them; of the few lists that are longer than any that can be written, those that are short enough. */
function choicesOf({ name }: Profile, operation: string, lists: readonly (readonly string[])[]): ProfileChoice[] {
  if (lists.length === 0) return [];
  const kernels = lists.map((steps, at) => `kernel changed-v${at} extends ${name} { ${operation} = ${steps.join(", ")} }\n`);
  const text = `${kernels.join("")}scenario "x" {\n kernel ${lists.map((_, at) => `changed-v${at}`).join(", ")}\n close(-1)\n}`;
  const choices = programs(text).map(({ profile }) => profile);
  return choices.filter((choice) => {
    const { problems } = resolveProfile(choice);
    for (const { message } of problems) assert.match(message, /^an operation has at most \d+ steps$/);
    return problems.length === 0;
  });
}

function assertRuns(one: Program, profile: ProfileChoice): void {
  const judged = check({ ...one, profile }, { now: still, maxStates: 160 });
  assert.deepEqual(
    judged.remarks.filter(({ code }) => code === "MEMFD9001" || code === "MEMFD2090").map(({ message }) => message),
    [],
    `${JSON.stringify(profile.edits)}\n${one.calls.map((_, call) => printCall(one, call)).join("\n")}`,
  );
}

for (const profile of PROFILES) {
  it(`variants of ${profile.name}`, () => {
    let run = 0;
    const races = racesOf(profile);
    /** Of operations that no race runs, which are only compiled: the first variant of each at once, the second of each, and so on. */
    const unused: ProfileEdit[][] = [];
    for (const [operation, list] of Object.entries(profile.operations)) {
      const choices = choicesOf(profile, operation, isNew(profile, operation, list) ? variantsOf(list.flat()) : []);
      const using = races.filter(({ runs }) => runs.has(operation));
      for (const [at, choice] of choices.entries()) {
        if (using.length === 0) (unused[at] ??= []).push(...choice.edits);
        for (const race of using) assertRuns(race.program, choice);
        run += using.length;
      }
    }
    for (const edits of unused) assertRuns(races[0].program, { name: "changed", base: profile.name, edits });
    assert.ok(run > (profile.features.guest_memfd === "absent" || profile.name === "6.8.0" ? 300 : -1), `${run} runs`);
  });
}
