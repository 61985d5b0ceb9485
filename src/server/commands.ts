// The server's own requests: run, trace, stop, explain. These wait for runs; a newer text or the client's cancellation ends the waiting.

import type { CancellationToken } from "vscode-jsonrpc";
import type { ExecuteCommandParams } from "vscode-languageserver";
import { saveable } from "../check/suggest/index.ts";
import type { OutlineEntry } from "../language/index.ts";
import { storyText } from "../view/story.ts";
import type { ProgramRun, Snapshot } from "./documents.ts";
import { explain } from "./explain.ts";
import { importAnswer } from "./importer.ts";
import { Kernels } from "./kernels.ts";
import * as protocol from "./protocol.ts";
import { type Answered, compareAnswer, emitAnswer } from "./reproducer.ts";
import type { ServerState } from "./state.ts";
import { verdictOf, verdictsOf } from "./verdicts.ts";

export class Commands {
  readonly #state: ServerState;
  readonly #changed: (uri: string) => void;
  readonly #kernels: Kernels;

  /** `changed` is told documents whose runs were started or stopped. */
  constructor(state: ServerState, changed: (uri: string) => void) {
    this.#state = state;
    this.#changed = changed;
    this.#kernels = new Kernels(state);
  }

  register(): void {
    const { connection } = this.#state;
    connection.onRequest(protocol.RUN, (params: unknown, token: CancellationToken) => this.run(params as protocol.ScenarioSelector, token));
    connection.onRequest(protocol.TRACE, (params: unknown, token: CancellationToken) => this.trace(params as protocol.TraceParams, token));
    connection.onRequest(protocol.STORY, (params: unknown, token: CancellationToken) => this.story(params as protocol.TraceParams, token));
    connection.onRequest(protocol.KERNELS, (params: unknown, token: CancellationToken) => this.kernels(params as protocol.KernelsParams, token));
    connection.onRequest(
      protocol.SUGGEST,
      (params: unknown, token: CancellationToken): Promise<unknown> => this.suggest(params as protocol.ScenarioSelector, token),
    );
    connection.onRequest(protocol.EMIT_C, (params: unknown, token: CancellationToken) => this.emitC(params as protocol.EmitCParams, token));
    connection.onRequest(protocol.COMPARE_MACHINE, (params: unknown, token: CancellationToken) =>
      this.compareMachine(params as protocol.ScenarioSelector, token),
    );
    connection.onRequest(protocol.IMPORT, (params: unknown, token: CancellationToken) => importAnswer(params as protocol.ImportParams, token));
    connection.onRequest(protocol.STOP, (params: unknown) => this.stop(params as protocol.StopParams | undefined));
    connection.onRequest(protocol.EXPLAIN, (params: unknown) => ({ markdown: explain((params as protocol.ExplainParams | undefined)?.code ?? "") }));
    connection.onRequest("workspace/executeCommand", async ({ command, arguments: given }: ExecuteCommandParams, token) => {
      if (command !== protocol.SERVER_RUN_COMMAND) return null;
      return this.run((given?.[0] ?? {}) as protocol.ScenarioSelector, token);
    });
  }

  async run(selector: protocol.ScenarioSelector, token: CancellationToken): Promise<protocol.RunResult> {
    const snapshot = this.#snapshot(selector?.uri);
    if (snapshot === undefined) return { verdicts: [] };
    const names = scenarioNames(snapshot, selector);
    const runs = snapshot.runs.filter((run) => names.has(run.program.name) && (selector.kernel === undefined || run.program.profile.name === selector.kernel));
    await this.#settle(snapshot, runs, token);
    const verdicts = verdictsOf(snapshot, this.#state.runner).filter(
      (verdict) => names.has(verdict.scenario) && (selector.kernel ?? verdict.kernel) === verdict.kernel,
    );
    return { verdicts };
  }

