// The language server, whatever carries it: wires LSP to the documents, the runner and the publisher. No request waits for a model run but those that ask for
// one.

import type { Logger, MessageConnection } from "vscode-jsonrpc";
import type { DidChangeConfigurationParams, DidChangeWatchedFilesParams, InitializeParams, InitializeResult } from "vscode-languageserver";
import { Commands } from "./commands.ts";
import { diagnosticsOf } from "./diagnostics.ts";
import { Documents, readSettings } from "./documents.ts";
import { registerFeatures } from "./features.ts";
import { CodeActionKind, MessageType, TextDocumentSyncKind } from "./lsp.ts";
import * as protocol from "./protocol.ts";
import { Publisher } from "./publisher.ts";
import { Runner } from "./runner.ts";
import type { ServerHost, ServerState } from "./state.ts";
import { Suggester } from "./suggester.ts";
import { syncTexts } from "./synced.ts";
import { Texts } from "./texts.ts";
import { Traces } from "./traces.ts";
import { closedStatus, progressOf, statusOf } from "./verdicts.ts";

/** Hints and lenses are asked for again at most this often while results come in. */
const REFRESH_MILLISECONDS = 100;
/** The worker of the traces starts so long after the first answer: it would take the time of what shows that answer. */
const WARM_MILLISECONDS = 250;
/** Scenarios of a document wait this long for its settings, then run under those of `initialize`. */
const SETTINGS_MILLISECONDS = 1_000;
/** Its text waits only so long: most editors answer sooner, and then its first scenario runs while the rest of it is read. */
const UNCONFIGURED_MILLISECONDS = 20;

const ignore = (): void => undefined;

class Server implements ServerState {
  readonly connection: MessageConnection;
  readonly documents: Documents;
  readonly runner: Runner;
  readonly texts: Texts;
  readonly traces: Traces;
  readonly suggester: Suggester;
  readonly host: ServerHost;
  options: protocol.InitializationOptions = {};
  capabilities: InitializeParams["capabilities"] = {};
  readonly #publisher: Publisher;
  readonly #due = new Set<string>();
  readonly #unconfigured = new Set<string>();
  #drain: ReturnType<typeof setTimeout> | undefined;
  /** What is due waits for settings. */
  #patient = false;
  #refresh: ReturnType<typeof setTimeout> | undefined;
  #warm: ReturnType<typeof setTimeout> | undefined;
  readonly #statusDue = new Map<string, ReturnType<typeof setTimeout>>();
  /** Documents in which a forecast stands: `KEY URI`. */
  readonly #foreseen = new Set<string>();
  #started = false;
  #stopped = false;

