// Too much for any machine, over the wire and in real workers: a crowd of threads beside a small scenario, the forecast while it runs, stop, the end of memory.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Report } from "../../src/check/report.ts";
import { analyse } from "../../src/language/index.ts";
import type { Program } from "../../src/scenario/program.ts";
import type { ModelMessage } from "../../src/server/model-task.ts";
import { perform } from "../../src/server/model-task.ts";
import { nodeWorkers } from "../../src/server/node-workers.ts";
import { RUN, type RunResult, STOP, TRACE, type TraceResult } from "../../src/server/protocol.ts";
import { Runner, wanted } from "../../src/server/runner.ts";
import { Client } from "./client.ts";

const WORKER = fileURLToPath(new URL("../../src/server/model-worker.node.ts", import.meta.url));

const scenario = (name: string, ...lines: string[]): string => `scenario "${name}" {\n  kernel v8\n${lines.map((line) => `  ${line}\n`).join("")}}\n`;

/** Threads that allocate and punch the same few pages. */
function crowd(name: string, threads: number, calls: number): string {
  const call = (thread: number, at: number): string => {
    const flags = at % 2 === 0 ? "0" : "FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE";
    return `fallocate(ram, ${flags}, 0x${(thread + at) % 4}000, 4K)`;
  };
  const thread = (number: number): string => `  t${number} { ${Array.from({ length: calls }, (_, at) => call(number, at)).join("; ")} }`;
  const lines = Array.from({ length: threads }, (_, number) => thread(number));
  return scenario(name, 'ram = memfd_create("x", MFD_INACCESSIBLE)', "ftruncate(ram, 64K)", "parallel {", ...lines, "}");
}

const programsOf = (text: string): readonly Program[] => analyse("a.memfd", text, { imports: () => undefined }).programs;

test("12 threads of 50 calls beside a small scenario", async (context) => {
  const client = new Client();
  context.after(() => client.close());
  client.settings = { run: "onType", maxStates: 5_000_000, timeout: 600 };
  await client.initialize();
  const uri = "file:///crowd.memfd";
  await client.open(uri, `${crowd("crowd", 12, 50)}${scenario("small", "close(-1) = 0")}`);
  const of = (name: string) => client.statuses.findLast((status) => status.uri === uri)?.scenarios.find((one) => one.scenario === name);

  await client.until("the small one's verdict while the crowd runs", () => of("small")?.state === "fail" && of("crowd")?.state === "running");
  await client.until("its squiggle", () => client.diagnostics(uri)?.some(({ code }) => code === "MEMFD3001"));

  const foretold = await client.until("the forecast while it runs", () => client.diagnostics(uri)?.find(({ code }) => code === "MEMFD6007"));
  assert.equal(foretold.range.start.line, 0, "on the scenario's line");
  assert.match(String(foretold.message), /^will not finish: 12 threads of about \d+ atomic steps each; after .* limit /);
  await client.until("the forecast in the status", () => of("crowd")?.forecast === foretold.message && of("crowd")?.state === "running");

  const seen = client.progress.length;
  const last = await client.until("how far it is, again and again", () => client.progress.length > seen + 3 && client.progress.at(-1));
  assert.deepEqual([last.uri, last.scenario, last.kernel], [uri, "crowd", "v8"]);
  assert.ok(last.states > 0 && last.frontier > 0 && last.depth > 0 && last.rate >= 0, JSON.stringify(last));
  const own = client.progress.filter((one) => one.scenario === "crowd").map(({ states }) => states);
  assert.deepEqual(
    own,
    [...own].sort((one, other) => one - other),
    "states only grow",
  );

  await client.request(STOP, { uri });
  const status = await client.settled(uri);
  const stopped = status.scenarios.find((one) => one.scenario === "crowd");
  assert.equal(stopped?.state, "incomplete");
  assert.match(stopped?.reason ?? "", /^stopped after [\d,]+ states, [\d,]+ to go at depth \d+$/);
  assert.ok((stopped?.states ?? 0) >= last.states);
  await client.until("the last word in place of the forecast", () => {
    const codes = client.diagnostics(uri)?.map(({ code }) => code);
    return codes?.includes("MEMFD6001") && !codes.includes("MEMFD6007");
  });
  const heard = client.progress.length;
  const again = await client.request<RunResult>(RUN, { uri, scenario: "small" });
  assert.deepEqual(
    again.verdicts.map(({ state }) => state),
    ["fail"],
  );
  assert.equal(client.progress.length, heard, "a run that was stopped says nothing more");
});

