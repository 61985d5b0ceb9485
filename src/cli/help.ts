// What --help prints.

import type { CommandName } from "./args.ts";

const OVERVIEW = `memfd - who does what to confidential guest memory, in every interleaving

  memfd check PATH...    run the scenarios; the last line is the verdict
  memfd trace FILE       print the story of each scenario, with the page tables
  memfd kernels          the kernels that a scenario may name
  memfd calls [NAME...]  the calls, their arguments and errors
  memfd format FILE...   lay files out, in place

  memfd COMMAND --help   says more

Exit status: 0 all pass, 1 some scenario fails, 2 the input or the command line
is wrong, 3 something is incomplete and nothing failed.
`;

const LIMITS = `  --max-states N   stop a scenario after N states; it is then incomplete
  --timeout S      stop a scenario after S seconds; it is then incomplete
`;

const PAGES: Readonly<Record<CommandName, string>> = {
  check: `memfd check PATH... [options]

Runs every scenario of the files, and of every *.memfd below the folders, under
each of its kernels. The last line is the verdict.

  --format F       text (default), json, sarif, junit or tap
  --kernel P,...   run under these kernels instead of those the files name
${LIMITS}`,
  trace: `memfd trace FILE [options]

Prints each scenario's story: who takes which step of which call, which rule
breaks, and the page tables at that moment, in 80 columns.

  --scenario NAME  only this one; part of its name is enough
  --kernel P,...   run under these kernels instead of those the file names
  --schedule TEXT  replay this schedule, as another trace printed it
${LIMITS}`,
  kernels: "memfd kernels\n\nLists the kernels that a scenario may name, and which of them are modelled.\n",
  calls: "memfd calls [NAME...]\n\nLists the calls; with names, says what each takes, answers and refuses.\n",
  format: `memfd format FILE... [--check]

Lays files out in place and prints the names of those that changed.

  --check          change nothing; exit status 1 when a file would change
`,
};

export const helpText = (of?: CommandName): string => (of === undefined ? OVERVIEW : PAGES[of]);
