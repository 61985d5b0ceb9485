// What README.md shows of scenarios and of the command line is what they print, and what ARCHITECTURE.md names is there.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { analysed, checked, memfd, pathOf, ROOT, SCENARIO_FILES, textOf } from "./engine.ts";

const README = readFileSync(join(ROOT, "README.md"), "utf8");
const block = (kind: string): string => {
  const found = new RegExp(`^\`\`\`${kind}\\n(.*?)^\`\`\``, "ms").exec(README);
  assert.ok(found, `no ${kind} block`);
  return found[1];
};

it("the scenario of README.md passes", () => {
  const { findings, programs } = analysed("readme.memfd", block("memfd"));
  assert.deepEqual(findings, []);
  assert.deepEqual(
    programs.map((program) => checked(program).verdict),
    ["pass"],
  );
});

it("the output of `memfd check` in README.md is that of its scenario with the wrong result", async () => {
  const folder = mkdtempSync(join(tmpdir(), "memfd-readme-"));
  try {
    const file = join(folder, "hole.memfd");
    writeFileSync(file, block("memfd").replace("= -EINVAL", "= 0"));
    const { status, out } = await memfd("check", file);
    assert.equal(status, 1);
    // A long path is wrapped elsewhere, so the words are compared.
    const words = (text: string): string[] => text.replaceAll(`${folder}/`, "").split(/\s+/);
    assert.deepEqual(words(out), words(block("console").replace(/^\$.*\n/, "")));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it("the story in README.md is part of what `memfd trace` prints", async () => {
  const { status, out } = await memfd("trace", pathOf("series/v8-punch-window.memfd"), "--scenario", "between the punch");
  assert.equal(status, 0);
  assert.ok(out.includes(block("text").trimEnd()), out);
});

it("README.md names scenario files, settings and commands that exist", () => {
  for (const [, path] of README.matchAll(/`scenarios\/([\w/-]+\.memfd)`/g)) assert.ok(SCENARIO_FILES.includes(path), path);
  for (const [, name] of README.matchAll(/`(v\d+-[\w-]+)`/g)) {
    if (!textOf("series/v4-seal-mask.memfd").includes(`kernel ${name} `)) assert.ok(SCENARIO_FILES.includes(`series/${name}.memfd`), name);
  }
  const manifest: {
    contributes: { commands: { title: string }[]; configuration: { properties: Record<string, { default: unknown }> } };
    scripts: Record<string, string>;
  } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  for (const { title } of manifest.contributes.commands) assert.ok(README.includes(title), title);
  for (const [name, { default: value }] of Object.entries(manifest.contributes.configuration.properties))
    assert.match(README, new RegExp(`^\\| \`${name}\` \\| \`?${value}\`? \\|`, "m"));
  for (const [, script] of README.matchAll(/npm (?:run )?([\w:]+)/g))
    assert.ok(["and", "through"].includes(script) || manifest.scripts[script] !== undefined || script === "install", script);
});

it("ARCHITECTURE.md has a paragraph for each folder of src/, and the files that it names exist", () => {
  const text = readFileSync(join(ROOT, "src", "ARCHITECTURE.md"), "utf8");
  const described = [...text.matchAll(/^- \*\*(\w+)\/\*\* /gm)].map(([, name]) => name);
  const folders = readdirSync(join(ROOT, "src"), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  assert.deepEqual(described.toSorted(), folders.map((entry) => entry.name).toSorted());
  for (const [, path] of text.matchAll(/\b(test\/[\w/]+(?:\.test)?\.ts)\b/g)) assert.ok(existsSync(join(ROOT, path)), path);
  for (const [, path] of text.matchAll(/`((?:model|scenario|check|invariants|language|view)\/[\w/]+\.ts)`/g))
    assert.ok(existsSync(join(ROOT, "src", path)), path);
  const order = readFileSync(join(ROOT, "test", "architecture.test.ts"), "utf8");
  let from = 0;
  for (const name of described) {
    const at = order.indexOf(`"${name}"`, from);
    if (["cli", "panel"].includes(name)) continue; // equal ones, in any order
    assert.ok(at >= from, `${name} stands elsewhere in the order of folders`);
    from = at;
  }
});
