// The ordinary memfd of mainline from 6.8 on, for the rows of its releases to spread: what changed in it since the kernels of the series
// (measured on 6.18.44).

import { PLAIN, PLAIN_FEATURES } from "./plain.ts";
import type { PlainFeatures, StepList } from "./types.ts";

/** 6.8 to 6.11. */
export const MAINLINE_FEATURES: PlainFeatures = {
  ...PLAIN_FEATURES,
  memfd_flags: "exec",
  memfd_noexec_2: "noexec_seal",
  seal_argument: "32_bits",
  shared_readonly: "free",
};

/** From 6.12 on. */
export const MAINLINE_6_12_FEATURES: PlainFeatures = { ...MAINLINE_FEATURES, fallocate_modes: "exclusive", shmem_signal: "fatal" };

const CREATE: StepList = ["check_flags", "apply_sysctl", "check_name", "new_file", "install_fd"];

/** F_SEAL_EXEC of an executable file implies the write seal: the mappings are looked at before that is known (6.3 to 6.19, until 3b041514cb6e). */
const ADD_SEALS_LATE: StepList = ["check_args", "lock_inode", "check_seal_seal", "deny_writable", "wait_pins", "expand_exec", "set_seals", "unlock_inode"];
const ADD_SEALS: StepList = ["check_args", "lock_inode", "check_seal_seal", "expand_exec", "deny_writable", "wait_pins", "set_seals", "unlock_inode"];

/** Releases with the fix 3b041514cb6e: 6.18.44, where it was measured, and 7.2. */
export const MAINLINE = {
  ...PLAIN,
  memfd_secret: ["check_args", "open_special"],
  "memfd_create.plain": CREATE,
  memfd_create: CREATE,
  "fcntl.add_seals": ADD_SEALS,
} as const satisfies Record<string, StepList>;

/** Releases without it. */
export const MAINLINE_UNFIXED = { ...MAINLINE, "fcntl.add_seals": ADD_SEALS_LATE } as const satisfies Record<string, StepList>;
