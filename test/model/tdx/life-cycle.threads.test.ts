// Two host threads in the life of a TD: whatever they answer, somebody could have called the same leaves one after the other, where TDX_OPERAND_BUSY stands for
// no call at all. And in every state on the way counts, owners and key ids agree, and the steps touch what they declare.

import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import type { TdxStatus } from "../../../src/base/tdx-status.ts";
import { statusText } from "../../../src/model/tdx/leaf.ts";
import { isFree } from "../../../src/model/tdx/locks.ts";
import { KOT, LIFECYCLE, PT } from "../../../src/model/tdx/tables.ts";
import { sameWithReductions } from "../compare.ts";
import { program } from "../support.ts";
import { assertDeclared } from "../watching.ts";
import { Oracle } from "./life-cycle.oracle.ts";
import { type Command, FRAMES, race } from "./life-cycle.random.ts";
import { everyState, type Look } from "./states.ts";
import { scenarioText } from "./td.ts";

interface Race {
  readonly packages: number;
  readonly before: readonly Command[];
  readonly threads: readonly (readonly Command[])[];
}

const label = (thread: number, at: number): string => `t${thread}_${at}`;

function textOf({ packages, before, threads }: Race): string {
  const blocks = threads.map((commands, thread) => {
    const lines = commands.map(({ text }, at) => `${text(100 + thread * 10 + at)} @${label(thread, at)}`);
    return `  thread${thread} { ${lines.join("; ")} }`;
  });
  // A question about each result keeps it in the state.
  const kept = threads.flatMap((commands, thread) =>
    commands.map((_, at) => `exists result(${label(thread, at)}) == ok || result(${label(thread, at)}) != ok`),
  );
  const lines = [`repeat ${FRAMES} as i { f[i] = alloc_frame() }`, ...before.map(({ text }, at) => text(at)), `parallel {\n${blocks.join("\n")}\n}`, ...kept];
  return scenarioText(lines, { machine: `packages=${packages}` });
}

/** Types and owners of the pages, key ids and counts, as the oracle has them. */
function factsOf(oracle: Oracle): string {
  const tds = [...oracle.tds].map(([at, td]) => `${at}: ${td.life} ${td.children} ${td.controlPages >= 6 ? td.op : 0} ${td.vcpus} ${td.associated}`);
  const keys = [...oracle.keys].map(([hkid, key]) => `${hkid} ${key === "assigned" ? key : [...key].sort().join("")}`);
  return [...oracle.frames.map(({ kind, owner }) => `${kind} ${owner}`), ...tds.sort(), ...keys.sort()].join("; ");
}

const KINDS: Readonly<Record<number, string>> = { [PT.NDA]: "NDA", [PT.TDR]: "TDR", [PT.TDCX]: "TDCX", [PT.TDVPR]: "TDVPR" };
const LIVES = ["assigned", "configured", "blocked", "teardown"] as const;

/** The same of a state. */
function factsIn({ machine, tdx, state }: Look): string {
  const frames = Array.from({ length: FRAMES }, (_, at) => machine.drivers[at].get(state));
  const nameOf = (frame: number): number => frames.indexOf(frame);
  const pages = frames.map((frame) => {
    const { type, owner } = tdx.pamt[frame];
    return `${KINDS[type.get(state)]} ${owner.get(state) === 0 ? -1 : nameOf(tdx.tds[owner.get(state) - 1].tdr.get(state))}`;
  });
  const tds = tdx.tds
    .filter((td) => td.tdr.get(state) !== 0)
    .map((td) => {
      const counts = [td.chldcnt, td.opState, td.numVcpus, td.numAssociated].map((field) => field.get(state));
      return `${nameOf(td.tdr.get(state))}: ${LIVES[td.lifecycle.get(state)]} ${counts.join(" ")}`;
    });
  const keys = tdx.keys.slice(1).flatMap((key) => {
    if (key.state.get(state) === KOT.FREE) return [];
    const waiting = Array.from({ length: tdx.packages }, (_, at) => at).filter((at) => (key.wbinvd.get(state) >> at) & 1);
    return [`${key.hkid} ${key.state.get(state) === KOT.ASSIGNED ? "assigned" : waiting.join("")}`];
  });
  return [...pages, ...tds.sort(), ...keys.sort()].join("; ");
}

/** Every order of the calls of two threads. */
function* orders(a: readonly string[], b: readonly string[]): Generator<string[]> {
  if (a.length === 0 || b.length === 0) yield [...a, ...b];
  else {
    for (const rest of orders(a.slice(1), b)) yield [a[0], ...rest];
    for (const rest of orders(a, b.slice(1))) yield [b[0], ...rest];
  }
}

