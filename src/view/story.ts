// The story of a run as one would argue in a review: which rule breaks where, what led there, the race itself, why it breaks, and what the claim rests on. At
// most 40 lines of 80 columns: it is told with less until it fits.

import { decodeSchedule } from "../explore/schedule.ts";
import { profile } from "../scenario/catalogue/index.ts";
import { wrap } from "./columns.ts";
import type { TraceView, TraceViolation } from "./rows.ts";
import { type Detail, lanes, list, MAX_LANES, ranksOf, type Telling } from "./story-race.ts";
import { whyOf } from "./story-why.ts";
import { actorName, counted, indent, placeOf, range, runsOfCalls, stepRef } from "./story-words.ts";

export const STORY_WIDTH = 80;
export const STORY_LINES = 40;

interface Level extends Telling {
  /** The rule in full, not only its name. */
  readonly rule: boolean;
  /** Lines for the calls that led to it. */
  readonly before: number;
  readonly why: number;
  /** Blank lines between all parts. */
  readonly airy: boolean;
  readonly others: number;
  /** The sentence about the objects around the subject. */
  readonly objects: boolean;
}

const LEVELS: readonly Level[] = [
  { names: true, mentions: "words", clauses: true, folds: true, rule: true, before: 6, why: 10, airy: true, others: 2, objects: true },
  { names: true, mentions: "words", clauses: true, folds: true, rule: true, before: 4, why: 8, airy: true, others: 1, objects: true },
  { names: true, mentions: "words", clauses: false, folds: true, rule: true, before: 4, why: 8, airy: true, others: 0, objects: true },
  { names: true, mentions: "words", clauses: false, folds: true, rule: false, before: 3, why: 8, airy: true, others: 0, objects: true },
  { names: false, mentions: "words", clauses: false, folds: true, rule: false, before: 3, why: 8, airy: true, others: 0, objects: true },
  { names: false, mentions: "words", clauses: false, folds: true, rule: false, before: 2, why: 8, airy: false, others: 0, objects: true },
  { names: false, mentions: "words", clauses: false, folds: true, rule: false, before: 1, why: 6, airy: false, others: 0, objects: false },
  { names: false, mentions: "words", clauses: false, folds: false, rule: false, before: 1, why: 6, airy: false, others: 0, objects: false },
  { names: false, mentions: "name", clauses: false, folds: false, rule: false, before: 1, why: 6, airy: false, others: 0, objects: false },
  { names: false, mentions: "none", clauses: false, folds: false, rule: false, before: 1, why: 6, airy: false, others: 0, objects: false },
];

/** `memfd trace` and `Memfd: Copy Story`: the same text. */
export function storyText(view: TraceView): string {
  const told = view.violations.find((violation) => !violation.expected) ?? view.violations[0];
  const ranks = ranksOf(view, told);
  let parts: readonly (readonly string[])[] = [];
  let level = LEVELS[0];
  for (level of LEVELS) {
    parts = partsOf(view, told, ranks, level);
    if (height(parts, level) <= STORY_LINES) break;
  }
  return `${joined(fitted(parts, level), level)
    .map((line) => line.trimEnd())
    .join("\n")}\n`;
}

/** head · rule · before · race · why · ending; only the race is cut where all else fails. */
function partsOf(view: TraceView, told: TraceViolation | undefined, ranks: readonly number[], level: Level): string[][] {
  const start = startOf(view, told);
  const why = told ? whyOf(view, told, start) : { sentences: [], causes: [] };
  return [
    head(view),
    [...(told ? ruleLines(view, told, level) : []), ...shownLines(view)],
    before(view, told, start, why.causes, level),
    race(view, told, start, ranks, level),
    whyLines(why.sentences, level),
    ending(view, level),
  ];
}

const RACE = 3;

/** No blank line before these where lines are short: the rule below the title, and what came before. */
const isTight = (part: number): boolean => part === 1 || part === 2;

function joined(parts: readonly (readonly string[])[], level: Level): string[] {
  return parts.flatMap((part, index) => (part.length === 0 ? [] : index === 0 || (!level.airy && isTight(index)) ? part : ["", ...part]));
}

const height = (parts: readonly (readonly string[])[], level: Level): number => joined(parts, level).length;

/** A line that belongs to the step above it. */
const goesOn = (line: string): boolean => !/^ {0,5}\d|!!/.test(line);

