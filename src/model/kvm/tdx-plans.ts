// Plans of KVM_MEMORY_ENCRYPT_OP's sub-commands on a TD: what is refused by arguments alone, in the order of tdx_vm_ioctl and tdx_vcpu_ioctl
// (arch/x86/kvm/vmx/tdx.c). What hangs on the state of the TD is asked again by the steps, under their locks.

import type { Errno } from "../../base/errno.ts";
import { asU64, isPageAligned } from "../../base/units.ts";
import { callSpec } from "../../scenario/catalogue/index.ts";
import type { Call, CallId, Result } from "../../scenario/program.ts";
import type { Context, Machine, Plan } from "../machine.ts";
import { intOf, NotModelled, objectOfOperand } from "../objects.ts";
import { bound, plan, ZERO } from "../plan.ts";
import { SEPT_VE_DISABLE } from "../tdx/build.ts";
import { guestBitsOf, isTdVm, PAGES_APART, regionPages, sharedBitOf } from "./tdx-objects.ts";

export const KVM_MAX_CPUID_ENTRIES = 256n;
const KVM_TDX_MEASURE_MEMORY_REGION = 1n;

/** What the steps of a sub-command work on. */
export interface TdCommand {
  readonly vm: number;
  /** Of a sub-command on a vCPU: its number. */
  readonly vcpu: number;
  /** What the arguments are refused with, behind what the state of the TD refuses. */
  readonly refused: Errno | undefined;
  readonly attributes: bigint;
  readonly wide: boolean;
  readonly measure: boolean;
  /** gfn of each page of a region. */
  readonly gfns: readonly number[];
  /** First page of the source in its mapping. */
  readonly source: { readonly mapping: number; readonly page: number } | undefined;
}

/** The value of a parameter by its name in the catalogue; undefined where it is left out. */
function argument(call: Call, id: CallId, name: string): bigint | undefined {
  const index = callSpec(call.spec).params.findIndex((param) => param.name === name);
  const operand = index < 0 ? undefined : call.operands[index];
  return operand === undefined || operand.kind === "absent" ? undefined : asU64(intOf(call, id, index));
}

const NOTHING: Omit<TdCommand, "vm" | "vcpu" | "refused"> = { attributes: 0n, wide: true, measure: false, gfns: [], source: undefined };

/** A sub-command on a VM: who is asked, whether it is alive, of the right type, and hw_error. */
function onVm(machine: Machine, id: CallId, call: Call, parts: Partial<TdCommand> = {}): Plan {
  const target = call.operands[0];
  const vm = objectOfOperand(machine.program, machine.objects.vmOf, target);
  const hardware = (argument(call, id, "hw_error") ?? 0n) !== 0n;
  const data: TdCommand = { ...NOTHING, vm: vm ?? 0, vcpu: -1, refused: undefined, ...parts };
  return plan(id, call, {
    operations: [machine.kvmTds ? call.spec : "unknown"],
    success: ZERO,
    data,
    reads: ["handle", "td"],
    decode(context) {
      if (vm === undefined || !bound(machine, context.state, target)) return "EBADF";
      if (isDead(machine, context, vm)) return "EIO";
      if (!isTdVm(machine.objects, vm)) return "ENOTTY";
      return hardware ? "EINVAL" : undefined;
    },
  });
}

/** On a vCPU: tdx_vcpu_ioctl asks for a TD that has a key id and is not finalised before it looks at the command. */
function onVcpu(machine: Machine, id: CallId, call: Call, parts: Partial<TdCommand> = {}): Plan {
  const target = call.operands[0];
  const vcpu = machine.objects.vcpus[objectOfOperand(machine.program, machine.objects.vcpuOf, target) ?? -1];
  const hardware = (argument(call, id, "hw_error") ?? 0n) !== 0n;
  const data: TdCommand = { ...NOTHING, vm: vcpu?.vm ?? 0, vcpu: vcpu?.index ?? -1, refused: undefined, ...parts };
  return plan(id, call, {
    operations: [machine.kvmTds ? call.spec : "unknown"],
    success: ZERO,
    data,
    cells: vcpu ? data.gfns.map((gfn) => machine.vms[vcpu.vm].cells.one(gfn)) : [],
    reads: ["handle", "td"],
    decode(context) {
      if (!vcpu || !bound(machine, context.state, target)) return "EBADF";
      if (isDead(machine, context, vcpu.vm)) return "EIO";
      return !isTdVm(machine.objects, vcpu.vm) || hardware ? "EINVAL" : undefined;
    },
  });
}

