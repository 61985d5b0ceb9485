// Text by URI: open documents first, then what the host can read. Resolves imports for the language service and turns offsets into lines, without ever
// throwing.

import { TextDocument } from "vscode-languageserver-textdocument";
import type { Span } from "../base/finding.ts";

/** What the host can do about files on disk. */
export interface FileHost {
  /** The text of a regular file, at once; undefined where there is none, it is too large, or the host has no files. */
  read(uri: string): string | undefined;
}

export const NO_FILES: FileHost = { read: () => undefined };

/** Larger files are no scenarios; the language refuses them too. */
export const MAX_FILE_BYTES = 16 * 1024 * 1024;

export interface ImportedText {
  readonly file: string;
  readonly text: string;
}

export class Texts {
  readonly #open: (uri: string) => TextDocument | undefined;
  readonly #files: FileHost;
  /** Texts that the client sent because the server cannot read; `undefined` = it could not either. */
  readonly #sent = new Map<string, string | undefined>();
  readonly #documents = new Map<string, TextDocument>();
  /** Called with a URI that neither open documents nor the host hold, once until `forget`. */
  missing: ((uri: string) => void) | undefined;

  constructor(open: (uri: string) => TextDocument | undefined, files: FileHost) {
    this.#open = open;
    this.#files = files;
  }

  /** For the language's `imports`. `visit` learns every URI that was asked for, found or not. */
  importer(visit: (uri: string) => void): (path: string, from: string) => ImportedText | undefined {
    return (path, from) => {
      const uri = resolve(path, from);
      if (uri === undefined) return undefined;
      visit(uri);
      const text = this.text(uri);
      return text === undefined ? undefined : { file: uri, text };
    };
  }

  text(uri: string): string | undefined {
    const open = this.#open(uri);
    if (open !== undefined) return open.getText();
    const read = this.#files.read(uri);
    if (read !== undefined) return read;
    if (!this.#sent.has(uri)) {
      this.#sent.set(uri, undefined);
      this.missing?.(uri);
    }
    return this.#sent.get(uri);
  }

  /** The client's answer to `missing`. True when it changes anything. */
  provide(uri: string, text: string | undefined): boolean {
    const changed = this.#sent.get(uri) !== text;
    this.#sent.set(uri, text);
    return changed;
  }

  /** The file changed on disk or was closed: ask again. */
  forget(uri: string): void {
    this.#sent.delete(uri);
    this.#documents.delete(uri);
  }

  /** For positions. An unreadable file has no lines: everything is at its start. */
  document(uri: string): TextDocument {
    const open = this.#open(uri);
    if (open !== undefined) return open;
    const text = this.text(uri) ?? "";
    let document = this.#documents.get(uri);
    if (document === undefined || document.getText() !== text) {
      document = TextDocument.create(uri, "memfd", 0, text);
      this.#documents.set(uri, document);
    }
    return document;
  }

  /** Line of a span's start, from 1. */
  line(span: Span): number {
    return this.document(span.file).positionAt(span.from).line + 1;
  }
}

/**
 * Relative to the importing file, by the rules of URIs. Nothing outside its scheme and host: a scenario from a stranger must not make the editor
 * open a connection to another machine (`//host/share` is a network path on Windows).
 */
export function resolve(path: string, from: string): string | undefined {
  if (path.includes("\0") || path === "") return undefined;
  try {
    const base = new URL(from);
    const relative = path.replaceAll("\\", "/").split("/").map(encodePart).join("/");
    const url = new URL(relative, base);
    return url.protocol === base.protocol && url.host === base.host ? canonicalUri(url.href) : undefined;
  } catch {
    return undefined;
  }
}

function encodePart(part: string): string {
  return encodeURIComponent(part).replaceAll("%3A", ":");
}

/** VS Code writes `file:///c%3A/a%20b`, others `file:///c:/a%20b`: one spelling for comparing. */
export function canonicalUri(uri: string): string {
  try {
    const scheme = uri.indexOf(":");
    return (
      uri.slice(0, scheme + 1) +
      uri
        .slice(scheme + 1)
        .split("/")
        .map((part) => encodeURIComponent(decodeURIComponent(part)))
        .join("/")
    );
  } catch {
    return uri;
  }
}
