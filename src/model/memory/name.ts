// The name that memfd_create reads from user space (mm/memfd.c alloc_name: strncpy_from_user).

import type { Errno } from "../../base/errno.ts";
import { asU64 } from "../../base/units.ts";
import type { Call, CallId, Operand } from "../../scenario/program.ts";
import type { Context, Machine } from "../machine.ts";
import { mappingOfOperand, NotModelled } from "../objects.ts";
import { bound } from "../plan.ts";
import { failedAddress, MMAP_MIN_ADDR, TASK_SIZE } from "./mapping.ts";
import { FOUND, fileCellOf, type MappingState, permits, protOf } from "./state.ts";

/** NAME_MAX - strlen("memfd:") */
const MFD_NAME_MAX_LEN = 249n;

/** What only a run can tell of the name: it lies in memory of the scenario. */
export const isInMemory = (name: Operand | undefined): boolean => name?.kind === "handle";

/** Refuses what has no answer here. */
export function checkNameOperand(machine: Machine, id: CallId, name: Operand | undefined): void {
  if (isInMemory(name) && machine.segments.some((segment) => segment.parallel && segment.threads.flat().some((each) => each.call === id)))
    throw new NotModelled(id, "a name that is read from memory while others run is not modelled");
  if (name?.kind === "int" && asU64(name.value) >= MMAP_MIN_ADDR && asU64(name.value) < TASK_SIZE)
    throw new NotModelled(id, "a name at an address that no mmap of this scenario answers is not modelled");
}

/** EFAULT where a byte cannot be read before the limit is reached, EINVAL where the name has no end within it. */
export function nameRefuses(context: Context, id: CallId, call: Call): Errno | undefined {
  const name = call.operands[0];
  const length = name?.kind === "data" ? name.length : name?.kind === "handle" ? lengthInMemory(context, id, call, name) : undefined;
  if (length === undefined) return "EFAULT";
  return length > MFD_NAME_MAX_LEN ? "EINVAL" : undefined;
}

/** Bytes up to the first 0, as far as the kernel looks; undefined where it faults before. */
function lengthInMemory(context: Context, id: CallId, call: Call, name: Operand & { kind: "handle" }): bigint | undefined {
  const { machine, state } = context;
  if (failedAddress(machine, state, name) !== undefined) return undefined;
  const mapping = machine.mappings[mappingOfOperand(machine.program, machine.objects, name, call.actor) ?? -1];
  if (!mapping || !bound(machine, state, name)) throw new NotModelled(id, "a name in anything but a mapping of this scenario is not modelled");
  let at = name.offset;
  while (at - name.offset <= MFD_NAME_MAX_LEN) {
    const byte = byteAt(context, id, mapping, at);
    if (byte === undefined) return undefined;
    if (byte.value === 0) return at - name.offset;
    at = byte.end;
  }
  return MFD_NAME_MAX_LEN + 1n;
}

/** The byte at an offset of a mapping, and where the bytes that are like it end; undefined where an access would fault. */
function byteAt({ machine, state }: Context, id: CallId, mapping: MappingState, at: bigint): { value: number; end: bigint } | undefined {
  const page = Number(at >> 12n);
  if (at < 0n || page >= mapping.object.pages) return undefined;
  const cell = mapping.cells.one(page);
  if (mapping.mapped[cell].get(state) === 0 || !permits(protOf(state, mapping, cell), false)) return undefined;
  const file = machine.files[mapping.object.file];
  const fileCell = fileCellOf(file, mapping, cell);
  const cached = file.uptodate[fileCell].get(state) === 1 ? file.frames[fileCell].get(state) : 0;
  const frame = (mapping.ptes[cell]?.get(state) ?? 0) || cached;
  if (frame === 0) throw new NotModelled(id, "a name on a page that was never used is not modelled");
  const range = machine.bytes.at(Number(at & 4095n));
  const value = machine.frames[frame].content[range].get(state);
  if (value >= FOUND) throw new NotModelled(id, "a name in bytes that nobody in the scenario wrote is not modelled");
  return { value, end: (BigInt(page) << 12n) + BigInt(machine.bytes.end(range)) };
}