  async trace(params: protocol.TraceParams, token: CancellationToken): Promise<protocol.TraceResult> {
    const { runner, traces } = this.#state;
    const snapshot = this.#snapshot(params?.uri);
    if (snapshot === undefined) return { refusal: "The document is not open." };
    const names = scenarioNames(snapshot, params);
    const candidates = snapshot.runs.filter((run) => names.has(run.program.name));
    const fitting = candidates.filter((run) => (params.kernel ?? run.program.profile.name) === run.program.profile.name);
    if (fitting.length === 0) {
      const foreign = params.anyKernel === true ? this.#underKernel(snapshot, names, params.kernel) : undefined;
      if (foreign === undefined) return { refusal: refusal(snapshot, params, candidates) };
      fitting.push(foreign);
      await this.#kernels.settle(`${snapshot.uri} trace`, fitting, runner.outcome(foreign.job.key)?.kind !== "report", token);
    } else await this.#settle(snapshot, fitting, token);
    const run = fitting.find((candidate) => verdictOf(snapshot, candidate, runner).state === "fail") ?? fitting[0];
    const outcome = runner.outcome(run.job.key);
    if (outcome === undefined) return { refusal: token.isCancellationRequested ? "Cancelled." : "The text changed while the scenario ran: ask again." };
    if (outcome.kind === "failed") return { refusal: `The model failed: ${outcome.message}` };
    if (outcome.report === undefined || (outcome.kind === "stopped" && outcome.report.exploration.transitions === 0))
      return { refusal: "The run was stopped before it had anything to show; Run begins it again." };
    const answer = await traces.trace(run, outcome.report, params.schedule);
    return typeof answer === "string" ? { refusal: answer } : { trace: answer };
  }

  async story(params: protocol.TraceParams, token: CancellationToken): Promise<protocol.StoryResult> {
    const { trace, refusal } = await this.trace(params, token);
    if (trace === undefined) return { refusal: refusal ?? "There is no story." };
    return { text: storyText(trace), scenario: trace.scenario, kernel: trace.kernel };
  }

  async kernels(params: protocol.KernelsParams, token: CancellationToken): Promise<protocol.KernelsResult> {
    const snapshot = this.#snapshot(params?.uri);
    if (snapshot === undefined) return { refusal: "The document is not open." };
    const [scenario] = scenarioNames(snapshot, params);
    if (scenario === undefined || !snapshot.analysis.units.has(scenario)) return { refusal: refusal(snapshot, params, []) };
    return this.#kernels.compare(snapshot, scenario, params.again === true, token);
  }

  /** A kernel that the scenario does not name itself: what is compared can be shown. */
  #underKernel(snapshot: Snapshot, names: ReadonlySet<string>, kernel: string | undefined): ProgramRun | undefined {
    const [scenario] = names;
    return scenario === undefined || kernel === undefined ? undefined : this.#kernels.under(snapshot, scenario, kernel);
  }

  async suggest(params: protocol.ScenarioSelector, token: CancellationToken): Promise<protocol.SuggestResult> {
    const { runner, suggester } = this.#state;
    const snapshot = this.#snapshot(params?.uri);
    if (snapshot === undefined) return { refusal: "The document is not open." };
    const names = scenarioNames(snapshot, params);
    const candidates = snapshot.runs.filter((run) => names.has(run.program.name));
    const fitting = candidates.filter((run) => (params.kernel ?? run.program.profile.name) === run.program.profile.name);
    if (fitting.length === 0) return { refusal: refusal(snapshot, params, candidates) };
    await this.#settle(snapshot, fitting, token);
    if (token.isCancellationRequested) return { refusal: "Cancelled." };
    // What fails comes before what breaks as expected.
    const reports = fitting.flatMap((run) => {
      const outcome = runner.outcome(run.job.key);
      return outcome?.kind === "report" && saveable(run.program, outcome.report) ? [{ run, report: outcome.report }] : [];
    });
    const chosen = reports.find(({ report }) => report.verdict === "fail") ?? reports[0];
    if (chosen === undefined) return { refusal: "Nothing breaks in this scenario, so there is nothing to save." };
    return suggester.suggest(snapshot, chosen.run, chosen.report, token);
  }

  async emitC(params: protocol.EmitCParams, token: CancellationToken): Promise<protocol.EmitCResult> {
    const answered = await this.#answered(params, token);
    return "refusal" in answered ? answered : emitAnswer(answered, this.#state.texts, params.schedule);
  }

  async compareMachine(params: protocol.ScenarioSelector, token: CancellationToken): Promise<protocol.CompareMachineResult> {
    const answered = await this.#answered(params, token);
    return "refusal" in answered ? answered : compareAnswer(answered, this.#state.texts, await this.#state.host.machine?.(), token);
  }

  /** The first run of the scenario that was asked for, with its report. */
  async #answered(params: protocol.ScenarioSelector, token: CancellationToken): Promise<Answered | { refusal: string }> {
    const snapshot = this.#snapshot(params?.uri);
    if (snapshot === undefined) return { refusal: "The document is not open." };
    const names = scenarioNames(snapshot, params);
    const candidates = snapshot.runs.filter((run) => names.has(run.program.name));
    const run = candidates.find((candidate) => (params.kernel ?? candidate.program.profile.name) === candidate.program.profile.name);
    if (run === undefined) return { refusal: refusal(snapshot, params, candidates) };
    await this.#settle(snapshot, [run], token);
    const outcome = this.#state.runner.outcome(run.job.key);
    if (outcome === undefined) return { refusal: token.isCancellationRequested ? "Cancelled." : "The text changed while the scenario ran: ask again." };
    if (outcome.kind === "failed") return { refusal: `The model failed: ${outcome.message}` };
    if (outcome.report === undefined) return { refusal: "The run was stopped before it had anything to show; Run begins it again." };
    return { snapshot, program: run.program, report: outcome.report };
  }

  stop(params: protocol.StopParams | undefined): null {
    const uri = typeof params?.uri === "string" ? params.uri : undefined;
    this.#state.runner.stop(uri);
    for (const open of this.#state.documents.uris) this.#changed(open);
    return null;
  }

  #snapshot(uri: unknown): Snapshot | undefined {
    return typeof uri === "string" ? this.#state.documents.snapshot(uri) : undefined;
  }

  async #settle(snapshot: Snapshot, runs: readonly ProgramRun[], token: CancellationToken): Promise<void> {
    const { documents, runner } = this.#state;
    const keys = runs.map((run) => run.job.key);
    documents.ask(snapshot.uri, keys);
    runner.retry(keys);
    documents.schedule(snapshot.uri);
    this.#changed(snapshot.uri);
    const cancelled = new Promise<void>((done) => token.onCancellationRequested(() => done()));
    await Promise.race([runner.settled(keys), cancelled]);
  }
}

