// The status bar item: a spinner while scenarios of the active file run, then their verdicts. A click shows the page tables.

import * as vscode from "vscode";
import { type ScenarioVerdict, SHOW_COMMAND, type StatusParams } from "../server/protocol.ts";

const ICON = { pass: "pass", fail: "error", incomplete: "circle-slash", running: "loading~spin", notRun: "circle-outline" } as const;
const WORD = { pass: "pass", fail: "fail", incomplete: "incomplete", running: "running", notRun: "not run" } as const;
const MAX_LISTED = 20;

export class StatusBar implements vscode.Disposable {
  readonly #item: vscode.StatusBarItem;
  readonly #known = new Map<string, StatusParams>();
  readonly #subscription: vscode.Disposable;

  constructor() {
    this.#item = vscode.window.createStatusBarItem("memfd.verdict", vscode.StatusBarAlignment.Left, 50);
    this.#item.name = "Memfd Verdict";
    this.#item.command = SHOW_COMMAND;
    this.#subscription = vscode.window.onDidChangeActiveTextEditor(() => this.#show());
  }

  update(params: StatusParams): void {
    if (params.scenarios.length === 0) this.#known.delete(params.uri);
    else this.#known.set(params.uri, params);
    const running = [...this.#known.values()].some((status) => status.running);
    void vscode.commands.executeCommand("setContext", "memfd.running", running);
    this.#show();
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
      if (editor !== undefined || vscode.window.tabGroups.activeTabGroup.activeTab === undefined) this.#item.hide();
      return;
    }
    const line = verdictLine(status.scenarios);
    this.#item.text = `$(${ICON[leading(status)]}) ${line}`;
    this.#item.accessibilityInformation = { label: `Memfd scenarios: ${line}. Shows the page tables.`, role: "button" };
    this.#item.tooltip = tooltip(status.scenarios);
    this.#item.show();
  }
}

function leading(status: StatusParams): keyof typeof ICON {
  if (status.running) return "running";
  if (status.fail > 0) return "fail";
  if (status.incomplete > 0) return "incomplete";
  return status.notRun > 0 || status.pass === 0 ? "notRun" : "pass";
}

/** `1 fail, 3 pass`. Colour and icon never say more than the words. */
export function verdictLine(verdicts: readonly ScenarioVerdict[]): string {
  const parts = (["running", "fail", "incomplete", "notRun", "pass"] as const)
    .map((state) => ({ state, count: verdicts.filter((verdict) => verdict.state === state).length }))
    .filter(({ count }) => count > 0);
  return parts.length === 0 ? "no scenario" : parts.map(({ state, count }) => `${count} ${WORD[state]}`).join(", ");
}

function tooltip(verdicts: readonly ScenarioVerdict[]): vscode.MarkdownString {
  const text = new vscode.MarkdownString(undefined, true);
  for (const verdict of verdicts.slice(0, MAX_LISTED)) {
    text.appendMarkdown(`$(${ICON[verdict.state].replace("~spin", "")}) ${WORD[verdict.state]} · `);
    text.appendText(`${verdict.scenario} · ${verdict.kernel}${verdict.reason === undefined ? "" : ` · ${verdict.reason}`}`);
    text.appendMarkdown("  \n");
  }
  if (verdicts.length > MAX_LISTED) text.appendMarkdown(`… and ${verdicts.length - MAX_LISTED} more`);
  return text;
}
