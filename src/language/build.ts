// Lezer tree → ast.ts, one top-level declaration at a time, with what the form of the text lacks (MEMFD1xxx).

import type { SyntaxNodeRef, TreeCursor } from "@lezer/common";
import type { Alternative, Argument, Block, Item, Label, MachineEntry, Node, Part, Point, Primary, Range, Stmt, VariantEntry, Word } from "./ast.ts";
import { Complaints } from "./complaints.ts";
import { joinTerms, type Piece } from "./precedence.ts";
import { skipBlank } from "./scan.ts";

/** A tree node without Lezer: its name, its range in the declaration, its children. */
interface Raw extends Range {
  readonly name: string;
  readonly children: readonly Raw[];
}

function readRaw(cursor: TreeCursor, base: number): Raw {
  const name = (cursor as SyntaxNodeRef).name;
  const from = cursor.from - base;
  const to = cursor.to - base;
  const children: Raw[] = [];
  if (cursor.firstChild()) {
    do {
      children.push(readRaw(cursor, base));
    } while (cursor.nextSibling());
    cursor.parent();
  }
  return { name, from, to, children };
}

const TOO_LONG = 2000;

class Builder {
  readonly text: string;
  readonly complaints: Complaints;

  constructor(text: string) {
    this.text = text;
    this.complaints = new Complaints(text);
  }

  word(raw: Raw | undefined, at: number): Word {
    if (raw === undefined || raw.name === "BadName") return { text: "", from: raw?.from ?? at, to: raw?.to ?? at };
    return { text: this.text.slice(raw.from, raw.to), from: raw.from, to: raw.to };
  }

  item(raw: Raw): Item {
    this.complaints.collect(raw);
    const complaints = this.complaints.found;
    const range = { from: raw.from, to: raw.to };
    const name = raw.children.find((c) => c.name === "String" || c.name === "Name" || c.name === "BadName");
    const block = this.blockIn(raw);
    const header = { from: raw.from, to: name?.to ?? raw.to };
    switch (raw.name) {
      case "Import":
        return { ...range, kind: "import", path: this.word(name, raw.to), complaints };
      case "Scenario":
        return { ...range, kind: "scenario", name: this.word(name, raw.to), header, body: block, complaints };
      case "Setup":
        return { ...range, kind: "setup", name: this.word(name, raw.to), header, body: block, complaints };
      default:
        return { ...range, kind: "statement", statement: this.statement(raw), complaints };
    }
  }

  /** The block of a statement, unless what stands before it is broken. */
  blockIn(raw: Raw): Block | undefined {
    const at = raw.children.findIndex((c) => c.name === "Block");
    if (at < 0 || raw.children[at - 1]?.name.startsWith("Bad")) return undefined;
    return this.block(raw.children[at]);
  }

  block(raw: Raw): Block {
    return { from: raw.from, to: raw.to, statements: raw.children.filter((c) => c.name === "Statement" && !isEmpty(c)).map((c) => this.statement(c)) };
  }

  statement(raw: Raw): Stmt {
    const prefixes = raw.children.filter((c) => c.name === "Prefix").map((c) => this.primary(c.children[0]));
    const core = raw.children.find((c) => c.name !== "Prefix" && !c.name.endsWith("Comment"));
    const range = { from: raw.from, to: raw.to };
    if (core === undefined || core.name === "BadCore") return { ...range, kind: "broken", prefixes, header: range };
    const block = core.children.find((c) => c.name === "Block" || c.name === "VariantBody" || c.name === "MachineBody");
    const header = { from: raw.from, to: block === undefined ? raw.to : this.trimmed(raw.from, block.from) };
    const end = block === undefined ? raw.to : block.from;
    const damaged = this.complaints.found.some((complaint) => complaint.from >= raw.from && complaint.from < Math.max(end, raw.from + 1));
    return { ...range, ...this.core(core), prefixes, header, ...(damaged ? { damaged } : {}) } as unknown as Stmt;
  }

  trimmed(from: number, to: number): number {
    let end = to;
    while (end > from && /\s/.test(this.text[end - 1])) end--;
    return end;
  }

