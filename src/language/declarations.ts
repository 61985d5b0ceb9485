// What a file declares and imports: setups, constants, kernel variants. Only these cross an import.

import { fileName } from "../base/file-name.ts";
import type { Block, Complaint, Item, Node, Range, StmtOf } from "./ast.ts";
import { didYouMean } from "./near.ts";
import { parseString } from "./numbers.ts";
import type { ParsedFile, ParsedItem } from "./parse.ts";

/** Where a declaration stands now. */
export interface Source {
  readonly key: string;
  readonly file: string;
  readonly offset: number;
  readonly text: string;
}

type SetupDeclaration = Source & { readonly name: string; readonly header: Range; readonly body: Block; readonly broken: boolean };
type ConstantDeclaration = Source & { readonly name: string; readonly value: Node };
export type VariantDeclaration = Source & { readonly name: string; readonly statement: StmtOf<"kernel">; readonly broken: boolean };

export interface Declarations {
  readonly setups: Map<string, SetupDeclaration>;
  readonly constants: Map<string, ConstantDeclaration>;
  readonly variants: Map<string, VariantDeclaration>;
}

/** A finding in a file, by absolute offsets. */
interface PlacedComplaint extends Complaint {
  readonly related?: { readonly file: string; readonly from: number; readonly to: number; readonly message: string };
}

interface ImportHost {
  imports(path: string, from: string): { file: string; text: string } | undefined;
  parse(file: string, text: string): ParsedFile | undefined;
}

const MAX_FILES = 200;
const MAX_DEPTH = 32;
const MAX_TEXT = 8_000_000;

export const isConstant = (item: Item): item is Item & { kind: "statement" } =>
  item.kind === "statement" &&
  item.statement.kind === "simple" &&
  item.statement.prefixes.length === 0 &&
  item.statement.head.args === undefined &&
  item.statement.head.indexes.length === 0 &&
  item.statement.parts.length === 1 &&
  !callsSomething(item.statement.parts[0].any[0].value);

const callsSomething = (node: Node): boolean => node.kind === "primary" && node.args !== undefined;

export class Collector {
  readonly declarations: Declarations = { setups: new Map(), constants: new Map(), variants: new Map() };
  readonly complaints: PlacedComplaint[] = [];
  private readonly host: ImportHost;
  private readonly seen = new Set<string>();
  /** Files from which imports lead into a circle, each with the first one found: its files in order. */
  private readonly leads = new Map<string, readonly string[]>();
  private text = 0;

  constructor(host: ImportHost) {
    this.host = host;
  }

  /** Declarations of the main file. */
  collect(file: ParsedFile): void {
    this.seen.add(file.file);
    this.walk(file, [file.file], true);
  }

  private complain(main: boolean, item: ParsedItem, complaint: Complaint): void {
    if (main) this.complaints.push({ ...complaint, from: complaint.from + item.offset, to: complaint.to + item.offset });
  }

  private walk(file: ParsedFile, path: readonly string[], main: boolean): void {
    for (const parsed of file.items) {
      const { item } = parsed;
      if (item.kind === "import") this.import(file, parsed, path, main);
      else if (item.kind === "setup") this.setup(file, parsed, main);
      else if (item.kind === "statement") this.statement(file, parsed, main);
    }
  }

