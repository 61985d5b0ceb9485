// `--kernel P,…`: the scenarios of a file under other kernels than it names. The file-level and scenario-level choices are rewritten in the text, so
// that constants, `on` blocks and variants mean what they mean under these kernels; offsets are mapped back for the findings.

import type { SyntaxNode, SyntaxTree } from "./environment.ts";

interface Edit {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

export interface Overridden {
  readonly text: string;
  /** From an offset in the new text to the old. */
  readonly back: (offset: number) => number;
}

function* children(node: SyntaxNode): Generator<SyntaxNode> {
  for (let child = node.firstChild; child; child = child.nextSibling) yield child;
}

/** The names of a `kernel v8, v10` statement; undefined for `kernel x extends y { … }`. */
function selection(node: SyntaxNode): { from: number; to: number } | undefined {
  const parts = [...children(node)];
  if (parts.some((part) => part.name === "KernelBase" || part.name === "VariantBody")) return undefined;
  const names = parts.filter((part) => part.name === "KernelName");
  return names.length === 0 ? undefined : { from: names[0].from, to: names[names.length - 1].to };
}

/** Kernel choices in the tree, without recursion: a tree may be as deep as its text is long. */
function selections(tree: SyntaxTree): { from: number; to: number; top: boolean }[] {
  const found: { from: number; to: number; top: boolean }[] = [];
  const pending: { node: SyntaxNode; scenario: boolean }[] = [{ node: tree.topNode, scenario: false }];
  while (pending.length > 0) {
    const { node, scenario } = pending.pop()!;
    if (node.name === "Kernel") {
      const names = selection(node);
      if (names) found.push({ ...names, top: !scenario });
      continue;
    }
    if (node.name === "Setup") continue;
    for (const child of children(node)) pending.push({ node: child, scenario: scenario || node.name === "Scenario" });
  }
  return found.sort((a, b) => a.from - b.from);
}

export function underKernels(text: string, tree: SyntaxTree | undefined, kernels: readonly string[]): Overridden {
  const list = kernels.join(", ");
  const chosen = tree ? selections(tree) : [];
  const edits: Edit[] = chosen.map(({ from, to }) => ({ from, to, text: list }));
  const start = text.startsWith("\ufeff") ? 1 : 0;
  if (!chosen.some((each) => each.top)) edits.unshift({ from: start, to: start, text: `kernel ${list}; ` });
  return apply(text, edits);
}

function apply(text: string, edits: readonly Edit[]): Overridden {
  let result = "";
  let at = 0;
  const spans: { from: number; to: number; old: Edit }[] = [];
  for (const edit of edits) {
    result += text.slice(at, edit.from);
    spans.push({ from: result.length, to: result.length + edit.text.length, old: edit });
    result += edit.text;
    at = edit.to;
  }
  result += text.slice(at);
  const back = (offset: number): number => {
    let shift = 0;
    for (const span of spans) {
      if (offset < span.from) break;
      if (offset < span.to) return Math.min(span.old.from + (offset - span.from), span.old.to);
      shift = span.old.to - span.to;
    }
    return offset + shift;
  };
  return { text: result, back };
}
