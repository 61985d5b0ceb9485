// Hover and completion, at places marked in a text; formatting by example.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { completeAt, completedFrom } from "../../src/language/complete.ts";
import { format } from "../../src/language/format.ts";
import { describeAt } from "../../src/language/hover.ts";
import { read, SAMPLE } from "./support.ts";

/** Labels that are offered at `|`. */
const offered = (text: string): string[] => {
  const at = text.indexOf("|");
  return completeAt(read(text.slice(0, at) + text.slice(at + 1)), at).map((one) => one.label);
};
const inScenario = (line: string): string =>
  `kernel mine extends v8 { notifier_units = pages }\nsetup made { close(1) }\nscenario "s" {\n  kernel v8\n  fd = memfd_create("x", 0) @made\n  vm = KVM_CREATE_VM(0)\n  vcpu0 = KVM_CREATE_VCPU(vm, 0)\n  ${line}\n}\n`;

const table: [place: string, line: string, first: string | undefined, has: string[], hasNot: string[]][] = [
  ["statement", "|", undefined, ["parallel", "use", "vcpu0", "vmm", "fallocate"], ["MFD_CLOEXEC", "no-stale-mapping"]],
  ["half a word", "fall|", undefined, ["fallocate"], []],
  ["flags of this kernel first", 'x = memfd_create("y", |', "MFD_CLOEXEC", ["MFD_INACCESSIBLE", "fd"], ["MFD_NOEXEC_SEAL"]],
  ["a file first", "ftruncate(|", "fd", ["vm"], ["parallel"]],
  ["a named argument", "KVM_SET_USER_MEMORY_REGION(vm, slot=0, |", undefined, ["memory_size", "private_fd"], ["slot"]],
  ["flags by name", "KVM_SET_USER_MEMORY_REGION(vm, flags=|", undefined, ["KVM_MEM_PRIVATE"], []],
  ["kernel", "kernel |", undefined, ["v4", "v8", "mine", "mainline"], ["fd"]],
  ["kernel of a result", "close(fd) = 0 on |", undefined, ["v8", "mine"], ["fd"]],
  ["invariant", "check |", undefined, ["no-stale-mapping"], ["fd"]],
  ["invariant of expect", "expect violation |", undefined, ["no-stale-mapping"], ["fd"]],
  ["expect", "expect |", "violation", ["safe"], ["fd"]],
  ["setup", "use |", "made", [], ["fd"]],
  ["label", "order |", "made", ["truncate"], ["fd"]],
  ["condition", "assert |", undefined, ["allocated", "fd"], ["parallel"]],
  ["label of result", "assert result(|", "made", [], ["fd"]],
  ["result", "close(fd) = |", "0", ["-EINVAL", "ok", "?"], ["fd"]],
  ["binding", "y = |", undefined, ["memfd_create"], ["parallel"]],
  ["behind an actor", "vcpu0: |", undefined, ["load"], []],
];
for (const [place, line, first, has, hasNot] of table) {
  test(`completion: ${place}`, () => {
    const labels = offered(inScenario(line));
    if (first !== undefined) assert.equal(labels[0], first);
    for (const label of has) assert.ok(labels.includes(label), `${label} in ${labels.slice(0, 30).join(" ")}`);
    for (const label of hasNot) assert.ok(!labels.includes(label), `${label} has no place here`);
    assert.equal(new Set(labels).size, labels.length);
  });
}

/** Labels at `|` when a space before it was typed. */
const spaced = (text: string): string[] => {
  const at = text.indexOf("|");
  return completeAt(read(text.slice(0, at) + text.slice(at + 1)), at, true).map((one) => one.label);
};

test("completion: nothing is offered where only quotes fit", () => {
  assert.deepEqual(offered(inScenario("x = memfd_create(|")), []);
});

test("completion: a space asks only behind a word that awaits something", () => {
  for (const line of [
    "kernel |",
    "use |",
    "check |",
    "expect |",
    "expect violation |",
    "order |",
    "x = |",
    "close(fd) = |",
    "close(fd) = 0 or |",
    "close(fd, |",
  ])
    assert.ok(spaced(inScenario(line)).length > 0, line);
  for (const line of ["|", "close(fd) |", "close( |", "parallel |", "close(fd) = 0 |", "use made |"]) assert.deepEqual(spaced(inScenario(line)), [], line);
  assert.deepEqual(spaced(inScenario("use\n  |")), [], "indentation is no question");
});

/** A snippet as an editor writes it when nothing is filled in. */
const expanded = (snippet: string): string =>
  snippet
    .replaceAll(/\$\{(\d+):([^}]*)\}/g, "$2")
    .replaceAll(/\$1/g, /\$\{1:([^}]*)\}/.exec(snippet)?.[1] ?? "")
    .replaceAll(/\$\d/g, "")
    .replaceAll("\t", "  ");