  private import(file: ParsedFile, parsed: ParsedItem, path: readonly string[], main: boolean): void {
    const item = parsed.item as Item & { kind: "import" };
    const at = { from: item.path.from, to: item.path.to };
    const literal = parseString(item.path.text);
    if ("error" in literal) return this.complain(main, parsed, { ...at, code: literal.code, message: literal.error });
    const name = new TextDecoder().decode(new Uint8Array(literal.value));
    const found = this.host.imports(name, file.file);
    if (found === undefined) return this.complain(main, parsed, { ...at, code: "MEMFD2022", message: `the file \`${name}\` cannot be read` });
    const cycle = path.includes(found.file);
    if (cycle && main) {
      return this.complain(true, parsed, {
        ...at,
        code: "MEMFD2023",
        message: found.file === file.file ? "a file cannot import itself" : `\`${name}\` imports this file again`,
      });
    }
    if (cycle) return this.lead(path, path.slice(path.indexOf(found.file)));
    if (this.seen.has(found.file)) {
      const known = this.leads.get(found.file);
      if (known !== undefined) this.lead(path, known);
      return this.complainOfCycle(main, parsed, at, name, found.file, file.file);
    }
    this.seen.add(found.file);
    this.text += found.text.length;
    if (path.length > MAX_DEPTH || this.seen.size > MAX_FILES || this.text > MAX_TEXT) {
      return this.complaints.length > 0 && !main
        ? undefined
        : this.complain(true, parsed, {
            ...at,
            code: "MEMFD6005",
            message: `imports go at most ${MAX_DEPTH} files deep, ${MAX_FILES} files and ${MAX_TEXT / 1_000_000} MB in all`,
          });
    }
    const next = this.host.parse(found.file, found.text);
    if (next === undefined) return this.complain(main, parsed, { ...at, code: "MEMFD2022", message: `the file \`${name}\` is no scenario text` });
    this.walk(next, [...path, found.file], false);
    this.complainOfCycle(main, parsed, at, name, found.file, file.file);
  }

  private lead(path: readonly string[], circle: readonly string[]): void {
    for (const file of path) if (!this.leads.has(file)) this.leads.set(file, circle);
  }

  private complainOfCycle(main: boolean, parsed: ParsedItem, at: Range, name: string, imported: string, own: string): void {
    const circle = this.leads.get(imported);
    if (circle === undefined) return;
    const names = [...circle, circle[0]].map((file) => `\`${fileName(file)}\``);
    const message = circle.includes(own) ? `\`${name}\` imports this file again` : `\`${name}\` leads into a circle of imports: ${names.join(" → ")}`;
    this.complain(main, parsed, { ...at, code: "MEMFD2023", message });
  }

  private source(kind: string, name: string, file: ParsedFile, parsed: ParsedItem): Source {
    return { key: `${kind} ${name}`, file: file.file, offset: parsed.offset, text: parsed.text };
  }

  private twice(main: boolean, parsed: ParsedItem, at: Range, what: string, name: string, first: Source): void {
    if (!main) return;
    this.complaints.push({
      code: "MEMFD2021",
      from: at.from + parsed.offset,
      to: at.to + parsed.offset,
      message: `the ${what} \`${name}\` is declared already`,
      related: { file: first.file, from: first.offset, to: first.offset + Math.min(first.text.length, 40), message: "declared here first" },
    });
  }

  private setup(file: ParsedFile, parsed: ParsedItem, main: boolean): void {
    const item = parsed.item as Item & { kind: "setup" };
    const name = item.name.text;
    if (name === "") return;
    const first = this.declarations.setups.get(name);
    if (first !== undefined) return this.twice(main, parsed, item.name, "setup", name, first);
    const body = item.body ?? { from: item.to, to: item.to, statements: [] };
    this.declarations.setups.set(name, {
      ...this.source("setup", name, file, parsed),
      name,
      header: item.header,
      body,
      broken: item.complaints.length > 0 || item.body === undefined,
    });
  }

  private statement(file: ParsedFile, parsed: ParsedItem, main: boolean): void {
    const item = parsed.item as Item & { kind: "statement" };
    const statement = item.statement;
    if (isConstant(item) && statement.kind === "simple") {
      const name = statement.head.name.text;
      const first = this.declarations.constants.get(name);
      if (first !== undefined) return this.twice(main, parsed, statement.head, "constant", name, first);
      this.declarations.constants.set(name, { ...this.source("constant", name, file, parsed), name, value: statement.parts[0].any[0].value });
    } else if (statement.kind === "kernel" && statement.base !== undefined && statement.prefixes.length === 0) {
      const name = statement.names[0]?.text ?? "";
      if (statement.names.length > 1) {
        return this.complain(main, parsed, {
          code: "MEMFD2017",
          from: statement.names[1].from,
          to: statement.names[1].to,
          message: `a variant has one name${didYouMean("", [])}`,
        });
      }
      const first = this.declarations.variants.get(name);
      if (first !== undefined) return this.twice(main, parsed, statement.names[0], "kernel variant", name, first);
      this.declarations.variants.set(name, { ...this.source("kernel", name, file, parsed), name, statement, broken: item.complaints.length > 0 });
    }
  }
}
