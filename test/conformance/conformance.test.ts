// The modelled kernels against the kernel of this machine, for all that both share by the kernel's history: arguments and errnos, seals, contents, memory
// slots, guest data flow. Without a compiler or /dev/kvm the parts that need them are skipped, and say so. MEMFD_CONFORMANCE_SEED picks other programs.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { answerText } from "../../src/export/c/answer.ts";
import { type Comparison, compare, type Options, showComparison, showDifference } from "./compare.ts";
import { explain, VERSION_DIFFERENCES } from "./differences.ts";
import { contentPrograms, filePrograms, guestPrograms, type Lines, mainlinePrograms, scenarioText, slotPrograms } from "./generate.ts";
import { GMEM_GUEST_REACHES, GMEM_REACHES, gmemGuestPrograms, gmemPrograms } from "./generate-gmem.ts";
import { MOVES_REACH, movePrograms } from "./generate-moves.ts";
import { KVM_TABLES } from "./kvm-tables.ts";
import { abilities, atLeast } from "./machine.ts";
import { MAINLINE_TABLES } from "./mainline-tables.ts";
import { minimise } from "./minimise.ts";
import { programsOf, runModel } from "./model.ts";
import { SEAL_TABLES } from "./seal-tables.ts";
import { FILE_TABLES, scenario, type Table } from "./tables.ts";

const KERNELS = ["6.18", "v8", "v4"];
const SEED = Number(process.env.MEMFD_CONFORMANCE_SEED ?? 20221017);
/** A factor on the number of random programs. */
const SCALE = Number(process.env.MEMFD_CONFORMANCE_SCALE ?? 1);

function skipped(context: TestContext, reason: string | undefined): boolean {
  if (reason === undefined) return false;
  console.log(`skipped: ${context.name}: ${reason}`);
  context.skip(reason);
  return true;
}

function assertSame(what: string, comparison: Comparison, shown: readonly string[] = comparison.differences.map(showDifference)): void {
  console.log(showComparison(what, comparison));
  const problems = comparison.problems.map(({ program, problem }) => `${program.name} [${program.profile.name}]: ${problem}`);
  assert.deepEqual(problems.slice(0, 5), [], `${what}: the model gives no single answer for ${problems.length} programs`);
  assert.equal(comparison.differences.length, 0, `${what}: ${comparison.differences.length} programs differ\n\n${shown.slice(0, 5).join("\n\n")}`);
}

for (const [tables, kvm] of [
  [[...FILE_TABLES, ...SEAL_TABLES, ...MAINLINE_TABLES], false],
  [KVM_TABLES, true],
] as const) {
  for (const { name, text } of tables) {
    test(`the model gives the measured answers: ${name}`, () => answersAsMeasured(name, text));
    test(`this kernel and the model agree: ${name}`, (context) => {
      if (skipped(context, kvm ? abilities().noKvm : abilities().noCompare)) return;
      assertSame(name, compare(name, text, { explain }));
    });
  }
}

function answersAsMeasured(name: string, text: string): void {
  const programs = programsOf(name, text);
  assert.ok(programs.length >= 2, "there are scenarios in it");
  const wrong = programs.flatMap((program) => {
    const { problem, answers } = runModel(program);
    return problem === undefined ? [] : [`${program.name} [${program.profile.name}]: ${problem}; ${answers.join(", ")}`];
  });
  assert.deepEqual(wrong, []);
}

interface Random {
  readonly name: string;
  readonly programs: fc.Arbitrary<Lines>;
  readonly count: number;
  readonly kvm: boolean;
  readonly kernels: readonly string[];
  /** Answers that these programs have to come to, or the generator has lost its reach. */
  readonly reaches: readonly string[];
}

