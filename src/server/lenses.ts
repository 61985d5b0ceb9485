// Code lenses over each scenario: Run · Show page tables (for each kernel, where there are several) · the verdict.

import type { CodeLens, Command } from "vscode-languageserver";
import { rangeOf } from "./diagnostics.ts";
import type { Snapshot } from "./documents.ts";
import { RUN_COMMAND, type ScenarioVerdict, SERVER_RUN_COMMAND, SHOW_COMMAND } from "./protocol.ts";
import type { Texts } from "./texts.ts";
import { type Outcomes, verdictsOf } from "./verdicts.ts";

const GLYPH = { pass: "✓", fail: "✗", incomplete: "◌", running: "…", notRun: "–" } as const;
const WORD = { pass: "pass", fail: "fail", incomplete: "incomplete", running: "running", notRun: "not run" } as const;

export function codeLenses(snapshot: Snapshot, outcomes: Outcomes, texts: Texts, clientCommands: boolean): CodeLens[] {
  const verdicts = verdictsOf(snapshot, outcomes);
  return snapshot.analysis.outline.flatMap((entry) => {
    const range = rangeOf(entry.header, texts);
    const mine = verdicts.filter((verdict) => verdict.scenario === entry.name);
    const commands: Command[] = [];
    const run = clientCommands ? RUN_COMMAND : SERVER_RUN_COMMAND;
    commands.push({ title: "Run", command: run, arguments: [{ uri: snapshot.uri, scenario: entry.name }] });
    if (clientCommands) {
      const several = mine.length > 1;
      for (const verdict of mine) {
        const argument = { uri: snapshot.uri, scenario: entry.name, kernel: verdict.kernel };
        commands.push({ title: several ? `Show page tables (${verdict.kernel})` : "Show page tables", command: SHOW_COMMAND, arguments: [argument] });
      }
    }
    if (mine.length > 0) commands.push({ title: summary(mine), command: "" });
    return commands.map((command) => ({ range, command }));
  });
}

/** `✗ fail · 34 states` or `✓ v4 · ✗ v8`. */
export function summary(verdicts: readonly ScenarioVerdict[]): string {
  if (verdicts.length > 1) return verdicts.map((verdict) => `${GLYPH[verdict.state]} ${verdict.kernel}`).join(" · ");
  const [{ state, states, reason }] = verdicts;
  const tail = reason !== undefined ? `: ${reason}` : states === undefined ? "" : ` · ${states} ${states === 1 ? "state" : "states"}`;
  return `${GLYPH[state]} ${WORD[state]}${tail}`;
}
