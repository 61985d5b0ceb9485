// Builds everything that ships, and the suite for the real VS Code: grammar tables, then bundles into out/.
// `--dev`: source maps, unminified, entries that do not exist yet are skipped aloud · `--watch`: the same, again on every change.

import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, watch } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import * as esbuild from "esbuild";

const ROOT = dirname(fileURLToPath(import.meta.url));
const OUT = join(ROOT, "out");
const flags = new Set(process.argv.slice(2));
for (const flag of flags) if (!["--dev", "--watch"].includes(flag)) throw new Error(`Unknown argument ${flag}: --dev, --watch`);
const watching = flags.has("--watch");
const developing = watching || flags.has("--dev");

// What ships runs on Node 20 (VS Code 1.100) and in a web worker; the panel in the Chromium of that VS Code. Under Node a file of pure ASCII is read and
// compiled in half the time: V8 keeps it in one byte a character.
const NODE = { platform: "node", target: "node20", format: "cjs", charset: "ascii" };
const WEB = { platform: "browser", target: "chrome132" };

const BUNDLES = [
  { out: "client.js", entry: "src/client/node.ts", ...NODE, external: ["vscode"] },
  { out: "client.browser.js", entry: "src/client/browser.ts", ...WEB, format: "cjs", external: ["vscode"] },
  { out: "server.js", entry: "src/server/node.ts", ...NODE, ...starts({ "./stdio.ts": "./server-main.mjs" }) },
  { out: "server.browser.js", entry: "src/server/browser.ts", ...WEB, format: "iife" },
  { out: "model-worker.js", entry: "src/server/model-worker.node.ts", ...NODE, ...starts({ "./model-thread.ts": "./model-thread.mjs" }) },
  { out: "model-worker.browser.js", entry: "src/server/model-worker.browser.ts", ...WEB, format: "iife" },
  { out: "cli.js", entry: "src/cli/node.ts", ...NODE, ...starts({ "./main.ts": "./cli-main.mjs" }), executable: true },
  { out: "panel.js", entry: "src/panel/main.ts", ...WEB, format: "iife" },
  // mocha stays outside: it finds its own files at run time. Never packaged (.vscodeignore).
  { out: "test/suite.js", entry: "test/vscode/suite.ts", ...NODE, external: ["vscode", "mocha"] },
];

/** What runs under Node outside the extension host. The model is in all of them and ships once, in modules that they share. */
const NODE_MAINS = {
  entryPoints: { "server-main": "src/server/stdio.ts", "model-thread": "src/server/model-thread.ts", "cli-main": "src/cli/main.ts" },
  ...NODE,
  format: "esm",
  splitting: true,
  outdir: OUT,
  outExtension: { ".js": ".mjs" },
  chunkNames: "shared-[hash]",
  // Packages of the CommonJS kind ask for Node's own modules, and workers lie beside the bundles.
  banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
  define: { __dirname: "import.meta.dirname" },
};
const MAINS = Object.keys(NODE_MAINS.entryPoints).map((name) => `${name}.mjs`);

/** An entry that only switches the compile cache on: what it imports dynamically is one of the mains and comes out of that cache. */
function starts(mains) {
  const setup = (build) =>
    build.onResolve({ filter: /^\./ }, ({ kind, path }) => (kind === "dynamic-import" && mains[path] ? { path: mains[path], external: true } : undefined));
  return { plugins: [{ name: "dynamic-imports", setup }] };
}

function buildGrammar() {
  const script = join(ROOT, "src/language/build-grammar.mjs");
  if (!existsSync(script)) return missing("src/language/build-grammar.mjs");
  const { status } = spawnSync(process.execPath, [script], { cwd: ROOT, stdio: "inherit" });
  if (status !== 0) throw new Error(`the grammar did not build (${status})`);
}

function missing(path) {
  if (!developing) throw new Error(`${path} is missing; a release build needs every entry (--dev builds what is there)`);
  console.log(`skipped: ${path} does not exist yet`);
}