const RANDOM: readonly Random[] = [
  {
    name: "random memfd programs",
    programs: filePrograms,
    count: 400,
    kvm: false,
    kernels: KERNELS,
    reaches: [
      "memfd_create ok",
      "memfd_create -EINVAL",
      "memfd_create -EFAULT",
      "ftruncate ok",
      "ftruncate -EPERM",
      "ftruncate -EINVAL",
      "fallocate ok",
      "fallocate -EPERM",
      "fallocate -EFBIG",
      "fallocate -EOPNOTSUPP",
      "pwrite ok",
      "pwrite -EPERM",
      "pwrite -EINVAL",
      "pread ok",
      "pread -EINVAL",
      "write ok",
      "write -EPERM",
      "read ok",
      "read -EBADF",
      "mmap ok",
      "mmap -EPERM",
      "mmap -EBADF",
      "munmap ok",
      "munmap -EINVAL",
      "host.load ok",
      "host.load SIGBUS",
      "host.load SIGSEGV",
      "host.store ok",
      "host.store SIGBUS",
      "host.store SIGSEGV",
      "fcntl ok",
      "fcntl -EBUSY",
      "fcntl -EPERM",
      "fcntl -EINVAL",
      "dup ok",
      "close ok",
      "close -EBADF",
    ],
  },
  {
    name: "random programs on the memfd of 6.18",
    programs: mainlinePrograms,
    count: 800,
    kvm: false,
    kernels: ["6.18"],
    reaches: [
      "memfd_create ok",
      "memfd_create -EINVAL",
      "lseek ok",
      "lseek -EINVAL",
      "lseek -ENXIO",
      "lseek -EBADF",
      "fchmod ok",
      "fchmod -EPERM",
      "fchmod -EBADF",
      "open_fd ok",
      "open_fd -EPERM",
      "open_fd -ENOENT",
      "open_fd -EEXIST",
      "mprotect ok",
      "mprotect -EACCES",
      "mprotect -EINVAL",
      "mprotect -ENOMEM",
      "madvise ok",
      "madvise -EACCES",
      "madvise -EINVAL",
      "madvise -ENOMEM",
      "mmap -EACCES",
      "mmap -EPERM",
      "fcntl -EBUSY",
      "fcntl -EPERM",
      "ftruncate -EINVAL",
      "fallocate -EBADF",
      "read -EBADF",
      "write -EBADF",
    ],
  },
  {
    name: "random contents of one file",
    programs: contentPrograms,
    count: 100,
    kvm: false,
    kernels: KERNELS,
    reaches: [
      "host.load ok",
      "host.load SIGBUS",
      "host.store ok",
      "host.store SIGBUS",
      "pread ok",
      "pwrite ok",
      "read ok",
      "write ok",
      "fallocate ok",
      "ftruncate ok",
      "munmap ok",
    ],
  },
  {
    name: "random moves between files and pipes",
    programs: movePrograms,
    count: 400,
    kvm: false,
    kernels: ["6.18"],
    reaches: MOVES_REACH,
  },
  {
    name: "random memory slots",
    programs: slotPrograms,
    count: 150,
    kvm: true,
    kernels: KERNELS,
    reaches: [
      "KVM_CREATE_VM ok",
      "KVM_CREATE_VM -EINVAL",
      "KVM_CREATE_VCPU -EEXIST",
      "KVM_CREATE_VCPU -EINVAL",
      "KVM_SET_USER_MEMORY_REGION ok",
      "KVM_SET_USER_MEMORY_REGION -EINVAL",
      "KVM_SET_USER_MEMORY_REGION -EEXIST",
    ],
  },
  {
    name: "random programs on guest_memfd and its slots",
    programs: gmemPrograms,
    count: 400,
    kvm: true,
    kernels: ["6.18"],
    reaches: GMEM_REACHES,
  },
  {
    name: "random accesses of guest and host to one guest_memfd",
    programs: gmemGuestPrograms,
    count: 150,
    kvm: true,
    kernels: ["6.18"],
    reaches: GMEM_GUEST_REACHES,
  },
  {
    name: "random guest accesses",
    programs: guestPrograms,
    count: 200,
    kvm: true,
    kernels: KERNELS,
    reaches: [
      "guest.load ok",
      "guest.load exit",
      "guest.store ok",
      "guest.store exit",
      "host.load ok",
      "host.store ok",
      "KVM_SET_USER_MEMORY_REGION ok",
      "pread ok",
      "fallocate ok",
    ],
  },
];

let randomCalls = 0;

