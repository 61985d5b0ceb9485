// Other step lists of one operation, least change first: one step moved, put back or added; a single invalidation opened into begin and end; two such changes.

import { AROUND } from "../../model/profile/around.ts";
import type { StepList } from "../../model/profile/types.ts";
import { BEGIN, END, INVALIDATE, isAllowed, isSingle, mayBracket, mayInvalidate, mayMove } from "./rules.ts";

export interface ListEdit {
  readonly operation: string;
  readonly steps: readonly string[];
  readonly cost: number;
  /** Names the variant: `reordered`, `bracketed`, `extended`. */
  readonly word: string;
  /** What was done, in words. */
  readonly said: string;
  /** Steps inside the bracket: of two that do, the wider one is preferred. */
  readonly width: number;
}

export const MOST_COST = 3;

/** A written list can say only loops over folios and over mappings; an operation with another loop cannot be written anew without losing it. */
export const isFlat = (list: StepList): boolean =>
  list.every((entry) => typeof entry === "string" || (entry[0] === "lock_folio" && entry.at(-1) === "unlock_folio") || entry.every((step) => AROUND.has(step)));

export interface EditOptions {
  /** Steps that the kernel under the variant has in this operation and the variant dropped. */
  readonly dropped: readonly string[];
  /** Locks may move too: a deadlock is to go. */
  readonly locks: boolean;
}

const without = (list: readonly string[], at: number): string[] => [...list.slice(0, at), ...list.slice(at + 1)];
const withStep = (list: readonly string[], at: number, step: string): string[] => [...list.slice(0, at), step, ...list.slice(at)];

type Draft = Omit<ListEdit, "operation">;

/** Every list in reach at one cost (1 to `MOST_COST`), without doubles, in an order that depends on nothing but the list. */
export function editsAt(operation: string, list: readonly string[], cost: number, options: EditOptions): ListEdit[] {
  const drafts =
    cost === 1
      ? single(operation, list, options)
      : cost === 2
        ? [...opened(operation, list), ...twice(operation, list, options)]
        : openedAndMoved(operation, list, options);
  const cheaper = cost === 1 ? [] : editsUpTo(operation, list, cost - 1, options).map((edit) => edit.steps.join());
  const seen = new Set([list.join(), ...cheaper]);
  return drafts
    .filter((draft) => isAllowed(list, draft.steps, options.locks) && !seen.has(draft.steps.join()) && seen.add(draft.steps.join()))
    .map((draft) => ({ ...draft, operation }));
}

function editsUpTo(operation: string, list: readonly string[], cost: number, options: EditOptions): ListEdit[] {
  return Array.from({ length: cost }, (_, index) => editsAt(operation, list, index + 1, options)).flat();
}

function single(operation: string, list: readonly string[], { dropped, locks }: EditOptions): Draft[] {
  const drafts = moves(list, locks);
  const missing = [...dropped];
  if (mayBracket(operation) && list.includes(BEGIN) !== list.includes(END)) missing.push(list.includes(BEGIN) ? END : BEGIN);
  if (mayInvalidate(operation) && !list.some((step) => isSingle(step) || step === BEGIN)) missing.push(INVALIDATE);
  for (const step of new Set(missing)) {
    for (let at = 0; at <= list.length; at++) {
      const steps = withStep(list, at, step);
      const said = at === 0 ? `${step} is added before ${list[0]}` : `${step} is added behind ${list[at - 1]}`;
      drafts.push({ steps, cost: 1, word: "completed", said, width: widthOf(steps) });
    }
  }
  return drafts.sort((a, b) => b.width - a.width);
}

function moves(list: readonly string[], locks: boolean): Draft[] {
  const drafts: Draft[] = [];
  list.forEach((step, from) => {
    if (!mayMove(step, locks)) return;
    const rest = without(list, from);
    for (let to = 0; to <= rest.length; to++) {
      if (to === from) continue;
      const steps = withStep(rest, to, step);
      const said = to < from ? `${step} moves before ${rest[to]}` : `${step} moves behind ${rest[to - 1]}`;
      drafts.push({ steps, cost: 1, word: "reordered", said, width: widthOf(steps) });
    }
  });
  return drafts;
}

/** A begin and an end around some of the steps, in place of the single invalidation where there is one. */
function opened(operation: string, list: readonly string[]): Draft[] {
  if (!mayBracket(operation) || list.includes(BEGIN) || list.includes(END)) return [];
  const drafts: Draft[] = [];
  const bases = list.some(isSingle)
    ? list.flatMap((step, at) => (isSingle(step) ? [{ rest: without(list, at), step }] : []))
    : [{ rest: list, step: undefined }];
  for (const { rest, step } of bases) {
    for (let from = 0; from < rest.length; from++) {
      for (let to = rest.length; to > from; to--) {
        const steps = [...rest.slice(0, from), BEGIN, ...rest.slice(from, to), END, ...rest.slice(to)];
        const inside = rest.slice(from, to).join(", ");
        const said = step === undefined ? `a begin and an end are put around ${inside}` : `${step} becomes a begin and an end around ${inside}`;
        drafts.push({ steps, cost: 2, word: "bracketed", said, width: to - from });
      }
    }
  }
  return drafts.sort((a, b) => b.width - a.width);
}

const MOST_TWICE = 5;

/** Two single changes; of long lists only neighbours of what moved would be left to try, and they are many, so these are left out. */
function twice(operation: string, list: readonly string[], options: EditOptions): Draft[] {
  if (list.length > MOST_TWICE) return [];
  return single(operation, list, options).flatMap((first) =>
    isAllowed(list, first.steps, options.locks)
      ? single(operation, first.steps, { ...options, dropped: options.dropped.filter((step) => !first.steps.includes(step)) }).map((second) => ({
          ...second,
          cost: 2,
          word: first.word === second.word ? first.word : "completed",
          said: `${first.said}, and ${second.said}`,
        }))
      : [],
  );
}

function openedAndMoved(operation: string, list: readonly string[], options: EditOptions): Draft[] {
  return opened(operation, list).flatMap((first) =>
    isAllowed(list, first.steps, options.locks)
      ? moves(first.steps, options.locks).map((second) => ({ ...second, cost: MOST_COST, word: "bracketed", said: `${first.said}, and ${second.said}` }))
      : [],
  );
}

function widthOf(list: readonly string[]): number {
  return Math.max(0, list.indexOf(END) - list.indexOf(BEGIN) - 1);
}
