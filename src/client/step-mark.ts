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

/**
 * The words are an inlay hint: the text of a decoration would run under the minimap and beyond the editor's edge, a hint wraps with its line. They go behind
 * the server's own (`hints`), for of several providers VS Code puts those first who answer first.
 */
export class StepMark implements vscode.Disposable {
  readonly #type = vscode.window.createTextEditorDecorationType({
    isWholeLine: true,
    backgroundColor: new vscode.ThemeColor("editor.stackFrameHighlightBackground"),
    overviewRulerColor: new vscode.ThemeColor("editorOverviewRuler.rangeHighlightForeground"),
    overviewRulerLane: vscode.OverviewRulerLane.Full,
    rangeBehavior: vscode.DecorationRangeBehavior.ClosedClosed,
  });
  readonly #askAgain: (document: vscode.TextDocument) => void;
  #place: Place | undefined;

  /** `askAgain`: the hints of a document are others now. */
  constructor(askAgain: (document: vscode.TextDocument) => void) {
    this.#askAgain = askAgain;
  }

  /** The editor scrolls to the line but keeps its focus and selection as they are. */
  set(place: Place): void {
    this.#move(place);
    const at = new vscode.Range(place.line, 0, place.line, 0);
    for (const editor of this.#editors()) editor.revealRange(at, vscode.TextEditorRevealType.InCenterIfOutsideViewport);
  }

  clear(): void {
    this.#move(undefined);
  }

  #move(place: Place | undefined): void {
    const before = this.#editors();
    this.#place = place;
    this.refresh();
    for (const document of new Set([...before, ...this.#editors()].map((editor) => editor.document))) this.#askAgain(document);
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

  hints(document: vscode.TextDocument, range: vscode.Range): vscode.InlayHint[] {
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
    this.#type.dispose();
  }

  #editors(): readonly vscode.TextEditor[] {
    return vscode.window.visibleTextEditors.filter((editor) => editor.document.uri.toString() === this.#place?.file);
  }
}

/** Cut between two words. */
const shortened = (whole: string): string => (whole.length <= MAX_LENGTH ? whole : `${whole.slice(0, MAX_LENGTH).replace(/[,;:]?\s+\S*$/, "")}…`);

const text = ({ step, effect }: Place): string => (effect === "" ? step : `${step}: ${effect}`);
