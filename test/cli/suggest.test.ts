// `memfd check --suggest`, as a process: under each scenario in which something breaks, what saves it and what was refused; in JSON only when asked.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { PUNCH } from "../check/punch.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "memfd-suggest-"));
after(() => rmSync(folder, { recursive: true }));

writeFileSync(join(folder, "punch.memfd"), PUNCH);

function memfd(...args: string[]): { status: number | null; out: string; error: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--disable-warning=ExperimentalWarning", MAIN, ...args], {
    cwd: folder,
    encoding: "utf8",
    timeout: 120_000,
  });
  return { status, out: stdout, error: stderr };
}

test("text: the change stands under its scenario, in 80 columns, and the verdict stays", () => {
  const { status, out, error } = memfd("check", "--suggest", "punch.memfd");
  assert.equal(error, "");
  assert.equal(status, 1);
  const lines = out.split("\n");
  const from = lines.findIndex((line) => line.includes('FAIL: "punch"'));
  const to = lines.findIndex((line) => line.includes('pass: "quiet"'));
  const told = lines.slice(from + 1, to);
  assert.deepEqual(
    told.filter((line) => line.length > 80),
    [],
  );
  const text = told.join("\n");
  assert.match(
    text,
    / 1\. kernel v8-pages-bracketed extends v8-pages \{\n +fallocate\.punch_hole = check_alignment, invalidate_begin, truncate,\n +invalidate_end\n +\}/,
  );
  assert.match(text, /- fallocate\.punch_hole = check_alignment, invalidate, truncate\n +no-stale-mapping still breaks at load\.map/);
  assert.match(lines.at(-2) ?? "", /^fail: 1 of 2 scenarios failed$/);

  // What it printed can be pasted: the scenario is green under it.
  const pasted = / 1\. (kernel [^}]*\})/.exec(text)?.[1] ?? "";
  writeFileSync(join(folder, "saved.memfd"), `${pasted}\n${PUNCH.replace("  kernel v8-pages\n", "  kernel v8-pages-bracketed\n")}`);
  assert.equal(memfd("check", "saved.memfd").status, 0);
});

test("JSON: inside the scenario, where it was asked for and something breaks", () => {
  const scenarios = (...args: string[]) => JSON.parse(memfd("check", "--format", "json", ...args, "punch.memfd").out).scenarios;
  const [punch, quiet] = scenarios("--suggest");
  assert.equal(quiet.suggestions, undefined);
  const { goals, suggestions, refused, tried, complete } = punch.suggestions;
  assert.deepEqual([goals, complete, suggestions.length], [["no-stale-mapping"], true, 1]);
  assert.equal(suggestions[0].kind, "steps");
  assert.ok(tried >= 3);
  const swap = refused.find((each: { title: string }) => each.title === "fallocate.punch_hole = check_alignment, invalidate, truncate");
  assert.match(swap.schedule, /^[a-z]/);
  assert.ok(!("suggestions" in scenarios()[0]));
});
