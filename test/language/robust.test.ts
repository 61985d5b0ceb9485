// Any text gets an answer: no exception, no repair by the parser, bounded time; and an edited analysis equals one from nothing.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { completeAt } from "../../src/language/complete.ts";
import { format } from "../../src/language/format.ts";
import { parser } from "../../src/language/generated/parser.ts";
import { describeAt } from "../../src/language/hover.ts";
import { type Analysis, analyse, MAX_FINDINGS } from "../../src/language/index.ts";
import { signaturesAt } from "../../src/language/signature.ts";
import { read, SAMPLE } from "./support.ts";

const PIECES = [
  "f(",
  "a",
  "=",
  "0",
  "@x",
  "{",
  "}",
  "(",
  ")",
  "[",
  "]",
  ",",
  ":",
  ";",
  "\n",
  "\n",
  'scenario "x"',
  "setup q",
  'import "',
  "parallel",
  "atomic {",
  "repeat 3",
  "as i",
  "check",
  "on v8",
  "or",
  "exit",
  "exit A {",
  "-1 EINVAL",
  "<x>",
  " (foo)",
  "order a",
  "before b",
  "kernel v8",
  "extends",
  "without",
  "//c\n",
  "/*\n*/",
  "/*",
  "$",
  '"s',
  '"s"',
  "#VE",
  "?",
  "_",
  ".x",
  "'a'",
  "0755",
  "-",
  "!",
  "==",
  "expect violation",
  "assert",
  "machine {",
  "process p",
  "use x",
  "expect safe",
  "at",
  "exists",
  "\t",
  "\r\n",
  "close(1)",
  "x = dup(1)",
  "vmm {",
  "vcpu0: load(0x1000)",
  "result(a) == ok",
  "allocated(ram, 0)",
  "é",
  "\u{1f600}",
  "repeat 999999999 as i {",
];
const soup = fc.array(fc.constantFrom(...PIECES), { maxLength: 25 }).map((pieces) => pieces.join(" "));
const edit = fc.record({ at: fc.nat(), cut: fc.nat(40), put: fc.oneof(soup, fc.string({ maxLength: 8 }), fc.constant("")) });
const edited = (text: string, change: { at: number; cut: number; put: string }): string => {
  const at = change.at % (text.length + 1);
  return text.slice(0, at) + change.put + text.slice(at + change.cut);
};

function answers(text: string): void {
  const analysis = read(text);
  for (const finding of analysis.findings) {
    assert.ok(
      finding.span.from >= 0 && finding.span.from <= finding.span.to && finding.span.to <= text.length,
      `${finding.code} ${finding.span.from}-${finding.span.to} of ${text.length}`,
    );
  }
  for (const offset of [0, text.length >> 1, text.length]) {
    describeAt(analysis, offset);
    completeAt(analysis, offset);
    signaturesAt(analysis, offset);
  }
  parser.parse(text).iterate({ enter: (node) => assert.ok(!node.type.isError, "the grammar takes every token") });
  for (const program of analysis.programs) for (const site of program.sites) assert.ok(site.from <= site.to && site.to <= text.length);
}

test("random pieces of the language", () => fc.assert(fc.property(soup, answers), { numRuns: 600 }));
test("random text", () => fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 200 }), answers), { numRuns: 300 }));
test("random edits of a valid file", () =>
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => answers(edits.reduce(edited, SAMPLE))),
    { numRuns: 200 },
  ));

const visible = (analysis: Analysis): string =>
  JSON.stringify({ findings: analysis.findings, programs: analysis.programs, outline: analysis.outline }, (_, value) =>
    typeof value === "bigint" ? `${value}n` : value,
  );

test("an edited analysis equals one from nothing", () => {
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 5 }), (edits) => {
      let text = SAMPLE;
      let analysis = read(text);
      for (const change of edits) {
        text = edited(text, change);
        analysis = read(text, analysis);
        assert.equal(visible(analysis), visible(read(text)));
      }
    }),
    { numRuns: 120 },
  );
});

test("formatting is idempotent and keeps the meaning", () => {
  const shape = (text: string): string => {
    const names: string[] = [];
    parser.parse(text).iterate({ enter: (node) => void names.push(node.name + (node.node.firstChild === null ? text.slice(node.from, node.to).trim() : "")) });
    return names.join(" ");
  };
  const check = (text: string): void => {
    const once = format(text);
    assert.equal(format(once), once);
    assert.equal(shape(once), shape(text));
  };
  fc.assert(
    fc.property(
      fc.oneof(
        soup,
        edit.map((change) => edited(SAMPLE, change)),
      ),
      check,
    ),
    { numRuns: 300 },
  );
  assert.equal(format(SAMPLE), SAMPLE);
  const ragged = SAMPLE.replaceAll(/^ +/gm, (blanks) => " ".repeat((blanks.length * 7) % 5))
    .replaceAll(/, (?![a-z]+$)/gm, " ,")
    .replaceAll(" = ", "=");
  assert.equal(format(ragged).replaceAll(/ +/g, " "), SAMPLE.replaceAll(/ +/g, " "));
});

