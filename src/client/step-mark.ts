// The line of the panel's current step, marked in every editor that shows it, with what the step does behind it.

import * as vscode from "vscode";

/** One row of a narrow editor, and less than the 43 characters of hints that VS Code leaves on a line; the tooltip has it all. */
const MAX_LENGTH = 38;

interface Place {
  readonly file: string;
  /** From 0. */
  readonly line: number;
  readonly step: string;
  readonly effect: string;
}

/** The words are an inlay hint: the text of a decoration would run under the minimap and beyond the editor's edge, a hint wraps with its line. */
export class StepMark implements vscode.InlayHintsProvider, vscode.Disposable {
  readonly #type = vscode.window.createTextEditorDecorationType({
    isWholeLine: true,
    backgroundColor: new vscode.ThemeColor("editor.stackFrameHighlightBackground"),
    overviewRulerColor: new vscode.ThemeColor("editorOverviewRuler.rangeHighlightForeground"),
    overviewRulerLane: vscode.OverviewRulerLane.Full,
    rangeBehavior: vscode.DecorationRangeBehavior.ClosedClosed,
  });
  readonly #changed = new vscode.EventEmitter<void>();
  readonly #registration: vscode.Disposable;
  readonly onDidChangeInlayHints = this.#changed.event;
  #place: Place | undefined;

  constructor(language: string) {
    this.#registration = vscode.languages.registerInlayHintsProvider({ language }, this);
  }

  /** The editor scrolls to the line but keeps its focus and selection as they are. */
  set(place: Place): void {
    this.#place = place;
    this.refresh();
    this.#changed.fire();
    const at = new vscode.Range(place.line, 0, place.line, 0);
    for (const editor of this.#editors()) editor.revealRange(at, vscode.TextEditorRevealType.InCenterIfOutsideViewport);
  }

  clear(): void {
    if (this.#place === undefined) return;
    this.#place = undefined;
    this.refresh();
    this.#changed.fire();
  }

  refresh(): void {
    const here = new Set(this.#editors());
    for (const editor of vscode.window.visibleTextEditors) {
      const place = here.has(editor) ? this.#place : undefined;
      if (place === undefined || place.line >= editor.document.lineCount) {
        editor.setDecorations(this.#type, []);
        continue;
      }
      const range = editor.document.lineAt(place.line).range;
      editor.setDecorations(this.#type, [{ range, hoverMessage: new vscode.MarkdownString().appendText(text(place)) }]);
    }
  }

  provideInlayHints(document: vscode.TextDocument, range: vscode.Range): vscode.InlayHint[] {
    const place = this.#place;
    if (place?.file !== document.uri.toString() || place.line >= document.lineCount) return [];
    const { end } = document.lineAt(place.line).range;
    if (!range.contains(end)) return [];
    const whole = text(place);
    const hint = new vscode.InlayHint(end, `◂ ${shortened(whole)}`);
    hint.paddingLeft = true;
    hint.tooltip = new vscode.MarkdownString().appendText(whole);
    return [hint];
  }

  dispose(): void {
    this.#registration.dispose();
    this.#changed.dispose();
    this.#type.dispose();
  }

  #editors(): readonly vscode.TextEditor[] {
    return vscode.window.visibleTextEditors.filter((editor) => editor.document.uri.toString() === this.#place?.file);
  }
}

/** Cut between two words. */
const shortened = (whole: string): string => (whole.length <= MAX_LENGTH ? whole : `${whole.slice(0, MAX_LENGTH).replace(/[,;:]?\s+\S*$/, "")}…`);

const text = ({ step, effect }: Place): string => (effect === "" ? step : `${step}: ${effect}`);
