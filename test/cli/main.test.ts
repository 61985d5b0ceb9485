// The program itself, as a process: the real engine on real files, the exit status as the shell sees it.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "memfd-main-"));
after(() => rmSync(folder, { recursive: true }));

function memfd(...args: string[]): { status: number | null; out: string; error: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--disable-warning=ExperimentalWarning", MAIN, ...args], {
    cwd: folder,
    encoding: "utf8",
    timeout: 60_000,
  });
  return { status, out: stdout, error: stderr };
}
const write = (name: string, text: string | Uint8Array): void => writeFileSync(join(folder, name), text);
const lastLine = (text: string): string => text.trimEnd().split("\n").at(-1) ?? "";

const SETUP = `setup one-private-page {
  ram   = memfd_create("guest-ram", MFD_INACCESSIBLE)
  ftruncate(ram, 16K) = 0
  fallocate(ram, 0, 0, 16K) = 0
  vm    = KVM_CREATE_VM(0)
  vcpu0 = KVM_CREATE_VCPU(vm, 0)
  KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=KVM_MEM_PRIVATE, guest_phys_addr=0, memory_size=16K,
                             private_fd=ram, private_offset=0) = 0
  vcpu0: store(0x1000, 0x41)
}
setup punch-against-load {
  parallel {
    vmm   { fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0x1000, 4K) = 0 @hole }
    vcpu0 { load(0x1000) @look }
  }
}
`;
const window = (expectation: string): string => `kernel v8
${SETUP}scenario "the window" {
  check no-stale-mapping
  use one-private-page
  use punch-against-load
  ${expectation}
}
`;

test("the window of v8: expected it passes, unexpected it fails", () => {
  write("expected.memfd", window("expect violation no-stale-mapping at hole"));
  write("unexpected.memfd", window("expect safe"));
  const expected = memfd("check", "expected.memfd");
  assert.equal(expected.status, 0, expected.out + expected.error);
  assert.match(lastLine(expected.out), /^pass: 1 scenario/);
  const unexpected = memfd("check", "unexpected.memfd");
  assert.equal(unexpected.status, 1, unexpected.out + unexpected.error);
  assert.match(unexpected.out, /^unexpected\.memfd:\d+:\d+: error: .*no-stale-mapping/m);
  assert.match(lastLine(unexpected.out), /^fail: 1 of 1 scenario failed/);
});

test("JSON names the calls, their results and the story of the violation", () => {
  write("window.memfd", window("expect violation no-stale-mapping at hole"));
  const { out, status, error } = memfd("check", "--format", "json", "window.memfd");
  assert.equal(status, 0, error);
  const { version, verdict, scenarios } = JSON.parse(out);
  assert.deepEqual([version, verdict, scenarios.length], [1, "pass", 1]);
  const [{ name, kernel, calls, violations, exploration }] = scenarios;
  assert.deepEqual([name, kernel, exploration.complete], ["the window", "v8", true]);
  assert.deepEqual(
    calls.map((call: { call: string }) => call.call),
    ["memfd_create", "ftruncate", "fallocate", "KVM_CREATE_VM", "KVM_CREATE_VCPU", "KVM_SET_USER_MEMORY_REGION", "store", "fallocate", "load"],
  );
  assert.deepEqual(calls[7].results, [{ value: 0 }]);
  assert.deepEqual(calls[7].line, 14);
  assert.equal(violations[0].invariant, "no-stale-mapping");
  assert.equal(violations[0].expected, true);
  const last = violations[0].story.at(-1);
  assert.deepEqual([last.actor, last.line, last.step], ["vmm", 14, "truncate"]);
});

test("JSON names the line of an assert that was looked at on the way to a violation", () => {
  const text = window("expect violation no-stale-mapping at hole").replace("  use punch-against-load", "  assert pages(ram) == 4\n  use punch-against-load");
  write("looked.memfd", text);
  const { out, status, error } = memfd("check", "--format", "json", "looked.memfd");
  assert.equal(status, 0, error);
  const story: { actor: string; line: number; step: string }[] = JSON.parse(out).scenarios[0].violations[0].story;
  const at = text.split("\n").findIndex((line) => line.includes("assert")) + 1;
  assert.deepEqual(
    story.filter(({ line }) => line === at).map(({ actor }) => actor),
    ["vmm"],
  );
});

