// Code lenses over each scenario: Run · Show page tables · the verdict, of several kernels one each that opens its page tables · Compare kernels · Export C ·
// Compare with this machine. The two about C stand only where some call of the scenario is one that a real kernel can be asked.

import type { CodeLens, Command } from "vscode-languageserver";
import { counted } from "../check/extent.ts";
import { Budget, cannotRun } from "../export/c/limits.ts";
import type { Program } from "../scenario/program.ts";
import { rangeOf } from "./diagnostics.ts";
import type { Snapshot } from "./documents.ts";
import {
  COMPARE_KERNELS_COMMAND,
  COMPARE_MACHINE_COMMAND,
  EXPORT_C_COMMAND,
  RUN_COMMAND,
  type ScenarioVerdict,
  SERVER_RUN_COMMAND,
  SHOW_COMMAND,
} from "./protocol.ts";
import type { Texts } from "./texts.ts";
import { type Outcomes, verdictsOf } from "./verdicts.ts";

const GLYPH = { pass: "✓", fail: "✗", incomplete: "◌", running: "…", notRun: "–" } as const;
const WORD = { pass: "pass", fail: "fail", incomplete: "incomplete", running: "running", notRun: "not run" } as const;

/** Commands that the client has: none of its own, those of an editor, and with a machine behind it the comparison with its kernel. */
interface Lensed {
  readonly clientCommands: boolean;
  readonly machine: boolean;
}

export function codeLenses(snapshot: Snapshot, outcomes: Outcomes, texts: Texts, { clientCommands, machine }: Lensed): CodeLens[] {
  const verdicts = verdictsOf(snapshot, outcomes);
  const programs = new Map<string, Program[]>();
  for (const { program } of snapshot.runs) programs.set(program.name, [...(programs.get(program.name) ?? []), program]);
  return snapshot.analysis.outline.flatMap((entry) => {
    const range = rangeOf(entry.header, texts);
    const mine = verdicts.filter((verdict) => verdict.scenario === entry.name);
    const subject = { uri: snapshot.uri, scenario: entry.name };
    const run = clientCommands ? RUN_COMMAND : SERVER_RUN_COMMAND;
    const commands: Command[] = [{ title: "Run", command: run, arguments: [subject] }];
    // Long lines of lenses are cut by a panel beside them, and the verdict is what one looks for.
    if (mine.length > 0) commands.push(...(clientCommands ? shown(mine, subject) : [{ title: summary(mine), command: "" }]));
    if (clientCommands) {
      if (programs.has(entry.name)) commands.push({ title: "Compare kernels", command: COMPARE_KERNELS_COMMAND, arguments: [subject] });
      const real = programs.get(entry.name)?.find(asksRealKernel);
      if (real !== undefined) commands.push(...aboutC({ ...subject, kernel: real.profile.name }, machine && isRelease(real)));
    }
    return commands.map((command) => ({ range, command }));
  });
}

/** Worst first: which of several kernels one wants to see. */
const URGENCY = ["fail", "incomplete", "running", "notRun", "pass"] as const;

function shown(mine: readonly ScenarioVerdict[], subject: object): Command[] {
  const show = ({ kernel }: ScenarioVerdict, title: string): Command => ({ title, command: SHOW_COMMAND, arguments: [{ ...subject, kernel }] });
  const urgent = URGENCY.flatMap((state) => mine.filter((verdict) => verdict.state === state))[0];
  if (mine.length === 1) return [show(urgent, "Show page tables"), { title: summary(mine), command: "" }];
  return [show(urgent, "Show page tables"), ...mine.map((verdict) => show(verdict, `${GLYPH[verdict.state]} ${verdict.kernel}`))];
}

function aboutC(subject: object, machine: boolean): Command[] {
  const exported: Command = { title: "Export C", command: EXPORT_C_COMMAND, arguments: [subject] };
  return machine ? [exported, { title: "Compare with this machine", command: COMPARE_MACHINE_COMMAND, arguments: [subject] }] : [exported];
}

/** A patch series is no kernel that a machine runs. */
const isRelease = ({ profile }: Program): boolean => /^\d|^mainline$/.test(profile.base);

const asking = new WeakMap<Program, boolean>();

/** Some call of it can be made on a real kernel. */
function asksRealKernel(program: Program): boolean {
  let asks = asking.get(program);
  if (asks === undefined) {
    const budget = new Budget();
    asks = program.calls.some((_, call) => cannotRun(program, call, budget) === undefined);
    asking.set(program, asks);
  }
  return asks;
}

/** `✗ fail · 34 states` or `✓ v4 · ✗ v8`. */
export function summary(verdicts: readonly ScenarioVerdict[]): string {
  if (verdicts.length > 1) return verdicts.map((verdict) => `${GLYPH[verdict.state]} ${verdict.kernel}`).join(" · ");
  const [{ state, states, reason }] = verdicts;
  const tail = reason !== undefined ? `: ${reason}` : states === undefined ? "" : ` · ${counted(states, "state")}`;
  return `${GLYPH[state]} ${WORD[state]}${tail}`;
}
