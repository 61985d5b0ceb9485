// The status bar item: a spinner and how far they have come while scenarios of the active file run, then their verdicts. A click shows the page tables.

import * as vscode from "vscode";
import { progressText } from "../check/extent.ts";
import { type ProgressParams, type ScenarioVerdict, SHOW_COMMAND, type StatusParams } from "../server/protocol.ts";

const ICON = { pass: "pass", fail: "error", incomplete: "circle-slash", running: "loading~spin", notRun: "circle-outline" } as const;
const WORD = { pass: "pass", fail: "fail", incomplete: "incomplete", running: "running", notRun: "not run" } as const;
const MAX_LISTED = 20;

export class StatusBar implements vscode.Disposable {
  readonly #item: vscode.StatusBarItem;
  readonly #known = new Map<string, StatusParams>();
  /** By document: its runs that take a while, by scenario and kernel. */
  readonly #progress = new Map<string, Map<string, ProgressParams>>();
  readonly #subscription: vscode.Disposable;
  /** A screen reader is told when something begins or ends, not ten times a second how far it is. */
  #label = "";
  #tooltip = "";
  #shown = false;

  constructor() {
    this.#item = vscode.window.createStatusBarItem("memfd.verdict", vscode.StatusBarAlignment.Left, 50);
    this.#item.name = "Memfd Verdict";
    this.#item.command = SHOW_COMMAND;
    this.#subscription = vscode.window.onDidChangeActiveTextEditor(() => this.#show());
  }

  update(params: StatusParams): void {
    if (params.scenarios.length === 0) this.#known.delete(params.uri);
    else this.#known.set(params.uri, params);
    const running = new Set(params.scenarios.filter(({ state }) => state === "running").map(runKey));
    const progress = this.#progress.get(params.uri);
    for (const key of progress?.keys() ?? []) if (!running.has(key)) progress?.delete(key);
    if (progress?.size === 0) this.#progress.delete(params.uri);
    const any = [...this.#known.values()].some((status) => status.running);
    void vscode.commands.executeCommand("setContext", "memfd.running", any);
    this.#show();
  }

  progress(params: ProgressParams): void {
    const status = this.#known.get(params.uri);
    const runs = status?.scenarios.some((one) => one.state === "running" && runKey(one) === runKey(params)) === true;
    // One that was under way when the run ended.
    if (!runs) return;
    const known = this.#progress.get(params.uri) ?? new Map<string, ProgressParams>();
    this.#progress.set(params.uri, known.set(runKey(params), params));
    this.#show();
  }

  /** What the item says at the moment; undefined while it is hidden. */
  get text(): string | undefined {
    return this.#shown ? this.#item.text : undefined;
  }

  dispose(): void {
    this.#subscription.dispose();
    this.#item.dispose();
  }

  #show(): void {
    const editor = vscode.window.activeTextEditor;
    const status = editor?.document.languageId === "memfd" ? this.#known.get(editor.document.uri.toString()) : undefined;
    if (status === undefined) {
      // The panel takes the focus away from the editor; what it shows still belongs to the file.
      if (editor !== undefined || vscode.window.tabGroups.activeTabGroup.activeTab === undefined) {
        this.#item.hide();
        this.#shown = false;
      }
      return;
    }
    const line = verdictLine(status.scenarios);
    const running = [...(this.#progress.get(status.uri)?.values() ?? [])];
    this.#item.text = `$(${ICON[leading(status)]}) ${running.length === 0 ? line : `${line}: ${progressLine(running)}`}`;
    // Setting these anew closes an open tooltip and makes a screen reader speak, so only what changed is set.
    const label = `Memfd scenarios: ${line}. Shows the page tables.`;
    if (label !== this.#label) this.#item.accessibilityInformation = { label, role: "button" };
    this.#label = label;
    const told = tooltip(status.scenarios);
    if (told.value !== this.#tooltip) this.#item.tooltip = told;
    this.#tooltip = told.value;
    this.#item.show();
    this.#shown = true;
  }
}

function leading(status: StatusParams): keyof typeof ICON {
  if (status.running) return "running";
  if (status.fail > 0) return "fail";
  if (status.incomplete > 0) return "incomplete";
  return status.notRun > 0 || status.pass === 0 ? "notRun" : "pass";
}

const runKey = ({ scenario, kernel }: Pick<ScenarioVerdict, "scenario" | "kernel">): string => `${kernel} ${scenario}`;

/** Of all runs together. */
export function progressLine(running: readonly Pick<ProgressParams, "states" | "frontier" | "rate">[]): string {
  const sum = (field: "states" | "frontier" | "rate"): number => running.reduce((total, one) => total + one[field], 0);
  return progressText({ states: sum("states"), frontier: sum("frontier"), rate: sum("rate") });
}

/** `1 fail, 3 pass`. Colour and icon never say more than the words. */
export function verdictLine(verdicts: readonly ScenarioVerdict[]): string {
  const parts = (["running", "fail", "incomplete", "notRun", "pass"] as const)
    .map((state) => ({ state, count: verdicts.filter((verdict) => verdict.state === state).length }))
    .filter(({ count }) => count > 0);
  return parts.length === 0 ? "no scenario" : parts.map(({ state, count }) => `${count} ${WORD[state]}`).join(", ");
}

function saying({ reason, forecast }: ScenarioVerdict): string {
  const said = reason ?? forecast;
  return said === undefined ? "" : ` · ${said}`;
}

function tooltip(verdicts: readonly ScenarioVerdict[]): vscode.MarkdownString {
  const text = new vscode.MarkdownString(undefined, true);
  for (const verdict of verdicts.slice(0, MAX_LISTED)) {
    text.appendMarkdown(`$(${ICON[verdict.state].replace("~spin", "")}) ${WORD[verdict.state]} · `);
    text.appendText(`${verdict.scenario} · ${verdict.kernel}${saying(verdict)}`);
    text.appendMarkdown("  \n");
  }
  if (verdicts.length > MAX_LISTED) text.appendMarkdown(`… and ${verdicts.length - MAX_LISTED} more`);
  return text;
}
