// The steps of a story in time: a lane per actor where they run at the same time, else one below the other. Steps that do not touch what the broken rule is
// about are folded; an arrow leads from a step of one actor to the step of another that meets what it did.

import { wrap } from "./columns.ts";
import { isLockKey } from "./diff.ts";
import type { StoryFact, TraceView, TraceViolation } from "./rows.ts";
import { actorName, counted, indent, range } from "./story-words.ts";

/** How much a story tells; it is told with less until it fits. */
export interface Telling {
  /** Folded steps by their names, else by their number. */
  readonly names: boolean;
  /** Of steps that only speak of the subject: their words, just of what they speak, or no more than of other steps. */
  readonly mentions: "words" | "name" | "none";
  /** A line for steps that do not touch the subject. */
  readonly folds: boolean;
  /** Effects in full. */
  readonly clauses: boolean;
}

/** How much, and of what. */
export interface Detail extends Telling {
  readonly facts: readonly StoryFact[];
  /** Names of the subject in the effects of steps. */
  readonly subjects: readonly string[];
}

/** What a step is to the story. */
const RANK = { breaks: 0, acts: 1, mentions: 2, other: 3 } as const;

export const MAX_LANES = 3;
const GAP = 2;

/** Per step its rank. */
export function ranksOf(view: TraceView, told: TraceViolation | undefined): number[] {
  const story = told?.story;
  const acts = new Set<number>(story?.duties);
  for (const { spans } of story?.facts ?? []) for (const { from, to } of spans) acts.add(from).add(to ?? -1);
  const names = (story?.names ?? []).map(mentions);
  const passing = new Set(
    view.steps.flatMap(({ machine }) => machine.facts.filter(({ group }) => group === "thread" || group === "lock").map(({ key }) => key)),
  );
  return view.steps.map((step, index) => {
    if (step.violations.length > 0) return RANK.breaks;
    const inRound = told?.round !== undefined && index <= told.step && index > told.step - told.round;
    if (story ? acts.has(index) : step.changed.some((key) => !passing.has(key) && !isLockKey(key))) return RANK.acts;
    return inRound || names.some((name) => name.test(step.effect)) ? RANK.mentions : RANK.other;
  });
}

/** A piece of one actor's lane. */
interface Item {
  readonly actor: number;
  readonly first: number;
  readonly last: number;
  /** The call, where it begins with this piece. */
  readonly head?: string;
  /** What stands in the lane below the call. */
  readonly text: string;
  readonly result?: string;
  /** Each with shorter forms behind it. */
  readonly broken: readonly (readonly string[])[];
  /** A step of another actor that this one meets. */
  readonly meets?: number;
}

/** The pieces of steps [from, to): each step that matters alone, others of the same call together. */
function itemsOf(view: TraceView, from: number, to: number, ranks: readonly number[], detail: Detail): Item[] {
  const notes = notesOf(detail.facts);
  const shown = (index: number): boolean => ranks[index] <= (detail.mentions === "none" ? RANK.acts : RANK.mentions);
  const items: Item[] = [];
  const calls = new Map<number, number>();
  // Calls that have begun with steps that are left out.
  const waiting = new Map<number, number>();
  for (let index = from; index < to; ) {
    const step = view.steps[index];
    let last = index;
    const same = (at: number): boolean => at < to && view.steps[at].actor === step.actor && view.steps[at].callId === step.callId && !shown(at);
    if (!shown(index)) while (same(last + 1)) last += 1;
    const names = view.steps.slice(index, last + 1).map((each) => each.step);
    const told = shown(index) ? deedOf(step.effect, notes.get(index), detail, ranks[index]) : "";
    const deed = told ? `${step.step}: ${told}` : detail.names || names.length === 1 ? names.join(", ") : counted(names.length, "step");
    const { result } = view.steps[last];
    const begins = calls.get(step.actor) !== step.callId || waiting.get(step.actor) === step.callId;
    const head = begins ? { head: step.call } : {};
    calls.set(step.actor, step.callId);
    if (!detail.folds && !shown(index) && result === undefined) {
      if (begins) waiting.set(step.actor, step.callId);
      index = last + 1;
      continue;
    }
    waiting.delete(step.actor);
    const broken = step.violations.flatMap((each) => (view.violations[each] ? [brokenText(view.violations[each])] : []));
    const meets = shown(index) ? metBy(view, index, from, ranks) : undefined;
    items.push({
      actor: step.actor,
      first: index,
      last,
      ...head,
      text: deed,
      ...(result === undefined || deed.endsWith(`: ${result}`) ? {} : { result }),
      broken,
      ...(meets === undefined ? {} : { meets }),
    });
    index = last + 1;
  }
  return withoutRounds(items);
}