test("completion: each word once; a word that begins a block writes it whole, a call only its name", () => {
  const text = 'kernel 6.18\nscenario "s" {\n  \n}\n';
  const items = completeAt(read(text), text.indexOf("\n}\n"));
  assert.equal(items.filter(({ label }) => label === "scenario").length, 1);
  assert.match(items.find(({ label }) => label === "parallel")?.snippet ?? "", /^parallel \{\n\t/);
  // An editor closes the parenthesis that a person types, and one that a snippet wrote would stand there twice.
  assert.equal(items.find(({ label }) => label === "fallocate")?.snippet, undefined);
  const behind = 'kernel 6.18\nscenario "s" {\n  par {\n  }\n}\n';
  assert.equal(completeAt(read(behind), behind.indexOf(" {\n  }")).find(({ label }) => label === "parallel")?.snippet, undefined, "its block is there already");
});

for (const kernel of ["v4", "v8", "v9", "v10", "6.8", "6.16", "6.18", "7.2"]) {
  test(`completion: what a snippet writes under ${kernel} is right as it stands`, () => {
    const before = `kernel ${kernel}\nscenario "s" {\n`;
    const items = completeAt(read(`${before}\n}\n`), before.length).filter(({ snippet }) => snippet?.includes("\n"));
    assert.ok(items.length >= 7, items.map(({ label }) => label).join(" "));
    for (const { label, snippet } of items) {
      const text = expanded(snippet ?? "");
      const file = label === "scenario" || label === "setup";
      const prelude = label === "process" ? "child = fork()\n" : label === "parallel" ? "vm = KVM_CREATE_VM(0)\nvcpu0 = KVM_CREATE_VCPU(vm, 0)\n" : "";
      const whole = file ? `kernel ${kernel}\n${text}\nscenario "t" { close(1) }\n` : `${before}${prelude}${text}\nclose(1)\n}\n`;
      const errors = read(whole).findings.filter(({ severity }) => severity === "error");
      assert.deepEqual(
        errors.map(({ message }) => `${label}: ${message}`),
        [],
      );
    }
  });
}

test("completion: what is replaced is the label's own beginning, with its dots and hyphens", () => {
  const cases: [typed: string, label: string, replaced: string][] = [
    ["kernel 6.", "6.18", "6."],
    ["kernel 6.18", "6.18.0", "6.18"],
    ["TDH.MEM.", "TDH.MEM.PAGE.AUG", "TDH.MEM."],
    ["order hole.tru", "truncate", "tru"],
    ["order hole.", "truncate", ""],
    ["kernel v8-pa", "v8-pages", "v8-pa"],
    ["check no-st", "no-stale-mapping", "no-st"],
    ["close(1) = -EIN", "-EINVAL", "-EIN"],
    ["x = memf", "memfd_create", "memf"],
    ["x = mfcr", "memfd_create", "mfcr"],
    ["tdh.mem", "TDH.MEM.PAGE.AUG", "tdh.mem"],
  ];
  for (const [typed, label, replaced] of cases) assert.equal(typed.slice(completedFrom(typed, typed.length, label)), replaced, typed);
});

test("completion: of the kernels one's own stands first, then the newest", () => {
  const labels = offered(inScenario("kernel |"));
  assert.equal(labels[0], "mine");
  assert.ok(labels.indexOf("7.2") < labels.indexOf("6.8") && labels.indexOf("6.8") < labels.indexOf("v4"), labels.join(" "));
});

test("completion: the name that a parameter has under the kernel", () => {
  const v10 = inScenario("KVM_SET_USER_MEMORY_REGION(vm, slot=0, |").replace("  kernel v8", "  kernel v10");
  assert.ok(offered(v10).includes("restricted_fd") && offered(v10).includes("restricted_offset"));
  assert.ok(!offered(v10).includes("private_fd"));
});

test("completion: operations and steps of a variant, nothing in strings and comments", () => {
  assert.ok(offered("kernel x extends v8 { | }").includes("fallocate.punch_hole"));
  assert.ok(offered("kernel x extends v8 { fallocate.punch_hole = truncate, | }").includes("invalidate_begin"));
  assert.ok(offered("kernel x extends v8 { fallocate.punch_hole without | }").includes("truncate"));
  assert.deepEqual(offered("kernel v8\n// |"), []);
  assert.deepEqual(offered('kernel v8\nx = memfd_create("|'), []);
});

test("completion: features and their values, operations of the kernel that is extended, modelled steps first", () => {
  const entries = offered("kernel x extends v4 { | }");
  assert.ok(entries.includes("notifier_units") && entries.includes("fault"));
  assert.ok(!entries.includes("KVM_MEMORY_ENCRYPT_REG_REGION"), "v4 has no such ioctl");
  assert.ok(offered("kernel y extends v8 { fault without put_page }\nkernel x extends y { | }").includes("KVM_MEMORY_ENCRYPT_REG_REGION"));
  assert.deepEqual(offered("kernel x extends v8 {\n  notifier_units = | }"), ["pages", "bytes"]);
  assert.deepEqual(offered("kernel x extends v8 { fault | }"), ["without"]);
  const list = offered("kernel x extends v8 { fault = | }");
  assert.ok(list.indexOf("truncate") < list.indexOf("exit_memory_fault"));
});

/** Text of the hover over the first `needle` behind `behind`. */
const hover = (text: string, needle: string, into = 0): { word: string; markdown: string } | undefined => {
  const found = describeAt(read(text), text.indexOf(needle) + into);
  return found === undefined ? undefined : { word: text.slice(found.span.from, found.span.to), markdown: found.markdown };
};

test("hover", () => {
  const call = hover(SAMPLE, "fallocate(ram, 0", 3);
  assert.equal(call?.word, "fallocate");
  assert.match(call?.markdown ?? "", /int fallocate\(.*\n```/);
  assert.match(call?.markdown ?? "", /`EBADF`|`EINVAL`/);
  assert.match(hover(SAMPLE, "MFD_INACCESSIBLE")?.markdown ?? "", /0x8/);
  assert.match(hover(SAMPLE, "v8-reordered extends")?.markdown ?? "", /`v8-pages` with/);
  assert.equal(hover(SAMPLE, "v8-pages {")?.word, "v8-pages");
  assert.match(hover(SAMPLE, "v8\n")?.markdown ?? "", /kernel v8/);
  assert.match(hover(SAMPLE, "invalidate_begin")?.markdown ?? "", /atomic step/);
  assert.match(hover(SAMPLE, "no-stale-mapping")?.markdown ?? "", /page table entry/);
  assert.match(hover(SAMPLE, "allocated(ram")?.markdown ?? "", /page at the offset/);
  assert.match(hover(SAMPLE, "use one-private-page", 6)?.markdown ?? "", /memfd_create/);
  assert.match(hover(SAMPLE, "16K")?.markdown ?? "", /16384/);
  assert.match(hover('kernel 6.18\nx = memfd_create("a", MFD_INACCESSIBLE)', "MFD_INACC")?.markdown ?? "", /not in `6.18`/);
  assert.equal(hover(SAMPLE, "// Does"), undefined);
});

test("hover: in a variant a word is a feature, a value, an operation or a step", () => {
  const text = "kernel x extends v4 { set_marker = or; memfd_create = check_flags, set_marker, exit_memory_fault; exit = KVM_EXIT_MEMORY_FAULT }";
  assert.match(hover(text, "set_marker = or")?.markdown ?? "", /a feature:[\s\S]*`and`:[\s\S]*`or`:/);
  assert.match(hover(text, "or;")?.markdown ?? "", /`set_marker = or`: .*sets it/);
  assert.match(hover(text, "memfd_create")?.markdown ?? "", /an operation: .*Run by `memfd_create`/s);
  assert.match(hover(text, "set_marker, exit")?.markdown ?? "", /an atomic step/);
  assert.match(hover(text, "exit_memory")?.markdown ?? "", /not modelled yet/);
  assert.match(hover(text, "exit =")?.markdown ?? "", /exit reason/);
});

test("hover: a step behind the dot of a label", () => {
  const text = "kernel v8\nclose(1) @hole\nexpect violation no-stale-mapping at hole.truncate";
  assert.equal(hover(text, "hole.truncate", 8)?.word, "truncate");
  assert.equal(hover(text, "hole.truncate", 1)?.word, "hole");
});

test("formatting by example", () => {
  const rows: [string, string][] = [
    ["kernel   v8\nclose( 1 )=0   @a", "kernel v8\nclose(1) = 0 @a\n"],
    ["setup a{\nparallel{\nvmm{ close(1) }\n// note\n\n}\n}", "setup a {\n  parallel {\n    vmm { close(1) }\n    // note\n\n  }\n}\n"],
    ["f(a,\nb=1 ,c)", "f(a,\n  b=1, c)\n"],
    ["x = f(-1,~0,!a,A|B,A | B)", "x = f(-1, ~0, !a, A|B, A | B)\n"],
    ["f()=exit KVM_EXIT_X{ gpa = 1,size=2 }", "f() = exit KVM_EXIT_X {gpa=1, size=2}\n"],
    ["vcpu[ 2 ]:load( 0 )", "vcpu[2]: load(0)\n"],
    ["kernel v8\nbroken   line  here\n  close(1)", "kernel v8\nbroken   line  here\nclose(1)\n"],
    ["close(1)\r\n  close(2)\r\n", "close(1)\r\nclose(2)\r\n"],
  ];
  for (const [before, after] of rows) assert.equal(format(before), after);
});

test("a line that nobody can read leaves the text as it is", () => {
  const long = (parts: number): string => `kernel v8\nclose(${"1+".repeat(parts)}1)\n`;
  assert.notEqual(format(long(100)), long(100));
  assert.equal(format(long(20_000)), long(20_000));
});

test("the scenarios that come with the tool are formatted as the formatter would", () => {
  const folder = new URL("../../scenarios/", import.meta.url);
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".memfd"));
  assert.ok(files.length >= 10);
  for (const name of files) {
    const text = readFileSync(new URL(name, folder), "utf8");
    assert.equal(format(text), text, name);
  }
});
