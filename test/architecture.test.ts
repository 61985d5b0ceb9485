// The house rules of src/ARCHITECTURE.md that a machine can check: who imports whom, what the model may not touch, size and hygiene of files.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

// A folder imports only folders of an earlier rank (and itself). Several names of one rank never meet.
const RANKS = [
  ["base"],
  ["scenario"],
  ["language"],
  ["model"],
  ["invariants"],
  ["explore"],
  ["check"],
  ["view"],
  ["export"],
  ["server"],
  ["debug", "cli", "panel"],
  ["client"],
];
const RANK = new Map(RANKS.flatMap((names, rank) => names.map((name) => [name, rank] as const)));
// `explore` takes predicates and machines as arguments: toy machines test it, so it knows neither the model nor the language.
const APART: Record<string, readonly string[]> = { explore: ["language", "model", "invariants"], model: ["language"], invariants: ["language"] };
const MAX_LINES = 400;
const LSP = /^(vscode-languageserver|vscode-languageclient|vscode-jsonrpc)/;

interface Source {
  readonly path: string;
  readonly folder: string;
  readonly text: string;
  /** Comments blanked out, line ends and strings kept. */
  readonly code: string;
  /** The same with the text of strings blanked too. */
  readonly bare: string;
}

const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

const TOKEN = /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\[\s\S]|[^`\\])*`|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;
const blank = (text: string): string => text.replace(/[^\n]/g, " ");

/** Knows strings and templates, so that `"//"` in a string hides nothing. What stands in `${…}` of a template stays code. */
function source(path: string): Source {
  const text = read(path);
  const code = text.replace(TOKEN, (found) => (/^\/[/*]/.test(found) ? blank(found) : found));
  const bare = code.replace(TOKEN, (found) => (found.startsWith("`") ? found : `"${blank(found.slice(1, -1))}"`));
  return { path, folder: path.split("/")[1], text, code, bare };
}

function sources(): Source[] {
  return readdirSync(join(ROOT, "src"), { recursive: true })
    .map((name) => posix.join("src", String(name).replaceAll("\\", "/")))
    .filter((path) => /\.(ts|mjs|js|grammar)$/.test(path) && !path.includes("/generated/"))
    .sort()
    .map(source);
}

function imports(source: Source): string[] {
  const found = source.code.matchAll(
    /^\s*(?:import|export)\b[^;"'`]*?\bfrom\s*["']([^"']+)["']|^\s*import\s*["']([^"']+)["']|(?<!["'`\w])(?:import|require)\(\s*["']([^"']+)["']/gm,
  );
  return [...found].map((match) => match[1] ?? match[2] ?? match[3]);
}

/** Files that git tracks or would track: what somebody else gets. */
function tracked(): string[] {
  const listed = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "-z"], { cwd: ROOT, encoding: "utf8", maxBuffer: 1 << 26 });
  return [...new Set(listed.split("\0"))].filter((path) => path !== "" && existsSync(join(ROOT, path)));
}

const SOURCES = sources();
const where = (source: Source, index: number): string => `${source.path}:${source.code.slice(0, index).split("\n").length}`;

function occurrences(chosen: readonly Source[], pattern: RegExp): string[] {
  return chosen.flatMap((source) => [...source.bare.matchAll(pattern)].map((match) => `${where(source, match.index)} ${match[0].trim()}`));
}

describe("imports", () => {
  it("every folder of src/ has its place in the order", () => {
    const folders = readdirSync(join(ROOT, "src"), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    assert.deepEqual(
      folders.map((entry) => entry.name).filter((name) => !RANK.has(name)),
      [],
    );
    assert.ok(SOURCES.length > 20, `only ${SOURCES.length} source files were found`);
  });

  it("a folder imports only folders above it", () => {
    const wrong = SOURCES.flatMap((source) =>
      imports(source)
        .filter((to) => to.startsWith("."))
        .map((to) => posix.join(posix.dirname(source.path), to))
        .filter((path) => {
          const folder = path.split("/")[1];
          if (!path.startsWith("src/")) return true;
          if (folder === source.folder) return false;
          return !(RANK.get(folder)! < RANK.get(source.folder)!) || APART[source.folder]?.includes(folder);
        })
        .map((path) => `${source.path} imports ${path}`),
    );
    assert.deepEqual(wrong, []);
  });

  it("no file imports itself by way of others, not even for a type", () => {
    const known = new Map(SOURCES.map((source) => [source.path, source]));
    const done = new Set<string>();
    const circles: string[] = [];
    const visit = (path: string, way: readonly string[]): void => {
      const source = known.get(path);
      if (way.includes(path)) circles.push([...way.slice(way.indexOf(path)), path].join(" → "));
      else if (source && !done.has(path)) {
        for (const to of imports(source)) if (to.startsWith(".")) visit(posix.join(posix.dirname(path), to), [...way, path]);
        done.add(path);
      }
    };
    for (const { path } of SOURCES) visit(path, []);
    assert.deepEqual(circles, []);
  });

  it("imports of our own files name their ending", () => {
    const wrong = SOURCES.flatMap((source) =>
      imports(source)
        .filter((to) => to.startsWith(".") && !/\.(ts|mjs|js|json)$/.test(to))
        .map((to) => `${source.path} imports ${to}`),
    );
    assert.deepEqual(wrong, []);
  });

  it("only client/ imports vscode, only server/ and client/ know LSP", () => {
    const wrong = SOURCES.flatMap((source) =>
      imports(source)
        .filter((to) => (to === "vscode" && source.folder !== "client") || (LSP.test(to) && !["server", "client"].includes(source.folder)))
        .map((to) => `${source.path} imports ${to}`),
    );
    assert.deepEqual(wrong, []);
  });

  it("up to view/ only language/ has a dependency, and it is Lezer", () => {
    const pure = RANK.get("view")!;
    const wrong = SOURCES.filter((source) => RANK.get(source.folder)! <= pure && source.path.endsWith(".ts")).flatMap((source) =>
      imports(source)
        .filter((to) => !to.startsWith(".") && !(source.folder === "language" && /^@lezer\/(lr|common)$/.test(to)))
        .map((to) => `${source.path} imports ${to}`),
    );
    assert.deepEqual(wrong, []);
  });
});

describe("the model", () => {
  const machine = SOURCES.filter(({ folder }) => ["base", "scenario", "model", "invariants"].includes(folder));

  it("reads no clock, randomness, file or environment", () => {
    const impure = /\b(?:Date|performance|process|setTimeout|setInterval|fetch|crypto|globalThis)\b\s*[.([]|\bMath\.random\b|\bnew Date\b/g;
    assert.deepEqual(occurrences(machine, impure), []);
  });

  it("asks no profile for its name outside model/profile/", () => {
    const named =
      /\b(?:profile|kernel)\??\.(?:id|name)\s*(?:[!=]==?|\.(?:startsWith|includes|match)\b)|[!=]==?\s*(?:\w+\.)*(?:profile|kernel)\??\.(?:id|name)\b|switch\s*\((?:\w+\.)*(?:profile|kernel)\??\.(?:id|name)\)/g;
    const chosen = SOURCES.filter(({ path, folder }) => ["model", "invariants", "explore", "check"].includes(folder) && !path.startsWith("src/model/profile/"));
    assert.deepEqual(occurrences(chosen, named), []);
  });
});

describe("files", () => {
  it("begin with a comment that says what they are", () => {
    const silent = SOURCES.filter(({ text }) => !/^(#![^\n]*\n)?(\/\/ \S|\/\*\*? ?\S)/.test(text));
    assert.deepEqual(
      silent.map(({ path }) => path),
      [],
    );
  });

  it(`have at most ${MAX_LINES} lines`, () => {
    const code = tracked().filter((path) => /^(src|test)\/.*\.(ts|mjs|grammar)$/.test(path) || path === "esbuild.mjs");
    const long = code.map((path) => ({ path, lines: read(path).split("\n").length - 1 })).filter(({ lines }) => lines > MAX_LINES);
    assert.deepEqual(long, []);
  });

  it("are all reached from an entry", () => {
    const entries = [
      "client/node",
      "client/browser",
      "server/node",
      "server/browser",
      "server/model-worker.node",
      "server/model-worker.browser",
      "cli/node",
      "panel/main",
    ];
    const byPath = new Map(SOURCES.map((source) => [source.path, source]));
    const reached = new Set<string>();
    const visit = (path: string): void => {
      const source = byPath.get(path);
      if (source === undefined || reached.has(path)) return;
      reached.add(path);
      for (const to of imports(source)) if (to.startsWith(".")) visit(posix.join(posix.dirname(path), to));
    };
    for (const entry of entries) visit(`src/${entry}.ts`);
    // the tables that Lezer generates import the tokenizers by name
    const named = SOURCES.filter(({ path }) => /\.(grammar|mjs)$/.test(path)).map(({ text }) => text);
    const dead = SOURCES.filter(({ path }) => path.endsWith(".ts") && !reached.has(path) && !named.some((text) => text.includes(posix.basename(path))));
    assert.deepEqual(
      dead.map(({ path }) => path),
      [],
    );
  });

  it("hold no left-over note, no path of one machine and no registry's address", () => {
    const leftOver = new RegExp(["TO", "DO|FIX", "ME|\\bX", "XX\\b"].join(""));
    const machine = new RegExp(`${["/ho", "me/[a-z]|/Us", "ers/[A-Za-z]|/ro", "ot/|/wo", "rk/|/tm", "p/[a-z]|[A-Z]:\\\\Us", "ers"].join("")}`);
    const registry = new RegExp(["registry\\.np", "mjs|regis", "try\\.yarn|art", 'ifactory|"resol', 'ved": ?"http'].join(""), "i");
    const text = tracked().filter((path) => /\.(ts|mjs|js|json|md|memfd|css|svg|html|grammar|c|h)$|^\.[a-z]+ignore$|^\.ci\/|^\.npmrc$/.test(path));
    const found = text.flatMap((path) => {
      // the lock file's `funding` and package names are the registry's words, its addresses are checked below
      const patterns = path === "package-lock.json" ? [registry] : [leftOver, machine, registry];
      return read(path)
        .split("\n")
        .flatMap((line, index) => (patterns.some((pattern) => pattern.test(line)) ? [`${path}:${index + 1} ${line.trim().slice(0, 100)}`] : []));
    });
    assert.deepEqual(found, []);
  });

  it("the lock file names no download address, and dependencies are exact", () => {
    const lock: { packages: Record<string, { resolved?: string }> } = JSON.parse(read("package-lock.json"));
    assert.deepEqual(
      Object.entries(lock.packages).filter(([, entry]) => entry.resolved !== undefined),
      [],
    );
    const { dependencies, devDependencies, optionalDependencies } = JSON.parse(read("package.json"));
    assert.equal(dependencies, undefined, "everything that ships is bundled");
    for (const [name, version] of Object.entries({ ...devDependencies, ...optionalDependencies })) assert.match(String(version), /^\d+\.\d+\.\d+$/, name);
  });
});
