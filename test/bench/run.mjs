// `npm run bench`: one run measures every bar of the product and says which fall short, then what the scenarios that ship cost. Against SPIN the figures are
// ratios of rounds run in turn, not seconds: both share the machine with whatever else runs there.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";
import { measurePackage, measureProduct } from "./editor.mjs";
import { compareWithSpin } from "./spin.mjs";
import { has, measuresMemory, quoted, Table, timed } from "./table.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = join(here, "../..");

function bundle(folder, name) {
  const outfile = join(folder, `${name}.mjs`);
  buildSync({
    entryPoints: [join(here, `${name}.ts`)],
    outfile,
    bundle: true,
    minify: true,
    format: "esm",
    platform: "node",
    target: "es2022",
    logLevel: "error",
  });
  return outfile;
}

/** The product's general model beside the small protocol above: what a race of the gallery costs. */
function printScenarios(folder) {
  const { output } = timed(folder, `${quoted(process.execPath)} ${quoted(bundle(folder, "scenarios"))} ${quoted(join(root, "scenarios"))}`);
  const rows = output
    .trim()
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  const columns = ["file", "scenario", "kernel", "reduced", "states", "transitions", "states/s", "ms", "verdict"];
  const cells = rows.map(({ file, scenario, kernel, reduce, states, transitions, milliseconds, verdict }) => [
    file,
    scenario.length > 40 ? `${scenario.slice(0, 39)}…` : scenario,
    kernel,
    reduce ? "yes" : "no",
    String(states),
    String(transitions),
    String(Math.round((states / milliseconds) * 1000)),
    milliseconds.toFixed(1),
    verdict,
  ]);
  const widths = columns.map((column, at) => Math.max(column.length, ...cells.map((row) => row[at].length)));
  console.log("\nThe scenarios that ship and run in parallel, from program to report");
  for (const row of [columns, ...cells])
    console.log(row.map((cell, at) => (at < 4 || at === 8 ? cell.padEnd(widths[at]) : cell.padStart(widths[at]))).join("  "));
}

const folder = mkdtempSync(join(tmpdir(), "memfd-bench-"));
try {
  const table = new Table();
  if (!measuresMemory) console.log("GNU time is not there (Debian: apt-get install time): peak memory is not measured");
  table.head("The editor");
  measureProduct(table, { folder, product: bundle(folder, "product") });
  await measurePackage(table, { folder });
  const missing = ["spin", "gcc"].filter((tool) => !has(tool));
  if (missing.length === 0) compareWithSpin(table, { here, folder, once: bundle(folder, "once") });
  else table.skipped("the comparison with SPIN", `${missing.join(" and ")} not found (Debian: apt-get install spin gcc)`);
  printScenarios(folder);
  table.verdict();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
