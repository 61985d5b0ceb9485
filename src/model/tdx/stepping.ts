// The TDX module's filter against zero-stepping: EPT violations of one instruction in a row are counted, and from the seventh on TDH.VP.ENTER asks whether the
// next one is certain (td_transitions/td_exit_stepping.c, tdh_vp_enter.c). Only accesses count: what a TDG leaf leaves the guest with is not logged.

import type { Call } from "../../scenario/program.ts";
import { COUNTED_VIOLATIONS, FILTERED_ENTRY, type RepeatedAccess, repeatableAccess } from "./repeated.ts";
import type { TdVcpuState } from "./state.ts";

/** Index of a call's access among those of its vCPU; undefined where it cannot be repeated often enough to matter. */
export function accessIndex({ stepping }: TdVcpuState, call: Call): number | undefined {
  const key = repeatableAccess(call)?.key;
  const index = stepping?.accesses.findIndex((access) => access.key === key) ?? -1;
  return index < 0 ? undefined : index;
}

/** What is counted of a vCPU now: the access, how many of its violations came in a row (7: as many or more), and whether its page is listed. */
export function suspicion(
  { stepping }: TdVcpuState,
  state: Int32Array,
): { readonly access: RepeatedAccess; readonly violations: number; readonly listed: boolean } | undefined {
  const counted = stepping?.violations.get(state) ?? 0;
  if (!stepping || counted === 0) return undefined;
  const violations = 1 + ((counted - 1) % COUNTED_VIOLATIONS);
  return { access: stepping.accesses[Math.floor((counted - 1) / COUNTED_VIOLATIONS)], violations, listed: violations === COUNTED_VIOLATIONS };
}

/** LAST_EPF_GPA_LIST: the page that is listed, where a zero-step attack is suspected. */
export function listedGpa(vcpu: TdVcpuState, state: Int32Array): bigint | undefined {
  const found = suspicion(vcpu, state);
  return found?.listed ? found.access.gpa : undefined;
}

/** A TDH.VP.ENTER that meets the filter has counted the vCPU in REFCOUNT, and has not let it in yet, or turned it away. */
export const isHeldAtTheDoor = ({ stepping }: TdVcpuState, state: Int32Array): boolean =>
  (stepping?.entry.get(state) ?? FILTERED_ENTRY.NONE) !== FILTERED_ENTRY.NONE;

/**
 * td_exit_epf_stepping_log: one more violation of the same instruction, or the first one of another. `access`: index in `accesses`, where it can be repeated.
 */
export function logViolation({ stepping }: TdVcpuState, state: Int32Array, access: number | undefined): void {
  if (!stepping) return;
  if (access === undefined) {
    stepping.violations.set(state, 0);
    return;
  }
  const first = 1 + access * COUNTED_VIOLATIONS;
  const counted = stepping.violations.get(state);
  const again = counted >= first && counted < first + COUNTED_VIOLATIONS;
  stepping.violations.set(state, again ? Math.min(counted + 1, first + COUNTED_VIOLATIONS - 1) : first);
}

/** The guest has come on by an instruction: count and list begin anew. The module finds that at the next exit; nobody looks in between. */
export function forgetViolations({ stepping }: TdVcpuState, state: Int32Array): void {
  stepping?.violations.set(state, 0);
}
