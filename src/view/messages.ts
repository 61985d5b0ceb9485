// What the extension and its page-table panel say to each other (`postMessage` in both directions). Plain data only.

import type { TraceView } from "./rows.ts";

/** What the panel keeps by `setState`, so that VS Code can bring it back after a restart. The panel stores what it was given, with its own `cursor`. */
export interface PanelState {
  readonly uri: string;
  readonly scenario: string;
  readonly kernel: string;
  /** The story that is shown; absent for the run's first. */
  readonly schedule?: string;
  /** Index into `TraceView.steps`. */
  readonly cursor: number;
}

export type ToPanel =
  /** A story to show. `cursor` is the step to stand on; without it the panel keeps its own where the story is the same, else it takes the first violation. */
  | { readonly type: "trace"; readonly trace: TraceView; readonly cursor?: number; readonly state?: PanelState }
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
  /** The panel's cursor stands on this step: the editor marks its line without taking the focus. */
  | { readonly type: "cursor"; readonly step: number };