  core(raw: Raw): object {
    const kids = raw.children;
    const words = kids.filter((c) => c.name === "Name" || c.name === "BadName").map((c) => this.word(c, raw.to));
    const word = words[0] ?? { text: "", from: raw.to, to: raw.to };
    const broken = { kind: "broken" };
    const body = this.blockIn(raw);
    switch (raw.name) {
      case "Simple":
        return this.simple(raw);
      case "ActorBlock":
        return { kind: "actor", actor: this.primary(kids[0]), body: this.block(kids[1]) };
      case "Kernel":
        return this.kernel(raw);
      case "On":
        return body === undefined ? broken : { kind: "on", names: this.kernelNames(kids), body };
      case "Parallel":
      case "Atomic":
        return body === undefined ? broken : { kind: raw.name.toLowerCase(), body };
      case "Repeat":
        return body === undefined ? broken : { kind: "repeat", count: this.expression(kids[0]), variable: word, body };
      case "Machine":
        return { kind: "machine", entries: this.settings(raw) };
      case "Process":
        return body === undefined ? broken : { kind: "process", name: word, body };
      case "Use":
        return { kind: "use", name: word };
      case "Order": {
        const points = kids.filter((c) => c.name === "Point" || c.name === "BadName").map((c) => this.point(c));
        return points.length < 2 ? broken : { kind: "order", before: points[0], after: points[1] };
      }
      case "Check":
      case "Ignore":
        return { kind: raw.name.toLowerCase(), names: words };
      case "Expect":
        return this.expectation(raw, word) ?? broken;
      case "Assert":
        return { kind: "assert", condition: this.expression(kids[0]) };
      case "Question":
        return { kind: kids[0].name.toLowerCase(), condition: this.expression(kids[1]) };
      default:
        return broken;
    }
  }

  expectation(raw: Raw, invariant: Word): object | undefined {
    if (raw.children[0]?.name === "Safe") return { kind: "expect", safe: true, invariant };
    if (raw.children[0]?.name !== "Violation") return undefined;
    const at = raw.children.find((c) => c.name === "Point");
    return { kind: "expect", safe: false, invariant, at: at === undefined ? undefined : this.point(at) };
  }

  simple(raw: Raw): object {
    const label = raw.children.find((c) => c.name === "LabelDefinition");
    const children = raw.children.filter((child) => !child.name.endsWith("Comment"));
    const parts = children.flatMap((part, i) => (part.name === "Part" ? [this.part(part, children[i - 1].to)] : []));
    return { kind: "simple", head: this.primary(raw.children[0]), parts, label: label === undefined ? undefined : this.label(label) };
  }

  /** The `=` is the first token behind what stands before it. */
  part(raw: Raw, behind: number): Part {
    const { at } = skipBlank({ peek: (i) => (i < this.text.length ? this.text.charCodeAt(i) : -1) }, behind);
    return { from: at, to: raw.to, any: raw.children.filter((c) => c.name === "Alternative").map((a) => this.alternative(a)) };
  }

  label(raw: Raw): Label {
    return { from: raw.from, to: raw.to, name: this.word(raw.children[0], raw.to), indexes: this.indexes(raw) };
  }

  indexes(raw: Raw): Node[] {
    return raw.children.filter((c) => c.name === "Index").map((c) => this.expression(c.children[0]));
  }

  alternative(raw: Raw): Alternative {
    const kernels = this.kernelNames(raw.children);
    const value = this.expression(raw.children[0]);
    return kernels.length > 0 ? { from: raw.from, to: raw.to, value, kernels } : { from: raw.from, to: raw.to, value };
  }

  kernelNames(children: readonly Raw[]): Word[] {
    return children.filter((c) => c.name === "KernelName" || c.name === "BadName").map((c) => this.word(c, c.to));
  }

  kernel(raw: Raw): object {
    const base = raw.children.find((c) => c.name === "KernelBase");
    const names = this.kernelNames(raw.children);
    if (base === undefined) return { kind: "kernel", names, entries: [] };
    const body = raw.children.find((c) => c.name === "VariantBody");
    const entries = (body?.children ?? []).filter((c) => c.name === "Entry").map((c) => this.entry(c));
    return { kind: "kernel", names, base: this.word(base.children[0], base.to), entries };
  }

  settings(raw: Raw): MachineEntry[] {
    const body = raw.children.find((c) => c.name === "MachineBody");
    return (body?.children ?? [])
      .filter((c) => c.name === "MachineEntry")
      .map((c) => {
        const value = c.children.find((child) => child.name === "Expression");
        const range = { from: c.from, to: c.to, name: this.word(c.children[0], c.from) };
        return value === undefined ? range : { ...range, value: this.expression(value) };
      });
  }

  entry(raw: Raw): VariantEntry {
    const without = raw.children.find((c) => c.name === "Without");
    const values = raw.children.filter((c) => c.name === "EntryValue" || c.name === "BadName").map((c) => this.word(c, c.to));
    const name = this.word(raw.children[0], raw.from);
    if (without !== undefined) return { from: raw.from, to: raw.to, name, values: [this.word(without.children[0], without.to)], without: true };
    return { from: raw.from, to: raw.to, name, values, without: false };
  }

