// What --help prints.

import type { CommandName } from "./args.ts";

const OVERVIEW = `memfd - who does what to confidential guest memory, in every interleaving

  memfd check PATH...    run the scenarios; the last line is the verdict
  memfd trace FILE       print the story of each scenario: who did what, and why
  memfd emit-c FILE      print a scenario as a C program that runs it for real
  memfd compare PATH...  build and run that here: the model against this kernel
  memfd import FILE      a log of strace or ftrace as a scenario
  memfd kernels          the kernels that a scenario may name
  memfd calls [NAME...]  the calls, their arguments and errors
  memfd format FILE...   lay files out, in place

  memfd COMMAND --help   says more

Exit status: 0 all pass, 1 some scenario fails, 2 the input or the command line
is wrong, 3 something is incomplete and nothing failed, 130 interrupted: Ctrl+C
stops what runs and prints what is known.
`;

const LIMITS = `  --max-states N   stop a scenario after N states; it is then incomplete
  --timeout S      stop a scenario after S seconds; it is then incomplete
`;

const PAGES: Readonly<Record<CommandName, string>> = {
  check: `memfd check PATH... [options]

Runs every scenario of the files, and of every *.memfd below the folders, under
each of its kernels. The last line is the verdict.

  --format F       text (default), json, sarif, junit or tap
  --kernel P,...   run under these kernels instead of those the files name;
                   all: every modelled one and the file's variants, as a table
  --suggest        where a rule breaks, say which order of steps saves it
${LIMITS}`,
  trace: `memfd trace FILE [options]

Prints each scenario's story in at most 40 lines of 80 columns: which rule
breaks, the race that breaks it, and who brought about what it breaks on.

  --scenario NAME  only this one; part of its name is enough
  --kernel P,...   run under these kernels instead of those the file names
  --schedule TEXT  replay this schedule, as another trace printed it
  --full           every call and step, and the page tables at that moment
${LIMITS}`,
  "emit-c": `memfd emit-c FILE [options] > scenario.c

Prints one scenario as a self-contained C file that prints TAP: one statement
per call, under its line of the scenario. A parallel block becomes threads that
follow a schedule call by call. What no release has, and what user space cannot
do, is skipped, and the file says at its top what and why.

  --scenario NAME  which one, where the file has several
  --kernel P       under this kernel instead of the one the file names
  --schedule TEXT  follow this schedule, as a trace printed it
`,
  compare: `memfd compare PATH... [options]

Builds and runs the scenarios on this machine's kernel, and prints call by call
what the model says and what the kernel answered. It needs a C compiler, and
/dev/kvm for what needs KVM. Deviations that the history of the kernel explains
are shown with their source; they count as differences.

  --scenario NAME  only this one; part of its name is enough
  --kernel P,...   run under these kernels instead of those the files name

Exit status: 0 all calls that ran agree, 1 something differs, 2 the input or the
command line is wrong, 3 nothing could be compared.
`,
  import: `memfd import FILE [options] > run.memfd

Prints a recorded run as a scenario. FILE is what strace wrote (best with
-f -o FILE; -y, -v, -s and times may be given too), or text of trace-cmd report,
of perf script or of the kernel's own trace file. Descriptors and mappings get
names, results become expectations, calls that overlapped run in parallel. What
has no statement stays as a comment; the first lines count both.

  --kernel P       the kernel of the scenario; without it mainline
  --scenario NAME  its name; without it the program's
  --all            every line without a statement as a comment of its own
`,
  kernels: "memfd kernels\n\nLists the kernels that a scenario may name, and which of them are modelled.\n",
  calls: "memfd calls [NAME...]\n\nLists the calls; with names, says what each takes, answers and refuses.\n",
  format: `memfd format FILE... [--check]

Lays files out in place and prints the names of those that changed.

  --check          change nothing; exit status 1 when a file would change
`,
};

export const helpText = (of?: CommandName): string => (of === undefined ? OVERVIEW : PAGES[of]);
