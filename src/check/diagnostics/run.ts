// MEMFD3xxx and 5xxx to 9xxx: what a run found. Expectations, what this kernel or the model does not know, limits, bugs of the model.

import type { DiagnosticRow } from "./types.ts";

export const expectationRows: readonly DiagnosticRow[] = [
  {
    code: "MEMFD3001",
    severity: "error",
    title: "Other result than expected",
    explanation:
      "In some interleaving the call answers what the `= RESULT` of its line does not list. Every result that occurs must be listed, joined by `or`; " +
      "a listed one need not occur. The quick fix writes what the call answers under this kernel over all interleavings.",
    example: "kernel v8\nclose(-1) = 0",
  },
  {
    code: "MEMFD3002",
    severity: "information",
    title: "The result asked for",
    explanation: "The line expects `?`: the tool shows what the call answers over all interleavings, and the quick fix writes it in. It breaks nothing.",
    example: "kernel v8\nclose(-1) = ?",
  },
  {
    code: "MEMFD3003",
    severity: "warning",
    title: "Call never reached",
    explanation:
      "All interleavings were explored and none runs this call, so what its line expects was never put to the test. An earlier call of the same " +
      "actor never returns, or `order` takes all schedules away that would reach it.",
    example:
      'kernel a extends v8 { ftruncate.plain without unlock_inode }\nkernel a\nignore no-deadlock\nmem = memfd_create("mem", 0)\nftruncate(mem, 4K)\nftruncate(mem, 8K)\nclose(mem) = 0',
  },
  {
    code: "MEMFD3010",
    severity: "error",
    title: "Expected violation not found",
    explanation:
      "All interleavings were explored and none breaks this invariant, or none at the call or step behind `at`. The message says where it is broken " +
      "instead. With a run that hit a limit nothing is said, for the rest may hold the violation.",
    example: "kernel v8\nexpect violation no-stale-mapping",
  },
  {
    code: "MEMFD3020",
    severity: "error",
    title: "No final state has it",
    explanation: "`exists` asks for one interleaving after which the condition holds. All were explored and in none of their final states it does.",
    example: "kernel v8\nexists 1 == 2",
  },
  {
    code: "MEMFD3021",
    severity: "error",
    title: "Some final state has it",
    explanation: "`never` says that after no interleaving the condition holds. One was found after which it does; its schedule can be shown step by step.",
    example: 'kernel v8\nmem = memfd_create("mem", 0)\nnever size(mem) == 0',
  },
  {
    code: "MEMFD3022",
    severity: "error",
    title: "Some final state does not have it",
    explanation:
      "`forall` says that the condition holds after every interleaving. One was found after which it does not; its schedule can be shown step by " + "step.",
    example: 'kernel v8\nmem = memfd_create("mem", 0)\nforall size(mem) == 4K',
  },
  {
    code: "MEMFD3023",
    severity: "error",
    title: "Question without an answer",
    explanation:
      "The condition asks for something that this state does not have: a division by zero, the number of a call that did not return, an integer from " +
      "a result that is none. Ask in such a way that each final state has an answer, for instance with `result(label) == …` first and `&&` behind " +
      "it.",
    example: 'kernel v8\nmem = memfd_create("mem", 0)\nexists 1 / pages(mem) == 0',
  },
  {
    code: "MEMFD3024",
    severity: "error",
    title: "assert does not hold",
    explanation:
      "At this point, in some interleaving, the condition is false. Inside `parallel` an assert is an observation of its own, which other actors may " +
      "come before or after; what must hold only at the end is a `forall`.",
    example: 'kernel v8\nmem = memfd_create("mem", 0)\nassert size(mem) == 4K',
  },
  {
    code: "MEMFD3025",
    severity: "error",
    title: "No schedule comes to an end",
    explanation:
      "`exists`, `never` and `forall` ask about final states, and no interleaving reaches one: somebody waits for ever in each. The deadlock is " +
      "reported on its own line unless it is ignored.",
    example:
      'kernel a extends v8 { ftruncate.plain without unlock_inode }\nkernel a\nignore no-deadlock\nmem = memfd_create("mem", 0)\nftruncate(mem, 4K)\nftruncate(mem, 8K)\nexists size(mem) == 8K',
  },
];

