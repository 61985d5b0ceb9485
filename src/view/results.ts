// What calls answered, as the JSON of version 1 writes it: one entry per call, with the set of its results over all interleavings.

import type { Report } from "../check/report.ts";
import { callSpec } from "../scenario/catalogue/index.ts";
import type { Program, Result, Site } from "../scenario/program.ts";

/** A number where a JSON number is exact, else a hexadecimal text. */
export type JsonInteger = number | string;

export type JsonResult =
  | { readonly value: JsonInteger; readonly data?: readonly number[] }
  | { readonly handle: string }
  | { readonly found: true }
  | { readonly text: string }
  | { readonly errno: string }
  | { readonly status: string; readonly operand?: string }
  | { readonly exit: string; readonly fields: Readonly<Record<string, JsonInteger>> }
  | { readonly signal: string }
  | { readonly exception: string }
  | { readonly blocks: true };

export interface JsonCall {
  readonly line: number;
  /** Only where it is another file than the scenario's. */
  readonly file?: string;
  readonly actor: string;
  readonly call: string;
  readonly results: readonly JsonResult[];
}

export interface Place {
  readonly file: string;
  readonly line: number;
}

export function jsonInteger(value: bigint): JsonInteger {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : `${value < 0n ? "-" : ""}0x${(value < 0n ? -value : value).toString(16)}`;
}

export function jsonResult(result: Result): JsonResult {
  switch (result.kind) {
    case "value":
      return result.data ? { value: jsonInteger(result.value), data: [...result.data] } : { value: jsonInteger(result.value) };
    case "handle":
      return { handle: result.handle };
    case "found":
      return { found: true };
    case "text":
      return { text: result.text };
    case "errno":
      return { errno: result.errno };
    case "status":
      return result.operand === undefined ? { status: result.status } : { status: result.status, operand: result.operand };
    case "exit":
      return { exit: result.exit, fields: Object.fromEntries(result.fields.map((field) => [field.name, jsonInteger(field.value)])) };
    case "signal":
      return { signal: result.signal };
    case "exception":
      return { exception: result.exception };
    case "blocks":
      return { blocks: true };
  }
}

export function callResults(program: Program, report: Report, placeOf: (site: Site) => Place): JsonCall[] {
  const home = placeOf(program.site).file;
  return program.calls.map((call, id) => {
    const { file, line } = placeOf(call.site);
    const distinct = new Map((report.calls[id]?.results ?? []).map((outcome) => jsonResult(outcome.result)).map((result) => [JSON.stringify(result), result]));
    const entry = { line, actor: program.actors[call.actor].name, call: callSpec(call.spec).name, results: [...distinct.values()] };
    return file === home ? entry : { ...entry, file };
  });
}
