// Which operations of a profile a scenario has: those of TDs stand beside or in place of the ordinary ones.

import type { Profile, StepList } from "./types.ts";

const OF_TD = ".td";

/**
 * The lists of a profile, by operation. In a scenario with a TD the list `X.td` replaces that of `X`; without an `X`, or where `X` is code of other VMs
 * (`APART`), it is an operation of its own. A scenario without a TD has none of them.
 */
export function listsOf(profile: Profile, tds: boolean): [name: string, list: StepList][] {
  const { operations } = profile;
  return Object.entries(operations).flatMap(([name, list]): [string, StepList][] => {
    if (name.endsWith(OF_TD)) return tds && !isReplacing(profile, name) ? [[name, list]] : [];
    const replaced = tds && isReplacing(profile, name + OF_TD) ? operations[name + OF_TD] : list;
    return [[name, replaced]];
  });
}

/** A guest's fault and the pre-fault of a TD share no code with those of other VMs. */
const APART: ReadonlySet<string> = new Set(["fault.td", "KVM_PRE_FAULT_MEMORY.td"]);

const isReplacing = ({ operations }: Profile, name: string): boolean =>
  !APART.has(name) && Object.hasOwn(operations, name) && Object.hasOwn(operations, name.slice(0, -OF_TD.length));
