// Shared by the tests of the import: fixtures, what a text says without its comments, and what the language finds in it.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Imported, type ImportOptions, importTrace } from "../../src/export/import/index.ts";
import { analyse } from "../../src/language/index.ts";

export const FIXTURES = ["plain.strace", "kvm.strace", "kvm-exits.strace", "threads.strace", "threads-terminal.strace", "fork.strace"];
export const EVENTS = ["guest.ftrace", "syscalls.ftrace", "old-kernel.ftrace"];

export const fixture = (name: string): string => readFileSync(join(import.meta.dirname, "import", name), "utf8");

export const imported = (name: string, options: ImportOptions = { kernel: "6.18" }): Imported => importTrace(fixture(name), options);

/** The lines of the scenario without their comments and indents. */
export function statements({ text }: Imported): string[] {
  const body = text.slice(text.indexOf("{\n") + 2, text.lastIndexOf("}"));
  return body
    .split("\n")
    .map((line) => line.replace(/(?:^|\s+)\/\/ .*$/, "").trim())
    .filter((line) => line !== "");
}

/** The comments inside the scenario that stand on a line of their own. */
export const remarks = ({ text }: Imported): string[] =>
  text
    .slice(text.indexOf("{\n"))
    .split("\n")
    .filter((line) => line.startsWith("  // "))
    .map((line) => line.slice(5));

/** What the language does not accept, with the place. */
export function complaints(text: string): string[] {
  const { findings } = analyse("imported.memfd", text, { imports: () => undefined });
  return findings.filter(({ severity }) => severity === "error").map(({ code, message, span }) => `${code} ${message}: ${text.slice(span.from, span.to)}`);
}
