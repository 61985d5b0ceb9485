// Which cells of the TDX tables break a rule in a state: the subjects of the rules over states, by the places that they are about.

import { INVARIANTS } from "../invariants/index.ts";
import type { Machine } from "../model/machine.ts";
import type { TdState } from "../model/tdx/state.ts";

export interface Broken {
  /** `TD gfn` → invariant. */
  readonly gfns: ReadonlyMap<string, string>;
  readonly frames: ReadonlyMap<number, string>;
  /** `TD word` of its table. */
  readonly words: ReadonlyMap<string, string>;
  readonly vcpus: ReadonlyMap<number, string>;
  readonly keys: ReadonlyMap<number, string>;
}

const RULES = INVARIANTS.filter(({ name }) =>
  ["sept-pamt-agree", "mirror-agrees", "tlb-tracked", "td-page-held", "cache-flushed", "epoch-counted", "key-order"].includes(name),
);
const UNBROKEN: Broken = { gfns: new Map(), frames: new Map(), words: new Map(), vcpus: new Map(), keys: new Map() };

export const brokenAt = ({ gfns }: Broken, td: TdState, gfn: number): string | undefined => gfns.get(`${td.object.index} ${gfn}`);

export function brokenPlaces(machine: Machine, state: Int32Array): Broken {
  if (!machine.tdx) return UNBROKEN;
  const gfns = new Map<string, string>();
  const frames = new Map<number, string>();
  const words = new Map<string, string>();
  const vcpus = new Map<number, string>();
  const keys = new Map<number, string>();
  for (const rule of RULES) {
    rule.state?.(machine, state, (subject) => {
      const { subject: name, about } = rule.describe(machine, subject, state);
      if (rule.name === "key-order") keys.set(subject, rule.name);
      else if (rule.name === "tlb-tracked") vcpus.set(machine.tdx?.vcpus.findIndex((vcpu) => name.startsWith(`${vcpu.object.name} `)) ?? -1, rule.name);
      else if (rule.name === "epoch-counted" && about.td !== undefined) words.set(`${about.td} refcount`, rule.name);
      else if (rule.name === "sept-pamt-agree" && about.frame === undefined) words.set(`${about.td} chldcnt`, rule.name);
      else if (about.frame !== undefined) frames.set(about.frame, rule.name);
      else if (about.gfn === undefined && about.td !== undefined) words.set(`${about.td} premapped`, rule.name);
      if (about.td !== undefined && about.gfn !== undefined) gfns.set(`${about.td} ${about.gfn}`, rule.name);
    });
  }
  for (const kvm of machine.kvmTds?.vms ?? []) if (kvm?.bugged.get(state) === 1) words.set(`${kvm.td.object.index} kvm`, "no-kvm-bug");
  return { gfns, frames, words, vcpus, keys };
}
