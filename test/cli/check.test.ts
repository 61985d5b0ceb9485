// `memfd check`: verdict line, exit statuses, limits and the machine formats, on an engine that answers what it is told.

import assert from "node:assert/strict";
import { test } from "node:test";
import { memfd } from "./toy.ts";

const lastLine = (text: string): string => text.trimEnd().split("\n").at(-1) ?? "";
const json = (text: string) => JSON.parse(text);

test("exit statuses and the verdict on the last line", async () => {
  const cases: [string, number, RegExp][] = [
    ["scenario a pass", 0, /^pass: 1 scenario, every interleaving explored$/],
    ["scenario a expected", 0, /^pass: /],
    ["scenario a pass\nscenario b fail", 1, /^fail: 1 of 2 scenarios failed$/],
    ["scenario a incomplete", 3, /^incomplete: 1 of 1 scenario incomplete$/],
    ["scenario a incomplete\nscenario b fail", 1, /^fail: 1 of 2 scenarios failed, 1 of 2 scenarios incomplete$/],
    ["scenario a pass\nerror MEMFD1001", 2, /^fail: 1 error in the text$/],
    ["scenario a fail\nerror MEMFD2001", 2, /^fail: 1 error in the text, 1 of 1 scenario failed$/],
    ["scenario a pass\nwarning MEMFD5001", 0, /^pass: /],
    ["scenario a unmodelled", 3, /^incomplete: some scenarios were not run$/],
    ["scenario a unmodelled\nscenario b pass", 3, /^incomplete: some scenarios were not run$/],
    ["scenario a unmodelled\nscenario b fail", 1, /^fail: 1 of 1 scenario failed, some scenarios were not run$/],
    ["scenario a bug", 3, /^incomplete: /],
    ["", 3, /^incomplete: no scenario was run$/],
  ];
  for (const [text, status, verdict] of cases) {
    const ran = await memfd(["check", "a.memfd"], { "a.memfd": text });
    assert.equal(ran.status, status, text);
    assert.match(lastLine(ran.out), verdict, text);
  }
});

test("findings have file, line and column, runs their extent", async () => {
  const { out } = await memfd(["check", "a.memfd"], { "a.memfd": "// x\nscenario b fail\nscenario c incomplete" });
  assert.match(out, /^a\.memfd:2:1: error: no-stale-mapping & <a stale entry> \[MEMFD4001\]$/m);
  assert.match(out, /^a\.memfd:2: FAIL: "b" under v8 \(7 states, all interleavings\)$/m);
  assert.match(out, /^a\.memfd:3: incomplete: "c" under v8 \(7 states, not all interleavings: the limit\n {2}of 7 states, 3 to go at depth 4\)$/m);
});

test("a bug of the model is said and never green, and the others still run", async () => {
  const { out, status } = await memfd(["check", "a.memfd"], { "a.memfd": "scenario a bug\nscenario b pass" });
  assert.equal(status, 3);
  assert.match(out, /MEMFD9001/);
  assert.match(out, /page without a frame/);
  assert.match(out, /pass: "b"/);
});

test("folders are walked for *.memfd, a file is checked once, what is missing is status 2", async () => {
  const files = {
    "d/b.memfd": "scenario b pass",
    "d/a.memfd": "scenario a pass",
    "d/x/c.memfd": "scenario c pass",
    "d/note.txt": "error MEMFD1001",
    "d/.git/z.memfd": "error MEMFD1001",
    "d/node_modules/z.memfd": "error MEMFD1001",
  };
  const { out, status } = await memfd(["check", "d", "d/a.memfd"], files);
  assert.equal(status, 0);
  assert.deepEqual(
    [...out.matchAll(/"(\w)" under/g)].map((match) => match[1]),
    ["a", "b", "c"],
  );
  const missing = await memfd(["check", "d/a.memfd", "gone.memfd"], files);
  assert.equal(missing.status, 2);
  assert.match(missing.out, /^gone\.memfd:1:1: error: Cannot read this file: no such file or folder\. \[MEMFD1000\]$/m);
  assert.equal((await memfd(["check", "e"], { "e/readme": "" })).status, 2);
});

test("imports are resolved beside the importing file", async () => {
  assert.equal((await memfd(["check", "d/a.memfd"], { "d/a.memfd": "import lib/b.memfd\nscenario a pass", "d/lib/b.memfd": "" })).status, 0);
  assert.equal((await memfd(["check", "d/a.memfd"], { "d/a.memfd": "import b.memfd\nscenario a pass", "b.memfd": "" })).status, 2);
});

