// `memfd/kernels`: the scenario at the cursor under every kernel that is modelled and every variant of its file. The runs go where all runs go, so that what is
// known already is not run again; the comparison is made in the worker of the traces.

import type { CancellationToken } from "vscode-jsonrpc";
import type { Finding } from "../base/finding.ts";
import { kernelsOf, type UnderKernel, underKernel } from "../language/under.ts";
import type { Program } from "../scenario/program.ts";
import type { KernelRun, KernelsView } from "../view/kernels.ts";
import type { Place } from "../view/results.ts";
import { Cache } from "./cache.ts";
import type { ProgramRun, Snapshot } from "./documents.ts";
import * as protocol from "./protocol.ts";
import type { Outcome } from "./runner.ts";
import { wanted } from "./runner.ts";
import { sizeOf } from "./size.ts";
import type { ServerState } from "./state.ts";

const KEPT = { entries: 16, bytes: 8 << 20 } as const;

interface Asked {
  readonly read: UnderKernel;
  readonly run?: ProgramRun;
}

export class Kernels {
  readonly #state: ServerState;
  readonly #kept = new Cache<KernelsView>(KEPT);

  constructor(state: ServerState) {
    this.#state = state;
  }

  async compare(snapshot: Snapshot, scenario: string, again: boolean, token: CancellationToken): Promise<protocol.KernelsResult> {
    const { modelled, unmodelled } = kernelsOf(snapshot.analysis);
    const asked = modelled.map((kernel): Asked => {
      const read = underKernel(snapshot.analysis, scenario, kernel);
      return read.program === undefined ? { read } : { read, run: this.#run(snapshot, read.program) };
    });
    const runs = asked.flatMap((each) => each.run ?? []);
    const { uri } = snapshot;
    const told = (done: number): void => {
      const params: protocol.KernelsProgressParams = { uri, scenario, done, of: runs.length };
      void this.#state.connection.sendNotification(protocol.KERNELS_PROGRESS, params);
    };
    const outcomes = await this.settle(`${uri} kernels`, runs, again, token, told);
    if (token.isCancellationRequested) return { refusal: "Cancelled." };
    if (this.#state.documents.document(uri)?.version !== snapshot.version) return { refusal: "The text changed while the kernels were compared: ask again." };
    const known = asked.map(({ read, run }) => kernelRun(read, run && outcomes.get(run.job.key), (finding) => this.#note(finding)));
    return this.#view(snapshot, scenario, known, unmodelled, asked);
  }

  /** The scenario under a kernel that it does not name itself, for its trace; the reason where it cannot be run there. */
  under(snapshot: Snapshot, scenario: string, kernel: string): ProgramRun | undefined {
    const { program } = underKernel(snapshot.analysis, scenario, kernel);
    return program && this.#run(snapshot, program);
  }

  /** What became of these runs; what is pending when `token` is cancelled is given up. `again`: answers that a new run could better are asked for anew. */
  async settle(
    owner: string,
    runs: readonly ProgramRun[],
    again: boolean,
    token: CancellationToken,
    told?: (done: number) => void,
  ): Promise<Map<string, Outcome>> {
    const { runner } = this.#state;
    const keys = [...new Set(runs.map((run) => run.job.key))];
    const kept = new Map<string, Outcome>();
    const cancelled = new Promise<void>((done) => token.onCancellationRequested(() => done()));
    if (again) runner.retry(keys);
    runner.want(
      owner,
      runs.map((run) => run.job),
    );
    const each = keys.map(async (key) => {
      await runner.settled([key]);
      const outcome = runner.outcome(key);
      if (outcome !== undefined) kept.set(key, outcome);
      told?.(kept.size);
    });
    await Promise.race([Promise.all(each), cancelled]);
    runner.want(owner, []);
    return kept;
  }

  #run(snapshot: Snapshot, program: Program): ProgramRun {
    return { program, job: wanted(program, this.#state.documents.limits(snapshot.uri)) };
  }

  #place(file: string, from: number): Place {
    return { file, line: this.#state.texts.line({ file, from, to: from }) };
  }

  #note(finding: Finding): KernelRun["notes"][number] {
    return { ...this.#place(finding.span.file, finding.span.from), message: finding.message };
  }

  async #view(
    snapshot: Snapshot,
    scenario: string,
    runs: readonly KernelRun[],
    unmodelled: readonly string[],
    asked: readonly Asked[],
  ): Promise<protocol.KernelsResult> {
    const entry = snapshot.analysis.outline.find((candidate) => candidate.name === scenario);
    if (entry === undefined) return { refusal: `There is no scenario "${scenario}" in the file.` };
    const at = this.#place(entry.header.file, entry.header.from);
    const places = runs.map(({ program }) => (program?.sites ?? []).map((span) => this.#place(span.file, span.from)));
    const complete = runs.every((run) => run.report === undefined || run.report.exploration.complete);
    const key = JSON.stringify([
      scenario,
      at,
      entry.kernels,
      asked.map((each) => each.run?.job.key),
      runs.map((run) => [run.kernel, run.notes, run.reason]),
      places,
    ]);
    const known = complete ? this.#kept.get(key) : undefined;
    if (known !== undefined) return { kernels: known };
    const answer = await this.#state.traces.work({ kind: "kernels", runs, places, scenario, at, unmodelled, own: entry.kernels });
    if (answer.kind === "failed") return { refusal: `The kernels cannot be compared: ${answer.message}` };
    if (answer.kind !== "kernels") return { refusal: "The comparison took too long." };
    if (complete) this.#kept.set(key, answer.view, sizeOf(answer.view));
    return { kernels: answer.view };
  }
}

function kernelRun(read: UnderKernel, outcome: Outcome | undefined, noteOf: (finding: Finding) => KernelRun["notes"][number]): KernelRun {
  const notes = read.findings.map(noteOf);
  const base = { kernel: read.kernel, notes };
  if (read.program === undefined) return { ...base, reason: "it cannot be read under this kernel" };
  if (outcome?.kind === "failed") return { ...base, reason: `the model failed: ${outcome.message}` };
  if (outcome?.report === undefined) return { ...base, reason: "it was stopped" };
  return { ...base, program: read.program, report: outcome.report };
}
