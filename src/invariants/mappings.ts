// Second-level page tables and TLBs beside what their memory slots lead to, as flat lists of fields made once per machine.

import { PRIVATE, SHARED } from "../model/kvm/state.ts";
import type { Field } from "../model/layout.ts";
import type { Machine } from "../model/machine.ts";
import type { SlotConfig } from "../model/objects.ts";
import { LEVEL } from "../model/tdx/tables.ts";
import { isLive, isUsable } from "./tdx.ts";

/** A place in which a page table or a TLB can name a frame. */
export interface Place {
  readonly vm: number;
  readonly cell: number;
  readonly kind: number;
  readonly gfn: number;
  readonly field: Field;
  /** Of a TLB entry: the page table entry that it comes from, where the guest has one; an equal entry is judged there. */
  readonly leaf: Field | undefined;
  /** Whether it is in reach of a guest now; without it always. */
  readonly inReach?: (state: Int32Array) => boolean;
  /** The slots of the VM: who is visible in each. */
  readonly slots: readonly Field[];
  /** By content of a slot's field: what stands there covers the gfn. */
  readonly covers: readonly (SlotConfig | undefined)[];
  /** By the same number: who holds the frame that should be mapped; `null` where the backing has nothing there, `undefined` where there is none. */
  readonly backing: readonly (Field | null | undefined)[];
}

const placesOf = new WeakMap<Machine, { readonly leaves: readonly Place[]; readonly entries: readonly Place[] }>();

/** All page table entries, then all TLB entries. */
export function mappingPlaces(machine: Machine): { readonly leaves: readonly Place[]; readonly entries: readonly Place[] } {
  let places = placesOf.get(machine);
  if (!places) placesOf.set(machine, (places = findPlaces(machine)));
  return places;
}

function findPlaces(machine: Machine): { leaves: Place[]; entries: Place[] } {
  const leaves: Place[] = [];
  const entries: Place[] = [];
  for (const vm of machine.vms) {
    for (const kind of [SHARED, PRIVATE]) vm.ept[kind].forEach((leaf, cell) => void (leaf && leaves.push(placeOf(machine, vm.object.index, kind, cell, leaf))));
  }
  for (const vcpu of machine.vcpus) {
    const { vm } = vcpu.object;
    for (const kind of [SHARED, PRIVATE]) {
      vcpu.tlb[kind].forEach((entry, cell) => void (entry && entries.push(placeOf(machine, vm, kind, cell, entry, machine.vms[vm].ept[kind][cell]))));
    }
  }
  return { leaves, entries };
}

const hardwareOf = new WeakMap<Machine, { readonly leaves: readonly Place[]; readonly entries: readonly Place[] }>();

/**
 * What processors walk and hit: as `mappingPlaces`, but for private memory of a TD its secure EPT in place of the mirror, which no hardware reads, and the TLBs
 * that the TDX module knows.
 */
export function hardwarePlaces(machine: Machine): { readonly leaves: readonly Place[]; readonly entries: readonly Place[] } {
  let places = hardwareOf.get(machine);
  if (!places) hardwareOf.set(machine, (places = findHardware(machine)));
  return places;
}

function findHardware(machine: Machine): { leaves: readonly Place[]; entries: readonly Place[] } {
  const places = mappingPlaces(machine);
  const tds = (machine.kvmTds?.vms ?? []).filter((td) => td !== undefined);
  if (tds.length === 0 || !machine.tdx) return places;
  const leaves = places.leaves.filter(({ vm, kind }) => kind === SHARED || !tds.some((td) => td.vm === vm));
  const entries = places.entries.filter(({ vm, kind }) => kind === SHARED || !tds.some((td) => td.vm === vm));
  for (const { vm, td } of tds) {
    const { cells } = machine.vms[vm];
    for (const { gfn, frame } of td.entries[LEVEL.PT].values()) {
      leaves.push({ ...placeOf(machine, vm, PRIVATE, cells.one(gfn), frame), inReach: (state) => isLive(td, state) });
    }
    for (const vcpu of machine.tdx.vcpus) {
      if (vcpu.object.vcpu === undefined || machine.objects.vcpus[vcpu.object.vcpu].vm !== vm) continue;
      for (const [gfn, entry] of vcpu.tlb) {
        const leaf = td.entries[LEVEL.PT].get(gfn)?.frame;
        const inReach = (state: Int32Array): boolean => isLive(td, state) && isUsable(td, vcpu, state);
        entries.push({ ...placeOf(machine, vm, PRIVATE, cells.one(gfn), entry, leaf), inReach });
      }
    }
  }
  return { leaves, entries };
}

function placeOf(machine: Machine, vm: number, kind: number, cell: number, field: Field, leaf?: Field): Place {
  const gfn = machine.vms[vm].cells.start(cell);
  const covers = [undefined, ...machine.objects.slots.map((config) => (gfn >= config.gfn && gfn < config.gfn + config.pages ? config : undefined))];
  const backing = covers.map((config) => (config === undefined ? undefined : backingOf(machine, config, kind, gfn)));
  return { vm, cell, kind, gfn, field, leaf, slots: machine.vms[vm].slots.map((slot) => slot.config), covers, backing };
}

/** The field that says which frame the backing of a gfn holds. */
function backingOf(machine: Machine, config: SlotConfig, kind: number, gfn: number): Field | null | undefined {
  if (kind === PRIVATE || config.gmemOnly) {
    const file = config.file === undefined ? undefined : machine.files[config.file];
    return file && (file.frames[file.cells.at(config.filePage + gfn - config.gfn)] ?? null);
  }
  const mapping = config.mapping === undefined ? undefined : machine.mappings[config.mapping];
  return mapping && (mapping.ptes[mapping.cells.at(config.mappingPage + gfn - config.gfn)] ?? null);
}

/** The content of the slot field that covers the place, the first one as faults look for it; 0 for none. */
export function coverOf(place: Place, state: Int32Array): number {
  for (const slot of place.slots) {
    const number = slot.get(state);
    if (place.covers[number] !== undefined) return number;
  }
  return 0;
}

/** The frame that the backing holds at the place: none where no slot has the gfn; -1 where the slot has no such backing. */
export function heldAt(place: Place, state: Int32Array): number {
  const cover = coverOf(place, state);
  if (cover === 0) return 0;
  const field = place.backing[cover];
  if (field === undefined) return -1;
  return field === null ? 0 : field.get(state);
}
