// Files as the command line sees them: folders walked for `*.memfd`, imports resolved beside the importing file, everything with a limit.

import { chmodSync, closeSync, openSync, readdirSync, readFileSync, readSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, normalize, resolve } from "node:path";
import type { Files, Imports, ReadResult } from "./environment.ts";

/** A text that no scenario has; larger files are refused unread. */
const MAX_BYTES = 64 * 1024 * 1024;
const MAX_DEPTH = 64;
const MAX_FILES = 100_000;

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "no such file or folder",
  EACCES: "permission denied",
  EPERM: "permission denied",
  ELOOP: "too many symbolic links",
  ENAMETOOLONG: "the name is too long",
  ENOTDIR: "a part of the path is no folder",
  EISDIR: "it is a folder",
  EROFS: "the file system is read-only",
  ENOSPC: "no space left",
  ERR_INVALID_ARG_VALUE: "the name has a NUL character",
};

export function reasonOf(error: unknown): string {
  const code = (error as { code?: unknown }).code;
  return (typeof code === "string" ? REASONS[code] : undefined) ?? (error instanceof Error ? error.message : String(error));
}

function read(path: string): ReadResult {
  try {
    const stat = statSync(path);
    if (!stat.isFile()) return { ok: false, reason: stat.isDirectory() ? "it is a folder" : "it is no regular file" };
    if (stat.size > MAX_BYTES) return { ok: false, reason: `it has more than ${MAX_BYTES / 1024 / 1024} MiB` };
    const bytes = readFileSync(path);
    const text = new TextDecoder("utf-8").decode(bytes);
    return { ok: true, text, validUtf8: Buffer.from(text).equals(bytes) || Buffer.from(`\ufeff${text}`).equals(bytes) };
  } catch (error) {
    return { ok: false, reason: reasonOf(error) };
  }
}

/** Bytes of a file that are in memory at once. */
const PIECE = 1 << 20;

function pieces(path: string): { ok: true; pieces: Iterable<string> } | { ok: false; reason: string } {
  try {
    const stat = statSync(path);
    if (!stat.isFile()) return { ok: false, reason: stat.isDirectory() ? "it is a folder" : "it is no regular file" };
    return { ok: true, pieces: piecesOf(openSync(path, "r")) };
  } catch (error) {
    return { ok: false, reason: reasonOf(error) };
  }
}

/** Closes the file when the reader has enough of it. */
function* piecesOf(file: number): Generator<string> {
  const decoder = new TextDecoder("utf-8");
  const buffer = new Uint8Array(PIECE);
  try {
    for (;;) {
      const count = readSync(file, buffer, 0, PIECE, null);
      if (count === 0) break;
      yield decoder.decode(buffer.subarray(0, count), { stream: true });
    }
    yield decoder.decode();
  } finally {
    closeSync(file);
  }
}

function replace(path: string, text: string): string | undefined {
  let temporary: string | undefined;
  try {
    const real = realpathSync(path);
    temporary = join(dirname(real), `.${process.pid}.memfd-format`);
    writeFileSync(temporary, text, { flag: "wx" });
    chmodSync(temporary, statSync(real).mode);
    renameSync(temporary, real);
    return undefined;
  } catch (error) {
    if (temporary !== undefined) rmSync(temporary, { force: true });
    return reasonOf(error);
  }
}

export const realFiles: Files = {
  kind(path) {
    try {
      const stat = statSync(path);
      return stat.isDirectory() ? "directory" : stat.isFile() ? "file" : { reason: "it is no regular file" };
    } catch (error) {
      return { reason: reasonOf(error) };
    }
  },
  read,
  pieces,
  list: (path) =>
    readdirSync(path, { withFileTypes: true })
      .map((entry) => ({ name: entry.name, directory: entry.isDirectory() }))
      .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)),
  replace,
  real(path) {
    try {
      return realpathSync(path);
    } catch {
      return resolve(path);
    }
  },
};

export interface Found {
  readonly files: readonly string[];
  readonly problems: readonly { readonly path: string; readonly reason: string }[];
}

/** Files as named, folders by their `*.memfd` in order, each file once. Hidden folders, `node_modules` and linked folders are not entered. */
export function findFiles(paths: readonly string[], files: Files): Found {
  const found: string[] = [];
  const problems: { path: string; reason: string }[] = [];
  const seen = new Set<string>();
  const take = (path: string): void => {
    const real = files.real(path);
    if (!seen.has(real)) found.push(path);
    seen.add(real);
  };
  const walk = (folder: string, depth: number): void => {
    if (depth > MAX_DEPTH) return void problems.push({ path: folder, reason: `folders nest deeper than ${MAX_DEPTH}` });
    try {
      for (const entry of files.list(folder)) {
        if (found.length >= MAX_FILES) return void problems.push({ path: folder, reason: `more than ${MAX_FILES} files` });
        const path = join(folder, entry.name);
        if (entry.directory && !entry.name.startsWith(".") && entry.name !== "node_modules") walk(path, depth + 1);
        else if (!entry.directory && entry.name.endsWith(".memfd")) take(path);
      }
    } catch (error) {
      problems.push({ path: folder, reason: reasonOf(error) });
    }
  };
  for (const path of paths) {
    const kind = files.kind(path);
    if (kind === "file") take(path);
    else if (kind === "directory") {
      const before = found.length;
      walk(path, 0);
      if (found.length === before && !problems.some((each) => each.path.startsWith(path))) problems.push({ path, reason: "no .memfd file in this folder" });
    } else problems.push({ path, reason: kind.reason });
  }
  return { files: found, problems };
}

/** Imports beside the importing file; their texts are kept in `texts`, so that findings in them have lines. */
export function importer(files: Files, texts: Map<string, string>): Imports {
  return (path, from) => {
    const file = normalize(join(dirname(from), path));
    const known = texts.get(file);
    if (known !== undefined) return { file, text: known };
    const result = files.read(file);
    if (!result.ok) return undefined;
    texts.set(file, result.text);
    return { file, text: result.text };
  };
}
