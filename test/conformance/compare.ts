// Model against machine: the same programs on both, call by call. A difference is shown as the program's text with both answers under the line.

import { printCall } from "../../src/scenario/print.ts";
import type { Call, Program } from "../../src/scenario/program.ts";
import { runOnMachine } from "./machine.ts";
import { type ModelRun, programsOf, runModel } from "./model.ts";

export interface Difference {
  readonly program: Program;
  readonly call: number;
  readonly model: string;
  readonly machine: string;
}

/** Says which row of the table of version differences explains an answer; what follows in that program is then not compared. */
export type Explain = (difference: Difference, call: Call) => string | undefined;

export interface Comparison {
  /** Calls whose answers were equal or differed; those after an explained difference do not count. */
  readonly compared: number;
  readonly programs: number;
  readonly differences: readonly Difference[];
  /** Programs that the model gives no single answer for. */
  readonly problems: readonly { readonly program: Program; readonly problem: string }[];
  /** Programs whose choices of free frames were not all explored. */
  readonly limited: number;
  /** How often each row of the table explained a difference. */
  readonly explained: ReadonlyMap<string, number>;
  /** Equal answers by call and answer, to see that a generator reaches what it is meant to. */
  readonly reached: ReadonlyMap<string, number>;
}

export interface Options {
  readonly explain?: Explain;
  readonly model?: (program: Program) => ModelRun;
}

/** Programs of one scenario under several kernels differ in the profile only, so the machine runs each scenario once. */
export function compare(file: string, text: string, options: Options = {}): Comparison {
  const programs = programsOf(file, text);
  const keys = new Map<string, number>();
  const distinct: Program[] = [];
  const place = programs.map((program) => {
    const key = JSON.stringify([program.name, program.calls.map(({ spec, operands, binds }) => [spec, operands, binds])], (_, value) =>
      typeof value === "bigint" ? `${value}n` : value,
    );
    const at = keys.get(key) ?? keys.set(key, distinct.push(program) - 1).size - 1;
    return at;
  });
  const machine = runOnMachine(distinct);
  const counter = new Counter();
  programs.forEach((program, index) => counter.add(program, (options.model ?? runModel)(program), machine[place[index]], options.explain));
  return counter;
}

class Counter implements Comparison {
  compared = 0;
  programs = 0;
  limited = 0;
  readonly differences: Difference[] = [];
  readonly problems: { program: Program; problem: string }[] = [];
  readonly explained = new Map<string, number>();
  readonly reached = new Map<string, number>();

  add(program: Program, run: ModelRun, machine: readonly (string | undefined)[], explain: Explain | undefined): void {
    this.programs += 1;
    if (run.problem !== undefined) this.problems.push({ program, problem: run.problem });
    if (run.limit !== undefined) this.limited += 1;
    for (let call = 0; call < program.calls.length; call++) {
      const difference = { program, call, model: run.answers[call] ?? "", machine: machine[call] ?? "no answer" };
      if (difference.model !== difference.machine) {
        const row = explain?.(difference, program.calls[call]);
        if (row !== undefined) return count(this.explained, row);
        this.compared += 1;
        this.differences.push(difference);
        return;
      }
      this.compared += 1;
      count(this.reached, `${program.calls[call].spec} ${/^\d+( |$)/.test(difference.model) ? "ok" : difference.model.split(" ")[0]}`);
    }
  }
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** The program as a scenario, with both answers under the line that differs. */
export function showDifference({ program, call, model, machine }: Difference): string {
  const lines = program.calls.map((each, id) => {
    const binds = each.binds === undefined ? "" : `${program.handles[each.binds].name} = `;
    const actor = each.actor === 0 ? "" : `${program.actors[each.actor].name}: `;
    const mark = id === call ? `\n    // model ${program.profile.name}: ${model}\n    // this kernel: ${machine}` : "";
    return `  ${actor}${binds}${printCall(program, id)}${mark}`;
  });
  return [`scenario ${JSON.stringify(program.name)} {`, `  kernel ${program.profile.name}`, ...lines, "}"].join("\n");
}

export function showComparison(what: string, { compared, programs, explained, differences }: Comparison): string {
  const rows = [...explained].map(([row, times]) => `${row} ×${times}`).join(", ");
  return `${what}: ${compared} calls of ${programs} programs compared, ${differences.length} differ${rows ? `; version differences: ${rows}` : ""}`;
}
