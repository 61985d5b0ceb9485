// Why a rule broke, as an argument: for each fact which step brought it, which took it away, and what came too late or not at all.

import type { StoryFact, TraceView, TraceViolation } from "./rows.ts";
import { causeRef, counted } from "./story-words.ts";

export interface Why {
  readonly sentences: readonly string[];
  /** Steps that the sentences name as causes. */
  readonly causes: readonly number[];
}

/** Facts of the surroundings: told only where they changed while the race ran. */
const BACKGROUND: ReadonlySet<string> = new Set(["slot", "binding", "snapshot"]);
/** Facts whose end is told when the rule breaks on it. */
const MISSED: ReadonlySet<string> = new Set(["page", "host", "slot"]);
const MAX_DUTIES = 2;

type Span = StoryFact["spans"][number];

/** `start`: the first step of the race or of the call that breaks the rule; what came before is set-up. */
export function whyOf(view: TraceView, told: TraceViolation, start: number): Why {
  const { facts, duties, plain = false } = told.story ?? { facts: [], duties: [] };
  const at = told.step;
  const sentences: string[] = [];
  const causes: number[] = [];
  const lasting: { fact: StoryFact; span: Span }[] = [];
  const say = (text: string, ...steps: number[]): void => {
    sentences.push(text);
    causes.push(...steps);
  };
  const ref = (step: number): string => causeRef(view, step, start);
  for (const fact of facts) {
    const span = fact.spans.find(({ from, to }) => from <= at && (to === undefined || to > at));
    if (span === undefined) {
      const ended = fact.spans.findLast(({ to }) => to !== undefined && to >= start && to <= at)?.to;
      if (ended === undefined || !MISSED.has(fact.kind)) continue;
      const freed = facts.some(({ kind, spans }) => kind === "free" && spans.some(({ from }) => from === ended));
      say(`${fact.ended} in ${ref(ended)}${freed ? " and is free" : ""}`, ended);
      continue;
    }
    if ((BACKGROUND.has(fact.kind) && span.from < start) || (fact.kind === "free" && causes.includes(span.from))) continue;
    const before = fact.spans.findLast(({ to }) => to !== undefined && to >= start && to <= span.from)?.to;
    const again = before === undefined ? "" : `; ${fact.ended} before, in ${ref(before)}`;
    say(span.from === 0 ? `${fact.is} from the start` : `${fact.is} since ${ref(span.from)}${again}`, span.from);
    lasting.push({ fact, span });
  }
  const wrong = lasting.filter(({ fact }) => fact.wrong);
  sentences.push(...howItEnds(wrong, at, ref));
  sentences.push(...idle(view, facts, plain ? [] : duties.filter((step) => step >= (wrong.length > 0 ? start : 0)), ref));
  return { sentences, causes };
}

/** Which later step takes the wrong away, or that none does. */
function howItEnds(wrong: readonly { fact: StoryFact; span: Span }[], at: number, ref: (step: number) => string): string[] {
  if (wrong.length === 0) return [];
  const ends = new Map<number, number>();
  for (const { span } of wrong) if (span.to !== undefined) ends.set(span.to, (ends.get(span.to) ?? 0) + 1);
  if (ends.size === 0) return ["nothing that comes later takes that away"];
  return [...ends]
    .sort(([a], [b]) => a - b)
    .map(([step, count]) => `${ref(step)} takes ${count === 1 && wrong.length > 1 ? "one of these" : "that"} away, ${counted(step - at, "step")} too late`);
}

/** Steps whose task it was, and which changed none of the facts: their own effect says why. */
function idle(view: TraceView, facts: readonly StoryFact[], duties: readonly number[], ref: (step: number) => string): string[] {
  const acted = new Set(facts.flatMap(({ spans }) => spans.flatMap(({ from, to }) => [from, to])));
  return duties
    .filter((step) => !acted.has(step) && view.steps[step].effect !== "")
    .slice(0, MAX_DUTIES)
    .map((step) => `${ref(step)} does not help: ${view.steps[step].effect}`);
}