function options({ out, entry, executable, ...rest }) {
  return {
    charset: "utf8",
    ...rest,
    ...(entry === undefined ? {} : { entryPoints: [join(ROOT, entry)], outfile: join(OUT, out) }),
    absWorkingDir: ROOT,
    bundle: true,
    metafile: true,
    legalComments: "none",
    minify: !developing,
    sourcemap: developing ? "linked" : false,
    define: { "process.env.NODE_ENV": developing ? '"development"' : '"production"', ...rest.define },
    logLevel: "warning",
  };
}

function assets() {
  const codicons = ["codicon.css", "codicon.ttf"].map((name) => ({ from: `node_modules/@vscode/codicons/dist/${name}`, to: name }));
  return [{ from: "media/panel.css", to: "panel.css" }, ...(usesCodicons() ? codicons : [])];
}

function copyAssets() {
  for (const { from, to } of assets()) {
    if (existsSync(join(ROOT, from))) copyFileSync(join(ROOT, from), join(OUT, to));
    else missing(from);
  }
}

/** The icon font is 125 KB: it ships only where the panel's page links its style sheet. */
function usesCodicons() {
  const folders = ["src/client", "src/panel"].map((folder) => join(ROOT, folder)).filter(existsSync);
  const files = folders.flatMap((folder) => readdirSync(folder, { recursive: true }).map((name) => join(folder, name)));
  return files.some((file) => file.endsWith(".ts") && readFileSync(file, "utf8").includes("codicon.css"));
}

function finish() {
  copyAssets();
  for (const { out, executable } of BUNDLES) if (executable && existsSync(join(OUT, out))) chmodSync(join(OUT, out), 0o755);
}

const outputs = () =>
  readdirSync(OUT, { recursive: true })
    .map((name) => String(name).replaceAll("\\", "/"))
    .filter((name) => statSync(join(OUT, name)).isFile());

/** Removed after the build, not before: a host that is running reads the others meanwhile. */
function removeStale(built) {
  const wanted = new Set([...built, ...assets().map(({ to }) => to)]);
  for (const name of outputs()) if (!wanted.has(name) && !(developing && wanted.has(name.replace(/\.map$/, "")))) rmSync(join(OUT, name));
}

function printSizes() {
  const files = outputs().filter((name) => !name.endsWith(".map"));
  for (const name of files.sort()) {
    const bytes = readFileSync(join(OUT, name));
    console.log(`${name.padEnd(26)} ${String(bytes.length).padStart(9)} bytes ${String(gzipSync(bytes).length).padStart(9)} gzipped`);
  }
}

async function watchAll(bundles) {
  const contexts = await Promise.all(bundles.map((bundle) => esbuild.context({ ...options(bundle), logLevel: "info" })));
  await Promise.all(contexts.map((context) => context.watch()));
  onChange("src/language", /\.grammar$/, buildGrammar);
  onChange("media", /\.css$/, copyAssets);
  console.log(`watching ${bundles.map(({ entry }) => entry ?? MAINS.join(", ")).join(", ")}`);
}

function onChange(folder, pattern, work) {
  let timer;
  watch(join(ROOT, folder), (_event, name) => {
    if (!name || !pattern.test(name)) return;
    clearTimeout(timer);
    timer = setTimeout(() => {
      try {
        work();
      } catch (error) {
        console.error(error.message);
      }
    }, 50);
  });
}

async function main() {
  const began = performance.now();
  mkdirSync(OUT, { recursive: true });
  buildGrammar();
  const bundles = [NODE_MAINS, ...BUNDLES.filter(({ entry }) => existsSync(join(ROOT, entry)) || missing(entry))];
  if (watching) {
    await watchAll(bundles);
    return finish();
  }
  const results = await Promise.allSettled(bundles.map((bundle) => esbuild.build(options(bundle))));
  finish();
  const broken = bundles.filter((_, index) => results[index].status === "rejected");
  if (broken.length) throw new Error(`not built: ${broken.map(({ out }) => out ?? MAINS.join(", ")).join(", ")}`);
  removeStale(results.flatMap(({ value }) => Object.keys(value.metafile.outputs).map((file) => relative(OUT, join(ROOT, file)).replaceAll("\\", "/"))));
  printSizes();
  console.log(`built ${relative(process.cwd(), OUT) || OUT} in ${Math.round(performance.now() - began)} ms`);
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
