// A language client over the real wire: the server as a process of its own, JSON-RPC on its standard streams.

import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { createProtocolConnection, type Diagnostic, type ProtocolConnection, StreamMessageReader, StreamMessageWriter } from "vscode-languageserver/node";
import { type InitializationOptions, PROGRESS, type ProgressParams, STATUS, type StatusParams } from "../../src/server/protocol.ts";

const ENTRY = fileURLToPath(new URL("../../src/server/node.ts", import.meta.url));
const PATIENCE_MILLISECONDS = 20_000;

export interface Published {
  readonly uri: string;
  readonly version?: number;
  readonly diagnostics: readonly Diagnostic[];
}

export class Client {
  readonly process: ChildProcess;
  readonly rpc: ProtocolConnection;
  readonly published: Published[] = [];
  readonly statuses: StatusParams[] = [];
  readonly progress: ProgressParams[] = [];
  readonly errors: string[] = [];
  settings: Record<string, unknown> = {};
  refreshes = 0;
  readonly exited: Promise<number | null>;
  #version = 1;
  #waiters: (() => void)[] = [];

  constructor() {
    this.process = spawn(process.execPath, [ENTRY, "--stdio"], { stdio: ["pipe", "pipe", "pipe"] });
    const { stdin, stdout, stderr } = this.process;
    if (stdin === null || stdout === null || stderr === null) throw new Error("no pipes");
    stderr.on("data", (data) => void this.errors.push(String(data)));
    this.exited = new Promise((done) => this.process.on("exit", (code) => done(code)));
    this.rpc = createProtocolConnection(new StreamMessageReader(stdout), new StreamMessageWriter(stdin));
    const record =
      <T>(list: T[]) =>
      (value: T): void => {
        list.push(value);
        for (const wake of this.#waiters.splice(0)) wake();
      };
    this.rpc.onNotification("textDocument/publishDiagnostics", record(this.published));
    this.rpc.onNotification(STATUS, record(this.statuses));
    this.rpc.onNotification(PROGRESS, record(this.progress));
    this.rpc.onNotification("window/logMessage", ({ type, message }: { type: number; message: string }) => void (type === 1 && this.errors.push(message)));
    this.rpc.onRequest("workspace/configuration", ({ items }: { items: unknown[] }) => items.map(() => this.settings));
    this.rpc.onRequest("client/registerCapability", () => null);
    for (const method of ["workspace/inlayHint/refresh", "workspace/codeLens/refresh"]) {
      this.rpc.onRequest(method, () => {
        this.refreshes += 1;
        return null;
      });
    }
    this.rpc.listen();
  }

  async initialize(initializationOptions: InitializationOptions = { clientCommands: true, helpScheme: "memfd-help" }): Promise<void> {
    const workspace = { configuration: true, inlayHint: { refreshSupport: true }, codeLens: { refreshSupport: true } };
    const textDocument = { publishDiagnostics: { relatedInformation: true }, completion: { completionItem: { labelDetailsSupport: true } } };
    await this.rpc.sendRequest("initialize", { processId: process.pid, rootUri: null, capabilities: { workspace, textDocument }, initializationOptions });
    await this.rpc.sendNotification("initialized", {});
  }

  async open(uri: string, text: string): Promise<void> {
    await this.rpc.sendNotification("textDocument/didOpen", { textDocument: { uri, languageId: "memfd", version: this.#version, text } });
  }

  /** Replaces the whole text, as version `version`. */
  async replace(uri: string, text: string): Promise<number> {
    this.#version += 1;
    await this.rpc.sendNotification("textDocument/didChange", { textDocument: { uri, version: this.#version }, contentChanges: [{ text }] });
    return this.#version;
  }

  request<T>(method: string, params: unknown): Promise<T> {
    return this.rpc.sendRequest(method, params);
  }

  /** Waits until `found` answers something, asking again after each message; fails after a while with what was there. */
  async until<T>(what: string, found: () => T | undefined | false): Promise<T> {
    const end = Date.now() + PATIENCE_MILLISECONDS;
    for (;;) {
      const value = found();
      if (value !== undefined && value !== false) return value;
      if (Date.now() > end)
        throw new Error(
          `${what}: not seen; last status ${JSON.stringify(this.statuses.at(-1))}, last diagnostics ${JSON.stringify(this.published.at(-1))}, errors ${this.errors.join("\n")}`,
        );
      await new Promise<void>((done) => {
        const timer = setTimeout(done, 250);
        this.#waiters.push(() => {
          clearTimeout(timer);
          done();
        });
      });
    }
  }

  /** The last status of `uri` at `version` or later, when nothing runs any more. */
  settled(uri: string, version = 1): Promise<StatusParams> {
    return this.until(`runs of ${uri}`, () => {
      const last = this.statuses.findLast((status) => status.uri === uri);
      return (
        last !== undefined &&
        last.version >= version &&
        !last.running &&
        last.scenarios.every(({ state, reason }) => state !== "notRun" || !reason?.includes("not run yet")) &&
        last
      );
    });
  }

  diagnostics(uri: string): readonly Diagnostic[] | undefined {
    return this.published.findLast((one) => one.uri === uri)?.diagnostics;
  }

  async close(): Promise<number | null> {
    if (this.process.exitCode === null) {
      await this.request("shutdown", undefined);
      await this.rpc.sendNotification("exit");
    }
    const code = await this.exited;
    this.rpc.dispose();
    return code;
  }
}
