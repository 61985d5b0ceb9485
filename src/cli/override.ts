// `--kernel P,…`: the scenarios of a file under other kernels than it names. The file-level and scenario-level choices are rewritten in the text, so
// that constants, `on` blocks and variants mean what they mean under these kernels; offsets are mapped back for the findings.

import { kernelChoices, type SyntaxTree } from "../language/kernel-choices.ts";

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

export function underKernels(text: string, tree: SyntaxTree | undefined, kernels: readonly string[]): Overridden {
  const list = kernels.join(", ");
  const chosen = tree ? kernelChoices(tree) : [];
  const edits: Edit[] = chosen.map(({ from, to }) => ({ from, to, text: list }));
  const start = text.startsWith("\ufeff") ? 1 : 0;
  if (!chosen.some((each) => each.scenario === undefined)) edits.unshift({ from: start, to: start, text: `kernel ${list}; ` });
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
