// Several threads and processes in one log of strace: what overlapped, what had ended before, and what a child has a copy of.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { importTrace } from "../../src/export/import/index.ts";
import { report } from "../model/support.ts";
import { complaints, imported, remarks, statements } from "./import-support.ts";

const says = (log: string): string[] => statements(importTrace(log, { kernel: "6.18" }));
const remarked = (log: string): string[] => remarks(importTrace(log, { kernel: "6.18" }));

describe("threads and processes", () => {
  const RACE = (main: string): string[] => [
    'shared = memfd_create("shared", MFD_ALLOW_SEALING) = ok',
    "ftruncate(shared, 64M) = 0",
    "parallel {",
    "vmm {",
    `fallocate(shared, 0, 0, 64M) @a`,
    `fallocate(shared, 0, 0, 64M) @c`,
    `fallocate(shared, 0, 0, 64M) @e`,
    "}",
    "thread1 {",
    "fallocate(shared, FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE, 0, 64M) @b",
    "fallocate(shared, FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE, 0, 64M) @d",
    "fallocate(shared, FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE, 0, 64M) @f",
    "}",
    "order a before d",
    "order b before e",
    "order c before f",
    "}",
    main,
  ];

  for (const name of ["threads.strace", "threads-terminal.strace"]) {
    it(`${name}: what overlapped is parallel, what had ended is before`, () => {
      const lines = statements(imported(name));
      const numbers = [...new Set(lines.join("\n").match(/line\d+/g))].sort((a, b) => Number(a.slice(4)) - Number(b.slice(4)));
      const named = lines.map((line) => line.replace(/line\d+/g, (label) => "abcdef"[numbers.indexOf(label)]));
      assert.deepEqual(named.slice(0, 17), RACE("").slice(0, 17));
      assert.deepEqual(named.slice(17), [
        ...["a", "b", "c", "d", "e"].map((label, at) => `${at === 0 ? "exists " : ""}result(${label}) == 0 &&`),
        "result(f) == 0",
        "close(shared) = 0",
      ]);
    });
  }

  it("what did not overlap stays in the order of the log, each thread by its name", () => {
    const log = `10 memfd_create("x", 0) = 3
10 clone(child_stack=0x7f, flags=CLONE_VM|CLONE_FILES|CLONE_THREAD) = 11
11 ftruncate(3, 4096) = 0
10 ftruncate(3, 8192) = 0`;
    assert.deepEqual(says(log), ['x = memfd_create("x", 0) = ok', "thread1: ftruncate(x, 4K) = 0", "ftruncate(x, 8K) = 0"]);
  });

  it("a close that another thread overtakes does not close the file that got its number", () => {
    const log = `10 memfd_create("x", 0) = 3
10 clone(child_stack=0x7f, flags=CLONE_VM|CLONE_FILES|CLONE_THREAD) = 11
10 close(3 <unfinished ...>
11 memfd_create("y", 0) = 3
10 <... close resumed>) = 0
11 ftruncate(3, 4096) = 0`;
    const lines = says(log);
    assert.ok(lines.includes("close(x) @line3"), lines.join("\n"));
    assert.ok(lines.includes("thread1: ftruncate(y, 4K) = 0"), lines.join("\n"));
    assert.deepEqual(complaints(importTrace(log, { kernel: "6.18" }).text), []);
  });

  it("a name that another thread binds stands above its use", () => {
    const log = `10 memfd_create("x", 0) = 3
11 fallocate(3, 0, 0, 4096 <unfinished ...>
10 memfd_create("y", 0) = 4
11 <... fallocate resumed>) = 0
10 fallocate(3, 0, 0, 8192 <unfinished ...>
11 ftruncate(4, 4096) = 0
11 memfd_create("z", 0) = 5
10 <... fallocate resumed>) = 0
11 fallocate(3, 0, 0, 4096 <unfinished ...>
10 ftruncate(5, 4096) = 0
11 <... fallocate resumed>) = 0`;
    assert.deepEqual(complaints(importTrace(log, { kernel: "6.18" }).text), []);
  });

  it("a race without a pause is cut into blocks that can be explored, and says so", () => {
    const log = [
      '10 memfd_create("x", 0) = 3',
      "10 clone(child_stack=0x7f, flags=CLONE_VM|CLONE_FILES|CLONE_THREAD) = 11",
      "10 fallocate(3, 0, 0, 4096 <unfinished ...>",
    ];
    for (let i = 0; i < 40; i++) {
      const [one, other] = i % 2 === 0 ? [11, 10] : [10, 11];
      log.push(`${one} fallocate(3, 0, 0, ${4096 * (i + 2)} <unfinished ...>`, `${other} <... fallocate resumed>) = 0`);
    }
    const result = importTrace(log.join("\n"), { kernel: "6.18" });
    assert.deepEqual(complaints(result.text), []);
    assert.ok(result.parallels >= 3, `${result.parallels} blocks`);
    assert.match(result.text, /it is cut here/);
    for (const block of result.text.split("parallel {").slice(1)) assert.ok(block.slice(0, block.indexOf("exists")).split("fallocate(").length - 1 <= 12);
  });

  it("a child process has copies: its munmap and its close leave the parent's alone", () => {
    assert.deepEqual(statements(imported("fork.strace")), [
      'kid = memfd_create("kid", MFD_CLOEXEC) = ok',
      "ftruncate(kid, 8K) = 0",
      "kid_map = mmap(NULL, 8K, PROT_READ, MAP_SHARED, kid, 0) = ok",
      "child1 = fork() = ok",
      'child1: pwrite(kid, "child", 0) = 5',
      "child1: munmap(kid_map, 8K) = 0",
      "child1: close(kid) = 0",
      'pread(kid, 5, 0) = 5 "child"',
      "munmap(kid_map, 8K) = 0",
      "close(kid) = 0",
      'kid2 = memfd_create("kid", MFD_CLOEXEC) = ok',
      "close(kid2) = 0",
    ]);
  });

  const SHARE = [
    '10 memfd_create("kid", MFD_ALLOW_SEALING|MFD_CLOEXEC) = 3',
    "10 ftruncate(3, 8192) = 0",
    "10 mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_SHARED, 3, 0) = 0x7f07888f0000",
    "10 fork() = 11",
    '11 pwrite64(3, "child", 5, 0) = 5',
    "10 munmap(0x7f07888f0000, 8192) = 0",
    "10 fcntl(3, F_ADD_SEALS, F_SEAL_WRITE) = -1 EBUSY (Device or resource busy)",
  ];

  it("what a process gives back at its end is said, with its last thread: a mapping of the child keeps the seal away until then", () => {
    const rest = [
      "11 clone(child_stack=0x7f, flags=CLONE_VM|CLONE_FILES|CLONE_THREAD) = 12",
      '12 pwrite64(3, "other", 5, 0) = 5',
      "12 +++ exited with 0 +++",
      "11 +++ exited with 0 +++",
      "10 fcntl(3, F_ADD_SEALS, F_SEAL_WRITE) = 0",
    ];
    const { text } = importTrace([...SHARE, ...rest].join("\n"), { kernel: "6.18" });
    assert.deepEqual(complaints(text), []);
    assert.match(text, /process child1 \{\n {4}thread1: pwrite\(kid, "other", 0\) = 5\n {2}\}/);
    assert.match(text, /child1: munmap\(kid_map, 8K\) = 0 {2}\/\/ the process ends\n {2}child1: close\(kid\) = 0 {2}\/\/ the process ends\n/);
    assert.equal(report(text).verdict, "pass", text);
  });

  it("a new program closes what is close-on-exec and unmaps the rest", () => {
    const rest = ['11 execve("/bin/true", ["true"], 0x7ffc /* 3 vars */) = 0', "10 fcntl(3, F_ADD_SEALS, F_SEAL_WRITE) = 0", "11 +++ exited with 0 +++"];
    const { text } = importTrace([...SHARE, ...rest].join("\n"), { kernel: "6.18" });
    assert.deepEqual(says([...SHARE, ...rest].join("\n")).slice(-3), [
      "child1: munmap(kid_map, 8K) = 0",
      "child1: close(kid) = 0",
      "fcntl(kid, F_ADD_SEALS, F_SEAL_WRITE) = 0",
    ]);
    assert.equal(report(text).verdict, "pass", text);
  });

  it("a process that others made and that alone does something is the main one; a child that does nothing is left out", () => {
    assert.deepEqual(
      says('9 clone(child_stack=NULL, flags=SIGCHLD) = 10\n10 memfd_create("x", 0) = 3\n10 fork() = 11\n11 exit_group(0) = ?\n10 close(3) = 0'),
      ['x = memfd_create("x", 0) = ok', "close(x) = 0"],
    );
    assert.deepEqual(says('9 fork() = 10\n9 fork() = 11\n10 memfd_create("x", 0) = 3\n11 memfd_create("y", 0) = 3\n11 close(3) = 0\n10 close(3) = 0'), [
      "child1 = fork() = ok",
      "child2 = fork() = ok",
      'child1: x = memfd_create("x", 0) = ok',
      'child2: y = memfd_create("y", 0) = ok',
      "child2: close(y) = 0",
      "child1: close(x) = 0",
    ]);
  });

  it("a child that acts before its fork has returned runs beside it", () => {
    const text =
      '10 memfd_create("x", 0) = 3\n10 clone(child_stack=NULL, flags=SIGCHLD <unfinished ...>\n11 ftruncate(3, 4096) = 0\n10 <... clone resumed>) = 11\n11 close(3) = 0';
    const imported = importTrace(text, { kernel: "6.18" }).text;
    assert.deepEqual(complaints(imported), []);
    assert.equal(report(imported).verdict, "pass", imported);
  });

  it("a call that does not return is a comment", () => {
    assert.deepEqual(says('10 memfd_create("x", 0) = 3\n10 fallocate(3, 0, 0, 4096 <unfinished ...>'), ['x = memfd_create("x", 0) = ok']);
    assert.ok(
      remarked('10 memfd_create("x", 0) = 3\n10 fallocate(3, 0, 0, 4096 <unfinished ...>').some((line) => line.includes("does not return in this trace")),
    );
    assert.deepEqual(says('memfd_create("x", 0) = 3\nfallocate(3, 0, 0, 4096) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)'), [
      'x = memfd_create("x", 0) = ok',
    ]);
  });
});
