// `memfd import` on the command line: what it prints and answers, and that it reads a file piece by piece and no further than it must.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { realFiles } from "../../src/cli/files.ts";
import { memfd } from "./toy.ts";

const LOG = 'execve("./vmm", ["./vmm"], 0x7ffc /* 3 vars */) = 0\r\nmemfd_create("ram", MFD_CLOEXEC) = 3\r\nftruncate(3, 4096) = 0';

describe("memfd import", () => {
  it("prints the scenario; options choose kernel and name, and keep every line", async () => {
    const ran = await memfd(["import", "a.log"], { "a.log": LOG });
    assert.equal(ran.status, 0);
    assert.equal(ran.error, "");
    assert.match(ran.out, /\nkernel mainline\n\nscenario "vmm" \{\n/);
    assert.match(ran.out, /\n {2}ram = memfd_create\("ram", MFD_CLOEXEC\) = ok\n {2}ftruncate\(ram, 4K\) = 0\n\}\n$/);
    const chosen = await memfd(["import", "a.log", "--kernel", "v8", "--scenario", 'my "own"'], { "a.log": LOG });
    assert.match(chosen.out, /\nkernel v8\n\nscenario "my 'own'" \{\n/);
    const noise = "brk(NULL) = 0x1000\n".repeat(9);
    assert.equal((await memfd(["import", "a.log", "--all"], { "a.log": noise })).out.split("// brk(NULL)").length, 10);
    assert.match((await memfd(["import", "a.log"], { "a.log": noise })).out, /9 lines about something else: brk x9/);
  });

  it("a wrong command line, file or kernel is status 2 and says why", async () => {
    const cases: [string[], RegExp][] = [
      [["import"], /import needs exactly one file/],
      [["import", "a.log", "b.log"], /import needs exactly one file/],
      [["import", "none.log"], /none\.log/],
      [["import", "a.log", "--kernel", "v4,v8"], /import takes one kernel/],
      [["import", "a.log", "--kernel", "v88"], /there is no kernel v88; did you mean v8\?; known are v4, v5/],
      [["import", "dat.log"], /trace-cmd record writes; import what trace-cmd report prints/],
    ];
    for (const [args, message] of cases) {
      const ran = await memfd(args, { "a.log": LOG, "dat.log": "\u0017\u0008Dtracing6\0\0" });
      assert.equal(ran.status, 2, args.join(" "));
      assert.match(ran.error, message);
      assert.equal(ran.out, "");
    }
  });

  it("a text that is no trace still gives a file, and status 2", async () => {
    const ran = await memfd(["import", "a.log"], { "a.log": "hello\n" });
    assert.equal(ran.status, 2);
    assert.match(ran.error, /no line of it looks like a trace/);
    assert.match(ran.out, /scenario "an imported trace" \{\n {2}\/\/ hello\n\}\n$/);
  });

  it("says on the error stream where it stopped", async () => {
    const ran = await memfd(["import", "a.log"], { "a.log": `memfd_create("ram", 0) = 3\n${"ftruncate(3, 4096) = 0\n".repeat(9000)}` });
    assert.equal(ran.status, 0);
    assert.match(ran.error, /a\.log: only its first \d+ lines were imported/);
    assert.match(ran.out, /The trace goes on/);
  });
});

describe("files in pieces", () => {
  it("characters and lines that a piece ends in come whole, and a reader may stop", () => {
    const folder = mkdtempSync(join(tmpdir(), "memfd-pieces-"));
    try {
      const path = join(folder, "long.log");
      const text = `${"x".repeat((1 << 20) - 1)}é${"y".repeat(1 << 20)}`;
      writeFileSync(path, text);
      const opened = realFiles.pieces?.(path);
      assert.ok(opened?.ok);
      assert.equal([...opened.pieces].join(""), text);
      const again = realFiles.pieces?.(path);
      assert.ok(again?.ok);
      for (const piece of again.pieces) {
        assert.equal(piece, "x".repeat((1 << 20) - 1));
        break;
      }
      assert.deepEqual(realFiles.pieces?.(folder), { ok: false, reason: "it is a folder" });
      assert.deepEqual(realFiles.pieces?.(join(folder, "none")), { ok: false, reason: "no such file or folder" });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