  constructor(connect: (logger: Logger) => MessageConnection, host: ServerHost) {
    this.connection = connect({ error: (message) => this.complain(message), warn: ignore, info: ignore, log: ignore });
    this.host = host;
    this.texts = new Texts((uri) => this.documents.document(uri), host.files);
    this.runner = new Runner(host.workers, { changed: (key) => this.#answered(key), progressed: (key) => this.#progressed(key) }, host.now);
    this.runner.warm();
    this.documents = new Documents(this.texts, this.runner);
    this.traces = new Traces(host.workers, this.texts);
    this.suggester = new Suggester(host.workers, this.texts);
    this.#publisher = new Publisher({
      collect: (uri) => this.#collect(uri),
      pending: (uri) => this.#pending(uri),
      send: (params) => void this.connection.sendNotification("textDocument/publishDiagnostics", params),
      now: host.now,
    });
    this.texts.missing = (uri) => void this.#fetch(uri);
    this.#listen();
    this.#sync();
    registerFeatures(this);
    new Commands(this, (uri) => this.#status(uri)).register();
  }

  #listen(): void {
    const { connection } = this;
    connection.onError(([error]) => this.complain(error.message));
    connection.onRequest("initialize", (params: InitializeParams) => this.#initialize(params));
    connection.onNotification("initialized", () => this.#initialized());
    connection.onRequest("shutdown", () => this.#dispose());
    connection.onNotification("exit", () => this.gone());
    connection.onNotification("workspace/didChangeConfiguration", ({ settings }: DidChangeConfigurationParams) => this.#settingsChanged(settings));
    connection.onNotification("workspace/didChangeWatchedFiles", ({ changes }: DidChangeWatchedFilesParams) => {
      for (const { uri } of changes) this.#fileChanged(uri);
    });
  }

  complain(message: string): void {
    void this.connection.sendNotification("window/logMessage", { type: MessageType.Error, message });
  }

  /** The client has left: in order after `shutdown`, else not. */
  gone(): void {
    const code = this.#stopped ? 0 : 1;
    this.#dispose();
    this.connection.dispose();
    this.host.exit?.(code);
  }

  #initialize(params: InitializeParams): InitializeResult {
    if (typeof params.processId === "number") this.host.client?.(params.processId);
    this.capabilities = params.capabilities;
    this.options = typeof params.initializationOptions === "object" && params.initializationOptions !== null ? params.initializationOptions : {};
    return {
      serverInfo: { name: "memfd" },
      capabilities: {
        positionEncoding: "utf-16",
        textDocumentSync: { openClose: true, change: TextDocumentSyncKind.Incremental, save: { includeText: false } },
        hoverProvider: true,
        inlayHintProvider: true,
        codeLensProvider: { resolveProvider: false },
        documentSymbolProvider: true,
        foldingRangeProvider: true,
        documentFormattingProvider: true,
        completionProvider: { triggerCharacters: ["(", ",", "|", "@", ".", "=", " "] },
        signatureHelpProvider: { triggerCharacters: ["(", ","] },
        codeActionProvider: { codeActionKinds: [CodeActionKind.QuickFix] },
        ...(this.options.clientCommands === true ? {} : { executeCommandProvider: { commands: [protocol.SERVER_RUN_COMMAND] } }),
      },
    };
  }

  #initialized(): void {
    this.#started = true;
    if (this.capabilities.workspace?.didChangeWatchedFiles?.dynamicRegistration === true) {
      const registerOptions = { watchers: [{ globPattern: "**/*.memfd" }] };
      const registrations = [{ id: "memfd.files", method: "workspace/didChangeWatchedFiles", registerOptions }];
      this.connection.sendRequest("client/registerCapability", { registrations }).catch(() => undefined);
    }
  }

  #sync(): void {
    syncTexts(this.connection, {
      opened: (document) => {
        this.documents.open(document);
        this.texts.forget(document.uri);
        this.#unconfigured.add(document.uri);
        void this.#configure(document.uri);
      },
      changed: ({ uri }) => {
        this.#schedule(uri, this.#unconfigured.has(uri) ? UNCONFIGURED_MILLISECONDS : 0);
        this.#importChanged(uri);
      },
      saved: ({ uri }) => {
        this.documents.schedule(uri, true);
        this.#publisher.changed(uri);
        this.#status(uri);
      },
      closed: ({ uri }) => {
        this.documents.close(uri);
        this.#due.delete(uri);
        this.#unconfigured.delete(uri);
        this.#publisher.closed(uri);
        void this.connection.sendNotification(protocol.STATUS, closedStatus(uri));
        this.#fileChanged(uri);
      },
    });
  }

  async #configure(uri: string): Promise<void> {
    let value: unknown = this.options.settings;
    if (this.capabilities.workspace?.configuration === true) {
      const items = [{ scopeUri: uri, section: "memfd" }];
      const asked = this.connection.sendRequest<unknown[]>("workspace/configuration", { items }).then(
        (values) => values?.[0],
        () => value,
      );
      value = await Promise.race([asked, new Promise((done) => setTimeout(() => done(value), SETTINGS_MILLISECONDS))]);
    }
    if (!this.documents.has(uri)) return;
    const first = this.#unconfigured.delete(uri);
    if (this.documents.configure(uri, readSettings(value)) || first) this.#schedule(uri);
  }

