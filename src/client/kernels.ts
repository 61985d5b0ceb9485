// `Memfd: Compare Kernels` behind the panel: asks the server, passes on how far it has come, and says when an edit has made the answer old.

import type * as vscode from "vscode";
import { CancellationTokenSource, Uri, workspace } from "vscode";
import { KERNELS, KERNELS_PROGRESS, type KernelsParams, type KernelsProgressParams, type KernelsResult, type StatusParams } from "../server/protocol.ts";
import type { KernelsView } from "../view/kernels.ts";
import type { PanelState, ToPanel } from "../view/messages.ts";
import type { Client } from "./client.ts";

/** After the last edit; a comparison is many runs, and the editor's own come first. */
const FOLLOW_MILLISECONDS = 250;

type Shown = Omit<Extract<ToPanel, { type: "kernels" }>, "type">;

export class KernelComparison implements vscode.Disposable {
  readonly #client: Client;
  readonly #post: (message: ToPanel) => void;
  readonly #subscription: vscode.Disposable;
  #subject: KernelsParams | undefined;
  #view: KernelsView | undefined;
  #notice: string | undefined;
  #progress = { done: 0, of: 0 };
  /** Asked for with its tab in front, perhaps before there was a page to hear it. */
  #front = false;
  #request: vscode.CancellationTokenSource | undefined;
  /** Version of the text that was asked about. */
  #version: number | undefined;
  #follow: ReturnType<typeof setTimeout> | undefined;

  constructor(client: Client, post: (message: ToPanel) => void) {
    this.#client = client;
    this.#post = post;
    this.#subscription = client.onNotification(KERNELS_PROGRESS, ({ uri, done, of }: KernelsProgressParams) => {
      if (this.#request === undefined || uri !== this.#subject?.uri) return;
      this.#progress = { done, of };
      this.#tell(this.#progress);
    });
  }

  get subject(): KernelsParams | undefined {
    return this.#subject;
  }

  /** True for a file of which the comparison shows lines. */
  shows(file: string): boolean {
    const view = this.#view;
    return (
      view !== undefined &&
      [view, ...view.calls, ...view.violations, ...view.expectations, ...view.kernels.flatMap((column) => column.notes)].some((one) => one.file === file)
    );
  }

  /** `again`: a person asked, so runs that were stopped or hit a limit are begun anew. `front` brings the tab to the front. */
  async compare(subject: KernelsParams, again: boolean, front: boolean): Promise<void> {
    this.cancel();
    const same = this.#subject?.uri === subject.uri && this.#subject.scenario === subject.scenario && subject.scenario !== undefined;
    if (!same) this.#view = undefined;
    this.#subject = { ...subject, again };
    const request = new CancellationTokenSource();
    this.#request = request;
    if (!same) this.#post({ type: "kernels" });
    this.#notice = undefined;
    this.#front = front;
    this.#progress = { done: 0, of: 0 };
    this.#tell({ ...this.#progress, ...(front ? { front } : {}) });
    try {
      const document = await workspace.openTextDocument(Uri.parse(subject.uri, true));
      this.#version = document.version;
      const result = await this.#client.sendRequest<KernelsResult>(KERNELS, this.#subject, request.token);
      if (request.token.isCancellationRequested) return;
      this.#request = undefined;
      this.#notice = result.kernels === undefined ? (result.refusal ?? "There is nothing to compare.") : undefined;
      this.#view = result.kernels ?? this.#view;
      if (result.kernels !== undefined) this.#subject = { uri: subject.uri, scenario: result.kernels.scenario };
      this.#resend();
    } catch (error) {
      if (request.token.isCancellationRequested) return;
      this.#request = undefined;
      this.#notice = error instanceof Error ? error.message : String(error);
      this.#resend();
    }
  }

  /** A page has loaded and knows nothing; `state` is what the one before it kept. */
  ready(state: PanelState | undefined): void {
    const front = state === undefined ? this.#front : state.view === "kernels";
    this.#resend(front ? { front } : {});
  }

  #resend(rest: Shown = {}): void {
    if (this.#view !== undefined) this.#tell({ view: this.#view, ...rest });
    if (this.#request !== undefined) this.#tell({ ...this.#progress, ...rest });
    else if (this.#notice !== undefined) this.#tell({ notice: this.#notice, ...rest });
  }

  /** A person has stopped it. */
  stop(): void {
    if (this.#request === undefined) return;
    this.cancel();
    this.#notice = "Stopped before every kernel was run.";
    this.#resend();
  }

  cancel(): void {
    this.#request?.cancel();
    this.#request = undefined;
    clearTimeout(this.#follow);
  }

  /** The panel shows another scenario, or is gone. */
  forget(): void {
    this.cancel();
    this.#subject = this.#view = this.#notice = undefined;
    this.#post({ type: "kernels" });
  }

  /** The text changed: the page asks again where it shows the comparison. */
  statusChanged(status: StatusParams): void {
    if (this.#subject?.uri !== status.uri || status.version === this.#version) return;
    this.cancel();
    this.#version = undefined;
    if (status.running) return;
    this.#follow = setTimeout(() => {
      this.#tell({ stale: true });
    }, FOLLOW_MILLISECONDS);
  }

  dispose(): void {
    this.cancel();
    this.#subscription.dispose();
  }

  #tell(shown: Shown): void {
    this.#post({ type: "kernels", ...shown });
  }
}
