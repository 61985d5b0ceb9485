// Facts of the TDX module and of KVM's use of it, in the words of a story: what the secure EPT and the PAMT have, which TLB still hits, who is inside since
// which epoch, under which key lines are dirty, what the mirror says.

import { formatAddress } from "../base/units.ts";
import { isLive, isUsable } from "../invariants/tdx.ts";
import { PRIVATE } from "../model/kvm/state.ts";
import type { Machine } from "../model/machine.ts";
import { pamtOf } from "../model/tdx/blocks.ts";
import { FILTERED_ENTRY } from "../model/tdx/repeated.ts";
import { LINE, type SeptEntry, type TdState } from "../model/tdx/state.ts";
import { LEVEL, PT, SEPT, SEPT_NAMES, VCPU } from "../model/tdx/tables.ts";
import type { Reader, Subject } from "./story-subject.ts";
import { keyName, kotName, ownerName, typeName } from "./tdx-words.ts";

const gpa = (gfn: number): string => `gpa ${formatAddress(BigInt(gfn) << 12n)}`;

/** TDs that the subject may belong to. */
const tdsOf = (machine: Machine, { td: only }: Subject): readonly TdState[] =>
  (machine.tdx?.tds ?? []).filter((td) => only === undefined || td.object.index === only);

/** Leaf entries of the subject's gfn, and those that name its frame. */
function* entriesOf(machine: Machine, state: Int32Array, about: Subject): Generator<{ td: TdState; entry: SeptEntry }> {
  for (const td of tdsOf(machine, about.frame === undefined ? about : {})) {
    if (td.tdr.get(state) === 0) continue;
    for (const entry of td.entries[LEVEL.PT].values()) {
      const named = about.frame !== undefined && entry.frame.get(state) === about.frame;
      if (named || (entry.gfn === about.gfn && (about.td === undefined || about.td === td.object.index))) yield { td, entry };
    }
  }
}

const entry: Reader = (machine, state, about, tell) => {
  const several = (machine.tdx?.tds.length ?? 0) > 1;
  for (const { td, entry: one } of entriesOf(machine, state, about)) {
    const is = one.state.get(state);
    const frame = one.frame.get(state);
    // Of a page that has left it is enough that the entry changed.
    if (is === SEPT.FREE && about.frame !== undefined) continue;
    const whose = several ? ` of ${td.object.name}` : "";
    const what = is === SEPT.FREE ? "FREE" : `${SEPT_NAMES[is]} with frame ${frame}`;
    tell(
      `entry ${td.object.index} ${one.gfn} ${is} ${frame}`,
      `the secure EPT${whose} has ${gpa(one.gfn)} ${what}`,
      "it changed",
      `${gpa(one.gfn)} is ${is === SEPT.FREE ? "FREE" : `${SEPT_NAMES[is]}, frame ${frame}`}`,
      "",
    );
  }
};

const pamt: Reader = (machine, state, { frame }, tell) => {
  const { tdx } = machine;
  if (!tdx || frame === undefined) return;
  const type = pamtOf(tdx, state, frame).type.get(state);
  const owner = ownerName(tdx, state, frame);
  const name = type === PT.NDA ? "PT_NDA, the host's," : `${typeName(type)}${owner === "" ? "" : ` of ${owner}`}`;
  if (type === PT.NDA) tell("pamt 0", `the PAMT has frame ${frame} as ${name}`, "it was assigned", `frame ${frame} is the host's`, "");
  else tell(`pamt ${type} ${owner}`, `the PAMT has frame ${frame} as ${name}`, "it was taken away", `frame ${frame} is ${typeName(type)}`, "");
};

/** Private translations that are hit, or would be. */
const tdTlb: Reader = (machine, state, about, tell) => {
  const { tdx } = machine;
  for (const vcpu of tdx?.vcpus ?? []) {
    const td = tdx?.tds[vcpu.td.get(state) - 1];
    if (!td || !isLive(td, state) || !isUsable(td, vcpu, state) || (about.td !== undefined && td.object.index !== about.td)) continue;
    for (const [gfn, field] of vcpu.tlb) {
      const frame = field.get(state);
      if (frame === 0 || (gfn !== about.gfn && frame !== about.frame)) continue;
      const { name } = vcpu.object;
      tell(
        `tdtlb ${name} ${gfn} ${frame}`,
        `${name}'s TLB has ${gpa(gfn)} -> frame ${frame}`,
        "it can be hit no more",
        `TLB of ${name} filled`,
        `TLB of ${name} gone`,
      );
    }
  }
};

const inside: Reader = (machine, state, about, tell) => {
  for (const vcpu of machine.tdx?.vcpus ?? []) {
    if (vcpu.state.get(state) !== VCPU.ACTIVE || (about.td !== undefined && vcpu.td.get(state) !== about.td + 1)) continue;
    const { name } = vcpu.object;
    const epoch = vcpu.epoch.get(state);
    tell(`inside ${name} ${epoch}`, `${name} is in the guest, in epoch ${epoch},`, "it left", `${name} enters, epoch ${epoch}`, `${name} leaves`);
  }
};

const epoch: Reader = (machine, state, about, tell) => {
  for (const td of tdsOf(machine, about)) {
    if (!isLive(td, state) || td.epoch.get(state) === 0) continue;
    const now = td.epoch.get(state);
    tell(`epoch ${td.object.index} ${now}`, `TD_EPOCH is ${now}`, "it moved", `TD_EPOCH is ${now}`, "");
  }
};

