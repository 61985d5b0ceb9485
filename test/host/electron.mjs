// `npm run test:electron`: the suite in a desktop VS Code that @vscode/test-electron downloads; `--version 1.100.3` picks one.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { copyOfScenarios } from "./run-suite.mjs";
import { CACHE, ensureDependencies, findNode, freshFolder, node, parseArguments, ROOT, runMain, SetUpError } from "./toolchain.mjs";

async function inDesktop(version) {
  const { runTests } = await import("@vscode/test-electron");
  const resultFile = join(freshFolder("result"), "result.json");
  const folder = freshFolder("desktop");
  const launchArgs = [copyOfScenarios(), "--disable-workspace-trust", `--user-data-dir=${join(folder, "user")}`, `--extensions-dir=${join(folder, "ext")}`];
  if (process.getuid?.() === 0) launchArgs.push("--no-sandbox");
  const extensionTestsEnv = { MEMFD_SUITE_RESULT: resultFile, MEMFD_SUITE_EXTENSION: "source", MEMFD_PROJECT: ROOT };
  let ended;
  try {
    await runTests({
      version,
      cachePath: join(CACHE, "electron"),
      extensionDevelopmentPath: ROOT,
      extensionTestsPath: join(ROOT, "out", "test", "suite.js"),
      launchArgs,
      extensionTestsEnv,
    });
  } catch (error) {
    ended = error;
  }
  if (!existsSync(resultFile))
    throw new SetUpError(`VS Code gave no counts: ${ended?.message ?? "it ended early"}. The first run downloads VS Code and needs a network.`);
  const { passed, failed, skipped, failures } = JSON.parse(readFileSync(resultFile, "utf8"));
  for (const failure of failures) console.error(`failed: ${failure}`);
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  return failed || ended ? 1 : 0;
}

runMain(async () => {
  const { version } = parseArguments({ version: "value" });
  await ensureDependencies();
  // @vscode/test-electron asks for a newer Node than the one that npm may have started us with
  if (process.execPath !== findNode()) {
    const { code } = await node([process.argv[1], ...process.argv.slice(2)], { seconds: 1800 });
    return code === 0 ? 0 : 1;
  }
  const built = await node([join(ROOT, "esbuild.mjs")]);
  if (built.code !== 0) throw new SetUpError(`The build failed (${built.code}); the messages are above.`);
  return inDesktop(version);
});
