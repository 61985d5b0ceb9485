// Line ends, contextual keywords, literals, precedence, recovery.

import assert from "node:assert/strict";
import { test } from "node:test";
import { parseInteger, parseString, quote } from "../../src/language/numbers.ts";
import { read, SAMPLE, said } from "./support.ts";

const one = (body: string, kernel = "v8"): string => `kernel ${kernel}\n${body}`;
const calls = (text: string): string[] => {
  const { programs, findings } = read(text);
  assert.deepEqual(
    findings.map((finding) => `${finding.code} ${finding.message}`),
    [],
  );
  const [program] = programs;
  return program.calls.map(
    (call) =>
      `${call.spec}${call.expect === undefined ? "" : ` = ${call.expect.any.map((p) => p.kind).join(" or ")}`}${call.label === undefined ? "" : ` @${call.label}`}`,
  );
};

test("the sample of the contract has no findings and three Programs", () => {
  const analysis = read(SAMPLE);
  assert.deepEqual(analysis.findings, []);
  assert.deepEqual(
    analysis.programs.map((program) => program.profile.name),
    ["v8", "v8-reordered", "v8-bracketed"],
  );
  assert.deepEqual(
    analysis.programs[1].profile.edits.map((edit) => edit.kind),
    ["feature", "steps"],
  );
  assert.equal(
    analysis.programs[0].expected[0].at?.calls[0],
    analysis.programs[0].calls.findIndex((call) => call.label === "hole"),
  );
});

const BREAKS = {
  "line feed": "\n",
  "carriage return and line feed": "\r\n",
  "blank lines": "\n\n  \n",
  "line comment": " // x = (\n",
  "comment over lines": " /* {\n } */ ",
};
for (const [name, eol] of Object.entries(BREAKS)) {
  test(`a statement ends at a ${name} in front of a name`, () => {
    assert.deepEqual(calls(one(`close(1)${eol}close(2) = 0${eol}close(3) @c${eol}x = dup(1)`)), ["close", "close = value", "close @c", "dup"]);
  });
  test(`it goes on over a ${name} behind a comma, an operator, =, or, and in front of a symbol`, () => {
    assert.deepEqual(calls(one(`close(1)${eol}= 0`)), ["close = value"]);
    assert.deepEqual(calls(one(`close(1) =${eol}0`)), ["close = value"]);
    assert.deepEqual(calls(one(`close(1) = 0 or${eol}-EBADF`)), ["close = value or errno"]);
    assert.deepEqual(calls(one(`close(1)${eol}@a`)), ["close @a"]);
    assert.deepEqual(calls(one(`close(1${eol}+${eol}2${eol})${eol}=${eol}1 +${eol}1`)), ["close = value"]);
    assert.deepEqual(calls(one(`close${eol}(1)`)), ["close"]);
    assert.deepEqual(calls(one(`x =${eol}dup(1)`)), ["dup"]);
    assert.deepEqual(calls(one(`vmm:${eol}close(1)`)), ["close"]);
    assert.deepEqual(calls(one(`check no-stale-mapping,${eol}frame-one-owner${eol}close(1)`)), ["close"]);
  });
}

test("a statement ends at ; and } and at the end of the file", () => {
  assert.deepEqual(calls(one("close(1); close(2); vmm { close(3) } close(4);")), ["close", "close", "close", "close"]);
  assert.deepEqual(calls("kernel v8;close(1)"), ["close"]);
});

test("what must stand on the same line is not taken from the next", () => {
  assert.deepEqual(said(one("check\nclose(1)")), ['MEMFD1005 "check"']);
  assert.deepEqual(said(one("close(1) = exit\nclose(2)")), ['MEMFD1005 "exit"']);
  assert.deepEqual(said(one("close(1) = -1\nEINVAL = dup(1)")).length > 0, true);
  for (const word of [
    "use",
    "order",
    "ignore",
    "expect",
    "assert",
    "exists",
    "never",
    "forall",
    "repeat",
    "on",
    "import",
    "scenario",
    "setup",
    "parallel",
    "atomic",
    "machine",
  ]) {
    assert.deepEqual(said(one(`${word}\nclose(1)`)), [`MEMFD1005 ${JSON.stringify(word)}`], word);
  }
});