const dirty: Reader = (machine, state, { frame }, tell) => {
  const { tdx } = machine;
  if (!tdx || frame === undefined) return;
  const { sharedDirty, privateDirty } = tdx.lines[frame];
  const under = (key: string, name: string): void =>
    tell(
      `dirty ${key}`,
      `lines of frame ${frame} may lie modified in a cache under ${name}`,
      "they reached memory",
      `lines dirty under ${name}`,
      `lines of ${name} written back`,
    );
  if (sharedDirty.get(state) === 1) under("shared", "the shared key");
  const key = privateDirty.get(state);
  if (key > 0) under(`${key}`, keyName(tdx, key - 1));
};

/** Lines of a page of a TD that are not its own any more. */
const line: Reader = (machine, state, { frame }, tell) => {
  const { tdx } = machine;
  if (!tdx || frame === undefined || pamtOf(tdx, state, frame).type.get(state) !== PT.REG) return;
  const kinds = tdx.lines[frame].owner.map((field) => field.get(state));
  if (kinds.includes(LINE.POISON)) tell("line poison", `a line of frame ${frame} is poisoned`, "it was overwritten", "a line is poisoned", "");
  if (kinds.includes(LINE.HOST) && entriesAccepted(machine, state, frame))
    tell(
      "line host",
      `a line of frame ${frame} was written without the TD's key: its TD-owner bit is clear`,
      "it was written anew",
      "the TD-owner bit goes",
      "",
    );
};

/** A page that the TD has not accepted yet owes it nothing. */
const entriesAccepted = (machine: Machine, state: Int32Array, frame: number): boolean =>
  [...entriesOf(machine, state, { frame })].some(({ entry: one }) => one.state.get(state) === SEPT.MAPPED || one.state.get(state) === SEPT.BLOCKED);

const mirror: Reader = (machine, state, about, tell) => {
  for (const kvm of machine.kvmTds?.vms ?? []) {
    if (!kvm || (about.vm !== undefined && kvm.vm !== about.vm)) continue;
    const vm = machine.vms[kvm.vm];
    vm.ept[PRIVATE].forEach((leaf, cell) => {
      const gfn = vm.cells.start(cell);
      const frame = leaf?.get(state) ?? 0;
      if (gfn !== about.gfn && (frame === 0 || frame !== about.frame)) return;
      if (kvm.frozen.get(cell)?.get(state) === 1) tell(`frozen ${cell}`, `the mirror's entry of ${gpa(gfn)} is FROZEN`, "it was settled", "mirror: FROZEN", "");
      else if (frame > 0)
        tell(
          `mirror ${cell} ${frame}`,
          `KVM's mirror maps ${gpa(gfn)} to frame ${frame}`,
          "the mirror was cleared",
          `mirror: ${gpa(gfn)} -> frame ${frame}`,
          `mirror: ${gpa(gfn)} cleared`,
        );
    });
  }
};

/** The reference of the secure EPT on the subject's page. */
const pin: Reader = (machine, state, { frame }, tell) => {
  for (const kvm of machine.kvmTds?.vms ?? [])
    for (const [cell, field] of kvm?.pins ?? [])
      if (frame !== undefined && field.get(state) === frame)
        tell(
          `pin ${cell}`,
          `KVM has a reference on frame ${frame} for the secure EPT`,
          "it was put",
          `frame ${frame} is pinned`,
          `the pin of frame ${frame} goes`,
        );
};

const key: Reader = (machine, state, about, tell) => {
  const { tdx } = machine;
  for (const td of tdsOf(machine, about)) {
    if (!tdx || td.tdr.get(state) === 0) continue;
    const index = td.key.get(state);
    const packages = tdx.keys[index].wbinvd.get(state);
    const wait = packages === 0 ? "" : ", and some package has not written its caches back,";
    const name = keyName(tdx, index);
    tell(
      `key ${td.object.index} ${kotName(tdx, state, index)} ${packages}`,
      `${name} of ${td.object.name} is ${kotName(tdx, state, index)}${wait}`,
      "it changed",
      `${name}: ${kotName(tdx, state, index)}`,
      "",
    );
  }
};

/** Locks that a leaf of somebody else meets: of an entry that a guest accepts, of a TDR that is held alone. Whoever meets one is answered TDX_OPERAND_BUSY. */
const tryLocks: Reader = (machine, state, about, tell) => {
  const { tdx } = machine;
  for (const td of tdsOf(machine, about)) {
    if (!tdx || td.tdr.get(state) === 0) continue;
    const { field } = tdx.pamt[td.tdr.get(state)].lock;
    if (field.get(state) === field.mask)
      tell(`tdr ${td.object.index}`, `the TDR of ${td.object.name} is locked exclusive`, "it was dropped", "locks the TDR exclusive", "drops the TDR");
  }
  for (const vcpu of tdx?.vcpus ?? []) {
    if (vcpu.stepping?.entry.get(state) !== FILTERED_ENTRY.LOCKED || (about.td !== undefined && vcpu.td.get(state) !== about.td + 1)) continue;
    tell(`tree ${vcpu.object.name}`, `${vcpu.object.name} has the tree locked`, "it was dropped", "locks the tree", "drops it");
  }
  for (const { td, entry: one } of entriesOf(machine, state, about)) {
    const guest = tdx?.vcpus.find((vcpu) => vcpu.td.get(state) === td.object.index + 1 && vcpu.leaf.get(state) === 2);
    if (guest === undefined || one.lock.field.get(state) !== one.lock.field.mask) continue;
    const is = `${guest.object.name} has the entry of ${gpa(one.gfn)} locked, to accept it,`;
    tell(`entry lock ${one.gfn}`, is, "it was dropped", `locks the entry of ${gpa(one.gfn)}`, "drops the entry");
  }
};

export const TDX_READERS = { entry, pamt, tdTlb, inside, epoch, dirty, line, mirror, pin, key, tryLocks } as const;
