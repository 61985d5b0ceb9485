// The page-table panel: one webview beside the editor. It follows the text (a new answer replaces the old story) and shares one cursor with the editor.

import * as vscode from "vscode";
import { COPY_STORY_COMMAND, type StatusParams, TRACE, type TraceParams, type TraceResult } from "../server/protocol.ts";
import type { FromPanel, PanelState, ToPanel } from "../view/messages.ts";
import type { TraceView } from "../view/rows.ts";
import type { Client } from "./client.ts";
import { KernelComparison } from "./kernels.ts";
import { StepMark } from "./step-mark.ts";
import { panelHtml } from "./webview-html.ts";

/** What the panel shows or waits for. */
interface Subject {
  uri: string;
  scenario?: string;
  kernel?: string;
  schedule?: string;
  /** The kernel was chosen among those that were compared; the scenario need not name it. */
  anyKernel?: boolean;
  position?: TraceParams["position"];
}

const FOLLOW_MILLISECONDS = 60;
const INLAY_HINTS = "textDocument/inlayHint";

const MAX_TITLE = 32;

const shortened = (name: string): string => (name.length > MAX_TITLE ? `${name.slice(0, MAX_TITLE - 1).trimEnd()}…` : name);

export class PagePanel implements vscode.WebviewPanelSerializer<PanelState>, vscode.Disposable {
  static readonly viewType = "memfd.pageTables";
  readonly #root: vscode.Uri;
  readonly #client: Client;
  readonly #mark: StepMark;
  readonly #kernels: KernelComparison;
  readonly #subscriptions: vscode.Disposable[];
  #panel: vscode.WebviewPanel | undefined;
  #subject: Subject | undefined;
  #trace: TraceView | undefined;
  #cursor: number | undefined;
  /** Text of the last refusal, while there is no story. */
  #notice: string | undefined;
  #request: vscode.CancellationTokenSource | undefined;
  #follow: ReturnType<typeof setTimeout> | undefined;
  /** Verdict and version that the story on show belongs to. */
  #shown = "";