test("trace tells the window as a story of 40 lines of 80 columns, and with --full the page tables", () => {
  write("window.memfd", window("expect violation no-stale-mapping at hole"));
  const { out, status, error } = memfd("trace", "window.memfd");
  assert.equal(status, 0, error);
  for (const line of out.split("\n")) assert.ok(line.length <= 80, line);
  assert.ok(out.trimEnd().split("\n").length <= 40, out);
  assert.match(out, /no-stale-mapping breaks in vmm's fallocate: truncate \(step \d+, line 14\)/);
  assert.match(out, /!! no-stale-mapping breaks here/);
  assert.match(out, /^- the EPT of vm maps gfn 0x1 to frame \d+ since vcpu0's map/m);
  const full = memfd("trace", "--full", "window.memfd");
  assert.equal(full.status, 0, full.error);
  for (const line of full.out.split("\n")) assert.ok(line.length <= 80, line);
  assert.match(full.out, /no-stale-mapping breaks in step \d+ \(vmm, fallocate: truncate\), line 14/);
  assert.match(full.out, /Memory after step \d+ \(vmm, fallocate: truncate\):/);
  assert.match(full.out, /^ +- EPT of .*since step \d+ \(vcpu0, store:\s+map\)/ms);
});

test("--schedule: a text that is none, or that the scenario cannot follow, is said, with status 2", () => {
  write("followed.memfd", window("expect violation no-stale-mapping"));
  const trace = (schedule: string) => memfd("trace", "followed.memfd", "--schedule", schedule);
  const followed = trace("a3");
  assert.deepEqual([followed.status, followed.error], [0, ""]);
  assert.match(followed.out, /^Schedule: a3$/m);
  const none = trace("a!");
  assert.equal(none.status, 2);
  assert.match(none.error, /^memfd: --schedule: "a!" is not a run of steps/);
  const short = trace("a3 zz4");
  assert.equal(short.status, 2);
  assert.match(short.error, /takes 3 of its 7 steps/);
});

test("--kernel runs a file under a variant that it declares, and begin and end close the window", () => {
  const variant =
    "kernel v8-bracketed extends v8 { notifier_units = pages; fallocate.punch_hole = check_alignment, invalidate_begin, truncate, invalidate_end }\n";
  write("variant.memfd", variant + window("expect safe"));
  assert.equal(memfd("check", "variant.memfd").status, 1);
  const ran = memfd("check", "--kernel", "v8-bracketed", "variant.memfd");
  assert.equal(ran.status, 0, ran.out + ran.error);
  assert.match(ran.out, /under v8-bracketed/);
});

test("input that cannot be understood is status 2, on its line", () => {
  write("call.memfd", 'kernel v8\nmemfd_creat("x", 0)\n');
  write("syntax.memfd", 'kernel v8\nfd = memfd_create("x", 0\n');
  write("binary.memfd", Uint8Array.of(0, 255, 254, 7, 0));
  write("count.memfd", 'kernel v8\nfd = memfd_create("x")\n');
  for (const name of ["call", "syntax", "binary", "count"]) {
    const { status, out, error } = memfd("check", `${name}.memfd`);
    assert.equal(status, 2, `${name}: ${out}${error}`);
    assert.match(out, new RegExp(`^${name}\\.memfd:\\d+:\\d+: error: `, "m"));
    assert.match(lastLine(out), /^fail: /);
  }
  assert.equal(memfd("check", "gone.memfd").status, 2);
  assert.equal(memfd("check", "gone.memfd", "--nonsense").status, 2);
});

test("a limit that is hit is status 3, a kernel without a model too", () => {
  write("window.memfd", window("expect violation no-stale-mapping at hole"));
  const limited = memfd("check", "--max-states", "2", "window.memfd");
  assert.equal(limited.status, 3, limited.out + limited.error);
  assert.match(lastLine(limited.out), /^incomplete: /);
  write("later.memfd", 'kernel next\nfd = memfd_create("x", 0)\n');
  const later = memfd("check", "later.memfd");
  assert.equal(later.status, 3, later.out + later.error);
});

test("a folder is checked as a whole", () => {
  mkdirSync(join(folder, "tree", "deep"), { recursive: true });
  write("tree/a.memfd", 'kernel v8\nfd = memfd_create("x", 0)\nclose(fd) = 0\n');
  write("tree/deep/b.memfd", 'kernel v4\nfd = memfd_create("x", 0)\nclose(fd) = 0\n');
  const { status, out, error } = memfd("check", "tree");
  assert.equal(status, 0, out + error);
  assert.match(lastLine(out), /^pass: 2 scenarios, /);
});

/** Threads that meet at a few pages: so many interleavings that the forecast comes early. */
const CROWD = `scenario "small" {
  kernel v8
  close(-1) = -EBADF
}
scenario "crowd" {
  kernel v8
  ram = memfd_create("x", MFD_INACCESSIBLE)
  ftruncate(ram, 64K)
  parallel {
${Array.from({ length: 12 }, (_, thread) => `    t${thread} { repeat 25 as i { fallocate(ram, 0, 0x1000, 4K); fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0x1000, 4K) } }`).join("\n")}
  }
}
`;

test("Ctrl+C while a scenario goes on: what is known is printed, as incomplete, with status 130", { skip: process.platform === "win32" }, async () => {
  write("crowd.memfd", CROWD);
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", MAIN, "check", "--timeout", "600", "crowd.memfd"], { cwd: folder });
  let out = "";
  let error = "";
  child.stdout.on("data", (data) => {
    out += data;
  });
  child.stderr.on("data", (data) => {
    error += data;
    // The forecast: the run is under way.
    if (error.includes("MEMFD6007")) child.kill("SIGINT");
  });
  const status = await new Promise((done) => child.on("exit", done));
  assert.equal(status, 130, out + error);
  assert.match(out, /^crowd\.memfd:1: pass: "small"/m);
  assert.match(out, /not all interleavings were explored: stopped after [\d,]+ states, [\d,]+ to go at depth \d+ \[MEMFD6001\]/);
  assert.match(lastLine(out), /^incomplete: 1 of 2 scenarios incomplete$/);
  assert.match(error, /^crowd\.memfd:5:1: warning: will not finish: 12 threads of about \d+ atomic steps each; /);
  assert.match(error, /^memfd: stopped$/m);
  assert.doesNotMatch(error, /\r|\u001b/, "no line is rewritten where nobody looks");
});