/** The race without its middle, and every other part within bounds, so that no text whatever makes a story longer than it may be. */
function fitted(parts: readonly (readonly string[])[], level: Level): readonly (readonly string[])[] {
  const over = height(parts, level) - STORY_LINES;
  if (over <= 0) return parts;
  const lines = parts[RACE];
  const room = Math.max(6, lines.length - over - 1);
  if (lines.length <= room + 1) return parts;
  let top = Math.ceil(room / 2);
  let from = lines.length - (room - top);
  // What is told of one step stays together: the rest of one whose end, or beginning, is left out goes too.
  while (top > 1 && goesOn(lines[top])) top -= 1;
  while (from < lines.length - 1 && goesOn(lines[from])) from += 1;
  const cut = [...lines.slice(0, top), `  ... ${from - top} lines, in memfd trace --full`, ...lines.slice(from)];
  return parts.map((part, index) => (index === RACE ? cut : part));
}

const clipped = (lines: readonly string[], most: number, width = STORY_WIDTH): string[] =>
  lines.length <= most ? [...lines] : [...lines.slice(0, most - 1), `${lines[most - 1].slice(0, width - 4)} ...`];

function head(view: TraceView): string[] {
  const { variant } = view;
  const base = variant?.base ?? view.kernel;
  const changes = variant === undefined ? "" : variant.changes.length === 0 ? `, which is ${base}` : ` = ${base} with ${variant.changes.join("; ")}`;
  const title = profile(base)?.title;
  const name = variant === undefined ? `Kernel ${view.kernel}${title ? `: ${title}` : ""}` : `Kernel ${view.kernel}${changes}`;
  return [...clipped(wrap(`"${view.scenario}"`, STORY_WIDTH, " "), 3), ...clipped(wrap(name, STORY_WIDTH, "  "), 4)];
}

function ruleLines(view: TraceView, told: TraceViolation, level: Level): string[] {
  const isGraph = told.invariant === "no-deadlock" || told.round !== undefined;
  const where = `${told.invariant} breaks${isGraph ? "" : ` in ${stepRef(view, told.step)}`}${told.expected ? ", as the scenario expects" : ""}: ${told.message}.`;
  const others = view.violations.filter((each) => each !== told);
  const again = others.filter((each) => each.invariant === told.invariant).map((each) => each.step);
  const also = others
    .filter((each) => each.invariant !== told.invariant)
    .slice(0, 2)
    .map((each) =>
      level.rule ? `${each.invariant} breaks too, in ${stepRef(view, each.step)}: ${each.message}.` : `${each.invariant} breaks too, in step ${each.step}.`,
    );
  if (again.length > 0)
    also.push(`It breaks again in ${again.length === 1 ? "step" : "steps"} ${again.slice(0, 8).join(", ")}${again.length > 8 ? " and later" : ""}.`);
  return [
    ...clipped(wrap(where, STORY_WIDTH), 4),
    ...also.flatMap((line) => clipped(wrap(line, STORY_WIDTH), 3)),
    ...(level.rule ? clipped(wrap(`The rule: ${told.statement}`, STORY_WIDTH, "  "), 3) : []),
  ];
}

function shownLines(view: TraceView): string[] {
  if (view.shown !== undefined) return clipped(wrap(view.shown, STORY_WIDTH), 4);
  if (view.steps.length <= 1) return clipped(wrap(`Nothing runs: ${view.steps[0]?.effect ?? "there is no step"}.`, STORY_WIDTH), 3);
  return [];
}

/** The first step of the race in which the rule breaks, or of the call that breaks it; without a rule, of the first race. */
function startOf(view: TraceView, told: TraceViolation | undefined): number {
  const { steps } = view;
  if (told === undefined) {
    const race = steps.findIndex((step) => step.parallel);
    return race < 0 ? 1 : race;
  }
  let start = told.step;
  const isSame = (at: number): boolean =>
    steps[told.step].parallel ? steps[at].parallel : !steps[at].parallel && steps[at].callId === steps[told.step].callId && steps[at].actor >= 0;
  while (start > 1 && isSame(start - 1)) start -= 1;
  return Math.max(1, Math.min(start, told.round === undefined ? start : told.step - told.round + 1));
}

function before(view: TraceView, told: TraceViolation | undefined, start: number, causes: readonly number[], level: Level): string[] {
  if (start <= 1) return [];
  const runs = runsOfCalls(view, 1, start);
  const matter = told ? runs.filter((run) => causes.some((step) => run.includes(step))) : runs;
  const shown = matter.slice(-level.before);
  const objects = level.objects ? (told?.story?.objects ?? "") : "";
  const intro = `Before, ${counted(runs.length, "call")} (step${start === 2 ? "" : "s"} ${range(1, start - 1)})${objects === "" ? "" : `: ${objects}`}${shown.length === 0 ? "." : "; of these"}`;
  const text =
    told === undefined
      ? `Before, ${counted(runs.length, "call")}${shown.length < runs.length ? ", these last" : ""}:`
      : shown.length === 0
        ? intro
        : `${intro}:`;
  const numbers = Math.max(0, ...shown.map((run) => range(run[0], run[run.length - 1]).length)) + 2;
  const names = Math.max(0, ...shown.map((run) => actorName(view, view.steps[run[0]].actor).length));
  const calls = shown.map((run) => {
    const step = view.steps[run[0]];
    const result = view.steps[run[run.length - 1]].result;
    const call = `${range(run[0], run[run.length - 1]).padStart(numbers)}  ${actorName(view, step.actor).padEnd(names)}  ${plain(step.call)}`;
    return oneLine(call, `${result ? ` = ${plain(result)}` : ""} (${placeOf(view, step)})`);
  });
  return [...clipped(wrap(text, STORY_WIDTH), 3), ...calls];
}