test("keywords are ordinary names where the next token does not fit", () => {
  for (const word of [
    "use",
    "order",
    "check",
    "ignore",
    "expect",
    "kernel",
    "on",
    "repeat",
    "import",
    "scenario",
    "setup",
    "parallel",
    "atomic",
    "assert",
    "exists",
    "never",
    "forall",
    "machine",
    "process",
    "at",
    "before",
    "as",
    "or",
    "extends",
    "without",
    "violation",
    "safe",
  ]) {
    assert.deepEqual(calls(one(`${word} = dup(1)\nclose(${word})`)), ["dup", "close"], `${word} bound`);
    assert.deepEqual(calls(one(`${word}: close(1)`)), ["close"], `${word} as an actor`);
    assert.deepEqual(calls(one(`close(1) @${word}`)), [`close @${word}`], `${word} as a label`);
  }
  for (const word of ["use", "order", "check", "expect", "kernel", "on", "repeat", "import", "scenario", "setup", "parallel", "atomic"])
    assert.deepEqual(said(one(`${word}(1)`)), [`MEMFD2001 "${word}"`]);
  for (const word of ["ok", "fails", "blocks", "exit", "_", "kvm", "NULL", "vmm"])
    assert.deepEqual(said(one(`${word} = dup(1)`)), [`MEMFD2007 "${word}"`], word);
});

test("one broken line costs only itself", () => {
  const broken = [
    "close(1",
    "close 1)",
    "close(1))",
    "close(1 2)",
    "close(,1)",
    "$$$",
    "close(1) = = 0",
    ")",
    "foo bar baz",
    "12",
    '"text"',
    "close(1) @",
    "exists",
    "assert (",
    "close(1, ",
    "a.b.",
    "close[1",
    "close(1) = exit X {a",
    "'",
    "foo bar {",
    "kernel",
    "order a",
    "repeat 3 {}",
  ];
  for (const line of broken) {
    const balanced = line.endsWith("{") ? `${line}\n  close(8)\n}` : line;
    const { programs, outline, findings } = read(
      `scenario "a" {\n  kernel v8\n  close(1)\n}\nscenario "b" {\n  kernel v8\n  close(2)\n  ${balanced}\n  close(3)\n}\nscenario "c" {\n  kernel v8\n  close(4) @d\n}\n`,
    );
    assert.ok(findings.length >= 1, line);
    assert.deepEqual(
      outline.map((entry) => entry.broken),
      [false, true, false],
      line,
    );
    assert.deepEqual(
      programs.map((program) => program.name),
      ["a", "c"],
      line,
    );
    const from = `scenario "a" {\n  kernel v8\n  close(1)\n}\nscenario "b" {\n  kernel v8\n  close(2)\n`.length;
    for (const finding of findings)
      assert.ok(finding.span.from >= from && finding.span.from <= from + balanced.length + 14, `${line}: ${finding.message} at ${finding.span.from - from}`);
  }
});

test("a declaration ends a block that stands open, with the error on its opening brace", () => {
  const text = 'setup a {\n  vmm {\n    close(1)\nscenario "b" {\n  kernel v8\n  use a\n}\n';
  const { findings, outline } = read(text);
  assert.deepEqual(
    findings.map((finding) => [finding.code, finding.span.from]),
    [
      ["MEMFD1003", 8],
      ["MEMFD1003", 16],
    ],
  );
  assert.deepEqual(
    outline.map((entry) => entry.name),
    ["b"],
  );
});

test("integers", () => {
  const value = (text: string): bigint | string => {
    const literal = parseInteger(text);
    return "value" in literal ? literal.value : literal.code;
  };
  const table: [string, bigint | string][] = [
    ["0", 0n],
    ["4096", 4096n],
    ["4K", 4096n],
    ["16M", 16n << 20n],
    ["1T", 1n << 40n],
    ["2P", 2n << 50n],
    ["0x1000", 4096n],
    ["0xffK", 255n << 10n],
    ["0o755", 493n],
    ["0b101", 5n],
    ["1_000", 1000n],
    ["0x_1", "MEMFD1006"],
    ["1__0", "MEMFD1006"],
    ["1_", "MEMFD1006"],
    ["'A'", 65n],
    ["'\\n'", 10n],
    ["'\\x41'", 65n],
    ["0755", "MEMFD1006"],
    ["00", "MEMFD1006"],
    ["4k", "MEMFD1006"],
    ["4KB", "MEMFD1006"],
    ["12abc", "MEMFD1006"],
    ["0x", "MEMFD1006"],
    ["6.18", "MEMFD1006"],
    ["18446744073709551615", (1n << 64n) - 1n],
    ["18446744073709551616", "MEMFD1007"],
    ["16384P", "MEMFD1007"],
    ["0xffffffffffffffff", (1n << 64n) - 1n],
  ];
  for (const [text, expected] of table) assert.equal(value(text), expected, text);
});

