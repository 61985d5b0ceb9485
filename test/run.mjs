// `npm test`: every check and suite, one after the other, with one line of counts at the end. `--only types,unit` runs some parts of it.
// Plain Node 20 without dependencies, since it begins in a fresh clone.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ensureChromium } from "./host/chromium.mjs";
import { packVsix } from "./host/package.mjs";
import { runSuite } from "./host/run-suite.mjs";
import { binOf, ensureDependencies, freshFolder, node, parseArguments, ROOT, runMain, SetUpError } from "./host/toolchain.mjs";
import { ensureServer } from "./host/vscode-server.mjs";

const counts = (passed, failed, skipped = 0, failures = []) => ({ passed, failed, skipped, failures });
const oneTool = (code) => (code === 0 ? counts(1, 0) : counts(0, 1, 0, [`it ended with ${code}`]));

function filesUnder(folder, pattern) {
  if (!existsSync(join(ROOT, folder))) return [];
  return readdirSync(join(ROOT, folder), { recursive: true })
    .map((name) => `${folder}/${String(name).replaceAll("\\", "/")}`)
    .filter((name) => pattern.test(name))
    .sort();
}

async function nodeTests(files, { seconds, concurrency, env }) {
  if (files.length === 0) return counts(0, 1, 0, ["there is no test file"]);
  const result = join(freshFolder("counts"), "counts.json");
  const reporters = [
    "--test-reporter=spec",
    "--test-reporter-destination=stdout",
    "--test-reporter=./test/host/counts.mjs",
    `--test-reporter-destination=${result}`,
  ];
  const { code } = await node(["--test", `--test-concurrency=${concurrency}`, "--test-timeout=300000", ...reporters, ...files], { seconds, env });
  const text = existsSync(result) ? readFileSync(result, "utf8") : "";
  if (!text) return counts(0, 1, 0, [`node --test ended with ${code} and no counts`]);
  const { passed, failed, cancelled, skipped, todo, failures } = JSON.parse(text);
  if (code !== 0 && failed + cancelled === 0) return counts(passed, 1, skipped + todo, [`node --test ended with ${code} although no test failed`]);
  return counts(passed, failed + cancelled, skipped + todo, failures);
}

/** A process per file, and all of them load the same sources: what the first ones strip and compile the others find done. */
const unit = () =>
  nodeTests(
    filesUnder("test", /\.test\.ts$/).filter((name) => !name.startsWith("test/vscode/")),
    { seconds: 2400, concurrency: 2, env: { NODE_COMPILE_CACHE: freshFolder("compiled") } },
  );

/** Pictures and keyboard in the workbench; one VS Code at a time on a small machine. */
async function workbench() {
  await ensureServer();
  return nodeTests(filesUnder("test/vscode", /\.test\.ts$/), { seconds: 900, concurrency: 1 });
}

/** One test per file, counted from the tool's XUnit report. */
async function grammar() {
  const files = filesUnder("test/grammar", /\.memfd$/);
  if (files.length === 0) return counts(0, 1, 0, ["test/grammar has no .memfd file"]);
  const report = join(freshFolder("grammar"), "report");
  const { code } = await node([binOf("vscode-tmgrammar-test"), "--xunit-report", report, ...files], { seconds: 120 });
  const reports = existsSync(report) ? readdirSync(report).map((name) => readFileSync(join(report, name), "utf8")) : [];
  if (reports.length !== files.length) return counts(0, 1, 0, [`${files.length} files and ${reports.length} reports; it ended with ${code}`]);
  const bad = reports.filter((text) => /<(failure|error)\b/.test(text)).length;
  if (code !== 0 && bad === 0) return counts(0, 1, 0, [`vscode-tmgrammar-test ended with ${code}`]);
  return counts(files.length - bad, bad);
}

async function inVSCode(options) {
  await ensureServer();
  return runSuite(options);
}

