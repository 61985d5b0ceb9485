// Facts of one state of the machine, in the words of a story: who holds a frame, who maps it, which lock or invalidation is open, who waits.

import { formatAddress } from "../base/units.ts";
import type { About } from "../invariants/index.ts";
import { slotAt } from "../model/kvm/access.ts";
import { convertedKind, isPrivateSlot } from "../model/kvm/kinds.ts";
import { isFreed, usersOf } from "../model/kvm/life.ts";
import { KINDS, PRIVATE, SHARED, type VmState } from "../model/kvm/state.ts";
import type { Machine } from "../model/machine.ts";
import { isInaccessible, isMadeInaccessible } from "../model/memory/file.ts";
import { referencesOf } from "../model/memory/frames.ts";
import type { SlotConfig } from "../model/objects.ts";
import { callSpec, flagNames } from "../scenario/catalogue/index.ts";
import type { Reader } from "./story-subject.ts";
import { TDX_READERS } from "./story-tdx.ts";

export const address = (page: number): string => formatAddress(BigInt(page) << 12n);
export const gfnName = (gfn: number): string => `gfn ${formatAddress(BigInt(gfn))}`;
const actorName = (machine: Machine, actor: number): string => machine.program.actors[actor].name;
const callName = (machine: Machine, call: number): string => callSpec(machine.program.calls[call].spec).name;

/** The slot behind the subject's gfn. */
export function slotOf(machine: Machine, state: Int32Array, { vm, gfn }: About): SlotConfig | undefined {
  return vm === undefined || gfn === undefined ? undefined : slotAt(machine, state, machine.vms[vm], gfn)?.config;
}

/** Pages of files: those that hold the subject's frame, and the one behind its gfn. */
const page: Reader = (machine, state, about, tell) => {
  const { slot } = about;
  for (const file of machine.files) {
    const behind = slot?.file === file.object.index && about.gfn !== undefined ? file.cells.at(slot.filePage + about.gfn - slot.gfn) : -1;
    file.frames.forEach((field, cell) => {
      const frame = file.cells.single(cell) ? field.get(state) : 0;
      if (frame === 0 || (frame !== about.frame && cell !== behind)) return;
      const place = `${file.object.name} at ${address(file.cells.start(cell))}`;
      tell(
        `page ${file.object.index} ${cell} ${frame}`,
        `frame ${frame} is in ${place}`,
        `frame ${frame} left ${place}`,
        `frame ${frame} enters ${file.object.name}`,
        `frame ${frame} leaves ${file.object.name}`,
      );
    });
  }
};

/** Other owners: copies of private mappings, and whoever took a frame from the allocator. */
const owner: Reader = (machine, state, { frame }, tell) => {
  machine.drivers.forEach((driver, index) => {
    const { name } = machine.objects.drivers[index];
    if (driver.get(state) === frame)
      tell(
        `driver ${index}`,
        `frame ${frame} belongs to ${name}`,
        `${name} gave frame ${frame} back`,
        `frame ${frame} goes to ${name}`,
        `${name} gives it back`,
      );
  });
  for (const mapping of machine.mappings) {
    mapping.copies.forEach((copy, cell) => {
      const place = `the private mapping ${mapping.object.name} at ${address(mapping.cells.start(cell))}`;
      if (copy && copy.get(state) === frame)
        tell(
          `copy ${mapping.object.index} ${cell}`,
          `frame ${frame} is a copy in ${place}`,
          `the copy left ${place}`,
          `frame ${frame} is a copy`,
          "the copy goes",
        );
    });
  }
};

const reference: Reader = (machine, state, about, tell) => {
  for (const { index, frame } of machine.threads) {
    const held = frame.get(state);
    const concerned = about.frame === undefined ? index === about.actor : held === about.frame;
    if (held > 0 && concerned)
      tell(
        `ref ${index} ${held}`,
        `${actorName(machine, index)}'s fault has a reference on frame ${held}`,
        "it put the frame",
        `takes frame ${held}`,
        `puts frame ${held}`,
      );
  }
};