test("strings have C escapes and are quoted back", () => {
  const literal = parseString('"a\\n\\x41\\101\\"\\\\é"');
  assert.ok("value" in literal);
  assert.deepEqual(literal.value, [97, 10, 65, 65, 34, 92, 0xc3, 0xa9]);
  assert.deepEqual(parseString(quote(literal.value)), literal);
  assert.ok("error" in parseString('"a\\"'));
});

test("operators bind as the contract says, unlike in C", () => {
  const value = (expression: string): bigint => {
    const { programs, findings } = read(one(`close(${expression})`));
    assert.deepEqual(findings, [], expression);
    const [operand] = programs[0].calls[0].operands;
    assert.equal(operand.kind, "int");
    return operand.kind === "int" ? operand.value : 0n;
  };
  const table: [string, bigint][] = [
    ["1 + 2 * 3", 7n],
    ["(1 + 2) * 3", 9n],
    ["1 << 2 + 1", 8n],
    ["1 | 2 & 3", 3n],
    ["-1", -1n],
    ["~0", -1n],
    ["- - 1", 1n],
    ["-7 / 2", -3n],
    ["-7 % 2", -1n],
    ["-8 >> 1", -4n],
    ["10 - 3 - 2", 5n],
    ["0xffffffffffffffff", -1n],
    ["0x7fffffffffffffff + 1", -(1n << 63n)],
    ["1 - -1", 2n],
    ["4K-1", 4095n],
    ["5 ^ 1", 4n],
  ];
  for (const [text, expected] of table) assert.equal(value(text), expected, text);
});

test("a hyphen belongs to a name only between a name character and a letter", () => {
  assert.deepEqual(said("A = 4\nB = 1\nkernel v8\nclose(A-B)"), ['MEMFD2002 "A-B"']);
  assert.deepEqual(said("A = 4\nkernel v8\nclose(A-1)"), []);
});

test("what strace prints behind a result is accepted and ignored", () => {
  assert.deepEqual(
    calls(
      one('x = memfd_create("a", MFD_CLOEXEC) = 3</memfd:a>\nclose(x) = -1 EBADF (Bad file descriptor)\nfcntl(x, F_GET_SEALS) = 0x1 (seals F_SEAL_SEAL) @s'),
    ),
    ["memfd_create = value", "close = errno", "fcntl = value @s"],
  );
});

test("every form of result", () => {
  const kinds = (text: string) => read(one(`fd = memfd_create("x", 0)\npread(fd, 4, 0) = ${text}`)).programs[0]?.calls[1].expect?.any;
  assert.deepEqual(kinds('4 "abcd"'), [{ kind: "value", value: 4n, data: [97, 98, 99, 100] }]);
  assert.deepEqual(kinds("-EINVAL or -1 EPERM or -22"), [
    { kind: "errno", errno: "EINVAL" },
    { kind: "errno", errno: "EPERM" },
    { kind: "errno", errno: "EINVAL" },
  ]);
  assert.deepEqual(
    kinds("ok or fails or blocks or ? or _"),
    ["ok", "fails", "blocks", "unknown", "any"].map((kind) => ({ kind })),
  );
  assert.deepEqual(kinds("TDX_OPERAND_BUSY/RCX or TDX_SUCCESS"), [
    { kind: "status", status: "TDX_OPERAND_BUSY", operand: "RCX" },
    { kind: "status", status: "TDX_SUCCESS" },
  ]);
  assert.deepEqual(kinds("exit KVM_EXIT_MEMORY_FAULT {flags=1,\n gpa=0x1000} or SIGBUS or #VE"), [
    {
      kind: "exit",
      exit: "KVM_EXIT_MEMORY_FAULT",
      fields: [
        { name: "flags", value: 1n },
        { name: "gpa", value: 4096n },
      ],
    },
    { kind: "signal", signal: "SIGBUS" },
    { kind: "exception", exception: "#VE" },
  ]);
  const per = read("kernel v8, v4\nclose(1) = 0 on v8 or -EBADF on v4, 6.18").programs.map((program) => program.calls[0].expect?.any.map((p) => p.kind));
  assert.deepEqual(per, [["value"], ["errno"]]);
});