async function packaged(state) {
  const { file, bytes, bar } = await packVsix(join(freshFolder("vsix"), "memfd.vsix"));
  state.vsix = file;
  console.log(`VSIX: ${bytes} bytes (bar ${bar})`);
  return bytes <= bar ? counts(1, 0) : counts(0, 1, 0, [`${bytes} bytes are above the bar of ${bar}`]);
}

const build = async () => oneTool((await node([join(ROOT, "esbuild.mjs")], { seconds: 300 })).code);

// In order; `needs` are parts that run first when --only leaves them out. `browser`: skipped aloud where no Chromium can be had.
const PARTS = [
  { name: "build", title: "grammar and bundles", run: build },
  { name: "types", title: "TypeScript", run: async () => oneTool((await node([binOf("typescript", "tsc"), "-p", "."])).code), needs: ["build"] },
  { name: "style", title: "Biome", run: async () => oneTool((await node([binOf("@biomejs/biome"), "check", "."])).code) },
  { name: "unit", title: "unit tests", run: unit, needs: ["build"] },
  { name: "grammar", title: "TextMate grammar", run: grammar },
  { name: "vscode", title: "suite in VS Code, extension from source", run: () => inVSCode({}), needs: ["build"], browser: true },
  { name: "workbench", title: "keyboard and webview in VS Code", run: workbench, needs: ["build"], browser: true },
  { name: "package", title: "VSIX", run: packaged, needs: ["build"] },
  { name: "vsix", title: "suite in VS Code, extension from the VSIX", run: ({ vsix }) => inVSCode({ vsix }), needs: ["build", "package"], browser: true },
];

function chosenParts(only) {
  if (!only) return PARTS;
  const names = new Set(only.split(","));
  for (const name of names) {
    const part = PARTS.find((each) => each.name === name);
    if (!part) throw new SetUpError(`There is no part "${name}": ${PARTS.map((each) => each.name).join(", ")}`);
    for (const need of part.needs ?? []) names.add(need);
  }
  return PARTS.filter(({ name }) => names.has(name));
}

/** A missing browser skips what needs it; any other trouble in setting up is a failure of that part. */
async function browserTrouble(parts) {
  if (!parts.some(({ browser, name }) => browser || name === "unit")) return undefined;
  return ensureChromium().then(
    () => undefined,
    (error) => error.message,
  );
}

async function runPart(part, state, trouble) {
  console.log(`\n━━ ${part.name}: ${part.title}`);
  if (part.browser && trouble) {
    console.log(`SKIPPED: ${trouble}`);
    return counts(0, 0, 1, []);
  }
  const missing = (part.needs ?? []).find((need) => state.failed.has(need));
  if (missing) return counts(0, 1, 0, [`not run, for ${missing} failed`]);
  try {
    return await part.run(state);
  } catch (error) {
    return counts(0, 1, 0, [error instanceof SetUpError ? error.message : (error.stack ?? String(error))]);
  }
}

runMain(async () => {
  const { only } = parseArguments({ only: "value" });
  const parts = chosenParts(only);
  await ensureDependencies();
  const trouble = await browserTrouble(parts);
  const state = { failed: new Set() };
  const rows = [];
  for (const part of parts) {
    const began = Date.now();
    const result = await runPart(part, state, trouble);
    if (result.failed > 0) state.failed.add(part.name);
    rows.push({ ...result, part, seconds: (Date.now() - began) / 1000 });
  }
  console.log("");
  for (const { part, passed, failed, skipped, failures, seconds } of rows) {
    const line = `${String(passed).padStart(5)} passed ${String(failed).padStart(3)} failed ${String(skipped).padStart(3)} skipped`;
    console.log(`${part.name.padEnd(10)} ${line}  ${seconds.toFixed(1).padStart(6)} s`);
    for (const failure of failures) console.log(`    failed: ${failure}`);
  }
  if (trouble) console.log(`\nSuites in VS Code were SKIPPED: ${trouble}`);
  const sum = (key) => rows.reduce((total, row) => total + row[key], 0);
  console.log(`${sum("passed")} passed, ${sum("failed")} failed, ${sum("skipped")} skipped`);
  return sum("failed") > 0 ? 1 : 0;
});
