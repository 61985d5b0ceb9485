// Sentences for what does not parse: one per broken place, on the text that causes it.

import type { Complaint, Range } from "./ast.ts";
import { didYouMean } from "./near.ts";
import { parseString } from "./numbers.ts";
import { skipBlank } from "./scan.ts";
import { KEYWORDS } from "./tokens.ts";

interface Tree extends Range {
  readonly name: string;
  readonly children: readonly Tree[];
}

const OPERAND: Record<string, string> = {
  import: "the path of a file in quotes",
  scenario: "its name in quotes",
  setup: "its name",
  kernel: "the name of a kernel",
  on: "the name of a kernel",
  parallel: "`{`",
  atomic: "`{`",
  machine: "`{`",
  process: "its name",
  repeat: "a count",
  use: "the name of a setup",
  order: "a label",
  check: "an invariant",
  ignore: "an invariant",
  expect: "`violation INVARIANT` or `safe`",
  assert: "a condition",
  exists: "a condition",
  never: "a condition",
  forall: "a condition",
};

/** What a statement still needs where it ends too early, by the name of its node. */
const REST: Record<string, string> = {
  Scenario: "`{` and the statements of the scenario",
  Setup: "`{` and the statements of the setup",
  Kernel: "`{` and the changes of the variant",
  Order: "`before` and a label",
  Repeat: "`as NAME {`",
  Expect: "`violation INVARIANT` or `safe`",
  On: "`{`",
  Parallel: "`{`",
  Atomic: "`{`",
  Process: "`{`",
  Machine: "`{`",
  Entry: "`=` and the steps, or `without` and a step",
  MachineEntry: "`=` and a value",
};

export class Complaints {
  readonly found: Complaint[] = [];
  readonly text: string;
  private last = -1;

  constructor(text: string) {
    this.text = text;
  }

  add(complaint: Complaint): void {
    this.found.push(complaint);
  }

  collect(raw: Tree): void {
    raw.children.forEach((child, i) => {
      if (child.name.startsWith("Bad")) this.bad(child, raw, i);
      else if (child.name === "LonelyKeyword") {
        const word = this.text.slice(child.from, child.to);
        this.add({ code: "MEMFD1005", from: child.from, to: child.to, message: `\`${word}\` needs ${OPERAND[word] ?? "something"} on the same line` });
      } else if (child.name === "ExitAlone") {
        this.add({ code: "MEMFD1005", from: child.from, to: child.to, message: "`exit` needs the name of the exit on the same line" });
      } else if (child.name === "BlockComment" && !this.text.slice(child.from, child.to).endsWith("*/")) {
        this.add({ code: "MEMFD1010", from: child.from, to: child.from + 2, message: "the comment is not closed" });
      } else if (child.name === "String" || child.name === "DataText") this.string(child);
      else this.collect(child);
    });
    if (raw.name === "Simple" || raw.name === "Parallel" || raw.name === "Atomic") this.form(raw);
  }

  private string(raw: Tree): void {
    const literal = parseString(this.text.slice(raw.from, raw.to));
    if ("value" in literal || literal.code !== "MEMFD1008") return;
    this.add({ code: literal.code, from: raw.from, to: raw.to, message: literal.error });
    // The parenthesis that the string swallowed is no second mistake.
    this.last = raw.to;
  }

  /** What parses, and yet says nothing. */
  private form(raw: Tree): void {
    if (raw.name !== "Simple") {
      const block = raw.children[0];
      if (block?.name !== "Block" || !/[\r\n]/.test(this.text.slice(raw.from, block.from))) return;
      this.add({ code: "MEMFD1005", from: raw.from, to: raw.from + raw.name.length, message: `\`{\` stands on the line of \`${raw.name.toLowerCase()}\`` });
      return;
    }
    const head = raw.children[0];
    if (head.children.some((c) => c.name === "Arguments") || raw.children.some((c) => c.name === "Part" || c.name.startsWith("Bad"))) return;
    const word = this.text.slice(head.from, head.to);
    this.add({
      code: "MEMFD1002",
      from: head.from,
      to: head.to,
      message: `\`${word}\` alone is no statement; expected \`(\`, \`=\`, \`:\` or \`{\` behind it`,
    });
  }