/** How many pieces of a lane make a round at most, and how often it must come to be counted. */
const ROUND = { longest: 4, times: 3 } as const;

/** What a piece does, without the name of its step. */
const shortDeed = ({ text }: Item): string => text.slice(text.indexOf(": ") < 0 ? 0 : text.indexOf(": ") + 2);

/** Rounds that an actor goes again and again, with nobody in between, are told once. */
function withoutRounds(items: readonly Item[]): Item[] {
  const ends = ({ result, broken }: Item): boolean => result !== undefined || broken.length > 0;
  const begins = ({ head, meets }: Item): boolean => head !== undefined || meets !== undefined;
  const same = (one: Item, other: Item): boolean => !ends(one) && !ends(other) && !begins(other) && one.actor === other.actor && one.text === other.text;
  const told: Item[] = [];
  for (let at = 0; at < items.length; ) {
    let [length, times] = [1, 1];
    for (let period = 1; period <= ROUND.longest; period++) {
      let equal = 0;
      while (at + equal + period < items.length && same(items[at + equal], items[at + equal + period])) equal += 1;
      const rounds = 1 + Math.floor(equal / period);
      if (rounds >= ROUND.times && rounds * period > length * times) [length, times] = [period, rounds];
    }
    const round = items.slice(at, at + length);
    const end = at + length * times;
    if (times === 1) told.push(...round);
    else told.push({ ...round[0], last: items[end - 1].last, text: `${counted(times, "time")}: ${[...new Set(round.map(shortDeed))].join("; ")}` });
    at = end;
  }
  return told;
}

/** What each step does to the facts, in few words. */
function notesOf(facts: readonly StoryFact[]): Map<number, string[]> {
  const notes = new Map<number, string[]>();
  const note = (step: number | undefined, text: string): void => {
    if (step === undefined || text === "") return;
    const list = notes.get(step) ?? [];
    if (!list.includes(text)) notes.set(step, [...list, text]);
  };
  for (const { spans, on, off } of facts) {
    for (const { from, to } of spans) {
      note(from, on);
      note(to, off);
    }
  }
  return notes;
}

/** What a step does to the subject; where it only speaks of it, its own words, or just their object where there is little room. */
function deedOf(effect: string, notes: readonly string[] | undefined, detail: Detail, rank: number): string {
  if (notes !== undefined) return notes.join(", ");
  if (rank === RANK.mentions && detail.mentions === "name") return detail.subjects.find((name) => mentions(name).test(effect)) ?? "";
  return detail.clauses ? effect : effect.split("; ")[0];
}

const mentions = (name: string): RegExp => new RegExp(`(?<!\\w)${name.replace(/[^\w ]/g, "\\$&")}(?!\\w)`);

/** The last step before `index` that did something to the subject, where another actor took it and nobody has answered it yet. */
function metBy(view: TraceView, index: number, from: number, ranks: readonly number[]): number | undefined {
  const { actor } = view.steps[index];
  for (let before = index - 1; before >= from; before--) {
    if (ranks[before] > RANK.mentions) continue;
    if (view.steps[before].actor === actor) return undefined;
    return ranks[before] <= RANK.acts ? before : undefined;
  }
  return undefined;
}

/** One lane per actor, time downwards, as commit messages draw a race. */
export function lanes(view: TraceView, from: number, to: number, ranks: readonly number[], detail: Detail, width: number): string[] {
  const actors = [...new Set(view.steps.slice(from, to).map((step) => step.actor))].sort((a, b) => a - b);
  const items = itemsOf(view, from, to, ranks, detail);
  if (items.length === 0) return [];
  const margin = Math.max(...items.map((item) => `${item.first}`.length)) + 2;
  const lane = Math.floor((width - margin - GAP * actors.length) / actors.length);
  const column = (actor: number): number => margin + GAP + actors.indexOf(actor) * (lane + GAP);
  const rule = " ".repeat(margin) + actors.map((actor) => `  ${`${actorName(view, actor)} `.slice(0, lane).padEnd(lane, "-")}`).join("");
  const lines = [rule];
  for (const item of items) {
    const head = item.head === undefined ? [] : wrap(shortCall(item.head, lane), lane, "  ");
    const body = [
      ...indent(textOf(item, lane - 2), "  "),
      ...item.broken.flatMap((texts) => wrap(texts.find((text) => text.length <= lane) ?? texts[0], lane, "   ")),
    ];
    const at = lines.length + head.length;
    lines.push(...indent([...head, ...body], " ".repeat(column(item.actor))));
    lines[at] = `${item.first}`.padStart(margin) + lines[at].slice(margin);
    if (item.meets !== undefined) lines[at] = withArrow(lines[at], item.meets, column(view.steps[item.meets].actor), column(item.actor), lane);
  }
  return lines;
}

