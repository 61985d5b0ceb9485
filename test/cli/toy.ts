// A command line in memory: files as a record, and an engine that takes its answers from the text, one line per scenario, so that every verdict and
// finding can be asked for by name.

import type { Finding, Span } from "../../src/base/finding.ts";
import type { Report, Verdict, Violation } from "../../src/check/report.ts";
import type { Engine, Environment, Files } from "../../src/cli/environment.ts";
import { runCommand } from "../../src/cli/run.ts";
import type { Program } from "../../src/scenario/program.ts";
import type { TraceView } from "../../src/view/rows.ts";

/** `scenario NAME pass|fail|incomplete|bug|expected|unmodelled` · `error CODE` · `warning CODE` · `import PATH` · `kernel NAME`. */
function analyse(file: string, text: string, imports: (path: string, from: string) => { file: string; text: string } | undefined) {
  const findings: Finding[] = [];
  const programs: Program[] = [];
  const outline: { name: string; header: Span; kernels: string[] }[] = [];
  let kernel = "v8";
  let from = 0;
  for (const line of text.split("\n")) {
    const span = { file, from, to: from + line.length };
    const [word, first = "", second = ""] = line.split(" ");
    if (word === "kernel") kernel = first;
    if (word === "error" || word === "warning") findings.push({ code: first, severity: word, span, message: `${word} on "${line}"` });
    if (word === "import" && imports(first, file) === undefined)
      findings.push({ code: "MEMFD1002", severity: "error", span, message: `cannot import ${first}` });
    if (word === "scenario") outline.push({ name: first, header: span, kernels: [kernel] });
    if (word === "scenario" && second !== "unmodelled") {
      programs.push({
        name: first,
        site: 0,
        profile: { name: kernel, base: kernel, edits: [] },
        handles: [],
        actors: [{ name: "vmm", kind: "vmm" }],
        calls: [{ spec: "fallocate", known: true, actor: 0, operands: [], site: 0, statement: 0 }],
        body: [{ kind: "call", call: 0 }],
        questions: [],
        expected: [],
        watch: { only: [second] },
        sites: [span],
      });
    }
    from += line.length + 1;
  }
  const under = (scenario: string, name: string) => {
    const program = programs.find((candidate) => candidate.name === scenario);
    return { kernel: name, findings: [], ...(program === undefined ? {} : { program: { ...program, profile: { name, base: name, edits: [] } } }) };
  };
  return { findings, programs, outline, kernels: { modelled: ["v4", "v8"], unmodelled: ["v5"] }, under };
}

const wanted = (program: Program): string => program.watch.only?.[0] ?? "";

function report(program: Program): Report {
  const want = wanted(program);
  if (want === "bug") throw new Error("page without a frame");
  const verdict: Verdict = want === "fail" || want === "incomplete" ? want : "pass";
  const schedule = [{ actor: 0, choice: 0 }];
  const violation: Violation = {
    invariant: "no-stale-mapping",
    subject: "vm gfn 0x1",
    call: 0,
    step: "truncate",
    expected: want === "expected",
    message: "a stale entry",
    story: { schedule, steps: [{ actor: 0, call: 0, step: "truncate", effect: "the page leaves the file" }], shortest: true },
  };
  return {
    scenario: program.name,
    kernel: program.profile.name,
    verdict,
    calls: [
      {
        results: [
          { result: { kind: "value", value: 0n }, schedule },
          { result: { kind: "errno", errno: "EINVAL" }, schedule },
        ],
      },
    ],
    violations: want === "fail" || want === "expected" ? [violation] : [],
    remarks: [],
    witnesses: [],
    notJudged: [],
    refinement: { cuts: [], extraFrames: 0 },
    exploration: {
      states: 7,
      transitions: 9,
      complete: verdict !== "incomplete",
      milliseconds: 2,
      reduced: true,
      depth: 4,
      frontier: verdict === "incomplete" ? 3 : 0,
      ...(verdict === "incomplete" ? { limit: "the limit of 7 states, 3 to go at depth 4", cut: "states" } : {}),
    },
  };
}

function trace(answer: Report): TraceView {
  return {
    version: 1,
    scenario: answer.scenario,
    kernel: answer.kernel,
    verdict: answer.verdict,
    summary: "7 states.",
    schedule: "a",
    files: [],
    actors: [],
    columns: [],
    steps: [],
    violations: [],
    stories: [],
  };
}

export interface Asked {
  maxStates?: number;
  maxMilliseconds?: number;
  schedule?: string;
}

function engine(asked: Asked): Engine {
  return {
    analyse: (file, text, { imports }) => analyse(file, text, imports),
    check(program, { maxStates, maxMilliseconds }) {
      Object.assign(asked, { maxStates, maxMilliseconds });
      return report(program);
    },
    locate: (program, { violations }) =>
      violations.map((each) => ({
        code: "MEMFD4001",
        severity: each.expected ? "information" : "error",
        span: program.sites[0],
        message: `${each.invariant} & <${each.message}>`,
      })),
    trace(_program, answer, { schedule }) {
      Object.assign(asked, { schedule });
      return trace(answer);
    },
    format: (text) => text.replaceAll("\t", "  "),
  };
}

function fakeFiles(contents: Record<string, string>): Files {
  const below = (folder: string) => Object.keys(contents).filter((name) => name.startsWith(`${folder}/`));
  return {
    kind: (path) => (Object.hasOwn(contents, path) ? "file" : below(path).length > 0 ? "directory" : { reason: "no such file or folder" }),
    read: (path) =>
      Object.hasOwn(contents, path)
        ? { ok: true, text: contents[path], validUtf8: !contents[path].includes("\ufffd") }
        : { ok: false, reason: "no such file or folder" },
    list: (path) =>
      [...new Set(below(path).map((name) => name.slice(path.length + 1)))]
        .map((rest) => ({ name: rest.split("/")[0], directory: rest.includes("/") }))
        .filter((entry, index, all) => all.findIndex((each) => each.name === entry.name) === index)
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
    replace(path, text) {
      contents[path] = text;
      return undefined;
    },
    real: (path) => path,
  };
}

/** The engine alone, to be wrapped. */
export const toyEngine = (): Engine => engine({});

export interface Ran {
  readonly status: number;
  readonly out: string;
  readonly error: string;
  readonly asked: Asked;
}

export async function memfd(args: readonly string[], contents: Record<string, string> = {}, more: Partial<Environment> = {}): Promise<Ran> {
  let out = "";
  let error = "";
  const asked: Asked = {};
  const environment: Environment = {
    out: (text) => {
      out += text;
    },
    error: (text) => {
      error += text;
    },
    now: () => 0,
    files: fakeFiles(contents),
    engine: engine(asked),
  };
  const status = await runCommand(args, { ...environment, ...more }, "1.2.3");
  return { status, out, error, asked };
}
