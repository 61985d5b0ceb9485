// The command line as data: which command, its options and operands. What is wrong with it is a message, never an exception.

import { parseArgs } from "node:util";
import { nearest } from "../language/near.ts";

export const FORMATS = ["text", "json", "sarif", "junit", "tap"] as const;
export type Format = (typeof FORMATS)[number];

/** Which scenarios of what is read are meant, and under which kernels. */
export interface Choice {
  readonly scenario?: string;
  readonly kernels: readonly string[];
}

/** What all commands about a run of one file take. */
interface OfOneFile extends Choice {
  readonly file: string;
  readonly schedule?: string;
}

export type Command =
  | {
      readonly name: "check";
      readonly paths: readonly string[];
      readonly format: Format;
      /** Which order of steps saves a scenario in which something breaks. */
      readonly suggest?: boolean;
      readonly kernels: readonly string[];
      readonly maxStates?: number;
      readonly seconds?: number;
    }
  | (OfOneFile & {
      readonly name: "trace";
      /** Every call and step with the page tables, in place of the story. */
      readonly full: boolean;
      readonly maxStates?: number;
      readonly seconds?: number;
    })
  | (OfOneFile & { readonly name: "emit-c" })
  | (Choice & { readonly name: "compare"; readonly paths: readonly string[] })
  | { readonly name: "import"; readonly file: string; readonly kernel?: string; readonly scenario?: string; readonly all: boolean }
  | { readonly name: "kernels" }
  | { readonly name: "calls"; readonly names: readonly string[] }
  | { readonly name: "format"; readonly files: readonly string[]; readonly check: boolean }
  | { readonly name: "help"; readonly of?: CommandName }
  | { readonly name: "version" };

export const COMMANDS = ["check", "trace", "emit-c", "compare", "import", "kernels", "calls", "format"] as const;
export type CommandName = (typeof COMMANDS)[number];

export type Parsed = { readonly ok: true; readonly command: Command } | { readonly ok: false; readonly message: string };

const STRING = { type: "string" } as const;
const LIMITS = { "max-states": STRING, timeout: STRING } as const;
const CHOICE = { scenario: STRING, kernel: { ...STRING, multiple: true } } as const;
const OPTIONS = {
  check: { format: STRING, kernel: { ...STRING, multiple: true }, suggest: { type: "boolean" }, ...LIMITS },
  trace: { ...CHOICE, schedule: STRING, full: { type: "boolean" }, ...LIMITS },
  "emit-c": { ...CHOICE, schedule: STRING },
  compare: CHOICE,
  import: { kernel: { ...STRING, multiple: true }, scenario: STRING, all: { type: "boolean" } },
  kernels: {},
  calls: {},
  format: { check: { type: "boolean" } },
} as const;

class Refused extends Error {}

export function parseCommand(args: readonly string[]): Parsed {
  try {
    return { ok: true, command: command(args) };
  } catch (error) {
    if (error instanceof Refused) return { ok: false, message: error.message };
    throw error;
  }
}

function command(args: readonly string[]): Command {
  const [first, ...rest] = args;
  if (first === undefined) throw new Refused(`a command is missing: ${COMMANDS.join(", ")}`);
  if (first === "--help" || first === "-h") return { name: "help" };
  if (first === "--version") return { name: "version" };
  if (first === "help") {
    const of = rest[0];
    if (of === undefined) return { name: "help" };
    if (isCommand(of)) return { name: "help", of };
    throw new Refused(unknown("command", of, COMMANDS));
  }
  if (!isCommand(first)) throw new Refused(first.startsWith("-") ? `unknown option ${first}` : unknown("command", first, COMMANDS));
  if (rest.some((arg) => arg === "--help" || arg === "-h")) return { name: "help", of: first };
  const { values, operands } = options(first, rest);
  const limits = { maxStates: count(values["max-states"]), seconds: seconds(values["timeout"]) };
  switch (first) {
    case "check":
      if (operands.length === 0) throw new Refused("check needs a file or a folder");
      return {
        name: "check",
        paths: operands,
        format: formatName(values["format"]),
        ...(values["suggest"] === true ? { suggest: true } : {}),
        kernels: kernels(values["kernel"]),
        ...limits,
      };
    case "trace":
      return { name: "trace", ...ofOneFile(first, values, operands), full: values["full"] === true, ...limits };
    case "emit-c":
      return { name: "emit-c", ...ofOneFile(first, values, operands) };
    case "compare":
      if (operands.length === 0) throw new Refused("compare needs a file or a folder");
      return { name: "compare", paths: operands, ...choice(values) };
    case "import": {
      if (operands.length !== 1) throw new Refused("import needs exactly one file");
      const [kernel, second] = kernels(values["kernel"]);
      if (second !== undefined) throw new Refused("import takes one kernel");
      return { name: "import", file: operands[0], kernel, scenario: text(values["scenario"]), all: values["all"] === true };
    }
    case "kernels":
      if (operands.length > 0) throw new Refused(`kernels takes no operand, but was given ${operands[0]}`);
      return { name: "kernels" };
    case "calls":
      return { name: "calls", names: operands };
    case "format":
      if (operands.length === 0) throw new Refused("format needs a file");
      return { name: "format", files: operands, check: values["check"] === true };
  }
}

