// Invariants of memory: who may hold, map, read and move a frame. Predicates, moments and exemptions are those of model.md 3.

import { formatAddress } from "../base/units.ts";
import { slotAt } from "../model/kvm/fault.ts";
import type { VmState } from "../model/kvm/state.ts";
import { PRIVATE, SHARED } from "../model/kvm/state.ts";
import type { Machine, ModelEvent } from "../model/machine.ts";
import { isInaccessible } from "../model/memory/file.ts";
import { eachHolder } from "../model/memory/frames.ts";
import type { Invariant } from "./types.ts";

/** Subjects (VM, gfn cell, frame) as one number. */
export interface MappingSubject {
  readonly vm: number;
  readonly cell: number;
  readonly frame: number;
}

const packMapping = (machine: Machine, subject: MappingSubject): number => (subject.vm * 0x10000 + subject.cell) * machine.frames.length + subject.frame;

function unpackMapping(machine: Machine, subject: number): MappingSubject {
  const frames = machine.frames.length;
  const place = Math.floor(subject / frames);
  return { vm: Math.floor(place / 0x10000), cell: place % 0x10000, frame: subject % frames };
}

/** Every present EPT leaf and usable TLB entry. A TLB is flushed together with the EPT, so each entry in it is usable. */
function eachMapping(machine: Machine, state: Int32Array, visit: (vm: VmState, cell: number, kind: number, frame: number) => void): void {
  for (const vm of machine.vms) {
    for (const kind of [SHARED, PRIVATE]) {
      const leaves = vm.ept[kind];
      for (let cell = 0; cell < leaves.length; cell++) {
        const frame = leaves[cell]?.get(state) ?? 0;
        if (frame !== 0) visit(vm, cell, kind, frame);
      }
    }
  }
  for (const vcpu of machine.vcpus) {
    const vm = machine.vms[vcpu.object.vm];
    for (const kind of [SHARED, PRIVATE]) {
      const entries = vcpu.tlb[kind];
      for (let cell = 0; cell < entries.length; cell++) {
        const frame = entries[cell]?.get(state) ?? 0;
        if (frame !== 0 && vm.ept[kind][cell]?.get(state) !== frame) visit(vm, cell, kind, frame);
      }
    }
  }
}

/** The frame that the backing of a gfn holds now; undefined without a binding. */
function backing(machine: Machine, state: Int32Array, vm: VmState, cell: number, kind: number): number | undefined {
  const gfn = vm.cells.start(cell);
  const slot = slotAt(machine, state, vm, gfn);
  if (!slot) return undefined;
  const { config } = slot;
  if (kind === PRIVATE) {
    const file = config.file === undefined ? undefined : machine.files[config.file];
    return file && (file.frames[file.cells.at(config.filePage + gfn - config.gfn)]?.get(state) ?? 0);
  }
  const mapping = config.mapping === undefined ? undefined : machine.mappings[config.mapping];
  return mapping && (mapping.ptes[mapping.cells.at(config.mappingPage + gfn - config.gfn)]?.get(state) ?? 0);
}

/** Second-level mappings and TLB entries that lead to a frame which their backing does not hold: the subjects of no-stale-mapping. */
export function staleMappings(machine: Machine, state: Int32Array): MappingSubject[] {
  const stale: MappingSubject[] = [];
  eachMapping(machine, state, (vm, cell, kind, frame) => {
    const held = backing(machine, state, vm, cell, kind);
    if (held !== undefined && held !== frame) stale.push({ vm: vm.object.index, cell, frame });
  });
  return stale;
}

const gfnText = (vm: VmState, cell: number): string => `gfn ${formatAddress(BigInt(vm.cells.start(cell)))}`;

