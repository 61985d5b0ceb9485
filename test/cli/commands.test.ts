// The other commands and the command line itself: what is wrong with it is said on the error stream with status 2.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { parseCommand } from "../../src/cli/args.ts";
import { VERSION } from "../../src/cli/version.ts";
import { calls, profiles } from "../../src/scenario/catalogue/index.ts";
import { memfd } from "./toy.ts";

test("a wrong command line is status 2 and says why", async () => {
  const cases: [string[], RegExp][] = [
    [[], /a command is missing/],
    [["chekc", "a"], /unknown command chekc; did you mean check\?/],
    [["--frobnicate"], /unknown option --frobnicate/],
    [["check"], /check needs a file or a folder/],
    [["check", "-"], /standard input is not read/],
    [["check", ""], /empty/],
    [["check", "a", "--fromat", "json"], /unknown option --fromat; did you mean --format\?/],
    [["check", "a", "-f"], /unknown option -f/],
    [["check", "a", "--format"], /--format needs a value/],
    [["check", "a", "--format", "yaml"], /unknown format yaml; known are text, json, sarif, junit, tap/],
    [["check", "a", "--format", "json", "--format", "tap"], /given twice/],
    [["check", "a", "--max-states", "0"], /--max-states needs/],
    [["check", "a", "--max-states", "1e6"], /--max-states needs/],
    [["check", "a", "--max-states=-1"], /--max-states needs/],
    [["check", "a", "--timeout", "soon"], /--timeout needs/],
    [["check", "a", "--kernel", "v4,,v8"], /empty name/],
    [["trace"], /exactly one file/],
    [["trace", "a", "b"], /exactly one file/],
    [["trace", "a", "--format", "json"], /unknown option --format/],
    [["kernels", "x"], /takes no operand/],
    [["format"], /needs a file/],
    [["format", "a", "--check=yes"], /takes no value/],
    [["help", "everything"], /unknown command everything/],
  ];
  for (const [args, message] of cases) {
    const ran = await memfd(args);
    assert.equal(ran.status, 2, args.join(" "));
    assert.match(ran.error, message);
    assert.equal(ran.out, "", args.join(" "));
  }
});

test("no command line makes the parser throw", () => {
  const word = fc.oneof(
    fc.constantFrom("check", "trace", "format", "--", "--kernel", "--kernel=v4", "--format", "-x", "--max-states", "9", "__proto__", "--__proto__"),
    fc.string(),
  );
  fc.assert(fc.property(fc.array(word, { maxLength: 6 }), (args) => assert.equal(typeof parseCommand(args).ok, "boolean")));
});

test("names that begin with a dash come behind --, kernels in a list or one by one", () => {
  const parsed = parseCommand(["check", "--kernel", "v4,v8", "--kernel=v8,v10", "--", "-odd.memfd"]);
  assert.deepEqual(parsed, {
    ok: true,
    command: { name: "check", paths: ["-odd.memfd"], format: "text", kernels: ["v4", "v8", "v10"], maxStates: undefined, seconds: undefined },
  });
});

test("help and version", async () => {
  for (const args of [["--help"], ["-h"], ["help"], ["check", "--help"], ["help", "trace"], ["trace", "x", "-h"]]) {
    const ran = await memfd(args);
    assert.equal(ran.status, 0);
    assert.match(ran.out, /memfd/);
    for (const line of ran.out.split("\n")) assert.ok(line.length <= 80, line);
  }
  assert.equal((await memfd(["--version"])).out, "1.2.3\n");
  assert.equal(JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version, VERSION);
});

test("kernels lists every row and which are modelled, in 80 columns", async () => {
  const { out, status } = await memfd(["kernels"]);
  assert.equal(status, 0);
  for (const row of profiles) assert.match(out, new RegExp(`^${row.name.replaceAll(".", "\\.")} +${row.modelled ? "yes" : "not yet"} `, "m"));
  for (const line of out.split("\n")) assert.ok(line.length <= 80, line);
});

