// Which Programs run and which do not: cache, order, cancellation, stop, replacement of a deaf worker, answers that come too late.

import assert from "node:assert/strict";
import { test } from "node:test";
import { GRACE_MILLISECONDS } from "../../src/server/lane.ts";
import { Runner, wanted } from "../../src/server/runner.ts";
import { FakeWorkers, pause, program, report, turn } from "./fake.ts";

const LIMITS = { maxStates: 1000, maxMilliseconds: 1000 };
const job = (name: string, size = 4096n, shift = 0) => wanted(program(name, size, shift), LIMITS);

function setUp(shared = true) {
  const workers = new FakeWorkers(shared);
  const changed: string[] = [];
  const runner = new Runner(workers, { changed: (key) => void changed.push(key) });
  return { workers, changed, runner };
}

test("wanted Programs run one after the other, each once, and a moved one is answered from the cache", async () => {
  const { workers, changed, runner } = setUp();
  const [one, two] = [job("one"), job("two")];
  runner.want("a", [one, two, job("one")]);
  assert.deepEqual(workers.names, ["one"]);
  assert.equal(runner.pending(one.key), true);
  workers.answer(0, report("one"));
  await turn();
  assert.deepEqual(workers.names, ["one", "two"]);
  workers.answer(1, report("two", "fail"));
  await turn();
  assert.deepEqual(changed, [one.key, two.key]);
  runner.want("a", [job("one", 4096n, 500), job("two", 4096n, 500)]);
  assert.equal(workers.requests.length, 2);
  const outcome = runner.outcome(job("two", 4096n, 500).key);
  assert.equal(outcome?.kind === "report" && outcome.report.verdict, "fail");
  runner.dispose();
});

test("another limit is another question", () => {
  assert.notEqual(wanted(program("a", 1n), LIMITS).key, wanted(program("a", 1n), { ...LIMITS, maxStates: 2000 }).key);
});

test("a newer edit cancels the older run at once; its late answer never shows", async () => {
  const { workers, changed, runner } = setUp();
  const old = job("s", 1n);
  const fresh = job("s", 2n);
  runner.want("a", [old]);
  const { stop } = workers.last;
  assert.equal(stop?.[0], 0);
  runner.want("a", [fresh]);
  assert.equal(stop?.[0], 1, "the word in shared memory is set within the same turn");
  workers.answer(0, report("s", "incomplete", "stopped"));
  await turn();
  assert.equal(workers.requests.length, 2);
  workers.answer(1, report("s"));
  await turn();
  assert.deepEqual(changed, [fresh.key]);
  assert.equal(runner.outcome(old.key), undefined);
  assert.deepEqual(workers.ended, [], "a worker that obeys is kept");
  runner.dispose();
});

test("a worker that does not stop is ended and replaced", async () => {
  const { workers, changed, runner } = setUp();
  runner.want("a", [job("s", 1n)]);
  runner.want("a", [job("s", 2n)]);
  await pause(GRACE_MILLISECONDS + 60);
  assert.deepEqual(workers.ended, [0]);
  assert.equal(workers.requests[1].worker, 1);
  workers.answer(0, report("s"));
  await turn();
  assert.deepEqual(changed, [], "what the ended worker still says is not heard");
  workers.answer(1, report("s"));
  await turn();
  assert.equal(changed.length, 1);
  runner.dispose();
});

test("without shared memory the worker is ended at once", async () => {
  const { workers, runner } = setUp(false);
  runner.want("a", [job("s", 1n)]);
  assert.equal(workers.last.stop, undefined);
  runner.want("a", [job("s", 2n)]);
  await turn();
  assert.deepEqual(workers.ended, [0]);
  assert.deepEqual(
    workers.requests.map(({ worker }) => worker),
    [0, 1],
  );
  runner.dispose();
});

test("an edit in one scenario leaves the run of another alone", () => {
  const { workers, runner } = setUp();
  runner.want("a", [job("one"), job("two", 1n)]);
  runner.want("a", [job("one", 4096n, 9), job("two", 2n)]);
  assert.equal(workers.requests.length, 1);
  assert.equal(workers.last.stop?.[0], 0);
  runner.dispose();
});

test("the document touched last runs first, and a Program that another document wants is not cancelled", async () => {
  const { workers, runner } = setUp();
  runner.want("a", [job("a1"), job("a2")]);
  runner.want("b", [job("b1")]);
  workers.answer(0, report("a1"));
  await turn();
  assert.deepEqual(workers.names, ["a1", "b1"]);
  runner.want("c", [job("b1")]);
  runner.want("b", []);
  assert.equal(workers.last.stop?.[0], 0);
  runner.dispose();
});