/** Second-level entries of the subject's gfn, or of any gfn that lead to its frame. */
function entries(machine: Machine, { vm: only, gfn, frame }: About, visit: (vm: VmState, cell: number, isSubject: (held: number) => boolean) => void): void {
  for (const vm of machine.vms) {
    if (only !== undefined && vm.object.index !== only) continue;
    for (let cell = 0; cell < vm.cells.count; cell++) {
      if (gfn !== undefined && vm.cells.start(cell) !== gfn) continue;
      visit(vm, cell, (held) => held > 0 && (frame === undefined || held === frame));
    }
  }
}

const ept: Reader = (machine, state, about, tell) =>
  entries(machine, about, (vm, cell, isSubject) => {
    for (const kind of [PRIVATE, SHARED]) {
      // What a TD has there is KVM's mirror, and no hardware walks it.
      if (kind === PRIVATE && machine.kvmTds?.vms[vm.object.index]) continue;
      const frame = vm.ept[kind][cell]?.get(state) ?? 0;
      const gfn = gfnName(vm.cells.start(cell));
      if (!isSubject(frame)) continue;
      const key = `ept ${vm.object.index} ${cell} ${kind} ${frame}`;
      tell(key, `the EPT of ${vm.object.name} maps ${gfn} to frame ${frame}`, "it was zapped", `EPT: ${gfn} -> frame ${frame}`, `EPT: ${gfn} zapped`);
    }
  });

const tlb: Reader = (machine, state, about, tell) =>
  entries(machine, about, (vm, cell, isSubject) => {
    for (const vcpu of machine.vcpus) {
      if (vcpu.object.vm !== vm.object.index) continue;
      for (const kind of [PRIVATE, SHARED]) {
        const frame = vcpu.tlb[kind][cell]?.get(state) ?? 0;
        const { name } = vcpu.object;
        const gfn = gfnName(vm.cells.start(cell));
        if (!isSubject(frame)) continue;
        tell(
          `tlb ${name} ${cell} ${kind} ${frame}`,
          `${name}'s TLB has ${gfn} -> frame ${frame}`,
          "it was flushed",
          `TLB of ${name} filled`,
          `TLB of ${name} flushed`,
        );
      }
    }
  });

/** Host page table entries that lead to the frame, and those that a slot's gfn is reached through. */
const host: Reader = (machine, state, about, tell) => {
  const { slot } = about;
  for (const mapping of machine.mappings) {
    const behind = slot?.mapping === mapping.object.index && about.gfn !== undefined ? mapping.cells.at(slot.mappingPage + about.gfn - slot.gfn) : -1;
    mapping.ptes.forEach((pte, cell) => {
      const frame = pte?.get(state) ?? 0;
      if (frame === 0 || (frame !== about.frame && cell !== behind)) return;
      const place = `${mapping.object.name} + ${address(mapping.cells.start(cell))}`;
      const ended = `the host page table entry of ${place} was cleared`;
      tell(
        `pte ${mapping.object.index} ${cell} ${frame}`,
        `the host page table maps ${place} to frame ${frame}`,
        ended,
        `host PTE: ${place} -> frame ${frame}`,
        `host PTE of ${place} cleared`,
      );
    });
  }
};

const slot: Reader = (machine, state, about, tell) => {
  for (const vm of machine.vms) {
    if (about.vm !== undefined && vm.object.index !== about.vm) continue;
    for (const { id, config } of vm.slots) {
      const now = machine.objects.slots[config.get(state) - 1];
      if (!now) continue;
      const range = `${gfnName(now.gfn)} to ${formatAddress(BigInt(now.gfn + now.pages - 1))}${isPrivateSlot(now) ? " with private memory" : ""}`;
      tell(
        `slot ${vm.object.index} ${id} ${now.index}`,
        `slot ${id} of ${vm.object.name} is at ${range}`,
        `slot ${id} of ${vm.object.name} left ${range}`,
        `slot ${id} is at ${range}`,
        `slot ${id} leaves ${range}`,
      );
    }
  }
};

const binding: Reader = (machine, state, { vm: only }, tell) => {
  for (const vm of machine.vms) {
    if (only !== undefined && vm.object.index !== only) continue;
    for (const { id, bound } of vm.slots) {
      const config = machine.objects.slots[bound.get(state) - 1];
      const file = config?.file === undefined ? undefined : machine.files[config.file].object.name;
      const is = `slot ${id} of ${vm.object.name} is told of changes to ${file}`;
      if (file !== undefined)
        tell(`bound ${vm.object.index} ${id} ${file}`, is, `slot ${id} left ${file}`, `slot ${id} is bound to ${file}`, `slot ${id} is unbound`);
    }
  }
};

