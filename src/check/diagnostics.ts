// The catalogue of diagnostics: one row per code, with the smallest text that triggers it.

import type { Severity } from "../base/finding.ts";

export interface DiagnosticRow {
  readonly code: string;
  readonly severity: Severity;
  readonly title: string;
  readonly explanation: string;
  /** Empty where the smallest text is larger than a page. */
  readonly example: string;
}

export const diagnostics: readonly DiagnosticRow[] = [
  {
    code: "MEMFD1001", severity: "error", title: "Not a text",
    explanation: "A file with a NUL byte or with bytes that are no UTF-8 is not read.",
    example: "\0",
  },
  {
    code: "MEMFD1002", severity: "error", title: "Syntax error",
    explanation: "The text does not continue as the language has it. The message says what was expected; only this statement is lost.",
    example: "kernel v8\nclose(1 2)",
  },
  {
    code: "MEMFD1003", severity: "error", title: "Block not closed",
    explanation: "A `{` has no `}`. `scenario \"…\"`, `setup NAME` and `import \"…\"` always begin a declaration, so the block ends in front of them.",
    example: "setup a {",
  },
  {
    code: "MEMFD1004", severity: "error", title: "Nothing to close",
    explanation: "A `}` stands where no block is open.",
    example: "}",
  },
  {
    code: "MEMFD1005", severity: "error", title: "Operand missing",
    explanation: "A keyword stands alone on its line. Its first operand must stand on the same line.",
    example: "check",
  },
  {
    code: "MEMFD1006", severity: "error", title: "Malformed integer",
    explanation: "Integers are decimal, 0x, 0o, 0b or a character; behind a decimal or hexadecimal number one of K M G T P may follow. A leading zero is not allowed.",
    example: "PAGE = 0755",
  },
  {
    code: "MEMFD1007", severity: "error", title: "Integer too large",
    explanation: "Integers have 64 bits.",
    example: "PAGE = 99999999999999999999",
  },
  {
    code: "MEMFD1008", severity: "error", title: "String not closed",
    explanation: "A string ends on the line on which it begins.",
    example: "kernel v8\nfd = memfd_create(\"x, 0)",
  },
  {
    code: "MEMFD1009", severity: "error", title: "Unknown escape",
    explanation: "Strings have the escapes of C.",
    example: "fd = memfd_create(\"\\q\", 0)",
  },
  {
    code: "MEMFD1010", severity: "error", title: "Comment not closed",
    explanation: "A `/*` has no `*/`.",
    example: "/* x",
  },
  {
    code: "MEMFD1011", severity: "error", title: "Parenthesis not closed",
    explanation: "A parenthesis, bracket or brace of this statement is not closed.",
    example: "close(1",
  },
  {
    code: "MEMFD2001", severity: "error", title: "Unknown call",
    explanation: "No kernel of the catalogue has this call.",
    example: "memfd_craete(\"x\", 0)",
  },
  {
    code: "MEMFD2002", severity: "error", title: "Unknown name",
    explanation: "The name is neither bound above nor a constant.",
    example: "kernel v8\nclose(ram)",
  },
  {
    code: "MEMFD2003", severity: "error", title: "Wrong number of arguments",
    explanation: "The call takes other arguments; the message shows its prototype.",
    example: "kernel v8\nclose()",
  },
  {
    code: "MEMFD2004", severity: "error", title: "Wrong parameter name",
    explanation: "A named argument must be a field of the prototype, given once, behind the positional ones.",
    example: "kernel v8\nclose(file=1)",
  },
  {
    code: "MEMFD2005", severity: "error", title: "Wrong kind of argument",
    explanation: "The parameter wants something else, such as a VM where a file was given.",
    example: "kernel v8\nvm = KVM_CREATE_VM(0)\nfd = memfd_create(\"x\", 0)\nc = KVM_CREATE_VCPU(fd, 0)",
  },
  {
    code: "MEMFD2006", severity: "error", title: "Name already bound",
    explanation: "Actors and bound names share one namespace, and a name is bound once.",
    example: "kernel v8\nfd = memfd_create(\"x\", 0)\nfd = memfd_create(\"y\", 0)",
  },
  {
    code: "MEMFD2007", severity: "error", title: "Name not allowed",
    explanation: "A constant, a word with a meaning of its own, or a dotted name cannot be bound or be a label.",
    example: "kernel v8\nMFD_CLOEXEC = memfd_create(\"x\", 0)",
  },
  {
    code: "MEMFD2008", severity: "error", title: "Unknown setup",
    explanation: "No setup of this name is declared in this file or imported.",
    example: "scenario \"s\" {\n  kernel v8\n  use nothing\n}",
  },
  {
    code: "MEMFD2009", severity: "error", title: "Setup uses itself",
    explanation: "A setup may not use itself, directly or through others.",
    example: "setup a {\n  use a\n}\nscenario \"s\" {\n  kernel v8\n  use a\n}",
  },
  {
    code: "MEMFD2010", severity: "error", title: "Unknown label",
    explanation: "No call carries this label.",
    example: "kernel v8\nexpect violation no-stale-mapping at hole",
  },
  {
    code: "MEMFD2011", severity: "error", title: "Label taken",
    explanation: "A label is unique after `use` and `import` are expanded.",
    example: "kernel v8\nclose(1) @a\nclose(2) @a",
  },
  {
    code: "MEMFD2012", severity: "error", title: "Unknown invariant",
    explanation: "The tool watches no invariant of this name.",
    example: "kernel v8\ncheck no-such-rule",
  },
  {
    code: "MEMFD2013", severity: "error", title: "Unknown kernel",
    explanation: "The catalogue has no profile of this name and the file declares no such variant.",
    example: "kernel v88",
  },
  {
    code: "MEMFD2014", severity: "error", title: "Variant extends itself",
    explanation: "A kernel variant may extend another, but not itself.",
    example: "kernel a extends b { }\nkernel b extends a { }",
  },
  {
    code: "MEMFD2016", severity: "error", title: "Unknown step or operation",
    explanation: "A variant names operations and atomic steps of the catalogue.",
    example: "kernel a extends v8 { fallocate.punch_hole = no_such_step, truncate }",
  },
  {
    code: "MEMFD2017", severity: "error", title: "Kernel in the wrong place",
    explanation: "`kernel` stands at file level, or as the first statement of a scenario; a setup runs under the kernel of its scenario.",
    example: "setup a {\n  kernel v8\n}",
  },
  {
    code: "MEMFD2018", severity: "error", title: "Statement in the wrong place",
    explanation: "This statement does not stand here: `parallel` does not nest and holds actors, and questions do not stand inside an actor.",
    example: "kernel v8\nparallel { close(1) }",
  },
  {
    code: "MEMFD2019", severity: "error", title: "Wrong actor for the call",
    explanation: "Guest calls run under a vCPU, all others on the host.",
    example: "kernel v8\nhlt()",
  },
  {
    code: "MEMFD2020", severity: "error", title: "Scenario exists already",
    explanation: "Names of scenarios are unique in a file.",
    example: "scenario \"s\" { }\nscenario \"s\" { }",
  },
  {
    code: "MEMFD2021", severity: "error", title: "Declared twice",
    explanation: "A setup, constant or kernel variant has one declaration.",
    example: "setup a { }\nsetup a { }",
  },
  {
    code: "MEMFD2022", severity: "error", title: "Import cannot be read",
    explanation: "The file behind `import` does not exist or is no text.",
    example: "import \"nowhere.memfd\"",
  },
  {
    code: "MEMFD2023", severity: "error", title: "Import cycle",
    explanation: "A file may not import itself, directly or through others.",
    example: "import \"self.memfd\"",
  },
  {
    code: "MEMFD2025", severity: "error", title: "Scenarios and bare statements",
    explanation: "A file has either scenarios or bare statements.",
    example: "scenario \"s\" { }\nclose(1)",
  },
  {
    code: "MEMFD2026", severity: "error", title: "No such vCPU",
    explanation: "The name is one letter away from a vCPU and would be a new host thread.",
    example: "kernel v8\nvm = KVM_CREATE_VM(0)\nvcpu0 = KVM_CREATE_VCPU(vm, 0)\nvpcu0: load(0)",
  },
  {
    code: "MEMFD2027", severity: "error", title: "Form in the wrong place",
    explanation: "Comparisons stand in conditions, and forms of results behind `=` or beside == to `result(label)`.",
    example: "kernel v8\nclose(1 == 2)",
  },
  {
    code: "MEMFD2028", severity: "error", title: "= in a condition",
    explanation: "`==` compares.",
    example: "kernel v8\nassert 1 = 1",
  },
  {
    code: "MEMFD2029", severity: "error", title: "Safe and violated",
    explanation: "`expect safe` and `expect violation` contradict each other.",
    example: "kernel v8\nexpect safe\nexpect violation no-stale-mapping",
  },
  {
    code: "MEMFD2030", severity: "error", title: "No such result",
    explanation: "No modelled call can answer this.",
    example: "kernel v8\nclose(1) = -EFOO",
  },
  {
    code: "MEMFD2031", severity: "error", title: "Unknown state expression",
    explanation: "Conditions ask by the state expressions of the catalogue.",
    example: "kernel v8\nassert alocated(1, 2)",
  },
  {
    code: "MEMFD2032", severity: "error", title: "Nothing to bind",
    explanation: "Only what a call returns can be bound inside a scenario; constants stand at file level.",
    example: "scenario \"s\" {\n  kernel v8\n  x = 4K\n}",
  },
  {
    code: "MEMFD2033", severity: "error", title: "Not a constant",
    explanation: "The value must be known before the scenario runs: no division by zero, no cycle, no bound name.",
    example: "PAGE = 1 / 0",
  },
  {
    code: "MEMFD2035", severity: "error", title: "order outside parallel",
    explanation: "`order` stands directly inside `parallel`.",
    example: "kernel v8\nclose(1) @a\nclose(2) @b\norder a before b",
  },
  {
    code: "MEMFD2036", severity: "error", title: "Nested call",
    explanation: "Calls do not nest: bind the result to a name first.",
    example: "kernel v8\nclose(dup(1))",
  },
  {
    code: "MEMFD5001", severity: "warning", title: "Call unknown to this kernel",
    explanation: "The kernel does not have this call: it answers ENOTTY or ENOSYS. The message names the profiles that have it.",
    example: "kernel v8\nvm = KVM_CREATE_VM(0)\nKVM_CREATE_GUEST_MEMFD(vm, size=4K, flags=0)",
  },
  {
    code: "MEMFD5002", severity: "error", title: "Constant unknown to this kernel",
    explanation: "The headers of this kernel do not have the constant. The message names the profiles that do.",
    example: "kernel 6.18\nfd = memfd_create(\"x\", MFD_INACCESSIBLE)",
  },
  {
    code: "MEMFD5003", severity: "warning", title: "Kernel not modelled yet",
    explanation: "The profile is in the catalogue, and its steps are not modelled yet: the scenario is read and not run.",
    example: "kernel v5\nclose(1)",
  },
  {
    code: "MEMFD5004", severity: "warning", title: "Statement not modelled yet",
    explanation: "`machine`, `process`, signals and processes are read and not run yet; neither is a scenario that uses them.",
    example: "machine { uid=0 }",
  },
  {
    code: "MEMFD5005", severity: "warning", title: "Question not modelled yet",
    explanation: "The state expression or invariant is in the catalogue and not modelled yet: the scenario is not run.",
    example: "kernel v8\nfd = memfd_create(\"x\", 0)\nassert mode(fd) == 0",
  },
  {
    code: "MEMFD6001", severity: "error", title: "File too large",
    explanation: "At most a million characters are read.",
    example: "",
  },
  {
    code: "MEMFD6002", severity: "error", title: "Nested too deep",
    explanation: "Blocks and parentheses nest at most 100 deep, and an expression has at most 2000 parts.",
    example: "(".repeat(101),
  },
  {
    code: "MEMFD6003", severity: "error", title: "Scenario too large",
    explanation: "A scenario may have 20,000 statements after `repeat` and `use` are expanded, and written data at most 65,536 different bytes.",
    example: "kernel v8\nrepeat 1000000000 as i { close(i) }",
  },
  {
    code: "MEMFD6004", severity: "information", title: "More findings",
    explanation: "At most 200 findings are shown for a file.",
    example: "?\n".repeat(201),
  },
  {
    code: "MEMFD6005", severity: "error", title: "Too many imports",
    explanation: "Imports go at most 32 files deep, 200 files and 8 MB in all.",
    example: "",
  },
];