/** Text under the expectation of the first call. */
const expectation = (text: string): string => {
  const { programs } = read(`kernel v8, v4\n${text}`);
  const site = programs[0].calls[0].expect?.site ?? -1;
  const { from, to } = programs[0].sites[site];
  return `kernel v8, v4\n${text}`.slice(from, to);
};

test("an expectation stands from its `=` to the end of the result", () => {
  assert.equal(expectation("close(1) = 0 @a"), "= 0");
  assert.equal(expectation("close(1)=0 or\n -EBADF   // note"), "=0 or\n -EBADF");
  assert.equal(expectation("fd = dup(1) = -1 EBADF (Bad file descriptor)"), "= -1 EBADF (Bad file descriptor)");
  assert.equal(expectation("close(1) /* = 2 */ = /* = 3 */ 0; close(2)"), "= /* = 3 */ 0");
  assert.equal(expectation("close(1) = 0 on v8 or -EBADF on v4 @a"), "= 0 on v8 or -EBADF on v4");
  assert.equal(expectation('readlink_fd(1) = "x" @a'), '= "x"');
});

test("what a line expects under other kernels is kept for a fix, and their names are checked", () => {
  const { programs } = read("kernel v8, v4\nclose(1) = 0 on v8 or -EBADF on v8, v4 or 1");
  assert.deepEqual(
    programs.map((program) => program.calls[0].expect?.elsewhere),
    [["-EBADF on v4"], ["0 on v8", "-EBADF on v8"]],
  );
  assert.equal(read("kernel v8\nclose(1) = 0 or 1").programs[0].calls[0].expect?.elsewhere, undefined);
  assert.deepEqual(said(one("close(1) = 0 on v88 or 1")), ['MEMFD2013 "v88"']);
});

test("a text is a result of a call that returns one", () => {
  const text = 'fd = memfd_create("x", 0)\nreadlink_fd(fd) = "/memfd:\\303\\251 (deleted)" or "é" @a\nexists result(a) == "y"\nnever "z" != result(a)';
  const [program] = read(one(text)).programs;
  assert.deepEqual(program.calls[1].expect?.any, [
    { kind: "text", text: "/memfd:\u00c3\u00a9 (deleted)" },
    { kind: "text", text: "\u00c3\u00a9" },
  ]);
  const asked = program.questions.map((question) => question.condition).map((c) => (c.kind === "matches" ? [c.pattern, c.negated] : c.kind));
  assert.deepEqual(asked, [
    [{ kind: "text", text: "y" }, false],
    [{ kind: "text", text: "z" }, true],
  ]);
  assert.deepEqual(said(one('close(1) = "x"')), ['MEMFD2030 "\\"x\\""']);
  assert.deepEqual(said(one('fd = memfd_create("x", 0)\nread(fd, 1) = "x"')), ['MEMFD2030 "\\"x\\""']);
});

test("entries of a variant: features, values, operations and steps are checked, the nearest is offered", () => {
  const variant = (entry: string): string => `kernel mine extends v8 { ${entry} }\nkernel mine\nclose(1)`;
  const answers = (entry: string) => read(variant(entry)).findings.map((finding) => `${finding.code} ${finding.fixes?.[0].edits[0].text ?? "-"}`);
  assert.deepEqual(answers("notifier_unit = pages"), ["MEMFD2015 notifier_units"]);
  assert.deepEqual(answers("notifier_units = page"), ["MEMFD2015 pages"]);
  assert.deepEqual(answers("notifier_units = pages, bytes"), ["MEMFD2015 -"]);
  assert.deepEqual(answers("zzz = yes"), ["MEMFD2015 -"]);
  assert.deepEqual(answers("fallocate.punch_holes without truncate"), ["MEMFD2016 fallocate.punch_hole"]);
  assert.deepEqual(answers("fault = snapshot, trunkate"), ["MEMFD2016 truncate"]);
  assert.deepEqual(answers("marker without truncate"), ["MEMFD2016 -"]);
  assert.deepEqual(answers("fault = snapshot, exit_memory_fault"), ["MEMFD5006 -"]);
  assert.deepEqual(answers("fallocate.punch_hole without truncate; set_marker = or; fault = snapshot"), []);
  assert.deepEqual(said("kernel mine extends v4 { KVM_MEMORY_ENCRYPT_REG_REGION without store }\nkernel mine\nclose(1)"), [
    'MEMFD2016 "KVM_MEMORY_ENCRYPT_REG_REGION"',
  ]);
  assert.deepEqual(read(variant("fault = snapshot, exit_memory_fault")).programs, [], "a step without code is not run");
});
