// How a guest access leaves KVM_RUN for user space: each is worked out with the call's plan.

import { ERRNO, type Errno } from "../../base/errno.ts";
import type { Result } from "../../scenario/program.ts";
import type { Machine } from "../machine.ts";
import { PRIVATE } from "./state.ts";

/** Nothing is there to touch: emulated as MMIO. */
export function mmioExit(gfn: number, byte: number, value: number | undefined): Result {
  const fields = [
    { name: "phys_addr", value: (BigInt(gfn) << 12n) + BigInt(byte) },
    { name: "len", value: 1n },
    { name: "is_write", value: value === undefined ? 0n : 1n },
    ...(value === undefined ? [] : [{ name: "data", value: BigInt(value) }]),
  ];
  return { kind: "exit", exit: "KVM_EXIT_MMIO", fields };
}

/** The access is of another kind than its gfn. `errno`: what KVM_RUN itself fails with, 0 where it returns 0; `fails`: another one. */
export function mismatchExit(machine: Machine, gfn: number, kind: number, fails?: Errno): Result {
  const flag = machine.features.exit_private_flag === "bit_3" ? 8n : 1n;
  const { exit, memory_exit } = machine.features;
  const errno = fails ?? memory_exit;
  const fields = [
    { name: "flags", value: kind === PRIVATE ? flag : 0n },
    { name: "gpa", value: BigInt(gfn) << 12n },
    { name: "size", value: 4096n },
    { name: "errno", value: errno === "zero" ? 0n : BigInt(ERRNO[errno]) },
  ];
  return { kind: "exit", exit, fields };
}
