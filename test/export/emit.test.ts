// Every scenario that ships, and random programs, as C: it compiles without a warning, and what it prints is what the scenario says.

import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import type { Emitted } from "../../src/export/c/emit.ts";
import { Budget, cannotRun } from "../../src/export/c/limits.ts";
import { commentText, identifiers, integer, stringLiteral } from "../../src/export/c/names.ts";
import { RUNTIME_NAMES } from "../../src/export/c/runtime.ts";
import type { Program } from "../../src/scenario/program.ts";
import { contentPrograms, filePrograms, guestPrograms, type Lines, scenarioText, slotPrograms } from "../conformance/generate.ts";
import { emit, messagesOf, noKvm, noRun, programsOf, run, scenarioFiles, skipped, sourceOf, withBuilt } from "./support.ts";

const SEED = 20_221_017;
const NOEXEC = "/proc/sys/vm/memfd_noexec";
const BLESS = process.argv.includes("--bless");

const shipped = scenarioFiles().flatMap((path) => {
  const text = sourceOf(path);
  return programsOf(path, text, (other) => sourceOf(normalize(join(dirname(path), other)))).map((program) => ({ path, text, program }));
});

const onlyC = (program: Program, text: string): Emitted => emit(program, text, { report: run(program) });

/** Several programs of a generator in one scenario, each with names of its own: few compiler runs see many calls. */
function joined(programs: fc.Arbitrary<Lines>, count: number, kernel: string): string {
  const lines = fc
    .sample(programs, { numRuns: count, seed: SEED })
    .flatMap((each, at) => each.map((line) => line.replaceAll(/\b(f|m|vm|vcpu)(\d+)\b/g, `$1_${at}_$2`)));
  return scenarioText([lines], [kernel]);
}

/** Some call runs although the kernel is not the series' own. Where all depends on the series, reading the C is enough. */
const somethingRuns = ({ entries }: Emitted): boolean => entries.filter((entry) => entry.skipped !== undefined).length === 0;

/** Of a guest_memfd without a host mapping behind it: hardware gets there, what emulates real mode goes through userspace_addr and answers MMIO. */
const needsHardware = ({ profile, calls }: Program): boolean => /^\d/.test(profile.base) && calls.some((call) => call.spec.startsWith("guest."));

test("every scenario that ships is C without a warning, and what runs of it is as the scenario says", async (context) => {
  if (skipped(context, noRun())) return;
  assert.ok(shipped.length > 40, `${shipped.length} programs`);
  const all = shipped.map((each) => ({ ...each, emitted: onlyC(each.program, each.text) }));
  // What is told of another release or of a bug put back is not this kernel's to say; those are only read by the compiler.
  const isOurs = ({ path, program }: (typeof all)[number]): boolean => program.profile.name === "6.18" || /^scenarios\/(series|tutorial)\//.test(path);
  const running = all.filter((each) => isOurs(each) && !needsHardware(each.program) && somethingRuns(each.emitted));
  const rest = all.filter((each) => !running.includes(each));
  assert.equal(await messagesOf(rest.map(({ emitted }) => emitted.text)), "");
  let passed = 0;
  await withBuilt(
    running.map(({ emitted }) => emitted.text),
    ({ messages, run: execute }) => {
      assert.equal(messages, "");
      for (const [index, { program, path, emitted }] of running.entries()) {
        const { output, status } = execute(index);
        const due = noKvm() === undefined && !/# SKIP this KVM lacks /.test(output) ? [0] : [0, 4];
        assert.ok(due.includes(status), `${path} "${program.name}" under ${program.profile.name}: status ${status}\n${output}`);
        const tests = emitted.entries.filter((entry) => entry.tested).length;
        assert.ok(output.startsWith(`TAP version 13\n1..${tests}\n`), output);
        const lines = output.split("\n").filter((line) => /^ok \d+ - /.test(line));
        assert.equal(lines.length, tests, output);
        passed += lines.filter((line) => !line.includes(" # SKIP ")).length;
      }
    },
  );
  console.log(`${shipped.length} programs that ship: ${running.length} run on this kernel, ${passed} of their tests passed`);
  assert.ok(running.length > 10 && passed > 30, "what the kernels share runs");
});