export const runRows: readonly DiagnosticRow[] = [
  {
    code: "MEMFD5001",
    severity: "warning",
    title: "Call unknown to this kernel",
    explanation:
      "The kernel of the scenario does not have this call: it answers ENOTTY or ENOSYS, as the real one would. The message names the profiles that " +
      "have it.",
    example: "kernel v8\nvm = KVM_CREATE_VM(0)\nKVM_CREATE_GUEST_MEMFD(vm, size=4K, flags=0)",
  },
  {
    code: "MEMFD5002",
    severity: "error",
    title: "Constant unknown to this kernel",
    explanation:
      "The headers of this kernel do not have the constant; the message names the profiles that do. The same bit may mean something else there: 0x8 " +
      "is MFD_INACCESSIBLE in the series and MFD_NOEXEC_SEAL since Linux 6.3, so the name is not just replaced by its number.",
    example: 'kernel v8\nfd = memfd_create("x", MFD_NOEXEC_SEAL)',
  },
  {
    code: "MEMFD5003",
    severity: "warning",
    title: "Kernel not modelled yet",
    explanation:
      "The profile is in the catalogue, so that calls and constants are known, but its steps are not modelled yet: the scenario is read and not run. " +
      "`memfd kernels` shows which are modelled.",
    example: "kernel next\nclose(1)",
  },
  {
    code: "MEMFD5004",
    severity: "warning",
    title: "Statement not modelled yet",
    explanation:
      "Some settings of a `machine` are read and not run yet. A scenario that uses them is not run either, for leaving them out would change the question.",
    example: "kernel v8\nmachine { memory_limit = 4096 }",
  },
  {
    code: "MEMFD5005",
    severity: "warning",
    title: "Question not modelled yet",
    explanation:
      "The state expression or invariant is in the catalogue and not modelled yet. The scenario is not run: a question that is left out would look " +
      "like one that holds.",
    example: "page = alloc_frame()\nassert owner(page) == 0",
  },
  {
    code: "MEMFD5006",
    severity: "warning",
    title: "Step not modelled yet",
    explanation:
      "The atomic step is in the catalogue, because some kernel has it, and the model has no code for it yet. Scenarios under this variant are read " +
      "and not run.",
    example: "kernel a extends v8 { fallocate.punch_hole = check_alignment, exit_memory_fault, truncate }",
  },
  {
    code: "MEMFD5090",
    severity: "warning",
    title: "Kernel without a model",
    explanation:
      "A Program was made for a profile that the catalogue calls modelled and the model does not have. The language refuses such a kernel first " +
      "(MEMFD5003), so no text triggers it; a tool that makes Programs of its own may.",
    example: "",
  },
  {
    code: "MEMFD5091",
    severity: "warning",
    title: "Call not modelled in this form",
    explanation:
      "The kernel has the call, but what it does with these arguments is not modelled, or no source says it. The scenario is not run and its verdict " +
      "is incomplete, never pass; the message says which form is modelled.",
    example: 'kernel v8\nmem = memfd_create("mem", 0)\nmmap(NULL, 4K, PROT_READ, MAP_SHARED|MAP_FIXED, mem, 0)',
  },
  {
    code: "MEMFD6001",
    severity: "warning",
    title: "Not all interleavings explored",
    explanation:
      "The run hit a limit on states, time, memory or the fineness of its cells, or was stopped; the message says how far it " +
      "came. What was found holds; what was not found is not ruled out, so the verdict is incomplete. Make the scenario smaller, add `order`, or raise the limit.",
    example:
      'kernel v8\nmem = memfd_create("mem", 0)\nparallel {\n  t0 { pwrite(mem, "a", 0); pread(mem, 1, 0) }\n  t1 { pwrite(mem, "b", 0); pread(mem, 1, 0) }\n  t2 { pwrite(mem, "c", 0); pread(mem, 1, 0) }\n  t3 { pwrite(mem, "d", 0); pread(mem, 1, 0) }\n}',
  },
  {
    code: "MEMFD6002",
    severity: "error",
    title: "Nested too deep",
    explanation:
      "Blocks and parentheses nest at most 100 deep, an expression has at most 2000 parts, and constants refer to one another at most 100 deep. No " +
      "scenario that a person writes comes near; the limit keeps a hostile file from exhausting the stack.",
    example: "(".repeat(101),
  },
  {
    code: "MEMFD6003",
    severity: "error",
    title: "Scenario too large",
    explanation:
      "A scenario has at most 20,000 statements after `repeat` and `use` are expanded, and written data at most 65,536 different bytes. Long runs of " +
      "one byte are free: `0x41 * 1T` is one run.",
    example: "kernel v8\nrepeat 1000000000 as i { close(i) }",
  },
  {
    code: "MEMFD6004",
    severity: "information",
    title: "More findings",
    explanation: "At most 200 findings are shown for a file, from its beginning. This one says how many more there are from here on.",
    example: "?\n".repeat(201),
  },
  {
    code: "MEMFD6005",
    severity: "error",
    title: "Too many imports",
    explanation: "Imports go at most 32 files deep, 200 files and 8 MB in all. The declarations of what was read until then hold. No single text triggers it.",
    example: "",
  },
  {
    code: "MEMFD6006",
    severity: "error",
    title: "File too large",
    explanation: "At most a million characters are read; the file is not parsed. The smallest text that triggers it is larger than a page.",
    example: "",
  },
  {
    code: "MEMFD6007",
    severity: "warning",
    title: "Will not finish",
    explanation:
      "The run goes on, and from how many states it has found, how fast, and how long a full run is, it is plain that it will hit one of its limits " +
      "first; the message names that limit. It may still find violations until then, and it can be stopped. Take threads or calls out, bind them by " +
      "`order`, or make several scenarios of it; raising the limit seldom helps. No small text triggers it: a run that is short is over before.",
    example: "",
  },
  {
    code: "MEMFD9001",
    severity: "error",
    title: "Bug of the model",
    explanation:
      "An assertion of the model failed, or its code threw: this is a fault of the tool and says nothing about the scenario, whose verdict is " +
      "incomplete. No text is known that triggers it; if you have one, please report it together with the message.",
    example: "",
  },
];