  #settingsChanged(settings: unknown): void {
    const pushed = typeof settings === "object" && settings !== null ? (settings as { memfd?: protocol.Settings }).memfd : undefined;
    if (pushed !== undefined && pushed !== null) this.options = { ...this.options, settings: pushed };
    for (const uri of this.documents.uris) void this.#configure(uri);
  }

  /** Several changes that wait in the pipe become one analysis. */
  #schedule(uri: string, delay = 0): void {
    this.#due.add(uri);
    if (this.#drain !== undefined && (delay > 0 || !this.#patient)) return;
    clearTimeout(this.#drain);
    this.#patient = delay > 0;
    this.#drain = setTimeout(() => {
      this.#drain = undefined;
      const due = [...this.#due];
      this.#due.clear();
      for (const one of due) this.#update(one);
    }, delay);
  }

  #update(uri: string): void {
    if (!this.documents.has(uri)) return;
    try {
      this.documents.snapshot(uri);
      if (!this.#unconfigured.has(uri)) this.documents.schedule(uri);
    } catch (error) {
      this.complain(`The analysis of ${uri} failed: ${error instanceof Error ? error.stack : String(error)}`);
    }
    this.#publisher.changed(uri);
    this.#status(uri);
  }

  #collect(uri: string): ReturnType<ConstructorParameters<typeof Publisher>[0]["collect"]> {
    const document = this.documents.document(uri);
    if (document === undefined) return undefined;
    try {
      const snapshot = this.documents.snapshot(uri);
      if (snapshot === undefined) return undefined;
      const relatedInformation = this.capabilities.textDocument?.publishDiagnostics?.relatedInformation === true;
      const { helpScheme } = this.options;
      return { version: snapshot.version, diagnostics: diagnosticsOf(snapshot, this.runner, this.texts, { helpScheme, relatedInformation }) };
    } catch (error) {
      const range = { start: { line: 0, character: 0 }, end: { line: 0, character: 1 } };
      const message = `The language service failed, which is a bug of it: ${error instanceof Error ? error.message : String(error)}`;
      return { version: document.version, diagnostics: [{ range, message, severity: 1, code: "MEMFD9001", source: "memfd" }] };
    }
  }

  /** An outcome came: those who show it show it anew. */
  #answered(key: string): void {
    for (const uri of this.documents.uris) {
      const snapshot = this.documents.peek(uri);
      this.#foreseen.delete(`${key} ${uri}`);
      if (snapshot?.runs.some((run) => run.job.key === key) !== true) continue;
      this.#publisher.progressed(uri);
      this.#statusSoon(uri);
    }
    this.#refreshViews();
    this.#warm ??= setTimeout(() => this.traces.warm(), WARM_MILLISECONDS);
  }

  /** A run has come further. A forecast is said once, when it is first there, and taken back when the run begins anew. */
  #progressed(key: string): void {
    const forecast = this.runner.live(key)?.forecast !== undefined;
    for (const uri of this.documents.uris) {
      const snapshot = this.documents.peek(uri);
      if (snapshot === undefined) continue;
      const running = progressOf(snapshot, this.runner, key);
      for (const params of running) void this.connection.sendNotification(protocol.PROGRESS, params);
      const known = this.#foreseen.has(`${key} ${uri}`);
      if (running.length === 0 || known === forecast) continue;
      if (forecast) this.#foreseen.add(`${key} ${uri}`);
      else this.#foreseen.delete(`${key} ${uri}`);
      this.#publisher.progressed(uri);
      this.#statusSoon(uri);
    }
  }

  #refreshViews(): void {
    if (!this.#started || this.#refresh !== undefined) return;
    const { idle } = this.runner;
    this.#refresh = setTimeout(
      () => {
        this.#refresh = undefined;
        if (this.capabilities.workspace?.inlayHint?.refreshSupport === true) this.connection.sendRequest("workspace/inlayHint/refresh").catch(() => undefined);
        if (this.capabilities.workspace?.codeLens?.refreshSupport === true) this.connection.sendRequest("workspace/codeLens/refresh").catch(() => undefined);
      },
      idle ? 0 : REFRESH_MILLISECONDS,
    );
  }

  #status(uri: string): void {
    const snapshot = this.documents.peek(uri);
    if (snapshot !== undefined) void this.connection.sendNotification(protocol.STATUS, statusOf(snapshot, this.runner));
  }

  #pending(uri: string): boolean {
    return this.documents.peek(uri)?.runs.some((run) => this.runner.pending(run.job.key)) ?? false;
  }

  /** A list of five hundred scenarios is not said five hundred times over: in strokes, and at once when it is done. */
  #statusSoon(uri: string): void {
    if (!this.#pending(uri)) {
      clearTimeout(this.#statusDue.get(uri));
      this.#statusDue.delete(uri);
      this.#status(uri);
    } else if (!this.#statusDue.has(uri)) {
      this.#statusDue.set(
        uri,
        setTimeout(() => {
          this.#statusDue.delete(uri);
          this.#status(uri);
        }, REFRESH_MILLISECONDS),
      );
    }
  }

  #importChanged(uri: string): void {
    for (const importer of this.documents.importersOf(uri)) {
      if (importer === uri) continue;
      this.documents.invalidate(importer);
      this.#schedule(importer);
    }
  }

  #fileChanged(uri: string): void {
    this.texts.forget(uri);
    this.#importChanged(uri);
  }

  /** A web worker reads no files; its client does. */
  async #fetch(uri: string): Promise<void> {
    if (this.options.readFile !== true) return;
    const answer = await this.connection.sendRequest<protocol.ReadFileResult>(protocol.READ_FILE, { uri }).catch(() => undefined);
    if (this.texts.provide(uri, typeof answer?.text === "string" ? answer.text : undefined)) this.#importChanged(uri);
  }

  #dispose(): void {
    this.#stopped = true;
    clearTimeout(this.#drain);
    clearTimeout(this.#refresh);
    clearTimeout(this.#warm);
    for (const timer of this.#statusDue.values()) clearTimeout(timer);
    this.#publisher.dispose();
    this.runner.dispose();
    this.traces.dispose();
    this.suggester.dispose();
  }
}

export function startServer(connect: (logger: Logger) => MessageConnection, host: ServerHost): Server {
  const server = new Server(connect, host);
  server.connection.listen();
  return server;
}
