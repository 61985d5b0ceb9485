// The language, and the language client as the rest of the extension knows it.

import type { BaseLanguageClient } from "vscode-languageclient";

/** The id of the language, as package.json declares it. */
export const LANGUAGE = "memfd";

/** What commands and views use of it. */
export type Client = Pick<BaseLanguageClient, "sendRequest" | "onNotification" | "onRequest" | "getFeature">;
