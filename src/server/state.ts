// What the handlers of the server's features share, and what the process or the web worker around the server gives it.

import type { MessageConnection } from "vscode-jsonrpc";
import type { InitializeParams } from "vscode-languageserver";
import type { Machine } from "../export/c/machine.ts";
import type { Documents } from "./documents.ts";
import type { WorkerFactory } from "./lane.ts";
import type * as protocol from "./protocol.ts";
import type { Runner } from "./runner.ts";
import type { Suggester } from "./suggester.ts";
import type { FileHost, Texts } from "./texts.ts";
import type { Traces } from "./traces.ts";

export interface ServerState {
  readonly connection: MessageConnection;
  readonly documents: Documents;
  readonly runner: Runner;
  readonly texts: Texts;
  readonly traces: Traces;
  readonly suggester: Suggester;
  readonly host: ServerHost;
  options: protocol.InitializationOptions;
  capabilities: InitializeParams["capabilities"];
  /** Into the client's log. */
  complain(message: string): void;
}

/** What the process or the web worker gives the server. */
export interface ServerHost {
  readonly files: FileHost;
  readonly workers: WorkerFactory;
  /** The kernel that a user may compare the model with, loaded when somebody does; absent in a web worker. */
  machine?(): Promise<Machine>;
  /** The client's process, where it says which it is. */
  client?(processId: number): void;
  /** Ends the process, where it is one. */
  exit?(code: number): void;
  /** Milliseconds of a clock that never goes back, where there is one that costs less to load than `performance`. */
  now?(): number;
}
