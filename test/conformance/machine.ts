// The real kernel of this machine: what it has, and the answers of generated C programs that run on it.

import { execFileSync, spawnSync } from "node:child_process";
import { accessSync, constants, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import { errnoName } from "../../src/base/errno.ts";
import type { Program } from "../../src/scenario/program.ts";
import { emitFile } from "./emit.ts";

const RUN_SECONDS = 120;

/** Undefined, or why nothing can be compared here. */
export interface Abilities {
  readonly compiler: string | undefined;
  readonly noCompare: string | undefined;
  readonly noKvm: string | undefined;
  /** Major and minor of the running kernel: 6.18 → [6, 18]. */
  readonly release: readonly [number, number];
}

const has = (command: string): boolean => spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0;

function setting(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}

function noCompareReason(compiler: string | undefined): string | undefined {
  if (process.platform !== "linux" || process.arch !== "x64") return `the model is x86-64 Linux, this is ${process.platform} on ${process.arch}`;
  if (compiler === undefined) return "neither gcc nor cc is installed";
  const noexec = setting("/proc/sys/vm/memfd_noexec") ?? "0";
  if (noexec !== "0") return `vm.memfd_noexec is ${noexec}, which adds seals that the modelled kernels do not have`;
  const huge = setting("/sys/kernel/mm/transparent_hugepage/shmem_enabled") ?? "[never]";
  return /\[(never|deny|advise)\]/.test(huge) ? undefined : `shmem huge pages are on (${huge}), so chunks of a write are not pages`;
}

function noKvmReason(): string | undefined {
  try {
    accessSync("/dev/kvm", constants.R_OK | constants.W_OK);
    return undefined;
  } catch (error) {
    return `/dev/kvm cannot be opened (${(error as NodeJS.ErrnoException).code})`;
  }
}

function probe(): Abilities {
  const compiler = ["gcc", "cc"].find(has);
  const [major, minor] = release().split(".").map(Number);
  const noCompare = noCompareReason(compiler);
  return { compiler, noCompare, noKvm: noCompare ?? noKvmReason(), release: [major, minor] };
}

let known: Abilities | undefined;

export function abilities(): Abilities {
  known ??= probe();
  return known;
}

export const atLeast = (major: number, minor: number): boolean => {
  const [a, b] = abilities().release;
  return a > major || (a === major && b >= minor);
};

/** One text per call, in the words of `model.ts`; undefined where the program never came to it. */
export type Answers = (string | undefined)[];

/** Compiles all programs as one C file and runs it. */
export function runOnMachine(programs: readonly Program[]): Answers[] {
  const { compiler } = abilities();
  if (compiler === undefined) throw new Error("no C compiler");
  const folder = mkdtempSync(join(tmpdir(), "memfd-conformance-"));
  try {
    const source = join(folder, "programs.c");
    const binary = join(folder, "programs");
    writeFileSync(source, emitFile(programs));
    execFileSync(compiler, ["-std=gnu11", "-O0", "-Wall", "-Werror", "-Wno-unused-function", "-I", import.meta.dirname, source, "-o", binary], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    const output = execFileSync(binary, { encoding: "utf8", maxBuffer: 1 << 28, timeout: RUN_SECONDS * 1000, stdio: ["ignore", "pipe", "inherit"] });
    return readAnswers(output, programs);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readAnswers(output: string, programs: readonly Program[]): Answers[] {
  const answers: Answers[] = programs.map((program) => new Array<string | undefined>(program.calls.length).fill(undefined));
  let current: Answers = [];
  for (const line of output.split("\n")) {
    const [first, ...rest] = line.split(" ");
    if (first === "=") current = answers[Number(rest[0])];
    else if (first === "!") {
      const next = current.indexOf(undefined);
      if (next >= 0) current[next] = `the program ended with ${rest[0]}`;
    } else if (first !== "") current[Number(first)] = answerText(rest);
  }
  return answers;
}

function answerText(words: readonly string[]): string {
  const [kind, ...rest] = words;
  if (kind === "E") return `-${errnoName(Number(rest[0])) ?? rest[0]}`;
  if (kind === "S") return rest[0];
  if (kind === "T") return JSON.stringify(Buffer.from(rest[0] ?? "", "hex").toString("latin1"));
  if (kind === "X") return `exit ${rest.join(" ")}`;
  return words.join(" ");
}
