// Tables of what leaves answer, and how they are held against the model: each case by itself, and the order of its answers against that of the leaf's checks.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { statusText } from "../../../src/model/tdx/leaf.ts";
import { leafNamed } from "../../../src/model/tdx/leaves.ts";
import { labelled } from "../support.ts";
import { scenarioText } from "./td.ts";

export interface Case {
  readonly answer: string;
  readonly prepare?: string;
  readonly call: string;
  /** What another thread calls meanwhile, or an actor of its own name; then the answer is one of several. */
  readonly against?: string;
  readonly machine?: string;
}

export interface Row {
  readonly cases: readonly Case[];
  /** What no order of calls can bring about, and why. */
  readonly impossible?: Readonly<Record<string, string>>;
}

/** The statuses of the call of a case, in all interleavings. */
export function statuses({ prepare = "", call, against, machine }: Case): string[] {
  const other = against === undefined || /^\w+: /.test(against) ? against : `two: ${against}`;
  const body = other === undefined ? `${call} @it` : `parallel {\n  one: ${call} @it\n  ${other}\n}`;
  return labelled(scenarioText([prepare, body], machine === undefined ? {} : { machine })).it.split(" or ");
}

const isChoice = ({ against, machine }: Case): boolean => against !== undefined || machine === "entropy=0" || machine === "interrupts=1";
const withoutDoubles = (list: readonly string[]): string[] => [...new Set(list)];

/** What a leaf can answer, in its order. */
function answersOf(name: string): string[] {
  const leaf = leafNamed(name);
  assert.ok(leaf, name);
  const refusals = leaf.checks.flatMap((check) => check.answers);
  return withoutDoubles([...refusals, ...(leaf.interruptions ?? []), { status: "TDX_SUCCESS" } as const].map(statusText));
}

/** A test for each leaf and each of its cases. */
export function testRows(rows: Readonly<Record<string, Row>>): void {
  for (const [name, { cases, impossible = {} }] of Object.entries(rows)) {
    describe(name, () => {
      it("has the checks of the table, in its order", () => {
        assert.deepEqual(
          withoutDoubles(cases.map(({ answer }) => answer)),
          answersOf(name).filter((answer) => !Object.hasOwn(impossible, answer)),
        );
      });
      for (const one of cases) {
        it(`${one.call}${one.against === undefined ? "" : ` against ${one.against}`}: ${one.answer}`, () => {
          const found = statuses(one);
          if (isChoice(one)) assert.ok(found.includes(one.answer), found.join(" or "));
          else assert.deepEqual(found, [one.answer]);
        });
      }
    });
  }
}
