// `memfd trace` of every file under scenarios/, word for word. `node test/scenarios/goldens.test.ts --bless` writes them anew; the difference is then read.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { it } from "node:test";
import { memfd, pathOf, ROOT, SCENARIO_FILES } from "./engine.ts";

const GOLDENS = join(ROOT, "test", "scenarios", "goldens");
const BLESS = process.argv.includes("--bless");

const goldenOf = (file: string): string => join(GOLDENS, file.replace(/\.memfd$/, ".txt"));

/** The first line that differs, and under which scenario; undefined where the texts are equal. */
function difference(wanted: string, found: string): string | undefined {
  if (wanted === found) return undefined;
  const [before, after] = [wanted.split("\n"), found.split("\n")];
  const at = before.findIndex((line, index) => line !== after[index]);
  const line = at < 0 ? before.length : at;
  const title = after.slice(0, line + 1).findLast((each) => each.startsWith('"')) ?? "";
  return `line ${line + 1}, ${title}: ${JSON.stringify(before[line] ?? "")} became ${JSON.stringify(after[line] ?? "")}`;
}

/** The lines of each story that a trace prints, without those between them. */
const stories = (out: string): string[][] => out.split(`\n${"=".repeat(80)}\n\n`).map((story) => story.trimEnd().split("\n"));

for (const file of SCENARIO_FILES) {
  it(`memfd trace scenarios/${file}`, async () => {
    const { status, out, error } = await memfd("trace", pathOf(file));
    assert.deepEqual({ status, error }, { status: 0, error: "" });
    const golden = goldenOf(file);
    if (BLESS) {
      mkdirSync(dirname(golden), { recursive: true });
      writeFileSync(golden, out);
    }
    assert.ok(existsSync(golden), `${golden} is missing; write it with --bless`);
    assert.equal(difference(readFileSync(golden, "utf8"), out), undefined);
    const wide = out.split("\n").filter((line) => line.length > 80);
    assert.deepEqual(wide, []);
    for (const story of stories(out)) {
      assert.ok(story.length <= 40, `${story.length} lines: ${story[0]}`);
      // Where nothing breaks, a long life may be shown by its beginning and its end.
      const breaks = story.some((line) => line.includes("breaks here"));
      assert.ok(!breaks || !story.some((line) => line.includes("memfd trace --full")), `cut: ${story[0]}`);
    }
  });
}

it("every golden has its scenario file", () => {
  const wanted = new Set(SCENARIO_FILES.map(goldenOf));
  const left = readdirSync(GOLDENS, { recursive: true })
    .map((name) => join(GOLDENS, String(name)))
    .filter((path) => path.endsWith(".txt") && !wanted.has(path));
  if (BLESS) for (const path of left) rmSync(path);
  else assert.deepEqual(left, []);
});
