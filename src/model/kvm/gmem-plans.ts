// Which plan a call has under a kernel with guest_memfd, where that differs from the one that all kernels share.

import type { Call, CallId } from "../../scenario/program.ts";
import type { Machine, Plan } from "../machine.ts";
import { planClose } from "../memory/create.ts";
import { planHostAccess } from "../memory/mapping.ts";
import { planMunmap } from "../memory/munmap.ts";
import { fileOfOperand, mappingOfOperand, NotModelled } from "../objects.ts";
import { planGmemAttributes } from "./attributes.ts";
import { checkExtension } from "./extensions.ts";
import { planCreateGmem, planGmemFallocate, planGmemMove, planGmemReadlink, planGmemRefusal, planGmemTransfer, planGmemTruncate } from "./gmem-file.ts";
import { planGmemMmap } from "./gmem-mmap.ts";
import { planGmemSlot } from "./gmem-slots.ts";
import { RELEASE } from "./lifecycle.ts";
import { planPreFault } from "./prefault.ts";

type Maker = (machine: Machine, id: CallId, call: Call) => Plan;

/** Calls of every kernel with guest_memfd. */
const MAKERS: Readonly<Record<string, Maker>> = {
  KVM_CREATE_GUEST_MEMFD: planCreateGmem,
  KVM_SET_USER_MEMORY_REGION: planGmemSlot,
  KVM_SET_USER_MEMORY_REGION2: planGmemSlot,
  KVM_SET_MEMORY_ATTRIBUTES: planGmemAttributes,
  KVM_PRE_FAULT_MEMORY: planPreFault,
  KVM_CHECK_EXTENSION: checkExtension,
};

const missing: Maker = (_machine, id, call) => {
  throw new NotModelled(id, `${call.spec} of a guest_memfd is not modelled`);
};

/** The last reference on the file may go with the call. */
const releasing =
  (make: Maker): Maker =>
  (machine, id, call) => {
    const plan = make(machine, id, call);
    return { ...plan, operations: [...plan.operations, RELEASE] };
  };

/** Of a mapping of a guest_memfd, which holds the file. */
const unmapping: Maker = (machine, id, call) => {
  const plan = planMunmap(machine, id, call);
  return { ...plan, file: machine.mappings[plan.data as number]?.object.file ?? -1 };
};

/** Calls on the file, and on a mapping of it. */
const ON_FILE: Readonly<Record<string, Maker>> = {
  ftruncate: planGmemTruncate,
  fallocate: releasing(planGmemFallocate),
  read: planGmemTransfer,
  write: planGmemTransfer,
  pread: planGmemTransfer,
  pwrite: planGmemTransfer,
  lseek: planGmemTransfer,
  fcntl: planGmemRefusal,
  fchmod: planGmemRefusal,
  mmap: planGmemMmap,
  munmap: releasing(unmapping),
  "host.load": releasing(planHostAccess),
  "host.store": releasing(planHostAccess),
  readlink_fd: planGmemReadlink,
  close: releasing((machine, id, call) => ({ ...planClose(machine, id, call), cells: [] })),
  migrate: planGmemMove,
  reclaim: planGmemMove,
  open_fd: missing,
};

/** The guest_memfd that a call works on: behind its descriptor, its mapping or its page. */
function guestMemfdOf(machine: Machine, call: Call): boolean {
  const { objects, program } = machine;
  const operand = call.spec === "mmap" ? call.operands[4] : call.operands[0];
  const mapping = objects.mappings[mappingOfOperand(program, objects, operand, call.actor) ?? -1];
  const page = operand?.kind === "frame" ? objects.fileOf.get(program.handles[operand.handle].call) : undefined;
  const file = mapping?.file ?? page ?? fileOfOperand(program, objects, operand);
  return objects.files[file ?? -1]?.kind === "guest_memfd";
}

export function gmemPlan(machine: Machine, id: CallId, call: Call): Plan | undefined {
  if (machine.features.guest_memfd === "absent") return undefined;
  const maker = MAKERS[call.spec] ?? (Object.hasOwn(ON_FILE, call.spec) && guestMemfdOf(machine, call) ? ON_FILE[call.spec] : undefined);
  return maker?.(machine, id, call);
}