/** By name; else by position: the scenario around it, the first one that runs a call on that line (a setup), the next one below, the last; else all. */
function scenarioNames(snapshot: Snapshot, selector: protocol.ScenarioSelector): ReadonlySet<string> {
  const { outline } = snapshot.analysis;
  if (selector.scenario !== undefined) return new Set([selector.scenario]);
  if (selector.position === undefined) return new Set(outline.map((entry) => entry.name));
  const offset = snapshot.document.offsetAt(selector.position);
  const around = outline.find((entry) => entry.span.from <= offset && offset <= entry.span.to);
  if (around !== undefined) return new Set([around.name]);
  const { line } = selector.position;
  const user = snapshot.runs.find(({ program }) =>
    program.calls.some((call) => {
      const span = program.sites[call.statement];
      return span.file === snapshot.uri && snapshot.document.positionAt(span.from).line <= line && line <= snapshot.document.positionAt(span.to).line;
    }),
  );
  const name = user?.program.name ?? outline.find((entry) => entry.span.from >= offset)?.name ?? outline.at(-1)?.name;
  return new Set(name === undefined ? [] : [name]);
}

/** The first error of its text, else what keeps every scenario of a kernel from running. */
function notRun(snapshot: Snapshot, entry: OutlineEntry | undefined): string {
  const { analysis, document, uri } = snapshot;
  const errors = analysis.findings.filter(({ severity, span }) => severity === "error" && span.file === uri);
  const [first] = entry === undefined ? errors : errors.filter(({ span }) => entry.span.from <= span.from && span.from <= entry.span.to).concat(errors);
  if (first === undefined) return "The scenario is not run: its kernel is not modelled yet.";
  const also = errors.length > 1 ? ` The file has ${errors.length} errors.` : "";
  return `The scenario is not run until its text is right. Line ${document.positionAt(first.span.from).line + 1}: ${first.message}.${also}`;
}

function refusal(snapshot: Snapshot, params: protocol.ScenarioSelector, candidates: readonly ProgramRun[]): string {
  if (candidates.length > 0)
    return `The scenario does not run under the kernel ${params.kernel}; it runs under ${candidates.map((run) => run.program.profile.name).join(", ")}.`;
  const names = scenarioNames(snapshot, params);
  const entry = snapshot.analysis.outline.find((candidate) => names.has(candidate.name));
  if (params.scenario !== undefined && entry === undefined) return `There is no scenario "${params.scenario}" in the file.`;
  return snapshot.analysis.outline.length === 0 ? "The file has no scenario." : notRun(snapshot, entry);
}
