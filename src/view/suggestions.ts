// What was suggested, as text in 80 columns: for the command line, and for the clipboard of the editor.

import { counted } from "../check/extent.ts";
import { listed, type Refusal, type Suggestion, type Suggestions } from "../check/suggest/index.ts";
import { encodeSchedule } from "../explore/schedule.ts";
import { printCall } from "../scenario/print.ts";
import type { Program } from "../scenario/program.ts";
import { wrap } from "./columns.ts";

const WIDTH = 80;
const SCHEDULE_WIDTH = 60;

const triedText = ({ tried, ruledOut }: Suggestions): string =>
  `${tried} ${tried === 1 ? "change was" : "changes were"} run${ruledOut === 0 ? "" : `, ${ruledOut} ruled out by a schedule that was known`}`;

/** `program`: the unchanged one, whose calls the labels are for. */
export function suggestionsText(answer: Suggestions, program: Program, indent = "  "): string {
  const lines = answer.goals.length === 0 ? [] : wrapped(`What saves it from ${listed(answer.goals)}? (${triedText(answer)})`, indent);
  answer.suggestions.forEach((suggestion, at) => lines.push(...suggestionLines(suggestion, program, `${at + 1}. `, indent)));
  for (const note of answer.notes) lines.push(...wrapped(`Note: ${note}.`, `${indent}  `, indent));
  if (answer.refused.length > 0) lines.push(`${indent}Refused:`);
  for (const refusal of answer.refused) lines.push(...refusalLines(refusal, `${indent}  `));
  return `${lines.join("\n")}\n`;
}

function suggestionLines(suggestion: Suggestion, program: Program, head: string, indent: string): string[] {
  const margin = indent + " ".repeat(head.length);
  const { removes, remains, labels, text, meaning, states, notJudged } = suggestion;
  const lines = text.split("\n").flatMap((line, at) => wrapped(line, margin + "  ".repeat(1 + Number(/^ +/.test(line))), at === 0 ? indent + head : margin));
  for (const { call, label } of labels) lines.push(...wrapped(`with @${label} behind ${printCall(program, call)}`, `${margin}  `, margin));
  lines.push(...wrapped(`${meaning}.`, margin));
  const gone = remains.length === 0 ? "" : `; removes ${listed(removes)}, and leaves ${listed(remains)}`;
  const open = notJudged.length === 0 ? "" : `; ${notJudged.join(", ")} not judged`;
  lines.push(...wrapped(`Verified: ${counted(states, "state")}, every interleaving and every invariant${gone}${open}.`, margin));
  return lines;
}

function refusalLines({ title, reason, steps, schedule }: Refusal, indent: string): string[] {
  const margin = `${indent}  `;
  const lines = wrapped(title, margin, `${indent}- `);
  lines.push(...wrapped(`${reason}.`, margin));
  if (steps !== "") lines.push(...wrapped(steps, `${margin}  `, margin));
  const text = encodeSchedule(schedule);
  if (text !== "" && text.length <= SCHEDULE_WIDTH) lines.push(`${margin}schedule ${text}`);
  return lines;
}

/** The first line behind `first`, the others behind `margin`. */
function wrapped(text: string, margin: string, first = margin): string[] {
  const indent = /^ */.exec(text)?.[0] ?? "";
  return wrap(text.slice(indent.length), WIDTH - margin.length - indent.length).map((line, at) => (at === 0 ? first + indent : margin) + line);
}
