// Inlay hints: behind each call what it returns, as the set over all interleavings (and kernels, and scenarios that use the line).

import type { InlayHint, Range } from "vscode-languageserver";
import { returnedNothing } from "../scenario/print.ts";
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

/**
 * Where nothing is written, what the call returns. What is written is not repeated: a check mark says that it is so, in every interleaving and under every
 * kernel that runs the line. Where it says less than what comes back, or something else, that stands behind it; where it says more, what never comes back. A
 * run that is not over has a ring in place of the mark.
 */
function hint(place: CallPlace, snapshot: Snapshot): InlayHint | undefined {
  const set = resultSet(place.answers);
  const complete = place.answers.every((answer) => answer.complete);
  if (set.size === 0 && !complete) return undefined;
  const written = place.answers.map((answer) => answer.written);
  const tooltip = { kind: "markdown" as const, value: tooltipOf(place) };
  const at = { position: snapshot.document.positionAt(place.end), paddingLeft: true, tooltip };
  if (written.every((one) => one?.kind === "said")) {
    if (!complete) return { ...at, label: "◌" };
    // Unseen by all: what one kernel never answers another may.
    const [first, ...others] = written.map((one) => (one?.kind === "said" ? one.unseen : []));
    const unseen = first.filter((text) => others.every((other) => other.includes(text)));
    return { ...at, label: unseen.length === 0 ? "✓" : `✓ never ${cut(unseen)}` };
  }
  if (place.answers.every(saysNothing)) return undefined;
  const returned = label([...set.keys()], set, kernelsOf(place.answers));
  const broken = written.some((one) => one?.kind === "broken");
  if (broken || (set.size > 0 && written.every((one) => one?.kind === "said" || one?.kind === "vague")))
    return { ...at, label: `${broken ? "✗" : complete ? "✓" : "◌"} ${returned}` };
  return { ...at, label: set.size === 0 ? returned : `= ${returned}`, kind: InlayHintKind.Type };
}

/** A call that returns nothing, and did: there is nothing to say of it where nothing is written. */
function saysNothing({ run, call, results, written }: Answer): boolean {
  return written === undefined && results.length > 0 && results.every(({ outcome }) => returnedNothing(run.program.calls[call], outcome.result));
}

/** `0 | -EAGAIN`; where kernels differ `0 (v8) | -EINVAL (v4)`, as long as there is room for their names; cut after a few. */
function label(texts: readonly string[], set: ReadonlyMap<string, ReadonlySet<string>>, kernels: readonly string[]): string {
  if (texts.length === 0) return "never reached";
  const named = texts.map((text) => {
    const saying = set.get(text) ?? new Set();
    return saying.size < kernels.length ? `${text} (${[...saying].join(", ")})` : text;
  });
  return cut(named.join(" | ").length > MAX_LENGTH ? texts : named);
}

function cut(parts: readonly string[]): string {
  let shown = "";
  let count = 0;
  for (const part of parts) {
    const longer = count === 0 ? part : `${shown} | ${part}`;
    if (count > 0 && (count === MAX_SHOWN || longer.length > MAX_LENGTH)) break;
    shown = longer;
    count += 1;
  }
  if (shown.length > MAX_LENGTH) shown = `${shown.slice(0, MAX_LENGTH - 1)}…`;
  return `${shown}${count < parts.length ? ` | … ${parts.length - count} more` : ""}`;
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
