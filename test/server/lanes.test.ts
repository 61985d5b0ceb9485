// Two workers: which run goes where, that equal work is done once, that a long run never keeps a fresh one waiting, progress, and the bounds of the cache.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Cache } from "../../src/server/cache.ts";
import { Runner, SECOND_LANE_MILLISECONDS, TURN_MILLISECONDS, wanted } from "../../src/server/runner.ts";
import { sizeOf } from "../../src/server/size.ts";
import { FakeWorkers, pause, program, report, turn } from "./fake.ts";

const LIMITS = { maxStates: 1000, maxMilliseconds: 60_000 };
const job = (name: string, size = 4096n, shift = 0) => wanted(program(name, size, shift), LIMITS);

function setUp(shared = true, now?: () => number) {
  const workers = new FakeWorkers(shared, 2);
  const changed: string[] = [];
  const progressed: string[] = [];
  const runner = new Runner(workers, { changed: (key) => void changed.push(key), progressed: (key) => void progressed.push(key) }, now);
  return { workers, changed, progressed, runner };
}

/** Both lanes busy: `first` on the one, `second` on the other. */
async function busy(runner: Runner, workers: FakeWorkers) {
  const [first, second] = [job("first"), job("second")];
  runner.want("a", [first, second]);
  await pause(SECOND_LANE_MILLISECONDS + 30);
  assert.deepEqual(workers.names, ["first", "second"]);
  return [first, second];
}

test("a list of short runs is done by one worker: a second one is not started", async () => {
  const { workers, runner } = setUp(true, () => 0);
  const jobs = Array.from({ length: 5 }, (_, at) => job(`s${at}`));
  runner.want("a", jobs);
  for (let at = 0; at < jobs.length; at += 1) {
    workers.answer(at, report(`s${at}`));
    await turn();
  }
  assert.equal(workers.requests.length, 5);
  assert.equal(workers.started, 1);
  runner.dispose();
});

test("work that waits opens the second lane, in the order of the list; from then on both are used at once", async () => {
  const { workers, changed, runner } = setUp();
  const [first, second] = await busy(runner, workers);
  assert.deepEqual(
    workers.requests.map(({ worker }) => worker),
    [0, 1],
  );
  workers.answer(1, report("second"));
  workers.answer(0, report("first"));
  await turn();
  assert.deepEqual(changed, [second.key, first.key]);
  runner.want("b", [job("third"), job("fourth")]);
  assert.deepEqual(workers.names, ["first", "second", "third", "fourth"]);
  assert.equal(workers.started, 2);
  runner.dispose();
});

test("one run stays on one worker, whatever it takes", async () => {
  const { workers, runner } = setUp();
  runner.want("a", [job("huge")]);
  await pause(SECOND_LANE_MILLISECONDS * 3);
  assert.equal(workers.started, 1);
  runner.dispose();
});

test("an edit cancels its own run in whichever lane it is, and leaves the other alone", async () => {
  const { workers, changed, runner } = setUp();
  const [first] = await busy(runner, workers);
  const edited = job("second", 1n);
  runner.want("a", [first, edited]);
  const [one, two] = workers.requests;
  assert.deepEqual([one.request.stop?.[0], two.request.stop?.[0]], [0, 1]);
  workers.answer(1, report("second", "incomplete", "stopped"));
  await turn();
  assert.deepEqual(workers.names, ["first", "second", "second"]);
  assert.equal(workers.requests[2].worker, 1);
  workers.answer(2, report("second"));
  await turn();
  assert.deepEqual(changed, [edited.key]);
  runner.dispose();
});

test("a worker that is ended takes only its own run with it", async () => {
  const { workers, changed, runner } = setUp();
  const [first, second] = await busy(runner, workers);
  workers.crash(1, "broken");
  await turn();
  assert.deepEqual(changed, [second.key]);
  workers.answer(0, report("first"));
  await turn();
  assert.deepEqual(changed, [second.key, first.key]);
  runner.dispose();
});

test("what is new in a document goes before what waits in it", async () => {
  const { workers, runner } = setUp();
  const [first, second] = await busy(runner, workers);
  const waiting = job("waiting");
  runner.want("a", [first, second, waiting]);
  runner.want("a", [first, second, waiting, job("edited")]);
  workers.answer(0, report("first"));
  await turn();
  assert.equal(workers.names.at(-1), "edited");
  runner.dispose();
});