const choice = (values: Record<string, unknown>): Choice => ({ scenario: text(values["scenario"]), kernels: kernels(values["kernel"]) });

function ofOneFile(name: CommandName, values: Record<string, unknown>, operands: readonly string[]): OfOneFile {
  if (operands.length !== 1) throw new Refused(`${name} needs exactly one file`);
  return { file: operands[0], ...choice(values), schedule: text(values["schedule"]) };
}

const isCommand = (name: string): name is CommandName => (COMMANDS as readonly string[]).includes(name);

function unknown(what: string, name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  return `unknown ${what} ${name}${near ? `; did you mean ${near}?` : ""}`;
}

function options(name: CommandName, args: readonly string[]): { values: Record<string, unknown>; operands: string[] } {
  const known = OPTIONS[name];
  const { tokens } = parseArgs({ args: [...args], options: known, strict: false, allowPositionals: true, tokens: true });
  const values: Record<string, unknown> = {};
  const operands: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") operands.push(token.value);
    if (token.kind !== "option") continue;
    const option = (known as Record<string, { type: string; multiple?: boolean }>)[token.name];
    if (option === undefined || !token.rawName.startsWith("--")) {
      throw new Refused(
        unknown(
          "option",
          token.rawName,
          Object.keys(known).map((each) => `--${each}`),
        ),
      );
    }
    if (option.type === "string" && token.value === undefined) throw new Refused(`${token.rawName} needs a value`);
    if (option.type === "boolean" && token.value !== undefined) throw new Refused(`${token.rawName} takes no value`);
    if (option.multiple) values[token.name] = [...((values[token.name] as string[] | undefined) ?? []), token.value];
    else if (values[token.name] !== undefined) throw new Refused(`${token.rawName} is given twice`);
    else values[token.name] = token.value ?? true;
  }
  for (const operand of operands) {
    if (operand === "-") throw new Refused("standard input is not read; name a file");
    if (operand === "") throw new Refused("a file name is empty");
  }
  return { values, operands };
}

const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

function formatName(value: unknown): Format {
  if (value === undefined) return "text";
  const found = FORMATS.find((each) => each === value);
  if (found === undefined) throw new Refused(`unknown format ${String(value)}; known are ${FORMATS.join(", ")}`);
  return found;
}

function kernels(value: unknown): string[] {
  const names = ((value as string[] | undefined) ?? []).flatMap((each) => each.split(",")).map((each) => each.trim());
  if (names.includes("")) throw new Refused("--kernel has an empty name");
  return [...new Set(names)];
}

function count(value: unknown): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value);
  if (!/^[0-9]+$/.test(String(value)) || number < 1 || !Number.isSafeInteger(number))
    throw new Refused(`--max-states needs a whole number above 0, not ${String(value)}`);
  return number;
}

function seconds(value: unknown): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value);
  if (!/^[0-9]+(\.[0-9]+)?$/.test(String(value)) || number <= 0 || !Number.isFinite(number))
    throw new Refused(`--timeout needs a number of seconds above 0, not ${String(value)}`);
  return number;
}
