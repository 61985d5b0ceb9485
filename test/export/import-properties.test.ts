// Whatever the text is, a scenario comes out that the language accepts; and what a real run of a program says, the model says too.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, test } from "node:test";
import fc from "fast-check";
import { importTrace } from "../../src/export/import/index.ts";
import { profile } from "../../src/scenario/catalogue/index.ts";
import { contentPrograms, filePrograms, scenarioText } from "../conformance/generate.ts";
import { complaints, EVENTS, FIXTURES, fixture } from "./import-support.ts";
import { compilers, emit, noRun, programsOf, run, skipped } from "./support.ts";

const KERNELS = ["v4", "v8", "6.18", "mainline"];

function accepted(text: string, kernel: string): void {
  const result = importTrace(text, { kernel, all: text.length % 2 === 0 });
  assert.deepEqual(complaints(result.text), [], result.text);
  assert.ok(result.text.length < 1_000_000);
}

describe("any text is accepted", () => {
  const logs = [...FIXTURES, ...EVENTS].map(fixture);

  it("arbitrary text, with words of a trace in it", () => {
    const words = [
      "= 0",
      "= -1 EPERM (x)",
      "<unfinished ...>",
      "<... close resumed>",
      "memfd_create(",
      '"',
      "{",
      "[",
      "3",
      "kvm_exit:",
      "vcpu 0",
      " [000] 1.000: ",
      ")",
      ",",
      "\n",
      "\r",
      "\0",
      "�",
      "--- SIGBUS {",
      "+++",
    ];
    const text = fc.array(fc.oneof(fc.constantFrom(...words), fc.string({ unit: "binary", maxLength: 8 })), { maxLength: 60 }).map((parts) => parts.join(""));
    fc.assert(fc.property(text, fc.constantFrom(...KERNELS), accepted), { numRuns: 300 });
  });

  it("logs with lines lost, doubled, swapped and cut, and characters changed", () => {
    const edit = fc.record({ kind: fc.constantFrom("drop", "double", "swap", "cut", "number", "character", "other"), at: fc.nat(), by: fc.nat() });
    const mutated = fc.tuple(fc.nat(logs.length - 1), fc.array(edit, { minLength: 1, maxLength: 12 })).map(([which, edits]) => {
      const lines = logs[which].split("\n");
      for (const { kind, at, by } of edits) {
        const i = at % lines.length;
        const line = lines[i];
        const position = by % Math.max(1, line.length);
        if (kind === "drop") lines.splice(i, 1, "");
        else if (kind === "double") lines.splice(i, 0, line);
        else if (kind === "swap") [lines[i], lines[by % lines.length]] = [lines[by % lines.length], line];
        else if (kind === "cut") lines[i] = line.slice(0, position);
        else if (kind === "number")
          lines[i] = line.replace(/\d+/g, (digits, offset: number) =>
            offset >= position ? String((BigInt(digits) * 7919n + BigInt(by)) % (1n << 64n)) : digits,
          );
        else if (kind === "character") lines[i] = `${line.slice(0, position)}${'"(){}[],=<>|\\-x9 '[by % 17]}${line.slice(position + 1)}`;
        else lines.splice(i, 0, logs[by % logs.length].split("\n")[at % 20] ?? "");
      }
      return lines.join("\n");
    });
    fc.assert(fc.property(mutated, fc.constantFrom(...KERNELS), accepted), { numRuns: 400 });
  });

  it("calls of any arguments and results", () => {
    const value = fc.oneof(
      fc.constantFrom(
        "3",
        "4",
        "-1",
        "NULL",
        "AT_FDCWD",
        "0x7f0000000000",
        "0x7f0000001000",
        '"text"',
        '"cut"...',
        "{slot=0, flags=0}",
        "MAP_SHARED|MAP_FIXED",
        "PROT_READ",
        "F_ADD_SEALS",
        "F_DUPFD",
        "KVM_CREATE_VM",
        "0xae41",
        "SEEK_END",
      ),
      fc.bigInt({ min: -(1n << 63n), max: (1n << 64n) - 1n }).map(String),
    );
    const names =
      "memfd_create ftruncate fallocate read write pread64 pwrite64 lseek mmap munmap mprotect madvise mremap fcntl fchmod dup dup2 close readlink openat ioctl clone close_range".split(
        " ",
      );
    const call = fc
      .tuple(
        fc.constantFrom("10", "11", "12"),
        fc.constantFrom(...names),
        fc.array(value, { maxLength: 6 }),
        fc.oneof(value, fc.constant("-1 EBADF (Bad)"), fc.constant("-1 EWHATEVER (x)"), fc.constant("?")),
        fc.boolean(),
      )
      .map(([task, name, args, result, split]) =>
        split
          ? `${task} ${name}(${args.join(", ")} <unfinished ...>\n${task} <... ${name} resumed>) = ${result}`
          : `${task} ${name}(${args.join(", ")}) = ${result}`,
      );
    const log = fc
      .array(call, { maxLength: 40 })
      .map((lines) => ['10 memfd_create("x", 0) = 3', "10 mmap(NULL, 8192, PROT_READ, MAP_SHARED, 3, 0) = 0x7f0000000000", ...lines].join("\n"));
    fc.assert(fc.property(log, fc.constantFrom(...KERNELS), accepted), { numRuns: 400 });
  });
});