test("calls lists every call, and describes one with its errors in order", async () => {
  const list = (await memfd(["calls"])).out;
  for (const spec of calls) assert.ok(list.includes(`${spec.name}(`), spec.name);
  assert.match(list, /KVM_CREATE_VM\(\[kvm, \]type\)/);
  assert.match(list, /fcntl\(fd, cmd\[, arg\]\)/);
  assert.match(list, /TDG\.VP\.RD\(\[rcx\]\[, rdx\]/);
  const { out, status } = await memfd(["calls", "fallocate", "load"]);
  assert.equal(status, 0);
  assert.match(out, /fallocate\(fd, mode, offset, len\)/);
  assert.ok(out.indexOf("EOPNOTSUPP") < out.indexOf("EFBIG") && out.indexOf("EFBIG") < out.indexOf("EPERM"), "errors in the order of checking");
  assert.match(out, /^Atomic steps under v8:\n {2}fallocate\.allocate = .*(\n {6}.*)*\n {2}fallocate\.punch_hole = check_alignment, truncate, invalidate$/m);
  assert.match((await memfd(["calls", "TDG.VP.RD"])).out, /^Not modelled yet\.$/m);
  assert.match(out, /^load\(map, off\)$/m);
  assert.match(out, /^vcpu: load\(gpa\)$/m);
  for (const spec of calls) for (const line of (await memfd(["calls", spec.name])).out.split("\n")) assert.ok(line.length <= 80, line);
  const wrong = await memfd(["calls", "fallocat"]);
  assert.equal(wrong.status, 2);
  assert.match(wrong.error, /did you mean fallocate\?/);
});

test("format rewrites only what changes, never what is not UTF-8, and --check writes nothing", async () => {
  const files = { "a.memfd": "\tx", "b.memfd": "x", "c.memfd": "\t\ufffd" };
  const check = await memfd(["format", "--check", "a.memfd", "b.memfd"], files);
  assert.deepEqual([check.status, check.out, files["a.memfd"]], [1, "a.memfd\n", "\tx"]);
  const ran = await memfd(["format", "a.memfd", "b.memfd"], files);
  assert.deepEqual([ran.status, ran.out, files["a.memfd"]], [0, "a.memfd\n", "  x"]);
  const binary = await memfd(["format", "c.memfd"], files);
  assert.deepEqual([binary.status, files["c.memfd"]], [2, "\t\ufffd"]);
  assert.match(binary.error, /not UTF-8/);
  assert.equal((await memfd(["format", "gone.memfd"], files)).status, 2);
});

test("trace takes all scenarios, or one by name or part of it", async () => {
  const files = { "a.memfd": "scenario window-v8 fail\nscenario order pass\nscenario window-v9 pass" };
  const titles = (out: string): string[] => [...out.matchAll(/^"(.*)"$/gm)].map((match) => match[1]);
  const all = await memfd(["trace", "a.memfd"], files);
  assert.equal(all.status, 1);
  assert.deepEqual(titles(all.out), ["window-v8", "order", "window-v9"]);
  assert.deepEqual(titles((await memfd(["trace", "a.memfd", "--scenario", "ORD"], files)).out), ["order"]);
  assert.equal((await memfd(["trace", "a.memfd", "--scenario", "order"], files)).status, 0);
  const ambiguous = await memfd(["trace", "a.memfd", "--scenario", "window"], files);
  assert.equal(ambiguous.status, 2);
  assert.match(ambiguous.error, /more than one scenario has "window"/);
  assert.match((await memfd(["trace", "a.memfd", "--scenario", "oder"], files)).error, /did you mean "order"\?/);
  assert.equal((await memfd(["trace", "gone.memfd"], files)).status, 2);
  assert.equal((await memfd(["trace", "a.memfd", "--schedule", "a3 b", "--scenario", "order"], files)).asked.schedule, "a3 b");
  assert.match((await memfd(["trace", "b.memfd"], { "b.memfd": "scenario x bug" })).out, /page without a frame/);
});
