// The panel's side of the conversation with the extension: typed posting, state that outlives a hidden webview, and a guard on what comes in.

import type { FromPanel, PanelState, ToPanel } from "../view/messages.ts";
import type { TraceView } from "../view/rows.ts";

export interface Host {
  post(message: FromPanel): void;
  load(): PanelState | undefined;
  save(state: PanelState): void;
}

interface WebviewApi {
  postMessage(message: FromPanel): void;
  getState(): unknown;
  setState(state: PanelState): void;
}

declare function acquireVsCodeApi(): WebviewApi;

export function connect(): Host {
  const api = acquireVsCodeApi();
  return {
    post: (message) => api.postMessage(message),
    load: () => {
      const state = api.getState();
      const whole = isRecord(state) && typeof state.uri === "string" && typeof state.scenario === "string" && Number.isInteger(state.cursor);
      return whole ? (state as unknown as PanelState) : undefined;
    },
    save: (state) => api.setState(state),
  };
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);

/** A message of ours, the reason why one was refused, or undefined for what other scripts of the webview's host page post. */
export function readMessage(data: unknown): ToPanel | { readonly type: "refused"; readonly reason: string } | undefined {
  if (!isRecord(data)) return undefined;
  if (data.type === "trace") {
    const reason = whyNoTrace(data.trace);
    return reason === undefined ? (data as unknown as ToPanel) : { type: "refused", reason };
  }
  if (data.type === "kernels") {
    const reason = data.view === undefined ? undefined : whyNoKernels(data.view);
    if (reason !== undefined) return { type: "kernels", notice: reason };
    return ["done", "of"].every((name) => data[name] === undefined || typeof data[name] === "number") ? (data as unknown as ToPanel) : undefined;
  }
  const fits =
    (data.type === "select" && typeof data.file === "string" && typeof data.line === "number") || (data.type === "notice" && typeof data.text === "string");
  return fits ? (data as unknown as ToPanel) : undefined;
}

function whyNoKernels(value: unknown): string | undefined {
  if (!isRecord(value)) return "The comparison is missing.";
  if (value.version !== 1) return `The comparison has version ${String(value.version)} and this panel reads version 1; reload the window.`;
  const lost = ["kernels", "calls", "violations", "expectations", "divergences", "unmodelled"].find((list) => !Array.isArray(value[list]));
  return lost === undefined ? undefined : `The comparison has no ${lost}.`;
}

/** The extension and this page can be of two builds after an update without a reload; better a sentence than half a picture. */
function whyNoTrace(value: unknown): string | undefined {
  if (!isRecord(value)) return "the trace is missing";
  if (value.version !== 1) return `the trace has version ${String(value.version)} and this panel reads version 1; reload the window`;
  for (const list of ["steps", "actors", "columns", "files", "violations", "stories"]) if (!Array.isArray(value[list])) return `the trace has no ${list}`;
  const trace = value as unknown as TraceView;
  const lost = trace.violations.find((violation) => trace.steps[violation.step] === undefined);
  return lost === undefined ? undefined : `the violation of ${lost.invariant} names step ${lost.step}, which the trace does not have`;
}
