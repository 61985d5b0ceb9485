// Runs for the command line: short ones without a worker, long ones in at most as many as pay, Ctrl+C, the end of memory, progress on a terminal.

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import type { CheckOptions } from "../../src/check/index.ts";
import type { Limits, Live } from "../../src/cli/environment.ts";
import { Models } from "../../src/cli/models.ts";
import { Terminal } from "../../src/cli/terminal.ts";
import { FakeWorkers, program, report, turn } from "../server/fake.ts";
import { memfd, toyEngine } from "./toy.ts";

/** A model that takes `milliseconds` of a clock that only it moves; what is told to stop before its end is incomplete. */
function setUp(milliseconds: Record<string, number> = {}, parallel = 2) {
  const workers = new FakeWorkers(true, parallel);
  let clock = 0;
  const now = (): number => clock;
  const asked: CheckOptions[] = [];
  const models = new Models({
    workers,
    maxMilliseconds: 1000,
    check(one, options) {
      asked.push(options);
      for (let at = 0; at < (milliseconds[one.name] ?? 0); at += 1) {
        clock += 1;
        if (options.cancelled?.() === true) return report(one.name, "incomplete", "stopped");
      }
      return report(one.name);
    },
  });
  const limits = (more: Partial<Limits> = {}): Limits => ({ now, ...more });
  return { workers, models, limits, asked };
}

test("short runs are answered at once and start no worker; the first may take longer, for all code is cold", async () => {
  const { workers, models, limits, asked } = setUp({ first: 119, short: 39 });
  assert.equal((await models.check(program("first", 1n), limits())).verdict, "pass");
  assert.equal((await models.check(program("short", 1n), limits({ maxStates: 7 }))).verdict, "pass");
  assert.equal((await models.check(program("none", 1n), limits())).verdict, "pass");
  assert.deepEqual([workers.started, models.started, asked[1].maxStates], [0, 0, 7]);
  models.dispose();
});

test("a long run begins again in a worker, under the same limits; its first attempt is no answer", async () => {
  const { workers, models, limits } = setUp({ long: 121 });
  const answer = models.check(program("long", 1n), limits({ maxStates: 9, maxMilliseconds: 500 }));
  assert.equal(workers.requests.length, 1);
  const { task } = workers.last;
  assert.deepEqual(task.kind === "check" && [task.maxStates, task.maxMilliseconds], [9, 500]);
  workers.answer(0, report("long", "fail"));
  assert.equal((await answer).verdict, "fail");
  models.dispose();
});

test("long runs share the workers that pay; what waits gets the next that is free", async () => {
  const { workers, models, limits } = setUp({ a: 199, b: 99, c: 99 });
  const answers = ["a", "b", "c"].map((name) => models.check(program(name, 1n), limits()));
  assert.deepEqual(
    workers.requests.map(({ worker }) => worker),
    [0, 1],
  );
  workers.answer(1, report("b"));
  await turn();
  assert.deepEqual(
    workers.requests.map(({ request, worker }) => [request.task.kind === "check" && request.task.program.name, worker]),
    [
      ["a", 0],
      ["b", 1],
      ["c", 1],
    ],
  );
  workers.answer(2, report("c"));
  workers.answer(0, report("a"));
  assert.deepEqual(
    (await Promise.all(answers)).map(({ scenario }) => scenario),
    ["a", "b", "c"],
  );
  models.dispose();
});

test("with one core there is one worker", async () => {
  const { workers, models, limits } = setUp({ a: 199, b: 99 }, 1);
  void models.check(program("a", 1n), limits());
  void models.check(program("b", 1n), limits());
  await turn();
  assert.equal(workers.started, 1);
  models.dispose();
});

test("however many runs wait for one signal, it has one listener", async () => {
  const names = Array.from({ length: 30 }, (_, at) => `long ${at}`);
  const { workers, models, limits } = setUp(Object.fromEntries(names.map((name) => [name, 199])), 1);
  const interrupt = new AbortController();
  const runs = names.map((name) => models.check(program(name, 1n), limits({ signal: interrupt.signal })));
  assert.equal(getEventListeners(interrupt.signal, "abort").length, 1);
  interrupt.abort();
  workers.answer(0, report(names[0], "incomplete", "stopped"));
  for (const run of runs) assert.equal((await run).verdict, "incomplete");
  models.dispose();
});

test("an abort stops what runs, answers what waits, and starts nothing more", async () => {
  const { workers, models, limits } = setUp({ a: 199, b: 99 }, 1);
  const interrupt = new AbortController();
  const running = models.check(program("a", 1n), limits({ signal: interrupt.signal }));
  const waiting = models.check(program("b", 1n), limits({ signal: interrupt.signal }));
  assert.equal(workers.last.stop?.[0], 0);
  interrupt.abort();
  assert.equal(workers.last.stop?.[0], 1, "within the same turn");
  assert.equal((await waiting).exploration.limit, "stopped before the first state");
  workers.answer(0, report("a", "incomplete", "stopped"));
  assert.equal((await running).verdict, "incomplete");
  const late = await models.check(program("c", 1n), limits({ signal: interrupt.signal }));
  assert.deepEqual([late.verdict, late.exploration.cut], ["incomplete", "cancelled"]);
  assert.equal(workers.requests.length, 1);
  models.dispose();
});