/** kvm_vm_ioctl and kvm_vcpu_ioctl of a VM that is dead. */
export const isDead = (machine: Machine, { state }: Context, vm: number): boolean => machine.kvmTds?.vms[vm]?.dead.get(state) === 1;

/** Room for CPUID entries; how many the module of a machine has is told by nobody. */
function roomFor(call: Call, id: CallId): Errno | undefined {
  const room = argument(call, id, "nent");
  if (room === 0n) return "E2BIG";
  if (room !== undefined && room < KVM_MAX_CPUID_ENTRIES)
    throw new NotModelled(id, "how many CPUID entries the TDX module has is not modelled: give room for none, for 256, or leave nent out");
  return undefined;
}

function planCapabilities(machine: Machine, id: CallId, call: Call): Plan {
  const refused = (argument(call, id, "flags") ?? 0n) !== 0n ? "EINVAL" : roomFor(call, id);
  const made = onVm(machine, id, call);
  return { ...made, decode: (context) => made.decode(context) ?? refused };
}

/** setup_tdparams; KVM_SUPPORTED_TD_ATTRS is SEPT_VE_DISABLE alone. The width of a guest address is in an entry of the CPUID table. */
function planInitVm(machine: Machine, id: CallId, call: Call): Plan {
  const attributes = argument(call, id, "attributes") ?? 0n;
  const bits = guestBitsOf(call);
  const wrong = (attributes & ~SEPT_VE_DISABLE) !== 0n || (bits !== 48n && bits !== 52n) || argument(call, id, "nent") === 0n;
  return onVm(machine, id, call, { attributes, wide: bits === 52n, refused: wrong ? "EINVAL" : undefined });
}

/** What of KVM_TDX_INIT_VM comes before vCPUs are counted: flags, then the size of the CPUID table. */
export function initVmEarly(call: Call, id: CallId): Errno | undefined {
  if ((argument(call, id, "flags") ?? 0n) !== 0n) return "EINVAL";
  return (argument(call, id, "nent") ?? 0n) > KVM_MAX_CPUID_ENTRIES ? "E2BIG" : undefined;
}

function planInitVcpu(machine: Machine, id: CallId, call: Call): Plan {
  return onVcpu(machine, id, call, { refused: (argument(call, id, "flags") ?? 0n) !== 0n ? "EINVAL" : undefined });
}

const planGetCpuid = (machine: Machine, id: CallId, call: Call): Plan => onVcpu(machine, id, call, { refused: roomFor(call, id) });

