// `npm run package`: builds, packs the VSIX without network, prints its size and fails above the bar or where something is in it that must not be.

import { existsSync, readFileSync, rmSync, statSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { binOf, ensureDependencies, isMain, node, parseArguments, ROOT, runMain, SetUpError } from "./toolchain.mjs";

const BAR = 1_500_000;

/** Packs what out/ holds; returns the file's path and size. */
export async function packVsix(out) {
  const { name, version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  const file = resolve(ROOT, out ?? `${name}-${version}.vsix`);
  rmSync(file, { force: true });
  const vsce = binOf("@vscode/vsce");
  const listed = await node([vsce, "ls", "--no-dependencies"], { quiet: true });
  checkContents(listed.output);
  const { code } = await node([vsce, "package", "--no-dependencies", "--allow-missing-repository", "--no-rewrite-relative-links", "--out", file], {
    seconds: 120,
  });
  if (code !== 0 || !existsSync(file)) throw new SetUpError(`vsce package failed (${code}).`);
  return { file, bytes: statSync(file).size, bar: BAR };
}

/** The manifest's own check (main and browser exist) is vsce's; the entries that VS Code starts later are ours. */
function checkContents(listing) {
  const files = listing.split("\n").map((line) => line.trim().replaceAll("\\", "/"));
  const wanted = [
    "client.js",
    "client.browser.js",
    "server.js",
    "server-main.mjs",
    "server.browser.js",
    "model-worker.js",
    "model-thread.mjs",
    "model-worker.browser.js",
    "cli.js",
    "cli-main.mjs",
    "panel.js",
    "panel.css",
  ];
  const absent = wanted.map((name) => `out/${name}`).filter((name) => !files.includes(name));
  if (absent.length) throw new SetUpError(`The package would lack ${absent.join(", ")}.`);
  const strangers = files.filter((name) => /^(src|test|out\/test|node_modules|\.vscode-test|\.ci)\/|\.map$|\.ts$/.test(name));
  if (strangers.length) throw new SetUpError(`The package would hold ${strangers.slice(0, 10).join(", ")}.`);
}

if (isMain(import.meta.url)) {
  runMain(async () => {
    const { out } = parseArguments({ out: "value" });
    await ensureDependencies();
    const { code } = await node([join(ROOT, "esbuild.mjs")]);
    if (code !== 0) throw new SetUpError(`The build failed (${code}); the messages are above.`);
    const { file, bytes, bar } = await packVsix(out);
    console.log(`${relative(process.cwd(), file)}: ${bytes} bytes (bar ${bar})`);
    if (bytes > bar) throw new SetUpError(`The package is ${bytes - bar} bytes above the bar.`);
  });
}
