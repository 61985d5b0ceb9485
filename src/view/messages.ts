// What the extension and its page-table panel say to each other (`postMessage` in both directions). Plain data only.

import type { KernelsView } from "./kernels.ts";
import type { TraceView } from "./rows.ts";

/** What the panel keeps by `setState`, so that VS Code can bring it back after a restart. The panel stores what it was given, with its own `cursor`. */
export interface PanelState {
  readonly uri: string;
  readonly scenario: string;
  readonly kernel: string;
  /** The story that is shown; absent for the run's first. */
  readonly schedule?: string;
  /** The kernel is one of those that were compared, and not of the scenario's own. */
  readonly anyKernel?: boolean;
  /** Index into `TraceView.steps`. */
  readonly cursor: number;
  /** Which of the panel's tabs is open; absent for the page tables. */
  readonly view?: "kernels";
}

export type ToPanel =
  /** A story to show. `cursor` is the step to stand on; without it the panel keeps its own where the story is the same, else it takes the first violation. */
  | { readonly type: "trace"; readonly trace: TraceView; readonly cursor?: number; readonly state?: PanelState; readonly front?: boolean }
  /**
   * The scenario under several kernels, or how far that has come (`done` of `of` runs), or why there is nothing to show. `front` brings its tab to the front;
   * `stale`: the text is another by now, and the page asks again where it shows the comparison. Without any of these what was shown is taken away.
   */
  | {
      readonly type: "kernels";
      readonly view?: KernelsView;
      readonly done?: number;
      readonly of?: number;
      readonly notice?: string;
      readonly front?: boolean;
      readonly stale?: boolean;
      readonly state?: PanelState;
    }
  /** The editor's cursor moved: the panel goes to the nearest step of that line. `file` is one of `TraceView.files`, `line` counts from 1. */
  | { readonly type: "select"; readonly file: string; readonly line: number }
  /** There is no story (yet): the scenario runs, has errors, was renamed, was stopped. Replaces what is shown where `keep` is not set. */
  | { readonly type: "notice"; readonly text: string; readonly keep?: boolean };

export type FromPanel =
  /** The page has loaded and listens. `state` is what `getState` still held. */
  | { readonly type: "ready"; readonly state?: PanelState }
  /** The user asked for the line of this step: the editor shows it and takes the focus. */
  | { readonly type: "reveal"; readonly step: number; readonly file: string; readonly line: number }
  /** Another story of the same run, one of `TraceView.stories`. */
  | { readonly type: "story"; readonly schedule: string }
  /** The story on show goes to the clipboard as text. */
  | { readonly type: "copyStory" }
  /** The tab of the kernels was opened, and there is nothing in it yet. */
  | { readonly type: "kernels" }
  /** The page tables of the same scenario under another kernel, and where to stand in them. */
  | { readonly type: "kernel"; readonly kernel: string; readonly schedule?: string; readonly cursor?: number }
  /** The line of a call that is shown in the tab of the kernels. */
  | { readonly type: "line"; readonly file: string; readonly line: number }
  /** No more runs for the comparison of kernels. */
  | { readonly type: "stop" }
  /** The panel's cursor stands on this step: the editor marks its line without taking the focus. */
  | { readonly type: "cursor"; readonly step: number };
