// Runs the mocha suite inside the extension host of a real VS Code and returns its counts.
// `node test/host/run-suite.mjs` takes the extension from source; `--vsix FILE` installs that package first; `--grep TEXT` picks tests.

import { cpSync, createWriteStream, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { format } from "node:util";
import { openPage } from "./chromium.mjs";
import { freshFolder, isMain, parseArguments, ROOT, runMain, SetUpError } from "./toolchain.mjs";
import { startServer, workbenchAddress } from "./vscode-server.mjs";

const MARK = "[suite] ";
const SUITE = join(ROOT, "out", "test", "suite.js");

/** VS Code in the browser saves by itself, so tests work on a copy. */
export function copyOfScenarios() {
  const folder = join(freshFolder("workspace"), "scenarios");
  const source = join(ROOT, "scenarios");
  if (existsSync(source)) cpSync(source, folder, { recursive: true });
  else mkdirSync(folder);
  return folder;
}

/** VS Code loads tests only together with an extension under development; where the installed one is tested, that is this empty one. */
function emptyExtension() {
  const folder = join(freshFolder("driver"), "extension");
  mkdirSync(folder);
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "driver", publisher: "memfd-test", version: "0.0.0", engines: { vscode: "*" } }));
  return folder;
}

/** `{ passed, failed, skipped, failures }`; a run that ends without counts, or not in time, counts as one failure with its reason. */
export async function runSuite({ vsix, grep, seconds = 300 } = {}) {
  if (!existsSync(SUITE)) throw new SetUpError("out/test/suite.js is missing: run `npm run build` first.");
  const workspace = copyOfScenarios();
  const resultFile = join(freshFolder("result"), "result.json");
  const env = {
    MEMFD_SUITE_RESULT: resultFile,
    MEMFD_SUITE_MARK: MARK,
    MEMFD_SUITE_GREP: grep ?? "",
    MEMFD_SUITE_EXTENSION: vsix ? "vsix" : "source",
    MEMFD_PROJECT: ROOT,
    NODE_PATH: join(ROOT, "node_modules"),
  };
  const server = await startServer({ extension: vsix ? resolve(vsix) : "none", driver: true, env });
  let browser;
  try {
    const opened = await openPage(server.origin);
    browser = opened.browser;
    const exit = await drive(opened.page, server, workspace, vsix ? emptyExtension() : ROOT, seconds);
    return outcome(exit, resultFile, server.data);
  } finally {
    await browser?.close();
    await server.close();
  }
}

async function drive(page, server, workspace, developed, seconds) {
  let finish;
  const exited = new Promise((resolve) => {
    finish = resolve;
  });
  const timer = setTimeout(() => finish({ reason: `no end within ${seconds} s` }), seconds * 1000);
  page.on("crash", () => finish({ reason: "the page crashed" }));
  const log = createWriteStream(join(server.data, "console.log"));
  await page.exposeFunction("codeAutomationLog", (_type, args) => {
    const text = format(...args);
    log.write(`${text}\n`);
    if (text.startsWith(MARK)) console.log(text.slice(MARK.length));
  });
  await page.exposeFunction("codeAutomationExit", (code, logs) => finish({ code, logs }));
  await page.goto(workbenchAddress(server, workspace, { extensionDevelopmentPath: developed, extensionTestsPath: SUITE }));
  const exit = await exited;
  clearTimeout(timer);
  return exit;
}

function outcome({ code, reason, logs }, resultFile, data) {
  const broken = (why) => ({ passed: 0, failed: 1, skipped: 0, failures: [why] });
  if (reason) return broken(`${reason}; server log and data: ${data}`);
  if (!existsSync(resultFile)) {
    for (const log of logs ?? []) if (/exthost/i.test(log.relativePath)) console.error(`${log.relativePath}\n${log.contents}`);
    console.error(readFileSync(join(data, "console.log"), "utf8").slice(-8000));
    return broken(`the host ended with ${code} before the suite gave its counts`);
  }
  const result = JSON.parse(readFileSync(resultFile, "utf8"));
  if (result.passed + result.failed === 0) return broken("no test ran");
  if (code !== 0 && result.failed === 0) return { ...result, failed: 1, failures: [`the host ended with ${code} although no test failed`] };
  return result;
}

if (isMain(import.meta.url)) {
  runMain(async () => {
    const { vsix, grep, seconds } = parseArguments({ vsix: "value", grep: "value", seconds: "value" });
    const { passed, failed, skipped, failures } = await runSuite({ vsix, grep, seconds: seconds && Number(seconds) });
    for (const failure of failures) console.error(`failed: ${failure}`);
    console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
    return failed ? 1 : 0;
  });
}
