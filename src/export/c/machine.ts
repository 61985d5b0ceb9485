// The machine that this process runs on, as far as comparing needs it: what it is, and a C file compiled and run in a folder of its own, with bounded time and
// memory. Node only; nothing of it is reachable from the web worker.

import { execFile, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import type { RunOutput } from "./compare.ts";
import type { MachineFacts } from "./deviations.ts";

/** A real kernel, or a test's stand-in for one. */
export interface Machine {
  /** Undefined, or why no program can be built and run here. */
  unable(): string | undefined;
  facts(): MachineFacts;
  /** As uname says it. */
  release(): string;
  /** Settings of this machine that change answers, as sentences. */
  cautions(): readonly string[];
  /** Builds and runs a C file in a folder of its own, and takes both away again. Resolves always, an aborted run too. */
  run(text: string, signal: AbortSignal): Promise<RunOutput | BuildFailure>;
}

export interface BuildFailure {
  readonly failure: string;
}

const COMPILERS = ["cc", "gcc", "clang"];
const COMPILE_MILLISECONDS = 30_000;
const RUN_MILLISECONDS = 60_000;
const MOST_OUTPUT = 8 << 20;
const MOST_MESSAGE = 2_000;
/** No limit of address space: a scenario may map a terabyte. The memory that it takes is bounded where the program is emitted. */
const BOUNDED = "ulimit -c 0 -t 30; exec ./scenario";

function setting(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}

let compiler: string | undefined;

function findCompiler(): string | undefined {
  compiler ??= COMPILERS.find((name) => spawnSync(name, ["--version"], { stdio: "ignore", timeout: COMPILE_MILLISECONDS }).status === 0);
  return compiler;
}

interface Ended {
  readonly status: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

const compileArguments = ["-O1", "-pthread", "-o", "scenario", "scenario.c"];

function folderWith(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), "memfd-compare-"));
  writeFileSync(join(folder, "scenario.c"), text);
  return folder;
}

function buildFailure({ status, stderr }: Ended): BuildFailure | undefined {
  return status === 0 ? undefined : { failure: `${compiler} did not compile it: ${stderr.slice(0, MOST_MESSAGE).trim() || "no message"}` };
}

/** 0, 1 and 4 are the program's own; anything else is an end before its time. */
function outputOf({ status, signal, stdout }: Ended): RunOutput {
  if (status !== null && [0, 1, 4].includes(status)) return { output: stdout };
  return { output: stdout, ended: signal === null ? `the program ended with status ${status}` : `the program was ended by ${signal}` };
}

function begin(command: string, args: readonly string[], folder: string, timeout: number, signal: AbortSignal): Promise<Ended> {
  return new Promise((done) => {
    const options = { cwd: folder, timeout, killSignal: "SIGKILL", encoding: "utf8", maxBuffer: MOST_OUTPUT, signal } as const;
    const child = execFile(command, args, options, (_error, stdout, stderr) => done({ status: child.exitCode, signal: child.signalCode, stdout, stderr }));
  });
}

export const thisMachine: Machine = {
  unable() {
    if (process.platform !== "linux" || process.arch !== "x64") return `the model is x86-64 Linux, this is ${process.platform} on ${process.arch}`;
    return findCompiler() === undefined ? `there is no C compiler (${COMPILERS.join(", ")})` : undefined;
  },
  facts() {
    const [major, minor] = release().split(".").map(Number);
    return { release: [major, minor], shadowGuest: existsSync("/sys/module/kvm_pvm") };
  },
  release,
  cautions() {
    const noexec = setting("/proc/sys/vm/memfd_noexec") ?? "0";
    const huge = setting("/sys/kernel/mm/transparent_hugepage/shmem_enabled") ?? "[never]";
    return [
      ...(noexec === "0" ? [] : [`vm.memfd_noexec is ${noexec}: a memfd gets seals and a mode that the model does not give it`]),
      ...(/\[(never|deny|advise)\]/.test(huge) ? [] : [`shmem huge pages are on (${huge}): writes are cut at larger chunks than pages`]),
    ];
  },
  async run(text, signal) {
    const folder = folderWith(text);
    try {
      const built = await begin(findCompiler() ?? COMPILERS[0], compileArguments, folder, COMPILE_MILLISECONDS, signal);
      if (signal.aborted) return { failure: "stopped" };
      const failure = buildFailure(built);
      if (failure !== undefined) return failure;
      const ended = await begin("sh", ["-c", BOUNDED], folder, RUN_MILLISECONDS, signal);
      return signal.aborted ? { failure: "stopped" } : outputOf(ended);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};
