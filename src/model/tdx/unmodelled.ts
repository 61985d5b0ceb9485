// What of the TDX module a scenario cannot use, and what it cannot ask a leaf to do; each with its reason, for the line.

import type { CallId } from "../../scenario/program.ts";
import type { Machine } from "../machine.ts";
import { NotModelled } from "../objects.ts";
import type { Registers } from "./leaf.ts";

const METADATA = "the metadata fields of the module are not modelled; ask the state: op_state, life_cycle, chldcnt, vcpu_state, epoch";
const GUEST_METADATA = "the metadata of the TD are not modelled";
const TD_SETTINGS = `${GUEST_METADATA}; among them TD_CTLS, and NOTIFY_ENABLES, with which a TD asks for a #VE when one of its vCPUs is suspected of being stepped`;
const DEBUG = "TDs that are being debugged are not modelled";
const NESTED = "nested VMs of a TD are not modelled";
const MIGRATION = "TDs that are migrated are not modelled";
/** Names that begin as those of a family that is not. */
const MODELLED_CALLS: ReadonlySet<string> = new Set(["TDG.VP.VMCALL.MAPGPA", "TDG.VP.VMCALL.HLT"]);
const SYSTEM = "the module is initialised on every processor, with all memory in its TDMRs, before the scenario begins";

const REASONS: Readonly<Record<string, string>> = {
  "TDH.MNG.RD": METADATA,
  "TDH.MNG.WR": METADATA,
  "TDH.VP.RD": METADATA,
  "TDH.VP.WR": METADATA,
  "TDH.MEM.RD": DEBUG,
  "TDH.MEM.WR": DEBUG,
  "TDG.VM.WR": TD_SETTINGS,
  "TDG.VP.ENTER": NESTED,
  "TDG.VP.INVEPT": NESTED,
  "TDG.VP.INVVPID": NESTED,
};

/** By how its name begins. */
const FAMILIES: readonly (readonly [string, string])[] = [
  ["TDH.SYS.", SYSTEM],
  ["TDH.EXPORT.", MIGRATION],
  ["TDH.IMPORT.", MIGRATION],
  ["TDH.MIG.", MIGRATION],
  ["TDH.SERVTD.", MIGRATION],
  ["TDG.MR.", "nothing in a scenario depends on the measurement"],
  ["TDG.VP.V", GUEST_METADATA],
  ["TDG.VP.I", GUEST_METADATA],
  ["TDG.VP.C", GUEST_METADATA],
  ["TDG.VP.R", GUEST_METADATA],
  ["TDG.VP.W", GUEST_METADATA],
  ["TDG.VM.", GUEST_METADATA],
  ["TDG.SYS.", GUEST_METADATA],
  ["TDG.SERVTD.", MIGRATION],
];

/** Throws NotModelled for a leaf that the model has not. */
export function refuseUnmodelled(id: CallId, spec: string): void {
  if (MODELLED_CALLS.has(spec)) return;
  const reason = REASONS[spec] ?? FAMILIES.find(([name]) => spec.startsWith(name))?.[1];
  if (reason !== undefined) throw new NotModelled(id, `${spec} is not modelled: ${reason}`);
}

/** Numbers of processors are as many as this. */
const PROCESSORS = 255;

/** Throws NotModelled for a processor or a package that the machine has not: they are no operands, the host runs on them. */
export function refuseAbsent(machine: Machine, id: CallId, { package: at = 0, lp = 0 }: Registers): void {
  const packages = Number(machine.setting("packages"));
  if (at >= packages) throw new NotModelled(id, `the machine has ${packages} processor package(s), numbered from 0; machine { packages=N } says how many`);
  if (lp >= PROCESSORS) throw new NotModelled(id, `logical processors are numbered from 0 to ${PROCESSORS - 1}`);
}
