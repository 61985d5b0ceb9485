// State expressions: what an assert, exists, never, forall or watch may ask of the machine.

import type { Param, QueryRow } from "./types.ts";

const FD: Param = { name: "fd", type: "fd" };
const VM: Param = { name: "vm", type: "vm" };
const OFF: Param = { name: "off", type: "int" };
const GPA: Param = { name: "gpa", type: "gpa" };
const FRAME: Param = { name: "frame", type: "frame" };
const TD: Param = { name: "td", type: "td" };
const PAGE: Param = { name: "frame", type: "td" };

export const queries: readonly QueryRow[] = [
  { name: "pages", params: [FD], returns: "int", help: "number of pages in the page cache of the file", modelled: true },
  { name: "allocated", params: [FD, OFF], returns: "int", help: "1 when the file holds a page at the offset, else 0", modelled: true },
  { name: "size", params: [FD], returns: "int", help: "i_size of the file", modelled: true },
  { name: "seals", params: [FD], returns: "int", help: "seal word of the inode", modelled: true },
  { name: "mode", params: [FD], returns: "int", help: "permission bits of the inode's mode", modelled: true },
  { name: "frame", params: [FD, OFF], returns: "frame", help: "frame of the file at the offset, or NONE", modelled: true },
  {
    name: "attributes",
    params: [VM, GPA],
    returns: "int",
    help: "memory attributes of the gfn; KVM_MEMORY_ATTRIBUTE_PRIVATE when it is private",
    modelled: true,
  },
  { name: "slots", params: [VM], returns: "int", help: "number of memory slots of the VM", modelled: true },
  { name: "alive", params: [VM], returns: "int", help: "1 until the VM is destroyed", modelled: true },
  { name: "bound", params: [FD, OFF], returns: "int", help: "1 when a memory slot refers to the file at the offset, else 0", modelled: true },
  { name: "ept", params: [VM, GPA], returns: "frame", help: "frame that the second-level page table maps at the gpa, or NONE", modelled: true },
  {
    name: "sept",
    params: [TD, GPA],
    returns: "state",
    group: "SEPT",
    help: "state of the secure EPT entry at which the walk for the page ends: FREE, PENDING, MAPPED …; `.level` and `.frame`",
    modelled: true,
  },
  { name: "pamt", params: [PAGE], returns: "state", group: "PT_", help: "page type of the frame in the PAMT: PT_NDA, PT_REG …", modelled: true },
  { name: "bepoch", params: [PAGE], returns: "int", help: "BEPOCH of the frame in the PAMT: TD_EPOCH when it was blocked", modelled: true },
  {
    name: "tlb",
    params: [{ name: "vcpu", type: "vcpu" }, GPA],
    returns: "frame",
    help: "frame that the vCPU's TLB holds for the gpa, or NONE",
    modelled: true,
  },
  { name: "epoch", params: [TD], returns: "int", help: "TD_EPOCH of the TD", modelled: true },
  {
    name: "epoch_refcount",
    params: [TD, { name: "parity", type: "int" }],
    returns: "int",
    help: "REFCOUNT of the TD: vCPUs inside that entered in an epoch of this parity",
    modelled: true,
  },
  { name: "chldcnt", params: [TD], returns: "int", help: "CHLDCNT of the TD: pages of 4 KB that it owns, without its root", modelled: true },
  {
    name: "op_state",
    params: [TD],
    returns: "state",
    group: "OP_STATE_",
    help: "OP_STATE of the TD: OP_STATE_INITIALIZED, OP_STATE_RUNNABLE …",
    modelled: true,
  },
  { name: "life_cycle", params: [TD], returns: "state", group: "TD_", help: "life cycle of the TD: TD_KEYS_CONFIGURED, TD_BLOCKED …", modelled: true },
  {
    name: "nr_premapped",
    params: [VM],
    returns: "int",
    help: "pages of a TD that KVM has mapped and TDH.MEM.PAGE.ADD has not added; from 6.19 on always 0",
    modelled: true,
  },
  {
    name: "vcpu_state",
    params: [{ name: "vcpu", type: "tdvpr" }],
    returns: "state",
    group: "VCPU_",
    help: "state of a TD's vCPU: VCPU_READY, VCPU_ACTIVE …",
    modelled: true,
  },
  {
    name: "key_state",
    params: [{ name: "hkid", type: "int" }],
    returns: "state",
    group: "HKID_",
    help: "key id in the key ownership table: HKID_FREE …",
    modelled: true,
  },
  { name: "value", params: [FD, OFF], returns: "int", help: "byte of the file at the offset; 0 in a hole", modelled: true },
  { name: "refcount", params: [FRAME], returns: "int", help: "references on the frame", modelled: true },
  { name: "owner", params: [FRAME], returns: "state", help: "who owns the frame", modelled: false },
  {
    name: "result",
    params: [{ name: "label", type: "int" }],
    returns: "int",
    help: "result of the call labelled so; a failure is the negative errno",
    modelled: true,
  },
];