test("what an editor asks of a run is answered from the one that it had: no request runs it again", async (context) => {
  const client = new Client();
  context.after(() => client.close());
  await client.initialize();
  const [uri, other] = ["file:///one.memfd", "file:///other.memfd"];
  const text = scenario(
    "race",
    'ram = memfd_create("x", MFD_INACCESSIBLE)',
    "ftruncate(ram, 8K)",
    "parallel {",
    "  t0 { close(ram) }",
    "  t1 { close(ram) }",
    "}",
  );
  await client.open(uri, text);
  await client.settled(uri);
  const before = client.statuses.length;
  const place = { textDocument: { uri }, position: { line: 2, character: 10 } };
  await client.request("textDocument/hover", place);
  await client.request("textDocument/codeLens", { textDocument: { uri } });
  await client.request("textDocument/inlayHint", { textDocument: { uri }, range: { start: { line: 0, character: 0 }, end: { line: 9, character: 0 } } });
  assert.ok((await client.request<TraceResult>(TRACE, { uri, scenario: "race" })).trace);
  assert.ok((await client.request<TraceResult>(TRACE, { uri, scenario: "race" })).trace);
  await client.request<RunResult>(RUN, { uri, scenario: "race" });
  // The same scenario in another file, further down.
  await client.open(other, `// a comment\n\n${text}`);
  await client.settled(other);
  assert.deepEqual(
    client.statuses.slice(before).filter(({ running }) => running),
    [],
  );
});

/** The report of one run in a worker of its own. */
async function reportOf(program: Program, worker: string | URL, heapMegabytes: number): Promise<Report> {
  const runner = new Runner(nodeWorkers(worker, { heapMegabytes, parallel: 1 }), { changed: () => undefined });
  const job = wanted(program, { maxStates: 5_000_000, maxMilliseconds: 60_000 });
  runner.want("a", [job]);
  await runner.settled([job.key]);
  const outcome = runner.outcome(job.key);
  runner.dispose();
  assert.ok(outcome?.kind === "report", JSON.stringify(outcome));
  return outcome.report;
}

/** A worker that says how far it is and then takes all the memory that it gets. */
const GREEDY = new URL(
  `data:text/javascript,${encodeURIComponent(`
    import { parentPort } from "node:worker_threads";
    parentPort.on("message", ({ id }) => {
      const progress = { states: 1234567, transitions: 2, frontier: 89, depth: 10, milliseconds: 400 };
      parentPort.postMessage({ kind: "progress", id, live: { progress, rate: 1 } });
      const kept = [];
      for (;;) kept.push({ number: kept.length });
    });
  `)}`,
);

test("a worker whose heap is full ends alone: the answer is incomplete, and says memory", async () => {
  const [program] = programsOf(scenario("small", "close(-1) = -EBADF"));
  const tiny = await reportOf(program, GREEDY, 24);
  assert.deepEqual([tiny.verdict, tiny.exploration.cut], ["incomplete", "memory"]);
  assert.equal(tiny.exploration.limit, "the memory limit after 1,234,567 states, 89 to go at depth 10");
  assert.equal((await reportOf(program, WORKER, 512)).verdict, "pass", "and this process goes on");
});

test("states that take more bytes than they may: incomplete, with how far it came", () => {
  const [program] = programsOf(crowd("crowd", 4, 6));
  const told: ModelMessage[] = [];
  const answer = perform({ id: 1, task: { kind: "check", program, maxBytes: 1 << 17 } }, (message) => told.push(message));
  assert.ok(answer.kind === "report");
  const { verdict, exploration, remarks } = answer.report;
  assert.deepEqual([verdict, exploration.cut, exploration.complete], ["incomplete", "memory", false]);
  assert.match(exploration.limit ?? "", /^the memory limit after [\d,]+ states?, [\d,]+ to go at depth \d+$/);
  assert.ok(exploration.states > 0 && exploration.frontier > 0 && exploration.depth > 0, JSON.stringify(exploration));
  assert.deepEqual(
    remarks.filter(({ code }) => code === "MEMFD6001").map(({ message }) => message),
    [`not all interleavings were explored: ${exploration.limit}`],
  );
  assert.ok((answer.bytes ?? 0) > 100);
});