const limited = (name: string, text: string, code: string, milliseconds = 30_000): void => {
  test(`${name}: a finding on its line, in bounded time`, () => {
    const start = performance.now();
    const { findings, programs } = read(text);
    const spent = performance.now() - start;
    assert.ok(
      findings.some((finding) => finding.code === code),
      findings
        .map((finding) => finding.code)
        .join(" ")
        .slice(0, 200),
    );
    assert.ok(spent < milliseconds, `${spent} ms`);
    assert.deepEqual(programs, []);
  });
};
limited("10 MB", "close(1)\n".repeat(1_100_000), "MEMFD6006");
limited("NUL", "kernel v8\nclose(1)\n\0", "MEMFD1001");
limited("invalid UTF-8", "kernel v8\nclose(\ufffd)\n", "MEMFD1001");
limited("10,000 parentheses", `kernel v8\nclose(${"(".repeat(10_000)}`, "MEMFD6002");
limited("10,000 blocks", "atomic {\n".repeat(10_000), "MEMFD6002");
limited("10,000 prefixes", `kernel v8\n${"a:".repeat(10_000)} close(1)`, "MEMFD2018");
limited("10,000 signs", `kernel v8\nclose(${"-".repeat(10_000)}1)`, "MEMFD6002");
limited("100,000 terms", `kernel v8\nclose(${"1+".repeat(100_000)}1)`, "MEMFD6002");
limited("a billion rounds", "kernel v8\nrepeat 1000000000 as i { close(i) }", "MEMFD6003");
limited("nested rounds", `kernel v8\n${"repeat 100 as i { ".repeat(1)}repeat 100 as j { repeat 100 as k { close(1) } } }`, "MEMFD6003");
limited("empty rounds", `kernel v8\nrepeat 10000 as i { repeat 10000 as j { } }`, "MEMFD6003");
limited("a terabyte of different bytes", 'kernel v8\nfd = memfd_create("x", 0)\nwrite(fd, "ab" * 1T)', "MEMFD6003");
limited(
  "setups that double",
  `${Array.from({ length: 40 }, (_, i) => `setup s${i} {\n  use s${i + 1}\n  use s${i + 1}\n}`).join("\n")}\nsetup s40 { close(1) }\nscenario "x" {\n  kernel v8\n  use s0\n}`,
  "MEMFD6003",
);
limited("an open comment", "kernel v8\nclose(1)\n/* open", "MEMFD1010");
limited("constants in a ring", "A = B\nB = A\nkernel v8\nclose(A)", "MEMFD2033");
limited(
  "constants that double",
  `${Array.from({ length: 60 }, (_, i) => `C${i} = C${i + 1} + C${i + 1}`).join("\n")}\nC60 = 1 / 0\nkernel v8\nclose(C0)`,
  "MEMFD2033",
);

test("a terabyte of one byte is one run", () => {
  const { programs } = read('kernel v8\nfd = memfd_create("x", 0)\nftruncate(fd, 1T)\nwrite(fd, 0x41 * 1T)');
  assert.deepEqual(programs[0].calls[2].operands[1], { kind: "data", runs: [{ byte: 0x41, count: 1n << 40n }], length: 1n << 40n });
});

test("at most so many findings, and how many more there are", () => {
  const { findings } = read(`kernel v8\n${"nonsense\n".repeat(5000)}`);
  assert.equal(findings.length, MAX_FINDINGS + 1);
  assert.equal(findings[MAX_FINDINGS].message, "and 4800 more findings from here on");
});

test("hostile text of hundreds of kilobytes is answered within seconds", () => {
  for (const piece of ["<a", "}x\n", "a\n", "{", "(", "}", 'scenario "x" {\n', "a:", '"', "/*", "= ", "or ", "@"]) {
    const start = performance.now();
    read(piece.repeat(Math.floor(200_000 / piece.length)));
    assert.ok(performance.now() - start < 60_000, `${JSON.stringify(piece)} took ${performance.now() - start} ms`);
  }
});

