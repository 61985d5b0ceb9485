// What is different in a call because its VM is a TD: what it reaches, all of the TDX module and KVM's own half of that TD; and what it is refused.

import { asU64 } from "../../base/units.ts";
import type { Call, CallId } from "../../scenario/program.ts";
import type { Field, Region, Scope } from "../layout.ts";
import type { Machine, Plan } from "../machine.ts";
import { intOf, KVM_MEM_READONLY, objectOfOperand } from "../objects.ts";
import { vmIndexOf } from "./tdx-leaf.ts";
import { sharedBitOf } from "./tdx-objects.ts";
import type { KvmTd } from "./tdx-state.ts";
import { CREATED } from "./tdx-vcpus.ts";

/** Locks are by frame, entries by what a walk finds: every leaf may meet every other one. */
const MODULE: ReadonlySet<Region> = new Set(["td", "sept", "pamt", "module"]);

const fieldsOf = (machine: Machine, td: KvmTd): Field[] => [
  td.mmuWriter,
  td.mmuReaders,
  ...td.frozen.values(),
  ...td.pins.values(),
  ...td.tables.flatMap(({ frame, frozen }) => [frame, frozen]),
  ...(machine.kvmTds ? [machine.kvmTds.tdxLock, ...machine.kvmTds.processors] : []),
  // A kick takes vCPUs out of the guest; what their TLBs hold goes with the next entry.
  ...(machine.tdx?.vcpus.flatMap((vcpu) => [...vcpu.tlb.values()]) ?? []),
  machine.vms[td.vm].kvmLock,
];

/** The plan of a call in a scenario with TDs: where it is about one, it reaches what its TDX code does. */
export function withTds(machine: Machine, made: Plan): Plan {
  const td =
    machine.kvmTds?.vms[vmIndexOf(machine, made)] ?? machine.kvmTds?.vms[objectOfOperand(machine.program, machine.objects.vmOf, made.call.operands[0]) ?? -1];
  if (!td) return made;
  const { scope } = made;
  const refused = isIoctl(machine, made, td) ? refusals(machine, made, td) : {};
  // How many vCPUs there are hangs on every call that makes one.
  const counts = made.call.spec === "KVM_CREATE_VCPU" && machine.program.machine?.cpus !== undefined;
  const counted: ReadonlySet<Region> = new Set(counts ? CREATED : []);
  return { ...made, ...refused, ...(scope ? { scope: () => widened(machine, td, scope(), counted) } : {}) };
}

/** The call names the VM or a vCPU of it. */
function isIoctl({ program, objects }: Machine, { call }: Plan, td: KvmTd): boolean {
  const vm = objectOfOperand(program, objects.vmOf, call.operands[0]);
  const vcpu = objects.vcpus[objectOfOperand(program, objects.vcpuOf, call.operands[0]) ?? -1];
  return call.spec.startsWith("KVM_") && (vm === td.vm || vcpu?.vm === td.vm);
}

/** kvm_vm_ioctl and kvm_vcpu_ioctl answer EIO for a dead VM; a slot is neither read-only nor an alias. */
function refusals(machine: Machine, made: Plan, td: KvmTd): Pick<Plan, "decode" | "reads"> {
  const { call, id } = made;
  const slot = call.spec.startsWith("KVM_SET_USER_MEMORY_REGION") ? slotRefused(machine, id, call, td.vm) : false;
  return {
    reads: [...made.reads, "td"],
    decode(context) {
      const refused = made.decode(context);
      if (refused === "EBADF") return refused;
      if (td.dead.get(context.state) === 1) return "EIO";
      if (slot) return "EINVAL";
      // Whether the id is taken is asked behind what the TD says.
      return call.spec === "KVM_CREATE_VCPU" && refused === "EEXIST" ? undefined : refused;
    },
  };
}

function slotRefused(machine: Machine, id: CallId, call: Call, vm: number): boolean {
  const [flags, gpa, size] = [2, 3, 4].map((index) => asU64(intOf(call, id, index)));
  const last = size === 0n ? gpa : asU64(gpa + size - 1n);
  return (flags & BigInt(KVM_MEM_READONLY)) !== 0n || (last & sharedBitOf(machine.program, machine.objects, vm)) !== 0n;
}

function widened(machine: Machine, td: KvmTd, scope: Scope, counted: ReadonlySet<Region>): Scope {
  const byRegion = new Map<Region, number[]>();
  for (const { atom } of fieldsOf(machine, td)) {
    const { region } = machine.layout.atoms[atom];
    byRegion.set(region, [...(byRegion.get(region) ?? []), atom]);
  }
  return (region) => {
    if (MODULE.has(region) || counted.has(region)) return undefined;
    const narrow = scope(region);
    const own = byRegion.get(region);
    return narrow && own ? [...new Set([...narrow, ...own])].sort((a, b) => a - b) : narrow;
  };
}