const noStaleMapping: Invariant = {
  name: "no-stale-mapping",
  reads: ["ept", "tlb", "slot", "page", "pte"],
  state(machine, state, broken) {
    for (const subject of staleMappings(machine, state)) broken(packMapping(machine, subject));
  },
  describe(machine, subject, state) {
    const { vm: index, cell, frame } = unpackMapping(machine, subject);
    const vm = machine.vms[index];
    const isEpt = vm.ept.some((leaves) => leaves[cell]?.get(state) === frame);
    const kind = vm.ept[PRIVATE][cell]?.get(state) === frame || machine.vcpus.some((vcpu) => vcpu.tlb[PRIVATE][cell]?.get(state) === frame) ? PRIVATE : SHARED;
    const held = backing(machine, state, vm, cell, kind) ?? 0;
    const source = kind === PRIVATE ? "the private file" : "the host page table";
    return {
      subject: `${vm.object.name} ${gfnText(vm, cell)} → frame ${frame}`,
      message: `${isEpt ? "the EPT" : "a TLB"} of ${vm.object.name} still maps ${gfnText(vm, cell)} to frame ${frame}, but ${source} ${held === 0 ? "no longer holds it there" : `holds frame ${held} there now`}`,
    };
  },
};

const frameOneOwner: Invariant = {
  name: "frame-one-owner",
  reads: ["page", "driver"],
  state(machine, state, broken) {
    const owners = new Uint8Array(machine.frames.length);
    eachHolder(machine, state, (frame, holder) => {
      if (holder.kind === "fault") return;
      owners[frame] += 1;
      if (owners[frame] === 2) broken(frame);
    });
  },
  describe: (_machine, frame) => ({ subject: `frame ${frame}`, message: `frame ${frame} has two owners` }),
};

const MFD_INACCESSIBLE = 8n;

const inaccessibleMarked: Invariant = {
  name: "inaccessible-marked",
  reads: ["file"],
  state(machine, state, broken) {
    for (const file of machine.files) {
      if (file.object.kind === "memfd" && file.object.flags & MFD_INACCESSIBLE && file.installed.get(state) === 1 && !isInaccessible(state, file))
        broken(file.object.index);
    }
  },
  describe(machine, index, state) {
    const file = machine.files[index];
    const seals = file.seals.get(state);
    const marker =
      machine.features.marker === "seal" ? `F_SEAL_INACCESSIBLE (0x20) is not among its seals (0x${seals.toString(16)})` : "no inaccessible inode wraps it";
    return {
      subject: file.object.name,
      message: `${file.object.name} was created with MFD_INACCESSIBLE, but ${marker}: user space can read, write and map it`,
    };
  },
};

const isTainted = (machine: Machine, event: ModelEvent, state: Int32Array): boolean => machine.frames[event.a].tainted.get(state) === 1;

const privateInaccessible: Invariant = {
  name: "private-inaccessible",
  reads: ["content"],
  ghosts: { taint: true },
  event: (machine, event, state) => ((event.kind === "host-access" || event.kind === "host-pte") && isTainted(machine, event, state) ? event.a : undefined),
  describe: (_machine, frame) => ({ subject: `frame ${frame}`, message: `the host reaches frame ${frame}, which a guest wrote through a private mapping` }),
};

const privateUnmovable: Invariant = {
  name: "private-unmovable",
  reads: ["content", "page"],
  ghosts: { taint: true },
  event: (_machine, event) => ((event.kind === "migrated" || event.kind === "reclaimed") && event.b === 1 ? event.a : undefined),
  describe: (_machine, frame) => ({ subject: `frame ${frame}`, message: `frame ${frame} holds private content and is moved or reclaimed all the same` }),
};

const zeroedOnAllocation: Invariant = {
  name: "zeroed-on-allocation",
  reads: ["content"],
  ghosts: { provenance: true },
  event: (machine, event) => (event.kind === "leftover-read" ? event.a * machine.bytes.count + event.b : undefined),
  describe(machine, subject) {
    const frame = Math.floor(subject / machine.bytes.count);
    return { subject: `frame ${frame}`, message: `the reader gets bytes that lay in frame ${frame} before it was allocated here: nobody cleared them` };
  },
};

export const memoryInvariants: readonly Invariant[] = [
  noStaleMapping,
  frameOneOwner,
  inaccessibleMarked,
  privateInaccessible,
  privateUnmovable,
  zeroedOnAllocation,
];