const big = (): string => {
  const parts = ["kernel v8\n", SAMPLE.slice(SAMPLE.indexOf("setup one"), SAMPLE.indexOf('scenario "between'))];
  for (let i = 0; i < 500; i++) {
    parts.push(
      `scenario "number ${i}" {\n  check no-stale-mapping\n  fd = memfd_create("x", MFD_CLOEXEC)\n  ftruncate(fd, ${i + 1} * 4K) = 0\n  fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4K) = 0\n  ` +
        'write(fd, "abcd") = 4\n  exists allocated(fd, 0) == 1\n  close(fd) = 0\n}\n\n',
    );
  }
  return parts.join("");
};

test("forty keystrokes in a 5,000-line file of 500 scenarios keep every scenario (the bench measures their time)", (t) => {
  let text = big();
  assert.ok(text.split("\n").length >= 5000);
  let analysis = read(text);
  assert.equal(analysis.programs.length, 500);
  const times: number[] = [];
  for (let i = 0; i < 40; i++) {
    const at = text.indexOf("4K", text.indexOf(`"number ${i * 12}"`));
    text = `${text.slice(0, at)}1${text.slice(at)}`;
    const start = performance.now();
    analysis = read(text, analysis);
    times.push(performance.now() - start);
    assert.equal(analysis.findings.length, 0);
  }
  times.sort((a, b) => a - b);
  t.diagnostic(`median ${times[20].toFixed(1)} ms, slowest ${times[39].toFixed(1)} ms`);
});

test("what an edit leaves alone is the same Program", () => {
  const first = read(SAMPLE);
  const second = read(`${SAMPLE}// more\n`, first);
  assert.equal(second.programs[0], first.programs[0]);
});

test("imports: declarations cross, the kernel does not; a cycle is an error on its line", () => {
  const files: Record<string, string> = {
    "lib.memfd":
      'kernel v4\nPAGE = 4K\nkernel mine extends v8 { notifier_units = pages }\nsetup file {\n  fd = memfd_create("x", 0)\n  ftruncate(fd, PAGE) = 0\n}\n',
    "loop.memfd": 'import "main.memfd"\nsetup b { close(1) }\n',
    "far.memfd": 'import "one.memfd"\n',
    "one.memfd": 'import "two.memfd"\nsetup c { close(1) }\n',
    "two.memfd": 'import "one.memfd"\n',
    "bad.memfd": "setup s {\n  close(\n}\n",
  };
  const imports = (path: string) => (path in files ? { file: path, text: files[path] } : path === "main.memfd" ? { file: path, text: "" } : undefined);
  const run = (text: string) => analyse("main.memfd", text, { imports });
  const good = run('import "lib.memfd"\nscenario "a" {\n  kernel mine\n  use file\n  close(fd) = 0\n}\n');
  assert.deepEqual(good.findings, []);
  assert.equal(good.programs[0].profile.base, "v8");
  assert.equal(good.programs[0].sites[good.programs[0].calls[1].site].file, "lib.memfd");
  assert.deepEqual(
    run('import "main.memfd"\n').findings.map((f) => f.code),
    ["MEMFD2023"],
  );
  assert.deepEqual(
    run('import "loop.memfd"\n').findings.map((f) => f.code),
    ["MEMFD2023"],
  );
  const far = run('import "far.memfd"\nimport "one.memfd"\nscenario "a" {\n  kernel v8\n  use c\n}\n').findings;
  const circle = "leads into a circle of imports: `one.memfd` → `two.memfd` → `one.memfd`";
  assert.deepEqual(
    far.map((f) => [f.code, f.span.from, f.message]),
    [
      ["MEMFD2023", 7, `\`far.memfd\` ${circle}`],
      ["MEMFD2023", 26, `\`one.memfd\` ${circle}`],
    ],
  );
  assert.deepEqual(
    run('import "gone.memfd"\n').findings.map((f) => f.code),
    ["MEMFD2022"],
  );
  const bad = run('import "bad.memfd"\nscenario "a" {\n  kernel v8\n  use s\n}\n');
  assert.deepEqual(
    bad.findings.map((f) => [f.code, f.span.file]),
    [["MEMFD2008", "main.memfd"]],
  );
  assert.deepEqual(bad.programs, []);
});

test("braces that close nothing are one finding a run, and a file has a limited number of statements", () => {
  const start = performance.now();
  assert.equal(read(`kernel v8\n${"} ".repeat(200_000)}`).findings.length, 1);
  assert.ok(performance.now() - start < 30_000, `${performance.now() - start} ms`);
  const many = read(`kernel v8\n${"close(1)\n".repeat(20_001)}`);
  assert.ok(many.findings.some((finding) => finding.code === "MEMFD6003"));
  assert.deepEqual(many.programs, []);
});
