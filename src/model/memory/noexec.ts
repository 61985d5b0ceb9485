// MFD_NOEXEC_SEAL, MFD_EXEC and vm.memfd_noexec: what flags a call ends up with, and the first seals and mode that follow from them (mm/memfd.c
// memfd_create, check_sysctl_memfd_noexec).

import type { Errno } from "../../base/errno.ts";
import type { Machine } from "../machine.ts";
import type { FileObject } from "../objects.ts";
import { SEAL } from "./state.ts";

export const MFD_ALLOW_SEALING = 2n;
export const MFD_NOEXEC_SEAL = 8n;
export const MFD_EXEC = 0x10n;
const HOW = MFD_NOEXEC_SEAL | MFD_EXEC;

/** The flags with what the sysctl adds, or the errno that it answers. */
export function withSysctl(machine: Machine, flags: bigint): bigint | Errno {
  if (machine.features.memfd_flags !== "exec") return flags;
  const sysctl = machine.setting("memfd_noexec");
  const chosen = (flags & HOW) !== 0n;
  if (sysctl === 2n && machine.features.memfd_noexec_2 === "EINVAL") return chosen ? flags : "EINVAL";
  if (sysctl === 2n && flags & MFD_EXEC) return "EACCES";
  if (chosen) return flags;
  return flags | (sysctl === 0n ? MFD_EXEC : MFD_NOEXEC_SEAL);
}

/** The seal word and the permission bits of a new file, from the flags that it ends up with. */
export function firstSeals(machine: Machine, flags: bigint): { seals: number; mode: number } {
  if (machine.features.memfd_flags === "exec" && flags & MFD_NOEXEC_SEAL) return { seals: SEAL.EXEC, mode: 0o666 };
  return { seals: flags & MFD_ALLOW_SEALING ? 0 : SEAL.SEAL, mode: 0o777 };
}

/** Sizes of huge pages, as log2, that the machine has: what `MFD_HUGETLB | n << 26` may name (measured on 6.18.44). */
const HUGE_SIZES: readonly number[] = [21, 30];

export const hasHugeSize = ({ huge }: FileObject): boolean => huge === undefined || HUGE_SIZES.includes(huge);