for (const { name, programs, count, kvm, kernels, reaches } of RANDOM) {
  test(`this kernel and the model agree: ${name}`, (context) => {
    if (skipped(context, kvm ? abilities().noKvm : abilities().noCompare)) return;
    const texts = fc.sample(programs, { numRuns: Math.ceil(count * SCALE), seed: SEED });
    const comparison = compare(name, scenarioText(texts, kernels), { explain });
    const small = comparison.differences
      .slice(0, 3)
      .map((difference) => `seed ${SEED}:\n${showDifference(minimise(texts[Number(difference.program.name)], difference, { explain }))}`);
    assertSame(`${name}, seed ${SEED}`, comparison, small);
    assert.ok(comparison.limited * 100 <= comparison.programs, `${comparison.limited} of ${comparison.programs} programs were not explored whole`);
    randomCalls += comparison.compared;
    const missing = reaches.filter((answer) => !comparison.reached.has(answer) && !comparison.reached.has(answer.replace(/ ok$/, " 0")));
    assert.deepEqual(missing, [], `seed ${SEED}: never reached`);
  });
}

test("at least 20,000 random calls were compared", (context) => {
  if (skipped(context, abilities().noCompare)) return;
  console.log(`random calls compared with this kernel: ${randomCalls}`);
  if (SCALE >= 1) assert.ok(randomCalls >= 20_000, `${randomCalls}`);
});

for (const row of VERSION_DIFFERENCES) {
  const kernels = Object.keys(row.model);
  const text = `kernel ${kernels.join(", ")}\n\n${scenario(row.name, row.lines)}`;
  test(`version difference, the model's side: ${row.name}`, () => {
    for (const program of programsOf(row.name, text)) {
      const answers = runModel(program).report.calls.map(({ results }) => results.map(({ result }) => answerText(result)).join(" | "));
      assert.equal(answers.at(-1), row.model[program.profile.base], program.profile.base);
    }
  });
  test(`version difference, really there: ${row.name}`, (context) => {
    if (skipped(context, row.needsKvm ? abilities().noKvm : abilities().noCompare)) return;
    if (!row.here() && skipped(context, `not on this machine: ${row.source}`)) return;
    const { differences } = compare(row.name, text);
    const seen = differences.map(({ program, call, model, machine }) => [program.profile.name, call, model, machine]);
    const due = kernels.map((kernel) => [kernel, row.lines.length - 1, row.model[kernel], row.machine]).filter(([, , model, machine]) => model !== machine);
    assert.ok(due.length > 0);
    assert.deepEqual(seen, due);
  });
}

test("every row of the table gives its reason and source, and 6.18 shows all that are about releases", () => {
  for (const row of VERSION_DIFFERENCES) assert.ok(row.reason.length > 20 && /\.c|\d+\/\d+/.test(row.source), row.name);
  if (!atLeast(6, 18)) return;
  assert.deepEqual(
    VERSION_DIFFERENCES.filter((row) => !row.needsKvm && !row.here()).map((row) => row.name),
    [],
  );
});

test("one schedule: without private memory a program takes about as many states under v8, whose fresh pages are as found, as it has steps", () => {
  const texts = fc.sample(contentPrograms, { numRuns: 20, seed: SEED });
  for (const program of programsOf("content", scenarioText(texts, ["v8"]))) {
    const { states, complete } = runModel(program).report.exploration;
    assert.ok(complete && states < program.calls.length * 100, `${program.name}: ${states} states for ${program.calls.length} calls`);
  }
});

test("a wrong answer of the model is found, made small and shown on its line", (context) => {
  if (skipped(context, abilities().noCompare)) return;
  const lines: Lines = [
    'f0 = memfd_create("x", MFD_ALLOW_SEALING)',
    "ftruncate(f0, 8K)",
    "fcntl(f0, F_ADD_SEALS, F_SEAL_SHRINK)",
    "pread(f0, 4, 0)",
    "ftruncate(f0, 4K)",
  ];
  const table: Table = { name: "lie", text: scenarioText([lines], ["v8"]) };
  const options: Options = {
    model(program) {
      const run = runModel(program);
      return { ...run, answers: run.answers.map((answer) => (answer === "-EPERM" ? "0" : answer)) };
    },
  };
  const lying = compare(table.name, table.text, options);
  assert.equal(lying.differences.length, 1);
  const [difference] = lying.differences;
  assert.deepEqual([difference.call, difference.model, difference.machine], [4, "0", "-EPERM"]);
  const small = minimise(lines, difference, options);
  assert.deepEqual(
    small.program.calls.map((call) => call.spec),
    ["memfd_create", "ftruncate", "fcntl", "ftruncate"],
  );
  assert.match(showDifference(small), / {2}ftruncate\(f0, 4K\)\n {4}\/\/ model v8: 0\n {4}\/\/ this kernel: -EPERM\n\}/);
});