  private next(at: number): Range {
    const from = skipBlank({ peek: (i) => (i < this.text.length ? this.text.charCodeAt(i) : -1) }, at);
    if (from.crossed || from.at >= this.text.length) return { from: at, to: at };
    const match = /^(?:[A-Za-z0-9_.-]+|"[^"\n]*"?|[\s\S])/.exec(this.text.slice(from.at, from.at + 60));
    return { from: from.at, to: from.at + (match?.[0].length ?? 0) };
  }

  private bad(node: Tree, parent: Tree, index: number): void {
    if (node.name === "BadBrace") {
      const open = parent.children.find((c) => c.name === "Open") ?? parent;
      this.add({ code: "MEMFD1003", from: open.from, to: open.from + 1, message: "this block is not closed" });
      return;
    }
    const next = this.next(node.from);
    // What follows the first complaint at one place is its consequence.
    if (next.from === this.last || node.from === this.last) return;
    this.last = next.from;
    const found = this.text.slice(next.from, next.to);
    const here = next.to > next.from ? next : this.before(node.from);
    this.add({ ...here, ...this.describe(node, parent, index, found) });
  }

  /** The word before an end that came too early. */
  private before(at: number): Range {
    let from = at;
    while (from > 0 && /[\w.-]/.test(this.text[from - 1])) from--;
    return { from: from === at ? Math.max(0, at - 1) : from, to: at };
  }

  private describe(
    node: Tree,
    parent: Tree,
    index: number,
    found: string,
  ): { code: string; message: string; replacement?: Complaint["replacement"]; from?: number; to?: number } {
    const instead = found === "" ? "" : ` instead of \`${found}\``;
    switch (node.name) {
      case "BadClose":
        if (found === "") {
          const bracket = parent.name === "Index" ? "bracket" : parent.name === "ExitFields" ? "brace" : "parenthesis";
          const open = parent.from;
          return { code: "MEMFD1011", message: `this ${bracket} is not closed`, from: open, to: open + 1 };
        }
        return {
          code: "MEMFD1002",
          message: `expected \`,\`, an operator or \`${parent.name === "Index" ? "]" : parent.name === "ExitFields" ? "}" : ")"}\`${instead}`,
        };
      case "BadOperand":
      case "BadField":
        return { code: "MEMFD1002", message: `expected ${node.name === "BadField" ? "`name=value`" : "a value"}${instead}` };
      case "BadName":
        return { code: "MEMFD1002", message: `expected a name${instead}` };
      case "BadCore":
        return { code: "MEMFD1002", message: `expected a statement behind the actor${instead}` };
      case "BadStatement":
      case "BadBlockStatement":
        if (found === "}") return { code: "MEMFD1004", message: "no block is open here" };
        if (found.startsWith('"')) return { code: "MEMFD1002", message: "a statement does not begin with a string" };
        return { code: "MEMFD1002", message: `no statement begins with \`${found}\`` };
      default:
        return this.endOf(parent, index, found);
    }
  }

  /** A statement that should have ended, or that ended too early. */
  private endOf(parent: Tree, index: number, found: string): { code: string; message: string; replacement?: Complaint["replacement"] } {
    if (found === "=" && (parent.name === "Assert" || parent.name === "Question")) {
      return { code: "MEMFD2028", message: "did you mean `==`? `=` compares nothing in a condition", replacement: { title: "Write ==", text: "==" } };
    }
    const rest = REST[parent.name];
    const before = parent.children[index - 1];
    const complete = (parent.name === "Kernel" && !parent.children.some((c) => c.name === "KernelBase")) || (parent.name === "Expect" && before !== undefined);
    if (rest !== undefined && !complete) return { code: "MEMFD1002", message: `expected ${rest}${found === "" ? "" : ` instead of \`${found}\``}` };
    if (parent.name === "Simple" && parent.children[0]?.children.length === 1 && index === 1) {
      const word = this.text.slice(parent.children[0].from, parent.children[0].to);
      if (word === "scenario") return { code: "MEMFD1002", message: 'the name of a scenario stands in quotes: scenario "…" {' };
      const near = didYouMean(word, KEYWORDS);
      return { code: "MEMFD1002", message: `expected \`(\`, \`=\`, \`:\` or \`{\` behind \`${word}\`${near}` };
    }
    const message = `unexpected \`${found}\`: the statement is complete before it`;
    if (!/^[A-Za-z_]/.test(found)) return { code: "MEMFD1002", message };
    return {
      code: "MEMFD1002",
      message: `${message}; between two on one line stands \`;\``,
      replacement: { title: "Begin another statement", text: `; ${found}` },
    };
  }
}
