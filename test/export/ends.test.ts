// The end of processes in emitted C: what is run, and what is refused aloud, with its reason in the file.

import assert from "node:assert/strict";
import { it } from "node:test";
import { emit, programsOf, run } from "./support.ts";

const emitted = (body: string): { readonly text: string; readonly skipped: readonly string[] } => {
  const text = `kernel 6.18\nscenario "ends" {\n${body}\n}\n`;
  const [program] = programsOf("ends", text);
  const { text: c, entries } = emit(program, text, { report: run(program) });
  return { text: c, skipped: entries.flatMap(({ title, skipped }) => (skipped === undefined ? [] : [`${title.replace(/^line \d+: /, "")}: ${skipped}`])) };
};

it("exit_group is the system call, and kill waits for the process through a descriptor of it", () => {
  const { text, skipped } = emitted("child = fork()\n process child { exit_group(3) }\n kill(child, SIGKILL) = 0");
  assert.deepEqual(skipped, []);
  assert.match(text, /exit_process\(3\);/);
  assert.match(text, /kill_process\(PROCESS_1_child\);/);
  assert.match(text, /SYS_pidfd_open/);
});

it("the process that reports the results does not end", () => {
  const main = emitted('mem = memfd_create("mem", 0)\n exit_group(0)').skipped;
  assert.deepEqual(main, ["exit_group(0): the process that reports the results cannot end before it has"]);
  const killed = emitted("process other { close(-1) = -EBADF; kill(vmm, SIGKILL) }").skipped;
  assert.deepEqual(killed, ["other: kill(vmm, SIGKILL): the process that reports the results cannot end before it has"]);
});

it("nor one whose threads are in calls of the same block: which call it would be, no schedule of calls says", () => {
  const { skipped } = emitted(
    'mem = memfd_create("mem", 0)\n child = fork()\n parallel { process child { ftruncate(mem, 4K) } process child { second { exit_group(0) } } vmm { kill(child, SIGKILL) } }',
  );
  assert.equal(skipped.length, 2, skipped.join("\n"));
  assert.ok(
    skipped.every((line) => /is killed in a call or between two, and a schedule of calls cannot say where$/.test(line)),
    skipped.join("\n"),
  );
});