const plain = (text: string): string => text.replaceAll(/\s+/g, " ");

/** One line: a call that is too long loses its end, so that its result and place stay. */
function oneLine(call: string, rest: string): string {
  const room = STORY_WIDTH - rest.length;
  return call.length <= room ? call + rest : `${call.slice(0, Math.max(0, room - 3))}...${rest}`.slice(0, STORY_WIDTH);
}

/** The stretches from `start` on that ran at the same time, or one after the other. */
function race(view: TraceView, told: TraceViolation | undefined, start: number, ranks: readonly number[], level: Level): string[] {
  const lines: string[] = [];
  for (let from = start; from < view.steps.length; ) {
    let to = from + 1;
    while (to < view.steps.length && view.steps[to].parallel === view.steps[from].parallel) to += 1;
    const part = stretch(view, told, from, to, ranks, level);
    if (lines.length > 0 && part.length > 0) lines.push("Afterwards:");
    lines.push(...part);
    from = to;
  }
  return lines;
}

function stretch(view: TraceView, told: TraceViolation | undefined, from: number, to: number, ranks: readonly number[], level: Level): string[] {
  const again = told?.round === undefined ? 0 : told.step - told.round + 1;
  if (again > from && again < to) return [...stretch(view, told, from, again, ranks, level), ...stretch(view, told, again, to, ranks, level)];
  const round = again === from && told?.round !== undefined ? [`These ${counted(told.round, "step")} can repeat for ever:`] : [];
  const actors = new Set(view.steps.slice(from, to).map((step) => step.actor));
  const isRace = view.steps[from].parallel;
  const runs = runsOfCalls(view, from, to);
  const detail: Detail = { ...level, facts: told?.story?.facts ?? [], subjects: told?.story?.names ?? [] };
  if (isRace && actors.size > 1 && actors.size <= MAX_LANES) return [...round, ...lanes(view, from, to, ranks, detail, STORY_WIDTH)];
  if (isRace) return [...round, ...list(view, runs, ranks, detail, STORY_WIDTH, false)];
  return [...round, ...list(view, runs, ranks, detail, STORY_WIDTH, told === undefined)];
}

function whyLines(sentences: readonly string[], level: Level): string[] {
  if (sentences.length === 0) return [];
  const lines = sentences.flatMap((sentence) =>
    indent(wrap(sentence, STORY_WIDTH - 4, "  "), "  ").map((line, at) => (at === 0 ? `- ${line.slice(2)}` : line)),
  );
  return ["Why:", ...clipped(lines, level.why + 2)];
}

/** The other story is part of this one. */
function isPrefix(part: string, whole: string): boolean {
  const [inner, outer] = [decodeSchedule(part), decodeSchedule(whole)];
  if (!inner.ok || !outer.ok) return part === whole;
  return inner.schedule.every(({ actor, choice }, at) => outer.schedule[at]?.actor === actor && outer.schedule[at].choice === choice);
}

function ending(view: TraceView, level: Level): string[] {
  const unmet = view.unmet ?? [];
  const notJudged = view.notJudged ?? [];
  const isOther = (schedule: string): boolean => !isPrefix(schedule, view.schedule);
  const others = view.stories.filter((story) => isOther(story.schedule)).slice(0, view.violations.length === 0 ? 0 : level.others);
  return [
    ...unmet.slice(0, 3).flatMap((line) => clipped(wrap(`Not as expected, ${line}.`, STORY_WIDTH, "  "), 2)),
    ...(unmet.length > 3 ? [`${counted(unmet.length - 3, "other expectation")} not met.`] : []),
    ...clipped(wrap(`Verdict: ${view.verdict}; ${view.summary}.`, STORY_WIDTH, "  "), 2),
    ...notJudged.slice(0, 1).flatMap((line) => clipped(wrap(`${line}.`, STORY_WIDTH, "  "), 2)),
    "Sequentially consistent model; time and memory barriers are not modelled.",
    ...(view.schedule ? clipped(wrap(`Schedule: ${view.schedule}`, STORY_WIDTH, "  "), 3) : []),
    ...others.flatMap((story) => clipped(wrap(`Also: ${story.title}, schedule ${story.schedule}`, STORY_WIDTH, "  "), 1)),
  ];
}