test("undone while the cancelled run still winds down: it runs again", async () => {
  const { workers, changed, runner } = setUp();
  const first = job("s", 1n);
  runner.want("a", [first]);
  runner.want("a", [job("s", 2n)]);
  runner.want("a", [first]);
  assert.equal(runner.pending(first.key), true);
  workers.answer(0, report("s", "incomplete", "stopped"));
  await turn();
  assert.equal(workers.requests.length, 2);
  workers.answer(1, report("s"));
  await turn();
  assert.deepEqual(changed, [first.key]);
  runner.dispose();
});

test("stop ends the run and what waits; both stay stopped until asked again, and are never an answer", async () => {
  const { workers, runner } = setUp();
  const [one, two] = [job("one"), job("two")];
  runner.want("a", [one, two]);
  runner.stop("other");
  assert.equal(workers.last.stop?.[0], 0);
  runner.stop("a");
  assert.equal(workers.last.stop?.[0], 1);
  workers.answer(0, report("one", "incomplete", "stopped"));
  await turn();
  await runner.settled([one.key, two.key]);
  assert.equal(runner.outcome(one.key)?.kind, "stopped");
  assert.equal(runner.outcome(two.key)?.kind, "stopped");
  assert.equal(workers.requests.length, 1);
  runner.want("a", [one, two]);
  assert.equal(workers.requests.length, 1);
  runner.retry([two.key]);
  assert.deepEqual(workers.names, ["one", "two"]);
  runner.dispose();
});

test("retry keeps a complete answer and forgets an incomplete one", async () => {
  const { workers, runner } = setUp();
  const [full, cut] = [job("full"), job("cut")];
  runner.want("a", [full, cut]);
  workers.answer(0, report("full"));
  await turn();
  workers.answer(1, report("cut", "incomplete", "states"));
  await turn();
  assert.equal(runner.outcome(cut.key)?.kind, "report");
  runner.retry([full.key, cut.key]);
  assert.deepEqual(workers.names, ["full", "cut", "cut"]);
  runner.dispose();
});

test("a worker that runs out of memory: incomplete, with how far it came, and a new worker for the next", async () => {
  const { workers, runner } = setUp();
  const [one, two] = [job("one"), job("two")];
  runner.want("a", [one, two]);
  workers.tell(0, 123_456, 400);
  workers.crash(0, "Worker terminated due to reaching memory limit", true);
  await turn();
  const outcome = runner.outcome(one.key);
  assert.ok(outcome?.kind === "report");
  assert.equal(outcome.report.verdict, "incomplete");
  assert.equal(outcome.report.exploration.cut, "memory");
  assert.equal(outcome.report.exploration.limit, "the memory limit after 123,456 states, 10 to go at depth 5");
  assert.deepEqual(
    outcome.report.remarks.map(({ code }) => code),
    ["MEMFD6001"],
  );
  assert.deepEqual(workers.names, ["one", "two"]);
  assert.equal(workers.requests[1].worker, 1);
  runner.dispose();
});

test("a crash is an answer, and the next run gets a new worker", async () => {
  const { workers, runner } = setUp();
  const [one, two] = [job("one"), job("two")];
  runner.want("a", [one, two]);
  workers.crash(0, "out of memory");
  await turn();
  const outcome = runner.outcome(one.key);
  assert.equal(outcome?.kind === "failed" && outcome.message, "out of memory");
  assert.equal(workers.requests[1].worker, 1);
  workers.answer(1, "failed");
  await turn();
  assert.equal(runner.outcome(two.key)?.kind, "failed");
  runner.dispose();
});

test("who waits for a run is woken by its end, by a newer edit and by dispose", async () => {
  const { workers, runner } = setUp();
  const [one, two, three] = [job("s", 1n), job("s", 2n), job("s", 3n)];
  runner.want("a", [one]);
  const first = runner.settled([one.key]);
  runner.want("a", [two]);
  await first;
  const second = runner.settled([two.key]);
  workers.answer(0, report("s", "incomplete", "stopped"));
  await turn();
  workers.answer(1, report("s"));
  await second;
  runner.want("a", [three]);
  const third = runner.settled([three.key]);
  runner.dispose();
  await third;
});
