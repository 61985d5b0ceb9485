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

/** Answers of the row 6.18 that hold where hardware runs the guest, and not with the back end of the machine that was measured. */
function byBackEnd({ model, machine }: Difference, call: Call): string | undefined {
  if (!facts().shadowGuest) return undefined;
  if (call.spec === "KVM_CREATE_VM" && model === "ok" && machine === "-EINVAL") return "VM types of this back end";
  const faults = model.startsWith("exit KVM_EXIT_MEMORY_FAULT ") && machine.startsWith("exit KVM_EXIT_MMIO ");
  return call.spec.startsWith("guest.") && faults ? "guest code that KVM emulates" : undefined;
}

/** The row that explains a difference on this machine. */
export function explain(difference: Difference, call: Call): string | undefined {
  const { program, model, machine } = difference;
  const row = deviation(program, call, model, machine, facts());
  // The row 6.18 is this machine's own kernel: only its back end may answer otherwise.
  if (program.profile.base !== "6.18") return row?.name;
  return byBackEnd(difference, call) ?? (row?.needsKvm ? row.name : undefined);
}
