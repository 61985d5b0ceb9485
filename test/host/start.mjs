// `npm start`: installs, builds, finds or sets up a VS Code and opens scenarios/ with the extension loaded.
// `--browser` takes the cached VS Code server even where a `code` is on the PATH.

import { join } from "node:path";
import { CACHE, ensureDependencies, node, onPath, parseArguments, ROOT, run, runMain, SetUpError } from "./toolchain.mjs";
import { startServer, workbenchAddress } from "./vscode-server.mjs";

const FOLDER = join(ROOT, "scenarios");
const FIRST = join(FOLDER, "series", "v8-punch-window.memfd");

/** Why a `code` on the PATH cannot open a window here, or undefined. */
function noWindow() {
  if (!onPath("code")) return "no `code` on the PATH";
  if (process.env.VSCODE_IPC_HOOK_CLI) return "this terminal's `code` belongs to a remote window and cannot load an extension under development";
  if (process.platform === "linux" && !process.env.DISPLAY && !process.env.WAYLAND_DISPLAY) return "no display for the `code` on the PATH";
  return undefined;
}

async function openDesktop() {
  const args = ["--new-window", `--extensionDevelopmentPath=${ROOT}`, FOLDER, "--goto", `${FIRST}:1`];
  // Electron as root asks for both of these
  if (process.getuid?.() === 0) args.push("--no-sandbox", `--user-data-dir=${join(CACHE, "user-data")}`);
  const { code, output } = await run(onPath("code"), args, { shell: process.platform === "win32", seconds: 60, env: { ELECTRON_RUN_AS_NODE: undefined } });
  if (code !== 0) throw new SetUpError(`\`code\` did not open (${code}): ${output}\n\`npm start -- --browser\` takes the VS Code server instead.`);
  console.log(`VS Code is opening ${FOLDER} with this extension loaded.`);
}

async function openServer() {
  const server = await startServer({ extension: "source" });
  console.log(`\nVS Code with the extension and the scenarios:\n\n  ${workbenchAddress(server, FOLDER, { openFile: FIRST })}\n\nCtrl-C ends it.`);
  const code = await server.exited;
  throw new SetUpError(`VS Code's server ended (${code}); its log is in ${server.data}`);
}

runMain(async () => {
  const { browser } = parseArguments({ browser: "flag" });
  await ensureDependencies();
  const { code } = await node([join(ROOT, "esbuild.mjs")]);
  if (code !== 0) throw new SetUpError(`The build failed (${code}); the messages are above.`);
  const reason = browser ? "as asked" : noWindow();
  if (!reason) return openDesktop();
  console.log(`Using the VS Code server: ${reason}.`);
  return openServer();
});
