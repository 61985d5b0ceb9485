// State of guest_memfd: what the file adds to an inode, and the pointers between a file and its slots, which go both ways and hold no reference
// (virt/kvm/guest_memfd.c struct kvm_gmem, kvm_memory_slot.gmem).

import type { Field, Layout } from "../layout.ts";
import type { FileObject, SlotConfig } from "../objects.ts";

export const GUEST_MEMFD_FLAG_MMAP = 1n;
export const GUEST_MEMFD_FLAG_INIT_SHARED = 2n;

/** struct kvm_gmem and the invalidate lock of its mapping. */
export interface GmemState {
  /** filemap_invalidate_lock: 0 or 1 + actor. */
  readonly invalidateLock: Field;
  /** How many hold it shared. */
  readonly invalidateReaders: Field;
  /** How far kvm_gmem_release has come: 0 or one of `RELEASED`. */
  readonly released: Field;
}

/** Values of `released`: kvm_gmem_release has begun, and the file is gone. */
export const RELEASED = { BEGUN: 1, FREED: 2 } as const;

export const hasFreed = (gmem: GmemState | undefined, state: Int32Array): boolean => gmem?.released.get(state) === RELEASED.FREED;

/** What a slot with guest_memfd has besides. */
export interface GmemSlot {
  /** slot->gmem.file is set: the file has not been released since it was bound. */
  readonly file: Field;
  /** By number of a SlotConfig: a binding in the file that leads to a slot structure which has been freed. */
  readonly dangling: ReadonlyMap<number, Field>;
}

export function gmemState(layout: Layout, object: FileObject, actors: number): GmemState | undefined {
  if (object.kind !== "guest_memfd") return undefined;
  const name = `file ${object.index}`;
  return {
    invalidateLock: layout.actorField("lock", actors, `invalidate ${name}`),
    invalidateReaders: layout.field("lock", actors, `invalidate readers ${name}`),
    released: layout.field("file", RELEASED.FREED, `released ${name}`),
  };
}

export function gmemSlot(layout: Layout, vm: string, id: number, configs: readonly SlotConfig[]): GmemSlot | undefined {
  const bindable = configs.filter((config) => config.guestMemfd);
  if (bindable.length === 0) return undefined;
  const name = `${vm} gmem ${id}`;
  return { file: layout.field("slot", 1, name), dangling: new Map(bindable.map(({ index }) => [index, layout.field("slot", 1, `${name} dangling`)])) };
}