const noStrace = (): string | undefined =>
  noRun() ??
  (spawnSync("strace", ["-V"], { stdio: "ignore" }).status === 0 && spawnSync("strace", ["-o", "/dev/null", "true"]).status === 0
    ? undefined
    : "strace is not installed, or may not trace here");

/** The kernel that this machine has, or the calls of the old ones that it shares with them. */
const KERNEL = profile("6.18")?.modelled === true ? "6.18" : "v8";

const BY_HAND = `kernel v8
ram = memfd_create("guest-ram", MFD_ALLOW_SEALING|MFD_CLOEXEC)
ftruncate(ram, 16K) = 0
pwrite(ram, "hello", 0x1000) = 5
pread(ram, 5, 0x1000) = 5 "hello"
fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0x1000, 4K) = 0
pread(ram, 5, 0x1000) = 5 "\\0\\0\\0\\0\\0"
write(ram, 0x41 * 100) = 100
d = dup(ram)
read(d, 4) = 4
map = mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_SHARED, ram, 0)
store(map, 5, 0x42)
fcntl(ram, F_ADD_SEALS, F_SEAL_WRITE) = -EBUSY
munmap(map, 16K) = 0
fcntl(ram, F_ADD_SEALS, F_SEAL_WRITE|F_SEAL_GROW) = 0
write(ram, "x") = -EPERM
ftruncate(ram, 32K) = -EPERM
ro = mmap(NULL, 32K, PROT_READ, MAP_PRIVATE, ram, 0)
load(ro, 0x5000) = SIGBUS
close(d) = 0
close(d) = -EBADF
readlink_fd(ram) = "/memfd:guest-ram (deleted)"
close(ram) = 0
memfd_create("x" * 250, 0) = -EINVAL`;

test("there and back: a scenario as C, run under strace, imported, passes", (context) => {
  if (skipped(context, noStrace())) return;
  const generated = [...fc.sample(filePrograms, { numRuns: 6, seed: 20_220_118 }), ...fc.sample(contentPrograms, { numRuns: 6, seed: 20_221_017 })];
  const texts = [BY_HAND, ...generated.map((lines) => scenarioText([lines], ["v8"]))];
  const programs = texts.map((text, at) => programsOf(`s${at}`, text)[0]);
  const sources = programs.map((program, at) => emit(program, texts[at], { report: run(program) }).text);
  const folder = mkdtempSync(join(tmpdir(), "memfd-import-"));
  try {
    let calls = 0;
    for (const [at, source] of sources.entries()) {
      const program = join(folder, String(at));
      const log = `${program}.strace`;
      writeFileSync(`${program}.c`, source);
      const built = spawnSync(compilers[0], ["-pthread", `${program}.c`, "-o", program], { encoding: "utf8" });
      assert.equal(built.status, 0, built.stderr);
      spawnSync("strace", ["-f", "-y", "-s", "8192", "-o", log, program], { encoding: "utf8", timeout: 60_000 });
      const result = importTrace(readFileSync(log, "utf8"), { kernel: KERNEL });
      calls += result.statements;
      const report = run(programsOf("imported", result.text)[0]);
      const answers = JSON.stringify(report.calls, (_key, value) => (typeof value === "bigint" ? String(value) : value));
      assert.equal(report.verdict, "pass", `${result.text}\n${answers}`);
    }
    console.log(`${calls} calls of ${sources.length} real runs came back as they were, under ${KERNEL}`);
    assert.ok(calls > 100, `${calls} calls`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