  point(raw: Raw): Point {
    const name = this.word(raw.name === "Point" ? raw.children[0] : raw, raw.to);
    const dot = name.text.indexOf(".");
    const field = raw.children.find((c) => c.name === "Field");
    const step = field !== undefined ? this.text.slice(field.from + 1, field.to) : dot >= 0 ? name.text.slice(dot + 1) : undefined;
    return { from: raw.from, to: raw.to, label: dot >= 0 ? name.text.slice(0, dot) : name.text, indexes: this.indexes(raw), step };
  }

  primary(raw: Raw): Primary {
    const args = raw.children.find((c) => c.name === "Arguments");
    const field = raw.children.find((c) => c.name === "Field");
    const to = raw.to;
    return {
      kind: "primary",
      from: raw.from,
      to,
      name: this.word(raw.children[0], to),
      indexes: this.indexes(raw),
      args: args?.children.filter((c) => c.name === "Argument").map((c) => this.argument(c)),
      field: field === undefined ? undefined : this.text.slice(field.from + 1, field.to),
    };
  }

  argument(raw: Raw): Argument {
    const values = raw.children.filter((c) => c.name === "Expression").map((c) => this.expression(c));
    const range = { from: raw.from, to: raw.to };
    if (values.length < 2) return { ...range, value: values[0] ?? { ...range, kind: "missing" } };
    const name = values[0];
    if (name.kind === "primary" && name.args === undefined && name.indexes.length === 0) return { ...range, name: name.name, value: values[1] };
    this.complaints.add({ code: "MEMFD1002", from: name.from, to: name.to, message: "the name of a parameter stands before `=`" });
    return { ...range, value: values[1] };
  }

  expression(raw: Raw | undefined): Node {
    if (raw === undefined) return { kind: "missing", from: 0, to: 0 };
    if (raw.children.length > TOO_LONG) {
      this.complaints.add({ code: "MEMFD6002", from: raw.from, to: raw.to, message: `an expression may have at most ${TOO_LONG} parts` });
      return { kind: "missing", from: raw.from, to: raw.to };
    }
    const pieces: Piece[] = [];
    for (const child of raw.children) {
      if (child.name.endsWith("Comment")) continue;
      const symbol = child.name === "BinaryOperator" || child.name === "UnaryOperator" || child.name === "Minus";
      if (symbol) pieces.push({ symbol: this.text.slice(child.from, child.to), from: child.from, to: child.to });
      else if (child.name === "ErrnoName" || child.name === "DataText") this.suffix(pieces, child);
      else pieces.push({ node: this.operand(child) });
    }
    return joinTerms(pieces) ?? { kind: "missing", from: raw.from, to: raw.to };
  }

  /** `EINVAL` and `"abcd"` behind a value. */
  suffix(pieces: Piece[], raw: Raw): void {
    const last = pieces.pop();
    if (last?.node === undefined) return;
    const of = last.node;
    const range = { from: of.from, to: raw.to };
    if (raw.name === "ErrnoName") pieces.push({ node: { ...range, kind: "errno", of, name: this.word(raw, raw.to) } });
    else pieces.push({ node: { ...range, kind: "answer", of, data: { kind: "string", from: raw.from, to: raw.to, text: this.text.slice(raw.from, raw.to) } } });
  }

  operand(raw: Raw): Node {
    const range = { from: raw.from, to: raw.to };
    const text = this.text.slice(raw.from, raw.to);
    switch (raw.name) {
      case "Number":
        return { ...range, kind: "number", text };
      case "String":
        return { ...range, kind: "string", text };
      case "Exception":
        return { ...range, kind: "exception", text };
      case "Unknown":
        return { ...range, kind: "unknown" };
      case "Primary":
        return this.primary(raw);
      case "Paren":
        return { ...this.expression(raw.children.find((c) => c.name === "Expression")), ...range };
      case "Exit":
        return this.exit(raw);
      default:
        return { ...range, kind: "missing" };
    }
  }

  exit(raw: Raw): Node {
    const name = raw.children.find((c) => c.name === "ExitName");
    const list = raw.children.find((c) => c.name === "ExitFields");
    const fields = (list?.children ?? [])
      .filter((c) => c.name === "ExitField" && c.children[0]?.name === "Name")
      .map((c) => ({
        name: this.word(c.children[0], c.to),
        value: this.expression(c.children.find((k) => k.name === "Expression")),
      }));
    return { kind: "exit", from: raw.from, to: raw.to, name: name === undefined ? undefined : this.word(name, name.to), fields };
  }
}

const isEmpty = (raw: Raw): boolean => raw.children.length === 1 && raw.children[0].name === "Empty";

/** The declaration at the cursor; `base` is its place in the file, `text` its own text. */
export function buildItem(cursor: TreeCursor, base: number, text: string): Item {
  return new Builder(text).item(readRaw(cursor, base));
}