test("a long run makes room for a fresh one, and begins again when nothing fresh waits", async () => {
  const { workers, changed, runner } = setUp();
  const [first, second] = await busy(runner, workers);
  const fresh = job("fresh");
  runner.want("b", [fresh]);
  assert.equal(workers.requests.length, 2, "not before its turn is over");
  await pause(TURN_MILLISECONDS + 50);
  assert.deepEqual(
    workers.requests.map(({ request }) => request.stop?.[0]),
    [0, 1],
  );
  assert.equal(runner.pending(second.key), true, "it is still to be answered");
  workers.answer(1, report("second", "incomplete", "stopped"));
  await turn();
  assert.deepEqual(workers.names, ["first", "second", "fresh"]);
  workers.answer(2, report("fresh"));
  await turn();
  assert.deepEqual(workers.names, ["first", "second", "fresh", "second"]);
  await pause(50);
  assert.equal(workers.requests[3].request.stop?.[0], 0, "and nobody puts it back for nothing");
  assert.deepEqual(changed, [fresh.key]);
  workers.answer(0, report("first"));
  workers.answer(3, report("second"));
  await turn();
  assert.deepEqual(changed, [fresh.key, first.key, second.key]);
  runner.dispose();
});

test("equal Programs of two documents are one run, while it goes on and afterwards", async () => {
  const { workers, runner } = setUp();
  const here = job("same", 4096n, 0);
  const there = job("same", 4096n, 700);
  assert.equal(here.key, there.key);
  runner.want("a", [here]);
  runner.want("b", [there]);
  await pause(SECOND_LANE_MILLISECONDS + 30);
  assert.equal(workers.requests.length, 1);
  const waiting = Promise.all([runner.settled([here.key]), runner.settled([there.key])]);
  workers.answer(0, report("same"));
  await waiting;
  runner.want("c", [job("same", 4096n, 9)]);
  await turn();
  assert.equal(workers.requests.length, 1);
  assert.equal(runner.outcome(here.key), runner.outcome(there.key));
  runner.dispose();
});

test("a run says how far it is until it is answered; a cancelled one says nothing more", async () => {
  const { workers, progressed, runner } = setUp();
  const one = job("one");
  runner.want("a", [one]);
  assert.equal(runner.live(one.key), undefined);
  workers.tell(0, 100, 120);
  workers.tell(0, 200, 220);
  assert.equal(runner.live(one.key)?.progress.states, 200);
  assert.deepEqual(progressed, [one.key, one.key]);
  runner.want("a", []);
  workers.tell(0, 300, 320);
  assert.equal(progressed.length, 2);
  assert.equal(runner.live(one.key), undefined);
  workers.answer(0, report("one"));
  await turn();
  assert.equal(runner.live(one.key), undefined);
  runner.dispose();
});

test("a stop keeps how far the run came, also of a worker that has to be ended for it", async () => {
  const { workers, runner } = setUp(false);
  const one = job("one");
  runner.want("a", [one]);
  workers.tell(0, 5_000, 400);
  runner.stop();
  await turn();
  const outcome = runner.outcome(one.key);
  assert.ok(outcome?.kind === "stopped");
  assert.equal(outcome.report?.exploration.limit, "stopped after 5,000 states, 10 to go at depth 5");
  assert.equal(outcome.report?.verdict, "incomplete");
  assert.deepEqual(workers.ended, [0]);
  runner.dispose();
});

test("the answers that are kept are bounded by bytes; what a document shows is not thrown away", async () => {
  const { workers, runner } = setUp();
  const megabyte = 1 << 20;
  const shown = job("shown");
  runner.want("a", [shown]);
  workers.answer(0, report("shown"), 10 * megabyte);
  await turn();
  for (let at = 1; at <= 30; at += 1) {
    runner.want("b", [job(`s${at}`)]);
    workers.answer(at, report(`s${at}`), 10 * megabyte);
    await turn();
  }
  assert.ok(runner.kept.bytes <= 64 * megabyte, `${runner.kept.bytes} bytes`);
  assert.equal(runner.kept.entries, 6);
  assert.equal(runner.outcome(shown.key)?.kind, "report");
  assert.equal(runner.outcome(job("s30").key)?.kind, "report");
  assert.equal(runner.outcome(job("s1").key), undefined);
  runner.dispose();
});

test("a cache forgets what was used longest ago", () => {
  const cache = new Cache<number>({ entries: 3, bytes: 100 });
  for (const [at, key] of ["a", "b", "c"].entries()) cache.set(key, at, 10);
  assert.equal(cache.get("a"), 0);
  cache.set("d", 3, 10);
  assert.equal(cache.get("b"), undefined);
  assert.equal(cache.get("a"), 0);
  cache.set("a", 9, 95);
  assert.deepEqual([cache.size, cache.bytes, cache.get("a")], [1, 95, 9]);
  cache.set("huge", 1, 1_000);
  assert.deepEqual([cache.size, cache.get("huge")], [1, 1], "what was just worked out is not lost");
});

test("sizes grow with what is in them", () => {
  const small = sizeOf({ a: [1, 2, 3], b: "text" });
  assert.ok(small > 50 && small < 400, String(small));
  assert.ok(sizeOf(Array.from({ length: 1000 }, () => ({ actor: 0, choice: 0 }))) > 40_000);
  assert.ok(sizeOf("x".repeat(1000)) >= 2000);
  assert.ok(sizeOf(new Int32Array(1000)) >= 4000);
  assert.ok(sizeOf([1n, null, undefined, true]) < 200);
});