/** What came out could have come out of one thread alone. */
function isExplained({ packages, before, threads }: Race, found: ReadonlyMap<string, string>, facts: string): boolean {
  const commands = new Map(threads.flatMap((list, thread) => list.map((command, at) => [label(thread, at), command] as const)));
  const [a, b] = threads.map((list, thread) => list.map((_, at) => label(thread, at)));
  for (const order of orders(a, b)) {
    const oracle = new Oracle(FRAMES, packages);
    for (const { answer } of before) answer(oracle);
    const agrees = order.every((name) => {
      const status = found.get(name) as string;
      return status.startsWith("TDX_OPERAND_BUSY") || commands.get(name)?.answer(oracle) === status;
    });
    if (agrees && factsOf(oracle) === facts) return true;
  }
  return false;
}

function statusesIn({ machine, state }: Look): Map<string, string> {
  const found = new Map<string, string>();
  machine.program.calls.forEach((call, id) => {
    const field = machine.answers.get(id);
    if (call.label === undefined || !field) return;
    const result = machine.results.result(field.get(state) - 1);
    found.set(call.label, result?.kind === "status" ? statusText(result as TdxStatus) : "?");
  });
  return found;
}

/** What holds in between, too. */
function rules({ tdx, state }: Look, over: boolean): string[] {
  const broken: string[] = [];
  const alive = tdx.tds.filter((td) => td.tdr.get(state) !== 0);
  for (const td of alive) {
    const owned = tdx.pamt.slice(1).filter((entry) => entry.owner.get(state) === td.object.index + 1).length;
    if (owned !== td.chldcnt.get(state)) broken.push(`${owned} pages, chldcnt ${td.chldcnt.get(state)}`);
    if (tdx.pamt[td.tdr.get(state)].type.get(state) !== PT.TDR) broken.push("a TDR that is none in the PAMT");
    if (td.numVcpus.get(state) > td.maxVcpus.get(state) && td.opState.get(state) > 0) broken.push("more vCPUs than MAX_VCPUS");
    const associated = tdx.vcpus.filter((vcpu) => vcpu.td.get(state) === td.object.index + 1 && vcpu.lp.get(state) > 0).length;
    if (associated !== td.numAssociated.get(state)) broken.push(`${associated} vCPUs associated, the TDCS says ${td.numAssociated.get(state)}`);
    const key = tdx.keys[td.key.get(state)];
    const life = td.lifecycle.get(state);
    const wanted = life === LIFECYCLE.BLOCKED ? KOT.FLUSHED : KOT.ASSIGNED;
    if (life !== LIFECYCLE.TEARDOWN && key.state.get(state) !== wanted) broken.push("the key id of a TD is not its own");
  }
  const holders = alive.filter((td) => td.lifecycle.get(state) !== LIFECYCLE.TEARDOWN).map((td) => td.key.get(state));
  if (new Set(holders).size < holders.length) broken.push("two TDs with one key id");
  const locks = [tdx.kotLock, ...tdx.cacheLocks, ...tdx.keyTables, ...tdx.pamt.map(({ lock }) => lock)];
  if (over) for (const lock of locks) if (!isFree(state, lock)) broken.push(`${lock.name} is left taken`);
  return broken;
}

it("two threads answer what one could have answered, or TDX_OPERAND_BUSY, and the counts agree on the way", () => {
  let busy = 0;
  let done = 0;
  fc.assert(
    fc.property(race, (one) => {
      const text = textOf(one);
      everyState(text, (at, over) => {
        assert.deepEqual(rules(at, over), [], text);
        if (!over) return;
        const found = statusesIn(at);
        for (const status of found.values()) if (status.startsWith("TDX_OPERAND_BUSY")) busy++;
        for (const status of found.values()) if (status === "TDX_SUCCESS") done++;
        assert.ok(isExplained(one, found, factsIn(at)), `${JSON.stringify([...found])}\n${factsIn(at)}\n${text}`);
      });
    }),
    { numRuns: 150 },
  );
  assert.ok(busy > 50 && done > 50, `${busy} times busy, ${done} times done`);
});

it("their steps touch only what they declare", () => {
  assertDeclared(race.map(textOf), { maxStates: 800, numRuns: 60 });
});

it("reductions change none of their answers", () => {
  fc.assert(
    fc.property(race, (pair) => {
      const text = textOf(pair);
      assert.ok(sameWithReductions(program(text), { about: text, subjects: true }), text);
    }),
    { numRuns: 60 },
  );
});
