// Inlay hints: behind each call what it returns, as the set over all interleavings (and kernels, and scenarios that use the line).

import type { InlayHint, Range } from "vscode-languageserver";
import type { Snapshot } from "./documents.ts";
import { InlayHintKind } from "./lsp.ts";
import { type Answer, type CallPlace, callPlaces, kernelsOf, resultSet } from "./results.ts";
import type { Outcomes } from "./verdicts.ts";

const MAX_SHOWN = 4;
const MAX_LENGTH = 60;

export function inlayHints(snapshot: Snapshot, outcomes: Outcomes, range: Range): InlayHint[] {
  const { document } = snapshot;
  const places = callPlaces(snapshot, outcomes, document.offsetAt(range.start), document.offsetAt(range.end));
  return places.map((place) => hint(place, snapshot)).filter((found) => found !== undefined);
}

function hint(place: CallPlace, snapshot: Snapshot): InlayHint | undefined {
  const set = resultSet(place.answers);
  if (set.size === 0 && !place.answers.every((answer) => answer.complete)) return undefined;
  const texts = [...set.keys()];
  const position = (offset: number) => snapshot.document.positionAt(offset);
  const tooltip = { kind: "markdown" as const, value: tooltipOf(place) };
  // What is written already is not repeated: a check mark says that it is so, in every interleaving and under every kernel that runs the line.
  if (place.expected !== undefined && place.answers.every((answer) => saysExactly(answer, place.expected ?? []))) {
    return { position: position(place.end), label: "✓", paddingLeft: true, tooltip };
  }
  return { position: position(place.to), label: label(texts, set, kernelsOf(place.answers)), kind: InlayHintKind.Type, paddingLeft: true, tooltip };
}

function saysExactly(answer: Answer, expected: readonly string[]): boolean {
  const results = new Set(answer.results.map((one) => one.text));
  return answer.complete && results.size > 0 && results.size === new Set(expected).size && expected.every((text) => results.has(text));
}

/** ` = 0 | -EAGAIN`; where kernels differ ` = 0 (v8) | -EINVAL (v4)`; cut after a few. */
export function label(texts: readonly string[], set: ReadonlyMap<string, ReadonlySet<string>>, kernels: readonly string[]): string {
  if (texts.length === 0) return "never reached";
  const named = texts.map((text) => {
    const saying = set.get(text) ?? new Set();
    return saying.size < kernels.length ? `${text} (${[...saying].join(", ")})` : text;
  });
  let shown = "";
  let count = 0;
  for (const text of named) {
    const longer = count === 0 ? text : `${shown} | ${text}`;
    if (count > 0 && (count === MAX_SHOWN || longer.length > MAX_LENGTH)) break;
    shown = longer;
    count += 1;
  }
  if (shown.length > MAX_LENGTH) shown = `${shown.slice(0, MAX_LENGTH - 1)}…`;
  return `= ${shown}${count < named.length ? ` | … ${named.length - count} more` : ""}`;
}

function tooltipOf(place: CallPlace): string {
  const lines = place.answers.slice(0, 20).map((answer) => {
    const { program } = answer.run;
    const results = answer.results.length === 0 ? "never reached" : answer.results.map((one) => `\`${one.text}\``).join(", ");
    const rest = answer.complete ? "" : " – not all interleavings were explored";
    return `- ${results} in *${escapeMarkdown(program.name)}*, kernel ${program.profile.name}${rest}`;
  });
  if (place.answers.length > lines.length) lines.push(`- … and ${place.answers.length - lines.length} more runs of this line`);
  return `Returned over all interleavings:\n\n${lines.join("\n")}`;
}

export function escapeMarkdown(text: string): string {
  return text.replaceAll(/[\\`*_{}[\]()#+\-.!|<>~]/g, "\\$&").replaceAll("\n", " ");
}
