// MEMFD2xxx: a name, an argument or a place that does not exist or does not fit.

import type { DiagnosticRow } from "./types.ts";

export const nameRows: readonly DiagnosticRow[] = [
  {
    code: "MEMFD2001",
    severity: "error",
    title: "Unknown call",
    explanation:
      "No kernel of the catalogue has a call of this name. Calls are named as their own specification names them: system calls as in their manual page, ioctls by the name of " +
      "their request, leaves of the TDX module by theirs. `memfd calls` lists them all.",
    example: 'kernel v8\nmemfd_craete("x", 0)',
  },
  {
    code: "MEMFD2002",
    severity: "error",
    title: "Unknown name",
    explanation:
      "The name is neither bound above nor a constant of any kernel. A name is bound by `name = call(…)` in front of its use; what is bound in a `repeat` carries its index, as in `vcpu[0]`. " +
      "A `-` between two letters belongs to the name: a difference is written with blanks.",
    example: "kernel v8\nclose(ram)",
  },
  {
    code: "MEMFD2003",
    severity: "error",
    title: "Wrong number of arguments",
    explanation:
      "The call takes other arguments; the message shows its prototype. Fields that the prototype calls optional may be left out and are 0. " +
      "A buffer and its length are one argument: a string, or a byte `*` a count.",
    example: "kernel v8\nclose()",
  },
  {
    code: "MEMFD2004",
    severity: "error",
    title: "Wrong parameter name",
    explanation:
      "A named argument carries the name of a field of the real structure or parameter of the prototype, stands behind the positional ones and is given once. Nested structures are written flat.",
    example: "kernel v8\nclose(file=1)",
  },
  {
    code: "MEMFD2005",
    severity: "error",
    title: "Wrong kind of argument",
    explanation:
      "The parameter wants another kind of thing, such as a VM where a file was given. A real program would pass a number here and get EBADF or ENOTTY; " +
      "in a scenario it is nearly always a slip, so it is refused. To ask for EBADF write the number -1.",
    example: 'kernel v8\nfd = memfd_create("x", 0)\nKVM_CREATE_VCPU(fd, 0)',
  },
  {
    code: "MEMFD2006",
    severity: "error",
    title: "Name already bound",
    explanation:
      "A name is bound once, and actors and bound names share one namespace: `vcpu0` is both the handle and the thread that runs guest code. Inside a `repeat` each round binds a name of its own, `fd[0]`, `fd[1]` and so on.",
    example: 'kernel v8\nfd = memfd_create("x", 0)\nfd = memfd_create("y", 0)',
  },
  {
    code: "MEMFD2007",
    severity: "error",
    title: "Name not allowed",
    explanation:
      "A constant of the kernel, a word with a meaning of its own (`ok`, `NULL`, `vmm`, `kvm` …) or a name with a dot cannot be bound or be a label. Behind the dot of a label stands an atomic step.",
    example: 'kernel v8\nMFD_CLOEXEC = memfd_create("x", 0)',
  },
  {
    code: "MEMFD2008",
    severity: "error",
    title: "Unknown setup",
    explanation:
      "No setup of this name is declared in this file or in one that it imports, or the one that is imported has errors of its own. Setups are a namespace of their own: a bound name or a kernel variant is none.",
    example: 'scenario "s" {\n  kernel v8\n  use nothing\n}',
  },
  {
    code: "MEMFD2009",
    severity: "error",
    title: "Setup uses itself",
    explanation: "A setup may use others, but not itself, directly or through them: `use` puts its statements in place, and that would have no end.",
    example: 'setup a {\n  use a\n}\nscenario "s" {\n  kernel v8\n  use a\n}',
  },
  {
    code: "MEMFD2010",
    severity: "error",
    title: "Unknown label",
    explanation:
      "No call of the scenario carries this label. A label is written behind the call, `fallocate(…) @hole`, and is known in the whole scenario after `use` is expanded; in a `repeat`, `@hole` means any round and `hole[2]` the third.",
    example: "kernel v8\nexpect violation no-stale-mapping at hole",
  },
  {
    code: "MEMFD2011",
    severity: "error",
    title: "Label taken",
    explanation: "A label names one call of the scenario after `use` and `import` are expanded. The other one is the related place.",
    example: "kernel v8\nclose(1) @a\nclose(2) @a",
  },
  {
    code: "MEMFD2012",
    severity: "error",
    title: "Unknown invariant",
    explanation: "The tool watches no invariant of this name. Completion behind `check`, `ignore` and `expect violation` lists them with what each says.",
    example: "kernel v8\ncheck no-such-rule",
  },
  {
    code: "MEMFD2013",
    severity: "error",
    title: "Unknown kernel",
    explanation:
      "The catalogue has no profile of this name, and neither this file nor one that it imports declares such a variant. `memfd kernels` lists the profiles; `mainline` is the newest, `all` is every one.",
    example: "kernel v88",
  },
  {
    code: "MEMFD2014",
    severity: "error",
    title: "Variant extends itself",
    explanation:
      "A kernel variant may extend another variant, but the chain must end at a profile of the catalogue: only that has the order of steps which the variants change.",
    example: "kernel a extends b { }\nkernel b extends a { }",
  },
  {
    code: "MEMFD2015",
    severity: "error",
    title: "Unknown feature or value",
    explanation:
      "`NAME = value` in a kernel variant sets a feature of the profile: a point in which kernels differ beyond the order of steps. The feature, or this value of it, is not in the catalogue. " +
      "Hover and completion list the values with what each means.",
    example: "kernel a extends v8 { notifier_units = words }",
  },
  {
    code: "MEMFD2016",
    severity: "error",
    title: "Unknown step or operation",
    explanation:
      "A kernel variant rewrites operations of the kernel that it extends, and these are lists of atomic steps of the catalogue. The operation does not exist in that kernel, or no step has this name. " +
      "A step of any operation may be used in any other.",
    example: "kernel a extends v8 { fallocate.punch_hole = no_such_step, truncate }",
  },
  {
    code: "MEMFD2017",
    severity: "error",
    title: "Kernel in the wrong place",
    explanation:
      "`kernel` stands at file level, where it holds for the scenarios that follow, or as the first statement of a scenario. A setup runs under the kernel of the scenario that uses it, and a variant is declared at file level only.",
    example: "setup a {\n  kernel v8\n}",
  },
  {
    code: "MEMFD2018",
    severity: "error",
    title: "Statement in the wrong place",
    explanation:
      "`parallel` does not nest and holds actors, for each thread of it must be one actor's. `atomic` holds no `parallel`. `exists`, `never`, `forall`, `expect` and `on` are about the whole scenario and do not stand inside an actor.",
    example: "kernel v8\nparallel { close(1) }",
  },
  {
    code: "MEMFD2019",
    severity: "error",
    title: "Wrong actor for the call",
    explanation:
      "A vCPU runs guest code: its loads, stores, `hlt()` and the guest's TDX leaves. All other calls are made by a thread of the host. `vcpu0: load(…)` is the guest's access by guest physical address, `load(map, …)` without an actor the host's through a mapping.",
    example: "kernel v8\nhlt()",
  },
  {
    code: "MEMFD2020",
    severity: "error",
    title: "Scenario exists already",
    explanation: "Names of scenarios are unique in a file: results, tests and the command line's `--scenario` go by them.",
    example: 'kernel v8\nscenario "s" { }\nscenario "s" { }',
  },
  {
    code: "MEMFD2021",
    severity: "error",
    title: "Declared twice",
    explanation: "A setup, a constant or a kernel variant has one declaration, counting those that are imported. The first one holds and is the related place.",
    example: "setup a { }\nsetup a { }",
  },
  {
    code: "MEMFD2022",
    severity: "error",
    title: "Import cannot be read",
    explanation:
      "The file behind `import` does not exist, cannot be read or is no text. The path is relative to the importing file. Scenarios that use what it would declare have findings of their own.",
    example: 'import "nowhere.memfd"',
  },
  {
    code: "MEMFD2023",
    severity: "error",
    title: "Import cycle",
    explanation: "A file may not import itself, directly or through others, nor a file that does. Put what both need into a third file.",
    example: 'import "self.memfd"',
  },
  {
    code: "MEMFD2025",
    severity: "error",
    title: "Scenarios and bare statements",
    explanation:
      "A file has either scenarios or bare statements, which are then one scenario named after the file. With both it would not be clear when the bare ones run.",
    example: 'kernel v8\nscenario "s" { }\nclose(1)',
  },
  {
    code: "MEMFD2026",
    severity: "error",
    title: "No such vCPU",
    explanation:
      "The actor's name is a letter away from a bound vCPU. Any unbound name is a new host thread, so a slip of the finger would silently move guest code to the host; it is refused instead.",
    example: "kernel v8\nvm = KVM_CREATE_VM(0)\nvcpu0 = KVM_CREATE_VCPU(vm, 0)\nvpcu0: load(0)",
  },
  {
    code: "MEMFD2027",
    severity: "error",
    title: "Form in the wrong place",
    explanation:
      "Comparisons and `&& || !` stand in conditions only: an argument is a number that is known before the scenario runs. `ok`, `-EINVAL`, `exit …` and a text are results: they stand behind `=`, or beside == or != to `result(label)`.",
    example: "kernel v8\nclose(1 == 2)",
  },
  {
    code: "MEMFD2028",
    severity: "error",
    title: "= in a condition",
    explanation: "`==` compares; `=` binds a name or expects a result. The quick fix writes `==`.",
    example: "kernel v8\nassert 1 = 1",
  },
  {
    code: "MEMFD2029",
    severity: "error",
    title: "Safe and violated",
    explanation: "`expect safe` says that no invariant breaks, `expect violation` that one does: both in one scenario can never hold. Keep one of them.",
    example: "kernel v8\nexpect safe\nexpect violation no-stale-mapping",
  },
  {
    code: "MEMFD2030",
    severity: "error",
    title: "No such result",
    explanation:
      "No modelled call can answer this, or not this call: an errno that none returns, a text where a number is returned, a count that is not the length of its data. Numbers of descriptors are not modelled: expect `ok`.",
    example: "kernel v8\nclose(1) = -EFOO",
  },
  {
    code: "MEMFD2031",
    severity: "error",
    title: "Unknown state expression",
    explanation:
      "Conditions ask about the state by the expressions of the catalogue, such as `allocated(fd, off)`, `ept(vm, gpa)` and `result(label)`. This is none of them, or it has no such field.",
    example: "kernel v8\nassert alocated(1, 2)",
  },
  {
    code: "MEMFD2032",
    severity: "error",
    title: "Nothing to bind",
    explanation:
      "Inside a scenario only what a call returns can be bound, and not every call returns something that has a use later. Constants of your own stand at file level.",
    example: 'scenario "s" {\n  kernel v8\n  x = 4K\n}',
  },
  {
    code: "MEMFD2033",
    severity: "error",
    title: "Not a constant",
    explanation:
      "This value must be known before the scenario runs: memory is cut into cells and `repeat` is unrolled by it. It divides by zero, shifts by more than 63 bits, refers to itself or to a bound name.",
    example: "PAGE = 1 / 0",
  },
  {
    code: "MEMFD2035",
    severity: "error",
    title: "order outside parallel",
    explanation: "`order A before B` takes schedules away from a `parallel`, so it stands directly inside one. Outside, the order of the text holds anyway.",
    example: "kernel v8\nclose(1) @a\nclose(2) @b\norder a before b",
  },
  {
    code: "MEMFD2036",
    severity: "error",
    title: "Nested call",
    explanation:
      "Calls do not nest, for each has a line of its own on which its result is shown: bind the result to a name first. In a condition, state expressions stand in place of calls.",
    example: "kernel v8\nclose(dup(1))",
  },
  {
    code: "MEMFD2037",
    severity: "error",
    title: "No such setting of the machine",
    explanation:
      "A `machine` block sets what the scenario's machine has: `memfd_noexec`, `frames`, `uid` and so on, each once and within its bounds. What is not set is as " +
      "on the machine that the model is compared with.",
    example: "kernel v8\nmachine { memfd_noexec = 3 }\nclose(-1)",
  },
  {
    code: "MEMFD2090",
    severity: "error",
    title: "Variant does not fit its kernel",
    explanation:
      "An entry of the kernel variant names something that exists, but not in the operation as this kernel has it: a step to drop that is not in the list, or more than 30 steps in one operation. " +
      "The message shows the operation's list. The scenario is not run, because a variant that silently stayed as it was would answer the wrong question.",
    example: "kernel a extends v8 { fallocate.punch_hole without unmap_user }\nkernel a\nclose(-1)",
  },
];
