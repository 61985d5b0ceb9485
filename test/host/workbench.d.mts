// Types of workbench.mjs for the tests that drive the workbench.

import type { Frame, FrameLocator, Locator, Page } from "playwright-core";

export type Theme = "light" | "dark" | "high-contrast" | "high-contrast-light";

export interface Workbench {
  readonly page: Page;
  /** The folder that is open: a copy of scenarios/ where none was given. */
  readonly folder: string;
  close(): Promise<void>;
  setTheme(theme: Theme): Promise<void>;
  themeKind(): Promise<number>;
  runCommand(title: string, options?: { seconds?: number }): Promise<void>;
  paletteTitles(text: string): Promise<string[]>;
  webview(): FrameLocator;
  webviewFrame(options?: { seconds?: number }): Promise<Frame>;
  focusEditor(): Promise<void>;
  openFile(path: string): Promise<void>;
  goToLine(line: number): Promise<void>;
  squiggles(severity?: "error" | "warning" | "info"): Locator;
  screenshot(path: string): Promise<Buffer>;
}

export interface WorkbenchOptions {
  folder?: string;
  file?: string;
  theme?: Theme;
  extension?: string;
  settings?: Record<string, unknown>;
  width?: number;
  height?: number;
  trusted?: boolean;
}

export function openWorkbench(options?: WorkbenchOptions): Promise<Workbench>;