test("random programs compile without a warning", async (context) => {
  if (skipped(context, noRun())) return;
  const texts = [filePrograms, contentPrograms, slotPrograms, guestPrograms].map((programs, at) => joined(programs, 12, ["v4", "v8"][at % 2]));
  const programs = texts.map((text) => ({ text, program: programsOf("random", text)[0] }));
  const calls = programs.reduce((sum, { program }) => sum + program.calls.length, 0);
  assert.ok(calls > 500, `${calls} calls`);
  const emitted = programs.map(({ program, text }) => emit(program, text).text);
  await withBuilt(emitted, ({ messages }) => assert.equal(messages, ""));
});

for (const [path, name, golden] of [
  ["scenarios/tutorial/01-calls-and-results.memfd", "the guest is an actor of its own", "guest.c"],
  ["scenarios/tutorial/03-a-race.memfd", "two steps of one thread are not one", "race.c"],
] as const) {
  test(`golden: ${name}`, () => {
    const found = shipped.find((each) => each.path === path && each.program.name === name)!;
    const file = join(import.meta.dirname, "goldens", golden);
    const { text } = onlyC(found.program, found.text);
    if (BLESS) writeFileSync(file, text);
    assert.equal(text, readFileSync(file, "utf8"));
  });
}

test("without a model's answer the threads run as they come, and the file says so", () => {
  const { program, text } = shipped.find((each) => each.path.includes("03-a-race"))!;
  const free = emit(program, text).text;
  assert.match(free, /No schedule is known for the parallel block/);
  assert.doesNotMatch(free, / && (after|meet)\(ACTOR/);
  assert.match(onlyC(program, text).text, /follow this schedule call by call/);
});

const body = (lines: string, kernel = "v8", first = ""): { text: string; program: Program } => {
  const text = `kernel ${kernel}\n\nscenario "one" {${first}\n${lines}\n}\n`;
  return { text, program: programsOf("one", text)[0] };
};

test("a schedule that was asked for is followed: either writer may be last", async (context) => {
  if (skipped(context, noRun())) return;
  const { program, text } = body(
    'a = memfd_create("a", 0)\nftruncate(a, 4K)\nparallel {\n  one { pwrite(a, "1", 0) @one }\n  two { pwrite(a, "2", 0) @two }\n}\npread(a, 1, 0) = 1 "1" or 1 "2"',
  );
  const report = run(program);
  const steps = (order: string): Emitted => emit(program, text, { report, schedule: `a40 ${order}`.replace("a40", prefix(program, text)) });
  const [first, second] = [steps("b20"), steps("c20")];
  assert.notEqual(first.text, second.text);
  await withBuilt([first.text, second.text], ({ run: execute }) => {
    assert.match(execute(0).output, /pread\(a, 1, 0\) = 1 "2"/);
    assert.match(execute(1).output, /pread\(a, 1, 0\) = 1 "1"/);
  });
});

/** The steps of the main thread before the block, of a schedule that runs it to its end. */
function prefix(program: Program, text: string): string {
  const { schedule } = onlyC(program, text);
  return schedule!.text.split(" ")[0];
}

test("calls whose steps interleave meet at their gates; one that returned before comes first", () => {
  const { program, text } = body(
    'a = memfd_create("a", 0)\nftruncate(a, 8K)\nparallel {\n  one { pwrite(a, "1", 0) }\n  two { pwrite(a, "2", 0); pread(a, 1, 0) }\n}',
  );
  const start = prefix(program, text);
  const mixed = emit(program, text, { report: run(program), schedule: `${start} b c` }).text;
  assert.match(mixed, /begin\(2\) && meet\(ACTOR_2_two, 1\) && have\(a\)/);
  assert.match(mixed, /begin\(3\) && meet\(ACTOR_1_one, 1\) && have\(a\)/);
  const serial = emit(program, text, { report: run(program), schedule: `${start} b20` }).text;
  assert.match(serial, /begin\(3\) && after\(ACTOR_1_one, 1\) && have\(a\)/);
});

test("a call that never returns is an answer, in the main thread and in a thread, and the rest is not reached", async (context) => {
  if (skipped(context, noRun())) return;
  const alone = body('a = memfd_create("a", 0)\nftruncate(a, 4K) = blocks\nclose(a) = 0');
  const threads = body('a = memfd_create("a", 0)\nparallel {\n  one { ftruncate(a, 4K) = 0 }\n  two { pread(a, 1, 0) = 0 }\n}\nclose(a) = 0');
  const stuck = [alone, threads].map(({ program, text }) => {
    const c = emit(program, text).text;
    const blocked = c.replace("ret(ftruncate(a, 4096))", "ret(pause())").replace("#define BLOCK_SECONDS 5", "#define BLOCK_SECONDS 1");
    assert.notEqual(blocked, c);
    return blocked;
  });
  await withBuilt(stuck, ({ messages, run: execute }) => {
    assert.equal(messages, "");
    const [first, second] = [execute(0), execute(1)];
    assert.equal(first.status, 0);
    assert.match(first.output, /^ok 1 - line 5: ftruncate\(a, 4K\) = blocks\nok 2 - line 6: close\(a\) # SKIP not reached$/m);
    assert.equal(second.status, 1);
    assert.match(second.output, /^not ok 1 - line 6: one: ftruncate\(a, 4K\) = blocks\nok 2 - line 7: two: pread\(a, 1, 0\) = 0\nok 3 - .*SKIP not reached$/m);
  });
});

test("what no release has, what nobody can do and what would take too much is left out with its reason, and so is what depends on it", () => {
  const { program, text } = body(
    [
      'p = memfd_create("p", MFD_INACCESSIBLE)',
      "ftruncate(p, 4K)",
      'a = memfd_create("a", 0)',
      "fallocate(a, 0, 0, 1T)",
      "pread(a, 1, 0)",
      "x = alloc_frame()",
      'b = memfd_create("b", 0)',
      "ftruncate(b, 1T)",
      "assert bound(b, 0) == 0",
      "assert pages(b) == 0",
    ].join("\n"),
  );
  const { text: c, entries } = emit(program, text);
  const reasons = entries.map((entry) => entry.skipped ?? "");
  assert.match(reasons[0], /^MFD_INACCESSIBLE belongs to v8/);
  assert.match(reasons[3], /64 MiB/);
  assert.match(reasons[5], /user space cannot make alloc_frame/);
  assert.match(reasons[8], /no system call answers bound/);
  assert.deepEqual([reasons[1], reasons[4], reasons[7], reasons[9]], ["", "", "", ""]);
  assert.match(c, /lost\(&a\);/);
  for (const reason of reasons) assert.ok(c.slice(0, c.indexOf("*/")).includes(reason));
});

test("a TD that the host builds from leaves cannot run on a real machine, its guest neither", () => {
  const { program } = body(
    "tdr = alloc_frame()\ntd = TDH.MNG.CREATE(tdr, 33)\ntdvpr = alloc_frame()\nvcpu0 = TDH.VP.CREATE(td, tdvpr)\nvcpu0: load(0x1000)",
    "6.18",
  );
  const budget = new Budget();
  for (const call of program.calls.keys()) assert.notEqual(cannotRun(program, call, budget), undefined, program.calls[call].spec);
});

test("a VM is closed in a file that leaves out every access of its guest", async (context) => {
  if (skipped(context, noRun())) return;
  const text = "kernel 6.18\nvm = KVM_CREATE_VM(0)\nvcpu = KVM_CREATE_VCPU(vm, 0)\nvcpu: load(SHARED|0x1000)\nclose(vm)\n";
  const [program] = programsOf("closed.memfd", text);
  await withBuilt([emit(program, text).text], ({ messages }) => assert.equal(messages, ""));
});

test("a VM with TDX needs a machine with TDX: not run, and an ordinary one is", () => {
  const { program, text } = body(
    ["vm = KVM_CREATE_VM(KVM_X86_TDX_VM)", "KVM_TDX_INIT_VM(vm)", "KVM_CREATE_GUEST_MEMFD(vm, 4K)", "KVM_CREATE_VM(KVM_X86_SW_PROTECTED_VM)"].join("\n"),
    "6.18",
  );
  const reasons = emit(program, text).entries.map((entry) => entry.skipped ?? "");
  assert.match(reasons[0], /has Intel TDX/);
  assert.match(reasons[1], /has Intel TDX/);
  assert.equal(reasons[3], "");
});

test("what a machine block sets is set in a namespace of the program's own, or nothing is run", async (context) => {
  const noexec = body('a = memfd_create("a", 0) = ok\nfcntl(a, F_GET_SEALS) = F_SEAL_EXEC\nassert mode(a) == 0o666', "6.18", "machine { memfd_noexec = 1 }");
  const emitted = emit(noexec.program, noexec.text);
  assert.match(emitted.text, /if \(!noexec_is\(1\)\)\n\t\treturn end\(\);/);
  const pool = body('a = memfd_create("a", MFD_HUGETLB)', "6.18", "machine { uid = 1000 }");
  assert.match(emit(pool.program, pool.text).entries[0].skipped ?? "", /cannot set uid/);
  if (skipped(context, noRun())) return;
  const setting = (): string => (existsSync(NOEXEC) ? readFileSync(NOEXEC, "utf8") : "");
  const before = setting();
  await withBuilt([emitted.text], ({ messages, run: execute }) => {
    assert.equal(messages, "");
    const { output, status } = execute(0);
    assert.ok(status === 0 || status === 4, `${status}: ${output}`);
    if (status === 0) assert.match(output, /^ok 2 - line \d+: fcntl\(a, F_GET_SEALS\) = 32$/m);
    else assert.match(output, /# SKIP vm\.memfd_noexec cannot be set to 1 here/);
  });
  assert.equal(setting(), before);
});

test("a file opened once more, and flags of 64 bits that are passed whole", () => {
  const { program, text } = body(
    [
      'a = memfd_create("a", 0)',
      "b = open_fd(a, O_RDWR|O_TRUNC)",
      "vm = KVM_CREATE_VM(0)",
      "g = KVM_CREATE_GUEST_MEMFD(vm, size=4K, flags=0x100000000)",
      "KVM_SET_USER_MEMORY_REGION2(vm, slot=0x100000001, flags=0, guest_phys_addr=0, memory_size=4K)",
    ].join("\n"),
    "6.18",
  );
  const { text: c } = emit(program, text);
  assert.match(c, /b = reopen\(a, O_RDWR \| O_TRUNC\)/);
  assert.match(c, /kvm_create_guest_memfd\)\{ \.size = 4096, \.flags = 0x100000000L? \}/);
  assert.match(c, /\.slot = \(__u32\)/);
});

test("names of a scenario become C names that collide with nothing", () => {
  const names = [
    "ram",
    "time",
    "index",
    "kvm",
    "vcpu[2]",
    "one-page",
    "one_page",
    "memfd_create",
    "int",
    "errno",
    "NULL_",
    "load",
    "calls",
    "PAGE",
    "begin",
    "late",
  ];
  const { program } = body("close(1)");
  const handles = names.map((name) => ({ name, kind: "fd" as const, call: 0, site: 0 }));
  const made = identifiers({ ...program, handles }, RUNTIME_NAMES);
  assert.equal(new Set(made).size, made.length);
  assert.deepEqual(made.slice(0, 7), ["ram", "my_time", "my_index", "my_kvm", "vcpu_2", "one_page", "one_page_2"]);
  for (const name of made) assert.ok(!RUNTIME_NAMES.has(name) && /^[A-Za-z_]\w*$/.test(name), name);
});

test("comments, strings and numbers say in C what they said", () => {
  assert.equal(commentText("a */ b /* c \u202e d"), "a * / b / * c \\u{202e} d");
  assert.equal(stringLiteral([63, 63, 47, 34, 0, 49, 255]), '"?\\?/\\"\\0001\\377"');
  assert.equal(integer(-(1n << 63n)), "(-0x7fffffffffffffffL - 1)");
  assert.equal(integer(1n << 63n), "(-0x7fffffffffffffffL - 1)");
  assert.equal(integer(0x7fff_ffffn), "2147483647");
  assert.equal(integer(0x8000_0000n, true), "0x80000000L");
  assert.equal(integer(-4096n, true), "-0x1000");
});
