// What a run throws when the machine was compiled too coarsely: the scenario is compiled again, finer (ARCHITECTURE.md, rule 6), up to a stated limit.

import type { Site } from "../scenario/program.ts";

/** Thrown where an operation would tell the pages of a cell apart: the scenario is compiled again with this cut (ARCHITECTURE.md, rule 6). */
export class CutNeeded extends Error {
  override name = "CutNeeded";
  readonly space: string;
  readonly at: number;
  constructor(space: string, at: number) {
    super(`cut ${space} at ${at}`);
    this.space = space;
    this.at = at;
  }
}

/** Every free frame is told apart from the others: the scenario is compiled again with more frames. */
export class MoreFramesNeeded extends Error {
  override name = "MoreFramesNeeded";
}

/** Thrown where a state has no answer that the model could give. */
export class NoAnswer extends Error {
  override name = "NoAnswer";
  /** The assertion that asked. */
  site: Site | undefined;
}