  constructor(extensionUri: vscode.Uri, client: Client) {
    this.#root = extensionUri;
    this.#client = client;
    this.#mark = new StepMark((document) => client.getFeature(INLAY_HINTS).getProvider(document)?.onDidChangeInlayHints.fire());
    this.#kernels = new KernelComparison(client, (message) => this.#post(message));
    this.#subscriptions = [
      vscode.window.onDidChangeTextEditorSelection((event) => this.#selectionChanged(event)),
      vscode.window.onDidChangeVisibleTextEditors(() => this.#mark.refresh()),
    ];
  }

  /** The panel has the focus. */
  get isActive(): boolean {
    return this.#panel?.active === true;
  }

  /** What the panel shows, as a request names it. */
  get selector(): TraceParams | undefined {
    return this.#panel === undefined ? undefined : this.#subject;
  }

  /** What the current step adds to the hints of a document. */
  hints(document: vscode.TextDocument, range: vscode.Range): vscode.InlayHint[] {
    return this.#mark.hints(document, range);
  }

  /** Opens the panel, or brings it to the front, with this scenario. */
  async show(selector: TraceParams): Promise<void> {
    this.#open();
    this.#subject = { ...selector };
    this.#cursor = undefined;
    await this.#load(false, true);
  }

  /** The same with the tab of the kernels in front. */
  async compareKernels(selector: TraceParams): Promise<void> {
    this.#open();
    this.#subject = { ...selector };
    this.#cursor = undefined;
    const { uri, scenario, position } = selector;
    await Promise.all([this.#kernels.compare({ uri, scenario, position }, true, true), this.#load(false)]);
  }

  #open(): void {
    if (this.#panel === undefined) {
      const options = { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true };
      this.#adopt(vscode.window.createWebviewPanel(PagePanel.viewType, "Page Tables", options));
    } else {
      this.#panel.reveal(undefined, true);
    }
  }

  /** After a restart of the window: the same scenario, the same step, if the file still says so. */
  async deserializeWebviewPanel(panel: vscode.WebviewPanel, state: PanelState | undefined): Promise<void> {
    this.#panel?.dispose();
    this.#adopt(panel);
    if (typeof state?.uri !== "string" || typeof state.scenario !== "string") return this.#refuse("Open a scenario and choose “Show page tables” above it.");
    this.#subject = { uri: state.uri, scenario: state.scenario, kernel: state.kernel, schedule: state.schedule, anyKernel: state.anyKernel };
    this.#cursor = state.cursor;
    const { uri, scenario } = state;
    await Promise.all([this.#load(false), state.view === "kernels" ? this.#kernels.compare({ uri, scenario }, false, true) : undefined]);
  }

  /** The server's answers changed: the story on show may be another one now. */
  statusChanged(status: StatusParams): void {
    this.#kernels.statusChanged(status);
    const { scenario, kernel, uri } = this.#subject ?? {};
    if (this.#panel === undefined || uri !== status.uri || scenario === undefined || status.running) return;
    const verdict = status.scenarios.find((one) => one.scenario === scenario && (kernel ?? one.kernel) === one.kernel);
    const now = `${status.version} ${verdict?.state} ${verdict?.states}`;
    if (now === this.#shown) return;
    this.#shown = now;
    clearTimeout(this.#follow);
    this.#follow = setTimeout(() => void this.#load(true), FOLLOW_MILLISECONDS);
  }

  dispose(): void {
    for (const subscription of this.#subscriptions) subscription.dispose();
    this.#panel?.dispose();
    this.#kernels.dispose();
    this.#mark.dispose();
  }

  #adopt(panel: vscode.WebviewPanel): void {
    this.#panel = panel;
    const out = vscode.Uri.joinPath(this.#root, "out");
    const media = vscode.Uri.joinPath(this.#root, "media");
    panel.webview.options = { enableScripts: true, localResourceRoots: [out, media] };
    panel.iconPath = { light: vscode.Uri.joinPath(media, "file-light.svg"), dark: vscode.Uri.joinPath(media, "file-dark.svg") };
    panel.webview.onDidReceiveMessage((message: FromPanel) => this.#received(message));
    panel.onDidDispose(() => {
      if (this.#panel !== panel) return;
      this.#panel = undefined;
      this.#subject = undefined;
      this.#trace = undefined;
      this.#request?.cancel();
      this.#kernels.forget();
      clearTimeout(this.#follow);
      this.#mark.clear();
    });
    panel.webview.html = panelHtml(panel.webview, out);
  }

  /** `following`: the text changed under the panel, so the story is kept as long as it still fits, and a refusal leaves the old one on show. */
  async #load(following: boolean, front = false): Promise<void> {
    const subject = this.#subject;
    if (subject === undefined) return;
    this.#request?.cancel();
    const request = new vscode.CancellationTokenSource();
    this.#request = request;
    try {
      // The server knows open documents only; after a restart the file may have no editor yet.
      await vscode.workspace.openTextDocument(vscode.Uri.parse(subject.uri, true));
      let result = await this.#client.sendRequest<TraceResult>(TRACE, subject, request.token);
      if (request.token.isCancellationRequested) return;
      if (result.trace === undefined && subject.schedule !== undefined) {
        // A story of the older text need not fit the newer one.
        result = await this.#client.sendRequest<TraceResult>(TRACE, { ...subject, schedule: undefined }, request.token);
        if (request.token.isCancellationRequested) return;
        subject.schedule = undefined;
      }
      if (result.trace === undefined) this.#refuse(result.refusal ?? "There is nothing to show.", following);
      else this.#tell(subject, result.trace, front);
    } catch (error) {
      if (!request.token.isCancellationRequested) this.#refuse(error instanceof Error ? error.message : String(error), following);
    }
  }

  #tell(subject: Subject, trace: TraceView, front = false): void {
    this.#notice = undefined;
    this.#trace = trace;
    subject.scenario = trace.scenario;
    subject.kernel = trace.kernel;
    if (this.#panel !== undefined) this.#panel.title = `Page Tables: ${shortened(trace.scenario)}`;
    this.#post({ type: "trace", trace, cursor: this.#cursor, state: this.#state(subject, trace), ...(front ? { front } : {}) });
    const compared = this.#kernels.subject;
    const other = compared !== undefined && (compared.uri !== subject.uri || (compared.scenario ?? trace.scenario) !== trace.scenario);
    if (other) this.#kernels.forget();
  }

  #state(subject: Subject, trace: TraceView): PanelState {
    return {
      uri: subject.uri,
      scenario: trace.scenario,
      kernel: trace.kernel,
      schedule: subject.schedule,
      anyKernel: subject.anyKernel,
      cursor: this.#cursor ?? 0,
    };
  }

  #refuse(text: string, keep = false): void {
    this.#notice = text;
    if (!keep) {
      this.#trace = undefined;
      this.#mark.clear();
    }
    this.#post({ type: "notice", text, keep });
  }

  #post(message: ToPanel): void {
    void this.#panel?.webview.postMessage(message);
  }

  #received(message: FromPanel): void {
    switch (message.type) {
      case "ready":
        // A webview that was hidden starts from nothing.
        if (this.#trace !== undefined && this.#subject !== undefined) this.#tell(this.#subject, this.#trace);
        else if (this.#notice !== undefined) this.#post({ type: "notice", text: this.#notice });
        this.#kernels.ready(message.state);
        break;
      case "kernels":
        if (this.#subject !== undefined) void this.#kernels.compare({ uri: this.#subject.uri, scenario: this.#subject.scenario }, false, false);
        break;
      case "kernel":
        this.#showKernel(message);
        break;
      case "stop":
        this.#kernels.stop();
        break;
      case "line":
        if (this.#kernels.shows(message.file)) void this.#reveal(message.file, message.line);
        break;
      case "story":
        if (this.#subject === undefined || typeof message.schedule !== "string") break;
        this.#subject.schedule = message.schedule;
        this.#cursor = undefined;
        void this.#load(false);
        break;
      case "copyStory":
        void vscode.commands.executeCommand(COPY_STORY_COMMAND, this.selector);
        break;
      case "cursor":
        this.#stepTo(message.step);
        break;
      case "reveal":
        this.#stepTo(message.step);
        if (this.#trace?.files.includes(message.file) === true) void this.#reveal(message.file, message.line);
        break;
    }
  }

  /** The page tables of the compared scenario under one of the kernels. */
  #showKernel({ kernel, schedule, cursor }: Extract<FromPanel, { type: "kernel" }>): void {
    const { uri, scenario } = this.#kernels.subject ?? {};
    if (uri === undefined || typeof kernel !== "string") return;
    this.#subject = { uri, scenario, kernel, schedule: typeof schedule === "string" ? schedule : undefined, anyKernel: true };
    this.#cursor = Number.isInteger(cursor) ? cursor : undefined;
    void this.#load(false, true);
  }

  #stepTo(step: number): void {
    const found = this.#trace?.steps[step];
    if (found === undefined) return;
    this.#cursor = step;
    const file = this.#trace?.files[found.file];
    if (file === undefined || found.line < 1 || found.actor < 0) this.#mark.clear();
    else this.#mark.set({ file, line: found.line - 1, step: found.step, effect: found.effect });
  }

  async #reveal(file: string, line: number): Promise<void> {
    if (!Number.isInteger(line) || line < 1) return;
    const uri = vscode.Uri.parse(file, true);
    const open = vscode.window.visibleTextEditors.find((editor) => editor.document.uri.toString() === uri.toString());
    const at = new vscode.Range(line - 1, 0, line - 1, 0);
    const document = await vscode.workspace.openTextDocument(uri);
    const start = Math.min(line - 1, document.lineCount - 1);
    const column = document.lineAt(start).firstNonWhitespaceCharacterIndex;
    const selection = new vscode.Range(start, column, start, column);
    const viewColumn = open?.viewColumn ?? vscode.ViewColumn.One;
    const editor = await vscode.window.showTextDocument(document, { viewColumn, selection, preserveFocus: false });
    editor.revealRange(at, vscode.TextEditorRevealType.InCenterIfOutsideViewport);
  }

  #selectionChanged(event: vscode.TextEditorSelectionChangeEvent): void {
    // Only what a person does in the editor moves the panel; our own reveals and edits by others do not.
    if (event.kind !== vscode.TextEditorSelectionChangeKind.Keyboard && event.kind !== vscode.TextEditorSelectionChangeKind.Mouse) return;
    const file = event.textEditor.document.uri.toString();
    if (this.#panel?.visible !== true || this.#trace?.files.includes(file) !== true) return;
    this.#post({ type: "select", file, line: event.selections[0].active.line + 1 });
  }
}
