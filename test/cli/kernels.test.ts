// `memfd check --kernel all`: a table per scenario in text, every kernel's run in the machine formats, and exit statuses that are never green by silence.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { profiles } from "../../src/scenario/catalogue/index.ts";
import { memfd as real } from "../scenarios/engine.ts";
import { memfd as toy } from "./toy.ts";

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "memfd-kernels-"));
});
after(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const MODELLED = profiles.filter((row) => row.modelled && row.name !== "mainline").map((row) => row.name);
const flat = (text: string): string => text.replace(/\s+/g, " ");

test("text: one table per scenario, with every modelled kernel, the file's variants, and the others named once", async () => {
  const path = file(
    "a.memfd",
    'kernel v8\nkernel mine extends v8 { fresh_page = zeroed }\nscenario "s" {\n  fd = memfd_create("x", 0)\n  ftruncate(fd, 4K) = 0\n}\n',
  );
  const { out, status, error } = await real("check", "--kernel", "all", path);
  assert.equal(status, 0, out + error);
  const lines = out.split("\n");
  for (const kernel of [...MODELLED, "mine"]) assert.match(flat(out), new RegExp(`pass [^(]*\\b${kernel}\\b`), kernel);
  for (const row of profiles.filter((each) => !each.modelled && each.name !== "mainline"))
    assert.match(flat(out), new RegExp(`not modelled yet [^:]*\\b${row.name}\\b`));
  assert.equal(out.split("not modelled yet").length, 2, "said once");
  assert.ok(lines.every((line) => line.length <= Math.max(80, path.length + 40)));
  assert.match(lines.at(-2) ?? "", /^pass: \d+ scenarios, every interleaving explored$/);
});

test("a kernel for which the text means nothing is a row, an incomplete verdict, and no error of the text", async () => {
  const path = file("b.memfd", 'kernel v4\nscenario "s" {\n  fd = memfd_create("x", MFD_ALLOW_SEALING)\n  fcntl(fd, F_ADD_SEALS, F_SEAL_INACCESSIBLE)\n}\n');
  const text = await real("check", "--kernel=all", path);
  assert.match(flat(text.out), /not run +[^(]*v8[^(]*: it cannot be read under this kernel; line 4: `F_SEAL_INACCESSIBLE` does not exist/);
  assert.equal(text.status, 3, text.out);
  assert.match(text.out.trimEnd().split("\n").at(-1) ?? "", /^incomplete: .*not run/);
  const json = JSON.parse((await real("check", "--kernel=all", "--format=json", path)).out);
  assert.ok(json.scenarios.some((each: { kernel: string }) => each.kernel === "v4"));
  assert.ok(!json.scenarios.some((each: { kernel: string }) => each.kernel === "v8"));
  const missing = json.findings.filter((each: { code: string }) => each.code === "MEMFD5002");
  assert.ok(missing.length > 0 && missing.every((each: { severity: string; line: number }) => each.severity === "warning" && each.line === 4));
});

test("what is wrong under every kernel stays an error of the text", async () => {
  const { status, out } = await real("check", "--kernel", "all", file("c.memfd", 'kernel v8\nscenario "s" {\n  nonsense(1)\n}\n'));
  assert.equal(status, 2);
  assert.match(out, /c\.memfd:3:3: error: there is no call `nonsense`/);
  assert.equal(out.match(/error: there is no call/g)?.length, 1, "once, not once per kernel");
});

test("verdicts of all kernels make the exit status; machine formats have a run each", async () => {
  const files = { "a.memfd": "scenario a pass\nscenario b fail" };
  const text = await toy(["check", "--kernel", "all", "--format", "tap", "a.memfd"], { "a.memfd": "scenario a incomplete" });
  assert.equal(text.status, 3);
  const json = await toy(["check", "--kernel", "all", "--format", "json", "a.memfd"], files);
  assert.equal(json.status, 1);
  assert.deepEqual(
    JSON.parse(json.out).scenarios.map((each: { name: string; kernel: string }) => `${each.name} ${each.kernel}`),
    ["a v4", "a v8", "b v4", "b v8"],
  );
});
