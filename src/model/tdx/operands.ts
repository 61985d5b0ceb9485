// Arguments of a call as the TDX module sees them: physical addresses, which here are frames.

import { asU64 } from "../../base/units.ts";
import type { CallId, Operand } from "../../scenario/program.ts";
import { FAILED } from "../handles.ts";
import type { Machine } from "../machine.ts";
import { NotModelled } from "../objects.ts";
import { pageInBlock } from "./blocks.ts";
import { type Hpa, MALFORMED, NO_TDMR, NO_TDMR_2M } from "./leaf.ts";
import { PHYSICAL_BITS } from "./tables.ts";

/** An address that no name of the scenario stands for is in no TDMR. */
function integerHpa(value: bigint): Hpa {
  const address = asU64(value);
  if ((address & 4095n) !== 0n || address >> BigInt(PHYSICAL_BITS) !== 0n) return MALFORMED;
  return (address & 0x1fffffn) === 0n ? NO_TDMR_2M : NO_TDMR;
}

/**
 * The frame that an operand means in a state. A TD stands for its TDR, a vCPU for its TDVPR: the page that its call was given. A name that is not bound yet is
 * address 0, that of a failed call a negative errno, which is no aligned address.
 */
export function hpaOf(machine: Machine, id: CallId, operand: Operand | undefined): (state: Int32Array) => Hpa {
  if (operand?.kind === "frame") return fileFrame(machine, id, operand);
  if (operand?.kind !== "handle") return () => integerHpa(operand?.kind === "int" ? operand.value : 0n);
  const { program, tdx, objects } = machine;
  const { call } = program.handles[operand.handle];
  const td = tdx?.tds[tdx.objects.tdOf.get(call) ?? -1];
  const vcpu = tdx?.vcpus[tdx.objects.vcpuOf.get(call) ?? -1];
  const page = td?.object.page ?? vcpu?.object.page;
  if (page) return hpaOf(machine, id, page);
  // Of a VM of KVM, the page that KVM has given to the module.
  const root = td?.tdr ?? vcpu?.tdvpr;
  if (root) return (state) => root.get(state);
  const driver = machine.drivers[objects.driverOf.get(call) ?? -1];
  if (!driver) throw new NotModelled(id, `${program.handles[operand.handle].name} is no page that a leaf can be given`);
  const bound = machine.handles[operand.handle];
  const failed = (state: Int32Array): boolean => bound.get(state) >= FAILED;
  if (operand.offset === 0n) return (state) => (failed(state) ? MALFORMED : driver.get(state));
  if ((operand.offset & 4095n) !== 0n) return () => MALFORMED;
  const offset = tdx?.blocks[0]?.cells.at(pageInBlock(machine, id, operand) as number) ?? 0;
  // A page of memory that nobody has taken yet is no address at all: 0 + its offset.
  return (state) => (failed(state) ? MALFORMED : driver.get(state) === 0 ? NO_TDMR : driver.get(state) + offset);
}

/** `frame(fd, off)`: the page of the file there; a hole has none. */
function fileFrame(machine: Machine, id: CallId, operand: Operand & { kind: "frame" }): (state: Int32Array) => Hpa {
  const file = machine.files[machine.objects.fileOf.get(machine.program.handles[operand.handle].call) ?? -1];
  if (!file) throw new NotModelled(id, "a leaf is given a frame of alloc_frame() or of a file");
  const page = Number(asU64(operand.offset) >> 12n);
  const cell = file.cells.at(page);
  return (state) => (cell < 0 ? NO_TDMR : file.frames[file.cells.one(page)].get(state));
}