const progress: Reader = (machine, state, { vm: only, gfn }, tell) => {
  for (const vm of machine.vms) {
    const count = vm.inProgress.get(state);
    if (count === 0 || (only !== undefined && vm.object.index !== only)) continue;
    const [from, to] = [vm.cells.bounds[vm.rangeStart.get(state)], vm.cells.bounds[vm.rangeEnd.get(state)]];
    const misses =
      gfn !== undefined && (gfn < from || gfn >= to)
        ? `, but its range, ${gfnName(from)} to ${formatAddress(BigInt(to - 1))}, leaves ${gfnName(gfn)} out,`
        : "";
    const is = `mmu_invalidate_in_progress of ${vm.object.name} is ${count}${misses}`;
    tell(`progress ${vm.object.index} ${count} ${from} ${to}`, is, "it fell again", `in_progress becomes ${count}`, "in_progress falls");
  }
};

const snapshot: Reader = (machine, state, _about, tell) => {
  for (const { index, inFault, stale } of machine.threads) {
    if (inFault.get(state) === 0) continue;
    const whose = actorName(machine, index);
    if (stale.get(state) === 0) tell(`seq ${index}`, "nothing has moved mmu_invalidate_seq", "it moved", "remembers invalidate_seq", "");
    else tell(`moved ${index}`, `mmu_invalidate_seq is not what ${whose}'s fault remembers,`, "the fault was over", "invalidate_seq moves", "");
  }
};

/** Ghosts of no-lost-invalidation: what the fault knew, and what came behind it. */
const lookup: Reader = (machine, state, { actor, gfn }, tell) => {
  const thread = actor === undefined ? undefined : machine.threads[actor];
  if (!thread || actor === undefined) return;
  const whose = actorName(machine, actor);
  if (thread.decided.get(state) === 1) tell("decided", `${whose}'s fault has decided what to map`, "the fault was over", "decides what to map", "");
  if (thread.hit.get(state) === 1)
    tell(
      "hit",
      `an invalidation of ${gfn === undefined ? "its gfn" : gfnName(gfn)} has begun behind its back,`,
      "the fault was over",
      `${whose}'s look-up is outdated`,
      "",
    );
};

const kind: Reader = (machine, state, about, tell) => {
  const config = slotOf(machine, state, about);
  if (about.vm === undefined || about.gfn === undefined || !config || !isPrivateSlot(config) || config.file === undefined) return;
  const vm = machine.vms[about.vm];
  const converted = convertedKind(machine, state, vm, vm.cells.at(about.gfn));
  const file = machine.files[config.file];
  const cell = file.cells.at(config.filePage + about.gfn - config.gfn);
  const isPresent = (file.frames[cell]?.get(state) ?? 0) > 0;
  const why = converted === undefined ? `, for ${file.object.name} holds ${isPresent ? "a" : "no"} page there,` : "";
  const now = KINDS[converted ?? (isPresent ? PRIVATE : SHARED)];
  const gfn = gfnName(about.gfn);
  tell(`kind ${now}`, `${gfn} of ${vm.object.name} is ${now}${why}`, `${gfn} was converted`, `${gfn} becomes ${now}`, "");
};

const taint: Reader = (machine, state, { frame }, tell) => {
  if (frame !== undefined && machine.options.taint && machine.frames[frame].tainted.get(state) === 1)
    tell("taint", `frame ${frame} holds what a guest stored in private memory`, `frame ${frame} was given back`, `frame ${frame} gets private content`, "");
};

/** Whether the file was made with MFD_INACCESSIBLE and is marked so. */
const mark: Reader = (machine, state, about, tell) => {
  for (const file of machine.files) {
    if (file.object.index !== about.file || !isMadeInaccessible(machine, file.object)) continue;
    const { name } = file.object;
    if (isInaccessible(state, file)) tell(`marked ${name}`, `${name} is marked as inaccessible`, `${name} lost its mark`, `${name} is marked`, "");
    else if (file.installed.get(state) === 1)
      tell(
        `unmarked ${name}`,
        `a descriptor leads to ${name}, ${whatItHas(machine, state, file)},`,
        `${name} got its mark`,
        `a descriptor leads to ${name}`,
        "",
      );
  }
};

