// What the rest of the extension knows of its language client.

import type { BaseLanguageClient } from "vscode-languageclient";

export const LANGUAGE = "memfd";

/** The parts of a language client that the rest of the extension uses. */
export type Client = Pick<BaseLanguageClient, "sendRequest" | "onNotification" | "onRequest" | "getFeature">;
