// Hover: what the call returned here, what the language says of the word, and the state of the machine after it, in the shortest story.

import type { Hover } from "vscode-languageserver";
import { encodeSchedule } from "../explore/schedule.ts";
import { describeAt } from "../language/hover.ts";
import type { MachineView, TraceView } from "../view/rows.ts";
import { rangeOf } from "./diagnostics.ts";
import type { Snapshot } from "./documents.ts";
import { escapeMarkdown } from "./hints.ts";
import { MarkupKind } from "./lsp.ts";
import { type Answer, type CallPlace, callPlaces } from "./results.ts";
import type { Texts } from "./texts.ts";
import type { Traces } from "./traces.ts";
import type { Outcomes } from "./verdicts.ts";

/** A hover waits no longer than this for a story. */
const STORY_MILLISECONDS = 400;
const MAX_ROWS = 12;
const MAX_ANSWERS = 8;

export async function hover(snapshot: Snapshot, outcomes: Outcomes, texts: Texts, traces: Traces, offset: number): Promise<Hover | undefined> {
  const described = describeAt(snapshot.analysis, offset);
  const place = callPlaces(snapshot, outcomes, offset, offset).find((candidate) => candidate.from <= offset && offset <= candidate.to);
  const parts: string[] = [];
  // Over an argument the word itself is the subject; the machine belongs to the name of the call.
  const onCall = place !== undefined && (described === undefined || described.span.from === place.from);
  // What came back here is what one points at it for; what the call may do in general is long.
  if (place !== undefined && onCall) parts.push(returned(place));
  if (described !== undefined) parts.push(described.markdown);
  if (place !== undefined && onCall) parts.push(await stateAfter(place, snapshot, traces));
  const text = parts.filter((part) => part !== "").join("\n\n---\n\n");
  if (text === "") return undefined;
  const span = described?.span ?? { file: snapshot.uri, from: place?.from ?? offset, to: place?.to ?? offset };
  return { contents: { kind: MarkupKind.Markdown, value: text }, range: rangeOf(span, texts) };
}

function returned(place: CallPlace): string {
  const lines = place.answers.slice(0, MAX_ANSWERS).map((answer) => {
    const { program } = answer.run;
    const results = answer.results.length === 0 ? "never reached" : answer.results.map((one) => `\`${one.text}\``).join(" or ");
    return `- ${results} · kernel ${program.profile.name} · *${escapeMarkdown(program.name)}*${answer.complete ? "" : " · not fully explored"}`;
  });
  const more = place.answers.length - lines.length;
  return `**Returned here**\n\n${lines.join("\n")}${more > 0 ? `\n- … and ${more} more` : ""}`;
}

async function stateAfter(place: CallPlace, snapshot: Snapshot, traces: Traces): Promise<string> {
  const shortest = shortestAnswer(place);
  if (shortest === undefined) return "";
  const { answer, schedule, text } = shortest;
  const view = await Promise.race([traces.trace(answer.run, answer.report, schedule), new Promise<undefined>((done) => setTimeout(done, STORY_MILLISECONDS))]);
  if (view === undefined || typeof view === "string") return "";
  const step = view.steps.findLast((candidate) => candidate.callId === answer.call && candidate.result !== undefined);
  const machine = (step ?? view.steps.at(-1))?.machine;
  if (machine === undefined) return "";
  const where = snapshot.runs.length > 1 ? `, kernel ${answer.run.program.profile.name}` : "";
  return `**Memory after it** (\`${text}\`${where}, the shortest story)\n\n${machineTable(machine, view)}`;
}

interface Shortest {
  readonly answer: Answer;
  readonly schedule: string;
  readonly text: string;
}

function shortestAnswer(place: CallPlace): Shortest | undefined {
  let best: Shortest | undefined;
  let length = Number.POSITIVE_INFINITY;
  for (const answer of place.answers) {
    for (const { text, outcome } of answer.results) {
      if (outcome.schedule.length === 0 || outcome.schedule.length >= length) continue;
      length = outcome.schedule.length;
      best = { answer, schedule: encodeSchedule(outcome.schedule), text };
    }
  }
  return best;
}

/** Only rows and columns that hold anything. */
export function machineTable(machine: MachineView, view: Pick<TraceView, "columns">): string {
  const rows = machine.pages.filter((row) => Object.values(row.cells).some((cell) => cell.text !== ""));
  const columns = view.columns.filter((column) => rows.some((row) => row.cells[column.id].text !== ""));
  const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ");
  const lines: string[] = [];
  if (rows.length > 0) {
    lines.push(`| page | ${columns.map((column) => cell(column.title)).join(" | ")} |`, `|---|${columns.map(() => "---|").join("")}`);
    for (const row of rows.slice(0, MAX_ROWS)) {
      lines.push(
        `| ${cell(`${row.space} ${row.label}`.trim())} | ${columns.map(({ id }) => cell(row.cells[id].text) + (row.cells[id].broken ? " ⚠" : "")).join(" | ")} |`,
      );
    }
    if (rows.length > MAX_ROWS) lines.push("", `… and ${rows.length - MAX_ROWS} more rows`);
  }
  const facts = [...tdFacts(machine), ...machine.facts].filter((fact) => fact.value !== "").slice(0, MAX_ROWS);
  if (facts.length > 0) lines.push("", facts.map((fact) => `${cell(fact.name)}: ${cell(fact.value)}`).join(" · "));
  return lines.length === 0 ? "No page is mapped or allocated." : lines.join("\n");
}

/** The words of a TD, where there is one: with several the panel has a column for each. */
function tdFacts(machine: MachineView): { name: string; value: string }[] {
  const table = machine.tables?.find(({ id }) => id === "td");
  const [, column, another] = table?.columns ?? [];
  if (table === undefined || column === undefined || another !== undefined) return [];
  return table.rows.map((row) => ({ name: `${column.title} ${row.label}`, value: row.cells[column.id].text }));
}