function whatItHas(machine: Machine, state: Int32Array, file: Machine["files"][number]): string {
  if (machine.features.marker === "shim") return "which no inaccessible inode wraps";
  if (machine.features.marker !== "seal") return "which has no flag for it";
  const seals = BigInt(file.seals.get(state));
  return seals === 0n ? "which has no seal" : `which has the seal ${flagNames("F_SEAL_", seals, machine.profile.base)} only`;
}

const lock: Reader = (machine, state, _about, tell) => {
  const held = (key: string, name: string, by: number): void => {
    if (by > 0) tell(`${key} ${by}`, `${actorName(machine, by - 1)} holds ${name}`, "it was dropped", `takes ${name}`, `drops ${name}`);
  };
  for (const file of machine.files) {
    const { name, index } = file.object;
    held(`lock ${index}`, `inode_lock of ${name}`, file.lock.get(state));
    held(`shim ${index}`, `inode_lock of the inode that wraps ${name}`, file.shimLock.get(state));
    file.folios.forEach((folio, cell) => held(`folio ${index} ${cell}`, `the folio lock of ${name} at ${address(file.cells.start(cell))}`, folio.get(state)));
    const hole = file.hole.get(state);
    if (hole > 0)
      tell(
        `hole ${index} ${hole}`,
        `${actorName(machine, hole - 1)} keeps faults out of a hole in ${name}`,
        "it let them go on",
        "faults have to wait",
        "faults go on",
      );
  }
  for (const vm of machine.vms) held(`slots ${vm.object.index}`, `slots_lock of ${vm.object.name}`, vm.slotsLock.get(state));
};

/** Who has something left to do and cannot take its next step now. */
const waits: Reader = (machine, state, _about, tell) => {
  for (let actor = 0; actor < machine.actors; actor++) {
    const call = machine.instruction(state, actor)?.call;
    if (call === undefined || machine.step(Int32Array.from(state), actor, 0) > 0) continue;
    const step = machine.position(state, actor)?.step?.name;
    const at = step === undefined ? "to begin" : `in ${step}`;
    tell(
      `waits ${actor} ${call} ${step}`,
      `${actorName(machine, actor)}'s ${callName(machine, call)} waits ${at}`,
      "it went on",
      `${actorName(machine, actor)} has to wait`,
      "",
    );
  }
};

const begun: Reader = (machine, state, { actor }, tell) => {
  for (const thread of machine.threads) {
    const count = thread.begun.get(state);
    if (count === 0 || (actor !== undefined && thread.index !== actor)) continue;
    const call = machine.instruction(state, thread.index)?.call;
    const whose = `${actorName(machine, thread.index)}'s ${call === undefined ? "call" : callName(machine, call)}`;
    tell(
      `begun ${thread.index} ${count}`,
      `${whose} has ${count} invalidation${count === 1 ? "" : "s"} begun and not ended`,
      "the call was over",
      "an invalidation is open",
      "",
    );
  }
};

/** Who holds a reference on the VM, and that it is gone. */
const holder: Reader = (machine, state, { vm }, tell) => {
  if (vm === undefined) return;
  const { name } = machine.objects.vms[vm];
  if (isFreed(machine.vms[vm], state)) tell("freed", `${name} is freed`, "", `${name} is freed`, "");
  for (const user of usersOf(machine, state, vm) ?? [])
    tell(`holder ${user}`, `${user} holds ${name}`, `${user} dropped its reference on ${name}`, `${user} holds ${name}`, `${user} drops ${name}`);
};

/** The subject's frame while nobody owns it or holds a reference on it. */
const free: Reader = (machine, state, { frame }, tell) => {
  if (frame !== undefined && referencesOf(machine, state, frame) === 0) tell("free", `frame ${frame} is free`, `frame ${frame} was taken`, "free now", "");
};

/** What can be told of a state, by kind of fact. */
export const READERS = {
  page,
  free,
  owner,
  reference,
  ept,
  tlb,
  host,
  slot,
  binding,
  progress,
  snapshot,
  lookup,
  kind,
  taint,
  mark,
  lock,
  waits,
  begun,
  holder,
  ...TDX_READERS,
} as const;
export type FactKind = keyof typeof READERS;
