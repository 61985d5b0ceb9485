// The line of the panel's current step, marked in every editor that shows it.

import * as vscode from "vscode";

const MAX_EFFECT = 100;

export class StepMark implements vscode.Disposable {
  readonly #type = vscode.window.createTextEditorDecorationType({
    isWholeLine: true,
    backgroundColor: new vscode.ThemeColor("editor.stackFrameHighlightBackground"),
    overviewRulerColor: new vscode.ThemeColor("editorOverviewRuler.rangeHighlightForeground"),
    overviewRulerLane: vscode.OverviewRulerLane.Full,
    rangeBehavior: vscode.DecorationRangeBehavior.ClosedClosed,
    after: { color: new vscode.ThemeColor("editorCodeLens.foreground"), margin: "0 0 0 3ch" },
  });
  #place: { readonly file: string; readonly line: number; readonly effect: string } | undefined;

  /** `line` from 0. The editor scrolls to it but keeps its focus and selection as they are. */
  set(file: string, line: number, effect: string): void {
    this.#place = { file, line, effect };
    this.refresh();
    for (const editor of this.#editors()) editor.revealRange(new vscode.Range(line, 0, line, 0), vscode.TextEditorRevealType.InCenterIfOutsideViewport);
  }

  clear(): void {
    this.#place = undefined;
    this.refresh();
  }

  refresh(): void {
    const here = new Set(this.#editors());
    for (const editor of vscode.window.visibleTextEditors) {
      const place = here.has(editor) ? this.#place : undefined;
      if (place === undefined || place.line >= editor.document.lineCount) {
        editor.setDecorations(this.#type, []);
        continue;
      }
      const { effect } = place;
      const contentText = effect.length > MAX_EFFECT ? `${effect.slice(0, MAX_EFFECT - 1)}…` : effect;
      const range = editor.document.lineAt(place.line).range;
      editor.setDecorations(this.#type, [{ range, hoverMessage: new vscode.MarkdownString().appendText(effect), renderOptions: { after: { contentText } } }]);
    }
  }

  dispose(): void {
    this.#type.dispose();
  }

  #editors(): readonly vscode.TextEditor[] {
    return vscode.window.visibleTextEditors.filter((editor) => editor.document.uri.toString() === this.#place?.file);
  }
}