test("limits reach the engine", async () => {
  const { asked } = await memfd(["check", "a.memfd", "--max-states", "12", "--timeout=1.5"], { "a.memfd": "scenario a pass" });
  assert.deepEqual([asked.maxStates, asked.maxMilliseconds], [12, 1500]);
  const without = await memfd(["check", "a.memfd"], { "a.memfd": "scenario a pass" });
  assert.deepEqual([without.asked.maxStates, without.asked.maxMilliseconds], [undefined, undefined]);
});

test("JSON, version 1", async () => {
  const ran = await memfd(["check", "--format", "json", "a.memfd"], { "a.memfd": "scenario a fail\nerror MEMFD2001" });
  assert.equal(ran.status, 2);
  assert.equal(ran.error, "");
  assert.deepEqual(json(ran.out), {
    version: 1,
    verdict: "fail",
    scenarios: [
      {
        file: "a.memfd",
        name: "a",
        kernel: "v8",
        line: 1,
        verdict: "fail",
        calls: [{ line: 1, actor: "vmm", call: "fallocate", results: [{ value: 0 }, { errno: "EINVAL" }] }],
        violations: [
          {
            invariant: "no-stale-mapping",
            line: 1,
            expected: false,
            message: "a stale entry",
            story: [{ actor: "vmm", line: 1, step: "truncate", effect: "the page leaves the file" }],
          },
        ],
        exploration: { states: 7, transitions: 9, complete: true, milliseconds: 2, depth: 4, frontier: 0 },
      },
    ],
    findings: [
      { file: "a.memfd", line: 1, column: 1, endLine: 1, endColumn: 16, severity: "error", code: "MEMFD4001", message: "no-stale-mapping & <a stale entry>" },
      { file: "a.memfd", line: 2, column: 1, endLine: 2, endColumn: 16, severity: "error", code: "MEMFD2001", message: 'error on "error MEMFD2001"' },
    ],
  });
});

test("JSON of an unreadable file is still one object", async () => {
  const ran = await memfd(["check", "--format=json", "gone.memfd"]);
  assert.equal(ran.status, 2);
  const { verdict, scenarios, findings } = json(ran.out);
  assert.deepEqual([verdict, scenarios, findings.length, findings[0].file], ["fail", [], 1, "gone.memfd"]);
});

test("SARIF has a rule and a place for each finding", async () => {
  const { out, status } = await memfd(["check", "--format", "sarif", "my dir/a.memfd"], { "my dir/a.memfd": "scenario a fail" });
  assert.equal(status, 1);
  const [run] = json(out).runs;
  assert.equal(json(out).version, "2.1.0");
  assert.deepEqual(run.tool.driver.rules, [{ id: "MEMFD4001" }]);
  assert.equal(run.results[0].level, "error");
  assert.deepEqual(run.results[0].locations[0].physicalLocation, {
    artifactLocation: { uri: "my%20dir/a.memfd" },
    region: { startLine: 1, startColumn: 1, endLine: 1, endColumn: 16 },
  });
  assert.deepEqual(run.invocations, [{ executionSuccessful: true, exitCode: 1 }]);
});

test("JUnit counts, and is XML whatever the messages hold", async () => {
  const { out } = await memfd(["check", "--format", "junit", "a.memfd"], {
    "a.memfd": "scenario a fail\nscenario b pass\nscenario c incomplete\nerror MEMFD1001 \u0001",
  });
  assert.match(out, /<testsuite name="a\.memfd" tests="4" failures="1" errors="2">/);
  assert.match(out, /no-stale-mapping &amp; &lt;a stale entry&gt;/);
  assert.match(out, /<testcase name="b \(v8\)" classname="a\.memfd" time="0\.002"\/>/);
  assert.ok(!out.includes("\u0001"));
});

test("TAP numbers its points and escapes what would be a directive", async () => {
  const { out } = await memfd(["check", "--format", "tap", "a.memfd"], { "a.memfd": "scenario a#SKIP fail\nscenario b pass" });
  assert.deepEqual(out.split("\n").slice(0, 3), ["TAP version 14", "1..2", "not ok 1 - a.memfd: a\\#SKIP (v8)"]);
  assert.match(out, /^ok 2 - a\.memfd: b \(v8\)$/m);
});
