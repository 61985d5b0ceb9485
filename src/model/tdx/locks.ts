// The locks of the TDX module: each is taken at once or the leaf answers TDX_OPERAND_BUSY, the module never waits (common/helpers/tdx_locks.h).
// Shared or exclusive; who holds one is said by the leaf that he is in, so the state keeps a number only.

import type { Field, Layout } from "../layout.ts";

/** 0 free, all ones exclusive, else the number of those who share it. */
export interface TryLock {
  readonly field: Field;
  readonly name: string;
}

/** `sharers`: how many may hold it at once. */
export const tryLock = (layout: Layout, name: string, sharers: number): TryLock => ({ field: layout.field("module", sharers + 1, name), name });

export type LockMode = "shared" | "exclusive";

/** False where it is taken already in a way that does not go with `mode`. */
export function acquire(state: Int32Array, { field }: TryLock, mode: LockMode): boolean {
  const held = field.get(state);
  if (mode === "exclusive") {
    if (held !== 0) return false;
    field.set(state, field.mask);
    return true;
  }
  if (held === field.mask) return false;
  field.set(state, held + 1);
  return true;
}

export function release(state: Int32Array, { field }: TryLock, mode: LockMode): void {
  field.set(state, mode === "exclusive" ? 0 : field.get(state) - 1);
}

export const isFree = (state: Int32Array, { field }: TryLock): boolean => field.get(state) === 0;