/** Columns of a lane in which whole words stand. */
const WIDE = 30;

/** The deed, and what the call returned behind it or below. */
function textOf({ text, result }: Item, width: number): string[] {
  const lines = wrap(text, width, "  ");
  if (!result) return lines;
  const last = lines[lines.length - 1];
  // Behind what the step did, a bare `= 0` would seem to belong to it, where there is room for more.
  const told = text.includes(": ") && width >= WIDE ? [`${last}; returns ${result}`] : [];
  const behind = [...told, `${last} = ${result}`].find((line) => line.length <= width);
  return behind === undefined ? [...lines, ...wrap(`= ${result}`, width, "  ")] : [...lines.slice(0, -1), behind];
}

/** What stands below the step that breaks a rule: in full, and shorter. */
function brokenText({ invariant, step, round }: TraceViolation): string[] {
  if (round !== undefined) return [`!! and again from step ${step - round + 1}`];
  return invariant === "no-deadlock" ? ["!! nobody can go on"] : [`!! ${invariant} breaks here`, `!! ${invariant}`];
}

/** Flags without the prefix of their family where the call does not fit. */
function shortCall(call: string, room: number): string {
  return call.length <= room ? call : call.replace(/\bFALLOC_FL_(?=[A-Z])/g, "");
}

/** The line with an arrow from the lane at `source` to the one at `target`: over everything between them. */
function withArrow(line: string, step: number, source: number, target: number, lane: number): string {
  const [from, to] = source < target ? [source, target - 1] : [target + lane + GAP, source + lane];
  const room = to - from;
  const shaft = "-".repeat(Math.max(1, room - `${step}`.length - 2));
  const arrow = source < target ? `${step} ${shaft}>` : `<${shaft} ${step}`;
  const padded = line.padEnd(to);
  return padded.slice(0, from) + arrow.slice(0, room).padEnd(room) + padded.slice(to);
}

/** All pieces below each other, each with its actor; calls in which nothing touches the subject are only counted. */
export function list(
  view: TraceView,
  runs: readonly (readonly number[])[],
  ranks: readonly number[],
  detail: Detail,
  width: number,
  keepAll: boolean,
): string[] {
  const kept = runs.filter((run) => keepAll || run.some((index) => ranks[index] < RANK.other));
  const items = kept.flatMap((run) =>
    run.some((index) => ranks[index] < RANK.other) && !keepAll ? itemsOf(view, run[0], run[run.length - 1] + 1, ranks, detail) : [wholeCall(view, run)],
  );
  const numbers = Math.max(0, ...items.map((item) => range(item.first, item.last).length)) + 2;
  const margin = numbers + Math.max(0, ...items.map((item) => actorName(view, item.actor).length)) + 4;
  const lines = items.flatMap((item) => {
    const head = item.head === undefined ? [] : wrap(shortCall(item.head, width - margin), width - margin, "    ");
    const text = item.text === "" ? [] : indent(textOf(item, width - margin - 2), "  ");
    const broken = item.broken.flatMap(([text]) => wrap(text, width - margin, "   "));
    const number = text.length > 0 ? head.length : 0;
    return [...head, ...text, ...broken].map((line, at) => {
      const step = at === number ? range(item.first, item.last) : "";
      const actor = at === 0 && item.head !== undefined ? actorName(view, item.actor) : "";
      return `${step.padStart(numbers)}  ${actor}`.padEnd(margin) + line;
    });
  });
  const left = runs.filter((run) => !kept.includes(run) && view.steps[run[0]].callId >= 0).length;
  return left === 0
    ? lines
    : [...lines, `${" ".repeat(margin)}(${counted(left, "call")}${lines.length > 0 ? " more" : ""} that ${left === 1 ? "does" : "do"} not touch it)`];
}

function wholeCall(view: TraceView, run: readonly number[]): Item {
  const [first, last] = [run[0], run[run.length - 1]];
  const step = view.steps[first];
  const { result } = view.steps[last];
  return { actor: step.actor, first, last, head: `${step.call}${result ? ` = ${result}` : ""}`, text: "", broken: [] };
}