function planInitMemRegion(machine: Machine, id: CallId, call: Call): Plan {
  const vcpu = machine.objects.vcpus[objectOfOperand(machine.program, machine.objects.vcpuOf, call.operands[0]) ?? -1];
  const address = call.operands[1];
  const [gpa, pages, flags] = [argument(call, id, "gpa") ?? 0n, argument(call, id, "nr_pages") ?? 0n, argument(call, id, "flags") ?? 0n];
  const aligned = isPageAligned(gpa) && (address?.kind === "handle" ? isPageAligned(address.offset) : address?.kind === "int" && isPageAligned(address.value));
  const bit = vcpu ? sharedBitOf(machine.program, machine.objects, vcpu.vm) : 0n;
  const size = asU64(pages << 12n);
  const overflows = pages >> 52n !== 0n;
  const last = machine.features.td_region_end === "last" ? asU64(gpa + size - 1n) : asU64(gpa + size);
  const wrong =
    (flags & ~KVM_TDX_MEASURE_MEMORY_REGION) !== 0n || !aligned || pages === 0n || asU64(gpa + size) <= gpa || (gpa & bit) !== 0n || (last & bit) !== 0n;
  const refused = wrong || (overflows && machine.features.td_region_size === "checked");
  // A size that has lost its upper bits passes the checks, and the loop goes by nr_pages all the same.
  const count = regionPages(machine.objects, vcpu?.vm ?? -1, gpa, pages);
  if (!refused && count > BigInt(PAGES_APART)) throw new NotModelled(id, `KVM_TDX_INIT_MEM_REGION of more than ${PAGES_APART} pages is not modelled`);
  const gfns = refused ? [] : Array.from({ length: Number(count) }, (_, page) => Number(gpa >> 12n) + page);
  const mapping = objectOfOperand(machine.program, machine.objects.mappingOf, address);
  const source = mapping === undefined || address?.kind !== "handle" ? undefined : { mapping, page: Number(address.offset >> 12n) };
  const measure = (flags & KVM_TDX_MEASURE_MEMORY_REGION) !== 0n;
  return onVcpu(machine, id, call, { refused: refused ? "EINVAL" : undefined, gfns, source, measure });
}

/** Of a VM whose type the TDX module knows nothing of, nothing here hangs on the interrupt controller. */
function planIrqchip(machine: Machine, id: CallId, call: Call): Plan {
  const vm = objectOfOperand(machine.program, machine.objects.vmOf, call.operands[0]);
  if (vm !== undefined && !isTdVm(machine.objects, vm)) throw new NotModelled(id, "the interrupt controller of a VM that is no TD is not modelled");
  const split = call.spec === "KVM_ENABLE_CAP";
  if (split && argument(call, id, "cap") !== KVM_CAP_SPLIT_IRQCHIP) throw new NotModelled(id, "of KVM_ENABLE_CAP only KVM_CAP_SPLIT_IRQCHIP is modelled");
  const wrong = (argument(call, id, "flags") ?? 0n) !== 0n;
  return plan(id, call, {
    operations: [machine.kvmTds ? call.spec : "unknown"],
    success: ZERO,
    data: {
      ...NOTHING,
      vm: vm ?? 0,
      vcpu: -1,
      refused: split && (argument(call, id, "args0") ?? 0n) > KVM_MAX_IRQ_ROUTES ? "EINVAL" : undefined,
    } satisfies TdCommand,
    reads: ["handle", "td"],
    decode(context) {
      if (vm === undefined || !bound(machine, context.state, call.operands[0])) return "EBADF";
      if (isDead(machine, context, vm)) return "EIO";
      return wrong ? "EINVAL" : undefined;
    },
  });
}

const KVM_CAP_SPLIT_IRQCHIP = 121n;
const KVM_MAX_IRQ_ROUTES = 4096n;

type Maker = (machine: Machine, id: CallId, call: Call) => Plan;

export const tdCommands: Readonly<Record<string, Maker>> = {
  KVM_TDX_CAPABILITIES: planCapabilities,
  KVM_TDX_INIT_VM: planInitVm,
  KVM_TDX_INIT_VCPU: planInitVcpu,
  KVM_TDX_INIT_MEM_REGION: planInitMemRegion,
  KVM_TDX_FINALIZE_VM: (machine, id, call) => onVm(machine, id, call),
  KVM_TDX_GET_CPUID: planGetCpuid,
  KVM_TDX_TERMINATE_VM: (machine, id, call) => onVm(machine, id, call),
  KVM_CREATE_IRQCHIP: planIrqchip,
  KVM_ENABLE_CAP: planIrqchip,
};

/** What a step remembers when it gives up under locks: the locks are dropped on the way to the end. */
export function stop(context: Context, errno: Errno, ...labels: readonly string[]): number {
  const refusal: Result = { kind: "errno", errno };
  const label = labels.find((name) => context.operation.labels.has(name));
  if (label === undefined) return context.always(refusal);
  context.remember(refusal);
  return context.onward(label);
}
