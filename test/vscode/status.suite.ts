// The status bar: how far a run has come while it runs, what came of it afterwards.

import assert from "node:assert/strict";
import * as vscode from "vscode";
import type { Api } from "../../src/client/extension.ts";
import { eventually, extension, openText } from "./support.ts";

/** Threads that meet at one page: more interleavings than any limit. */
const PUNCHES = "repeat 6 as i { fallocate(ram, 0, 0x1000, 4K); fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0x1000, 4K) }";
const THREADS = Array.from({ length: 7 }, (_, at) => `    t${at} { ${PUNCHES} }\n`).join("");
const LONG = `kernel v8\n\nscenario "long" {\n  ram = memfd_create("x", MFD_INACCESSIBLE)\n  ftruncate(ram, 64K)\n  parallel {\n${THREADS}  }\n}\n`;
const SHORT = 'kernel v8\n\nscenario "short" {\n  ftruncate(-1, 0) = -EBADF\n}\n';

describe("status bar", () => {
  const status = (): string | undefined => (extension().exports as Api).status();

  it("says the verdict of the active file", async () => {
    await openText("status-short.memfd", SHORT);
    await eventually("the verdict", () => status() === "$(pass) 1 pass");
  });

  it("says how far a run has come, then that it was stopped", async () => {
    await openText("status-long.memfd", LONG);
    const read = (): number | undefined => {
      const found = /^\$\(loading~spin\) 1 running: (\S+) states, \S+ to go, \S+\/s$/.exec(status() ?? "");
      const [, digits, unit] = /^([\d.,]+)([kM]?)$/.exec(found?.[1] ?? "") ?? [];
      return digits === undefined ? undefined : Number(digits.replaceAll(",", "")) * ({ k: 1e3, M: 1e6 }[unit] ?? 1);
    };
    const first = await eventually("the first progress", read);
    await eventually("it comes further", () => (read() ?? 0) > first);
    await vscode.commands.executeCommand("memfd.stop");
    await eventually("it was stopped", () => status() === "$(circle-slash) 1 incomplete");
    assert.ok(first > 0);
  });
});
