// The table of deviations that `memfd compare` shows, on this machine: any difference that no row explains is a mistake of the model.

import { existsSync } from "node:fs";
import { DEVIATIONS, type Deviation, deviation, type MachineFacts } from "../../src/export/c/deviations.ts";
import type { Call } from "../../src/scenario/program.ts";
import type { Difference } from "./compare.ts";
import { abilities } from "./machine.ts";

const facts = (): MachineFacts => ({ release: abilities().release, shadowGuest: existsSync("/sys/module/kvm_pvm") });

export interface VersionDifference extends Omit<Deviation, "here"> {
  readonly here: () => boolean;
}

export const VERSION_DIFFERENCES: readonly VersionDifference[] = DEVIATIONS.map((row) => ({ ...row, here: () => row.here(facts()) }));

/** The row that explains a difference on this machine. */
export function explain({ program, model, machine }: Difference, call: Call): string | undefined {
  const row = deviation(call, model, machine, facts());
  // The row 6.18 is this machine's own kernel: only its back end may answer otherwise.
  return row && (program.profile.base !== "6.18" || row.needsKvm) ? row.name : undefined;
}