test("the end of a worker's memory is incomplete, its crash is a bug of the model, and the next run gets another worker", async () => {
  const { workers, models, limits } = setUp({ a: 199, b: 99, c: 99 }, 1);
  const [first, second, third] = ["a", "b", "c"].map((name) => models.check(program(name, 1n), limits()));
  workers.tell(0, 4_000_000, 900);
  workers.crash(0, "heap", true);
  assert.equal((await first).exploration.limit, "the memory limit after 4,000,000 states, 10 to go at depth 5");
  await turn();
  workers.crash(1, "broken");
  await assert.rejects(second, /broken/);
  await turn();
  workers.answer(2, report("c"));
  assert.equal((await third).verdict, "pass");
  models.dispose();
});

const live = (states: number, milliseconds: number, foretold = false): Live => ({
  progress: { states, transitions: states * 2, frontier: 38_120, depth: 9, milliseconds },
  rate: 320_000,
  ...(foretold
    ? {
        forecast: {
          threads: 12,
          stepsPerThread: 210,
          milliseconds: 400,
          states: 31_000,
          depth: 9,
          levels: 2400,
          limit: { kind: "states", amount: 5_000_000 },
        },
      }
    : {}),
});

/** A command line on which every check says `news` before it answers. */
async function watched(news: readonly Live[], args: readonly string[], interrupt?: AbortSignal, during: () => void = () => undefined) {
  const lines: string[] = [];
  const engine = toyEngine();
  const status = (line: string): void => void lines.push(line);
  const check: typeof engine.check = async (one, limits) => {
    for (const each of news) limits.progress?.(each);
    during();
    return engine.check(one, limits);
  };
  const ran = await memfd(args, { "a.memfd": "scenario s pass", "b.memfd": "scenario t pass" }, { engine: { ...engine, check }, status, interrupt });
  return { ...ran, lines };
}

test("a run that takes a while has a line that is rewritten and taken away; the report is the same as without", async () => {
  const { lines, out, error } = await watched([live(1_000, 90), live(412_345, 1300)], ["check", "a.memfd"]);
  assert.deepEqual(lines, ['"s" under v8: 412k states, 38k to go, 320k/s', ""]);
  assert.equal(error, "");
  assert.equal(out, (await memfd(["check", "a.memfd"], { "a.memfd": "scenario s pass" })).out);
});

test("a forecast is said once, on standard error, whatever the format", async () => {
  const news = [live(31_000, 400, true), live(62_000, 500, true)];
  const { out, error } = await watched(news, ["check", "--format", "json", "a.memfd"]);
  assert.equal(JSON.parse(out).verdict, "pass");
  const size = "12 threads of about 210 atomic steps each";
  const far = "after 0.4 s 31,000 states at depth 9 of about 2,400";
  assert.equal(error, `a.memfd:1:1: warning: will not finish: ${size}; ${far}, limit 5,000,000 states [MEMFD6007]\n`);
});

test("Ctrl+C: what is known is printed, the files that are left are counted, status 130", async () => {
  const interrupt = new AbortController();
  const { status, out, error } = await watched([], ["check", "a.memfd", "b.memfd"], interrupt.signal, () => interrupt.abort());
  assert.equal(status, 130);
  assert.match(out, /^a\.memfd:1: pass: "s"/m);
  assert.doesNotMatch(out, /b\.memfd/);
  assert.match(out, /^incomplete: some scenarios were not run$/m);
  assert.equal(error, "memfd: stopped; 1 file not checked\n");
});

test("the terminal: a line is cut to its width and cleared before anything else is printed; a pipe gets none", () => {
  const written: string[] = [];
  const stream = (name: string, isTTY: boolean) => ({ isTTY, columns: 12, write: (text: string) => void written.push(`${name} ${JSON.stringify(text)}`) });
  const terminal = new Terminal(stream("out", true), stream("err", true));
  terminal.status?.("412k states, 38k to go");
  terminal.out("report\n");
  terminal.error("oops\n");
  terminal.status?.("x");
  terminal.status?.("");
  terminal.status?.("");
  const clear = "\\r\\u001b[K";
  assert.deepEqual(written, [`err "${clear}412k states"`, `err "${clear}"`, 'out "report\\n"', 'err "oops\\n"', `err "${clear}x"`, `err "${clear}"`]);
  assert.equal(new Terminal(stream("out", true), stream("err", false)).status, undefined);
});
