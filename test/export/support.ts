// Shared by the tests of the C reproducers: texts to programs and C, and one compiler run for many files.

import { execFile, execFileSync, spawnSync } from "node:child_process";
import { accessSync, constants, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { check } from "../../src/check/index.ts";
import type { Report } from "../../src/check/report.ts";
import { type EmitOptions, type Emitted, emitC } from "../../src/export/c/emit.ts";
import { analyse } from "../../src/language/index.ts";
import type { Program, Site } from "../../src/scenario/program.ts";

export const compilers = ["gcc", "clang"].filter((name) => spawnSync(name, ["--version"], { stdio: "ignore" }).status === 0);

export function noKvm(): string | undefined {
  try {
    accessSync("/dev/kvm", constants.R_OK | constants.W_OK);
    return undefined;
  } catch (error) {
    return `/dev/kvm cannot be opened (${(error as NodeJS.ErrnoException).code})`;
  }
}

export const noRun = (): string | undefined =>
  process.platform !== "linux" || process.arch !== "x64"
    ? "the C is for x86-64 Linux"
    : compilers.length === 0
      ? "neither gcc nor clang is installed"
      : undefined;

export function skipped(context: TestContext, reason: string | undefined): boolean {
  if (reason === undefined) return false;
  console.log(`skipped: ${context.name}: ${reason}`);
  context.skip(reason);
  return true;
}

export function programsOf(file: string, text: string, read: (path: string) => string | undefined = () => undefined): readonly Program[] {
  const imports = (path: string): { file: string; text: string } | undefined => {
    const found = read(path);
    return found === undefined ? undefined : { file: path, text: found };
  };
  const { findings, programs } = analyse(file, text, { imports });
  const wrong = findings.filter((finding) => finding.severity === "error");
  if (wrong.length > 0) throw new Error(`${file}: ${wrong[0].message}`);
  return programs;
}

export const run = (program: Program): Report => check(program, { now: () => performance.now(), maxStates: 200_000, maxMilliseconds: 20_000 });

export const emit = (program: Program, text: string, options: Omit<EmitOptions, "placeOf"> = {}): Emitted =>
  emitC(program, { ...options, placeOf: (site: Site) => `line ${text.slice(0, program.sites[site].from).split("\n").length}` });

/** What the compilers say of texts that they only read: each compiler is started twice with half of them, for a start out of a large process takes its time. */
export async function messagesOf(texts: readonly string[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "memfd-export-"));
  try {
    const halves: string[][] = [[], []];
    for (const [index, text] of texts.entries()) {
      const source = join(folder, `${index}.c`);
      writeFileSync(source, text);
      halves[index % 2].push(source);
    }
    const read = async (sources: readonly string[]): Promise<string> => {
      let messages = "";
      for (const compiler of sources.length > 0 ? compilers : []) messages += await compiled(compiler, ["-fsyntax-only", ...sources]);
      return messages;
    };
    return (await Promise.all(halves.map(read))).join("");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export interface Built {
  /** Warnings and errors of the compilers, none when it is as it should be. */
  readonly messages: string;
  readonly run: (index: number) => { output: string; status: number };
}

/** Compiles all texts, each to its own program, and lets `use` run them; two at a time, for more than two cores is more than there may be. */
export async function withBuilt<T>(texts: readonly string[], use: (built: Built) => T | Promise<T>, flags: readonly string[] = []): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "memfd-export-"));
  try {
    let messages = "";
    let next = 0;
    const worker = async (): Promise<void> => {
      for (let index = next++; index < texts.length; index = next++) {
        const source = join(folder, `${index}.c`);
        writeFileSync(source, texts[index]);
        for (const compiler of compilers) messages += await compiled(compiler, [...flags, source, "-o", join(folder, String(index))]);
      }
    };
    await Promise.all([worker(), worker()]);
    return await use({ messages, run: (index) => execute(join(folder, String(index))) });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function compiled(compiler: string, args: readonly string[]): Promise<string> {
  return new Promise((done) => {
    execFile(compiler, ["-Wall", "-Wextra", "-O1", "-pthread", ...args], { encoding: "utf8" }, (error, _out, messages) =>
      done(messages === "" && error !== null ? error.message : messages),
    );
  });
}

function execute(program: string): { output: string; status: number } {
  const { stdout, status, signal } = spawnSync(program, { encoding: "utf8", timeout: 60_000 });
  if (signal !== null) throw new Error(`${program} was ended by ${signal}: ${stdout}`);
  return { output: stdout, status: status ?? -1 };
}

export const sourceOf = (path: string): string => readFileSync(join(import.meta.dirname, "../..", path), "utf8");

export const scenarioFiles = (): readonly string[] =>
  execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "scenarios/*.memfd", "scenarios/**/*.memfd"], {
    cwd: join(import.meta.dirname, "../.."),
    encoding: "utf8",
  })
    .split("\n")
    .filter((path) => path !== "");
