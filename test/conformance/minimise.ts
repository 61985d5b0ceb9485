// Makes a program that differs small: leaves out one line after the other as long as model and machine still disagree on the same call and answers. All
// candidates of a round are one C file, so a round costs one compile.

import { compare, type Difference, type Options } from "./compare.ts";
import { type Lines, scenarioText } from "./generate.ts";

const MAX_ROUNDS = 12;

const sameKind = (a: Difference, b: Difference): boolean =>
  a.model === b.model && a.machine === b.machine && a.program.calls[a.call].spec === b.program.calls[b.call].spec;

/** The names that a line binds must go together with the lines that use them, and with what these bind. */
function without(lines: Lines, index: number): Lines {
  const gone = new Set<string>();
  return lines.filter((line, at) => {
    const stays = at !== index && ![...gone].some((name) => new RegExp(`\\b${name}\\b`).test(line));
    const bound = /^(\w+) = /.exec(line)?.[1];
    if (!stays && bound !== undefined) gone.add(bound);
    return stays;
  });
}

export function minimise(lines: Lines, difference: Difference, options: Options): Difference {
  let found = difference;
  // What follows the call that differs goes first.
  let candidates: Lines[] = [lines.slice(0, difference.call + 1)];
  for (let round = 0; round < MAX_ROUNDS && candidates.length > 0; round++) {
    const { differences } = compare("minimise.memfd", scenarioText(candidates, [difference.program.profile.name]), options);
    const hits = differences.filter((each) => sameKind(each, difference));
    if (hits.length === 0) return found;
    [found] = hits.sort((a, b) => a.program.calls.length - b.program.calls.length);
    const smallest = candidates[Number(found.program.name)];
    candidates = smallest.map((_, index) => without(smallest, index)).filter((each) => each.length > 0);
  }
  return found;
}
