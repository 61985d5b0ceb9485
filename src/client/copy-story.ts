// `Memfd: Copy Story`: the text of `memfd trace` for a scenario, onto the clipboard.

import * as vscode from "vscode";
import { STORY, type StoryResult, type TraceParams } from "../server/protocol.ts";
import type { Client } from "./client.ts";

const MESSAGE_MILLISECONDS = 6_000;
const MAX_TITLE = 48;

/** Answers the text that was copied, for tests and keybindings; undefined where there is no story, which is said. */
export async function copyStory(client: Client, selector: TraceParams | undefined): Promise<string | undefined> {
  if (selector === undefined) {
    void vscode.window.showInformationMessage("Memfd: open a .memfd file and put the cursor into a scenario to copy its story.");
    return undefined;
  }
  const options = { location: vscode.ProgressLocation.Window, title: "Memfd: telling the story" };
  const result = await vscode.window.withProgress(options, (_progress, token) => client.sendRequest<StoryResult>(STORY, selector, token));
  if (result.text === undefined) {
    void vscode.window.showInformationMessage(`Memfd: ${result.refusal ?? "there is no story to copy."}`);
    return undefined;
  }
  await vscode.env.clipboard.writeText(result.text);
  const { scenario = "" } = result;
  const name = scenario.length > MAX_TITLE ? `${scenario.slice(0, MAX_TITLE - 1).trimEnd()}…` : scenario;
  vscode.window.setStatusBarMessage(`$(check) Memfd: copied the story of “${name}” under ${result.kernel} (${lines(result.text)} lines)`, MESSAGE_MILLISECONDS);
  return result.text;
}

const lines = (text: string): number => text.trimEnd().split("\n").length;
