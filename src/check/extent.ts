// How far an exploration came that did not reach its end, in words, and the report of a run that has nothing else to say.

import type { Program } from "../scenario/program.ts";
import type { Remark, Report } from "./report.ts";

/** What ended an exploration before its end. */
export type Cut = "states" | "time" | "memory" | "cancelled";

/** How far it had come: states found, states known and not expanded, distance from the initial state. */
export interface Extent {
  readonly states: number;
  readonly frontier: number;
  readonly depth: number;
}

const NOWHERE: Extent = { states: 0, frontier: 0, depth: 0 };

/** 1234567 → "1,234,567", the same in every locale. */
export function grouped(count: number): string {
  return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, ",");
}

export const counted = (count: number, noun: string): string => `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;

/** 999 → "999", 1234 → "1.2k", 412345 → "412k", 1234567 → "1.2M": for numbers that change faster than one reads. */
export function shortCount(count: number): string {
  if (count < 999.5) return String(Math.round(count));
  const [unit, name] = count < 999_500 ? [1e3, "k"] : [1e6, "M"];
  const value = count / (unit as number);
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)}${name}`;
}

/** "412k states, 38k to go, 320k/s". `rate`: states per second. */
export function progressText({ states, frontier, rate }: { states: number; frontier: number; rate: number }): string {
  return `${shortCount(states)} states, ${shortCount(frontier)} to go, ${shortCount(rate)}/s`;
}

/** Why and where: "the limit of 5,000,000 states, 38,120 to go at depth 31", "the time limit after 412,345 states, …". */
export function limitText(cut: Cut, { states, frontier, depth }: Extent): string {
  const left = `${grouped(frontier)} to go at depth ${grouped(depth)}`;
  if (cut === "states") return `the limit of ${counted(states, "state")}, ${left}`;
  const why = { time: "the time limit", memory: "the memory limit", cancelled: "stopped" }[cut];
  return states === 0 ? `${why} before the first state` : `${why} after ${counted(states, "state")}, ${left}`;
}

/** A report without any answer: `remarks` say why. */
export function unjudged(program: Program, remarks: readonly Remark[], limit: string, extent: Extent = NOWHERE, cut?: Cut): Report {
  return {
    scenario: program.name,
    kernel: program.profile.name,
    verdict: "incomplete",
    calls: program.calls.map(() => ({ results: [] })),
    violations: [],
    remarks,
    witnesses: [],
    notJudged: [],
    refinement: { cuts: [], extraFrames: 0 },
    exploration: { ...extent, transitions: 0, complete: false, milliseconds: 0, reduced: true, limit, ...(cut === undefined ? {} : { cut }) },
  };
}

/** Nothing can be said because a bound of the model was hit before or while it was explored. */
export function tooLarge(program: Program, limit: string, extent?: Extent, cut?: Cut): Report {
  const remark: Remark = { code: "MEMFD6001", severity: "warning", site: program.site, message: `not all interleavings were explored: ${limit}` };
  return unjudged(program, [remark], limit, extent, cut);
}

/** A run that was ended from outside, so that what it had found is lost: by the end of its worker, or before it began. */
export function cutShort(program: Program, cut: Cut, extent: Extent = NOWHERE): Report {
  const { states, frontier, depth } = extent;
  return tooLarge(program, limitText(cut, extent), { states, frontier, depth }, cut);
}

/** What engines say when an array or a table cannot grow any more. */
export function isOutOfMemory(error: unknown): boolean {
  return (
    error instanceof RangeError &&
    /allocation failed|out of memory|maximum size exceeded|invalid (typed )?array (buffer )?length|invalid string length/i.test(error.message)
  );
}
