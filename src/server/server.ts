// The language server, whatever carries it: wires LSP to the documents, the runner and the publisher. No request waits for a model run but those that ask for one.

import type { Connection, InitializeParams, InitializeResult } from "vscode-languageserver";
import { CodeActionKind, DidChangeWatchedFilesNotification, TextDocumentSyncKind, TextDocuments } from "vscode-languageserver";
import { TextDocument } from "vscode-languageserver-textdocument";
import type { Machine } from "../export/c/machine.ts";
import { Commands } from "./commands.ts";
import { diagnosticsOf } from "./diagnostics.ts";
import { Documents, readSettings } from "./documents.ts";
import { registerFeatures } from "./features.ts";
import type { WorkerFactory } from "./lane.ts";
import * as protocol from "./protocol.ts";
import { Publisher } from "./publisher.ts";
import { Runner } from "./runner.ts";
import { Suggester } from "./suggester.ts";
import { type FileHost, Texts } from "./texts.ts";
import { Traces } from "./traces.ts";
import { closedStatus, progressOf, statusOf } from "./verdicts.ts";

/** What the process or the web worker gives the server. */
export interface ServerHost {
  readonly files: FileHost;
  readonly workers: WorkerFactory;
  /** The kernel that a user may compare the model with; absent in a web worker. */
  readonly machine?: Machine;
}

/** Hints and lenses are asked for again at most this often while results come in. */
const REFRESH_MILLISECONDS = 100;
/** Scenarios of a document wait this long for its settings, then run under those of `initialize`. */
const SETTINGS_MILLISECONDS = 1_000;

/** Parts that the feature handlers share. */
export interface ServerState {
  readonly connection: Connection;
  readonly documents: Documents;
  readonly runner: Runner;
  readonly texts: Texts;
  readonly traces: Traces;
  readonly suggester: Suggester;
  readonly machine?: Machine;
  options: protocol.InitializationOptions;
  capabilities: InitializeParams["capabilities"];
}

export class Server implements ServerState {
  readonly connection: Connection;
  readonly documents: Documents;
  readonly runner: Runner;
  readonly texts: Texts;
  readonly traces: Traces;
  readonly suggester: Suggester;
  readonly machine?: Machine;
  options: protocol.InitializationOptions = {};
  capabilities: InitializeParams["capabilities"] = {};
  readonly #publisher: Publisher;
  readonly #synced = new TextDocuments(TextDocument);
  readonly #due = new Set<string>();
  readonly #unconfigured = new Set<string>();
  #drain: ReturnType<typeof setTimeout> | undefined;
  #refresh: ReturnType<typeof setTimeout> | undefined;
  readonly #statusDue = new Map<string, ReturnType<typeof setTimeout>>();
  /** Documents in which a forecast stands: `KEY URI`. */
  readonly #foreseen = new Set<string>();
  #started = false;

  constructor(connection: Connection, host: ServerHost) {
    this.connection = connection;
    this.machine = host.machine;
    this.texts = new Texts((uri) => this.documents.document(uri), host.files);
    this.runner = new Runner(host.workers, { changed: (key) => this.#answered(key), progressed: (key) => this.#progressed(key) });
    this.runner.warm();
    this.documents = new Documents(this.texts, this.runner);
    this.traces = new Traces(host.workers, this.texts);
    this.suggester = new Suggester(host.workers, this.texts);
    this.#publisher = new Publisher({
      collect: (uri) => this.#collect(uri),
      pending: (uri) => this.#pending(uri),
      send: (params) => void this.connection.sendDiagnostics(params),
    });
    this.texts.missing = (uri) => void this.#fetch(uri);
    connection.onInitialize((params) => this.#initialize(params));
    connection.onInitialized(() => this.#initialized());
    connection.onShutdown(() => this.#dispose());
    connection.onDidChangeConfiguration((change) => this.#settingsChanged(change.settings));
    connection.onDidChangeWatchedFiles(({ changes }) => {
      for (const { uri } of changes) this.#fileChanged(uri);
    });
    this.#listen();
    registerFeatures(this);
    new Commands(this, (uri) => this.#status(uri)).register();
  }

  #initialize(params: InitializeParams): InitializeResult {
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
        completionProvider: { triggerCharacters: ["(", ",", "|", "@", ".", "="] },
        codeActionProvider: { codeActionKinds: [CodeActionKind.QuickFix] },
        ...(this.options.clientCommands === true ? {} : { executeCommandProvider: { commands: [protocol.SERVER_RUN_COMMAND] } }),
      },
    };
  }

  #initialized(): void {
    this.#started = true;
    if (this.capabilities.workspace?.didChangeWatchedFiles?.dynamicRegistration === true) {
      const watchers = [{ globPattern: "**/*.memfd" }];
      this.connection.client.register(DidChangeWatchedFilesNotification.type, { watchers }).catch(() => undefined);
    }
  }

  #listen(): void {
    this.#synced.onDidOpen(({ document }) => {
      this.documents.open(document);
      this.texts.forget(document.uri);
      this.#unconfigured.add(document.uri);
      void this.#configure(document.uri);
    });
    this.#synced.onDidChangeContent(({ document }) => {
      this.#schedule(document.uri);
      this.#importChanged(document.uri);
    });
    this.#synced.onDidSave(({ document }) => {
      this.documents.schedule(document.uri, true);
      this.#publisher.changed(document.uri);
      this.#status(document.uri);
    });
    this.#synced.onDidClose(({ document }) => {
      this.documents.close(document.uri);
      this.#due.delete(document.uri);
      this.#unconfigured.delete(document.uri);
      this.#publisher.closed(document.uri);
      void this.connection.sendNotification(protocol.STATUS, closedStatus(document.uri));
      this.#fileChanged(document.uri);
    });
    this.#synced.listen(this.connection);
  }

  async #configure(uri: string): Promise<void> {
    let value: unknown = this.options.settings;
    if (this.capabilities.workspace?.configuration === true) {
      const asked = this.connection.workspace.getConfiguration({ scopeUri: uri, section: "memfd" }).catch(() => value);
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
  #schedule(uri: string): void {
    this.#due.add(uri);
    this.#drain ??= setTimeout(() => {
      this.#drain = undefined;
      const due = [...this.#due];
      this.#due.clear();
      for (const one of due) this.#update(one);
    }, 0);
  }

  #update(uri: string): void {
    if (!this.documents.has(uri)) return;
    try {
      this.documents.snapshot(uri);
      if (!this.#unconfigured.has(uri)) this.documents.schedule(uri);
    } catch (error) {
      this.connection.console.error(`The analysis of ${uri} failed: ${error instanceof Error ? error.stack : String(error)}`);
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
    this.traces.warm();
    for (const uri of this.documents.uris) {
      const snapshot = this.documents.peek(uri);
      this.#foreseen.delete(`${key} ${uri}`);
      if (snapshot?.runs.some((run) => run.job.key === key) !== true) continue;
      this.#publisher.progressed(uri);
      this.#statusSoon(uri);
    }
    this.#refreshViews();
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
        if (this.capabilities.workspace?.inlayHint?.refreshSupport === true) this.connection.languages.inlayHint.refresh().catch(() => undefined);
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
    clearTimeout(this.#drain);
    clearTimeout(this.#refresh);
    for (const timer of this.#statusDue.values()) clearTimeout(timer);
    this.#publisher.dispose();
    this.runner.dispose();
    this.traces.dispose();
    this.suggester.dispose();
  }
}

export function startServer(connection: Connection, host: ServerHost): Server {
  const server = new Server(connection, host);
  connection.listen();
  return server;
}
