// What calls on files, mappings and frames can reach.

import type { Call } from "../../scenario/program.ts";
import type { Scope } from "../layout.ts";
import type { Machine } from "../machine.ts";
import { every, Reach } from "../scope.ts";

/** A call on a file: its inode, these cells of it (by default all), who maps it or is bound to it. */
export function fileScope(machine: Machine, call: Call, file: number | undefined, cells?: readonly number[]): Scope {
  const reach = new Reach(machine).operands(call);
  if (file === undefined || !machine.files[file]) return reach.scope();
  reach.file(file, cells ?? every(machine.files[file].frames)).users(file);
  // What a call on a closed file frees with its return is the whole file.
  return (machine.closed.has(file) ? reach.lifetime(file) : reach).scope();
}

/** read and write: the pages of a known offset, else any. */
export function transferScope(machine: Machine, call: Call, file: number | undefined, offset: bigint | undefined, length: bigint): Scope {
  const cells = file === undefined ? undefined : machine.files[file]?.cells;
  if (!cells || offset === undefined || offset < 0n || length <= 0n) return fileScope(machine, call, file);
  const [from, to] = [Number(offset >> 12n), Number((offset + length + 4095n) >> 12n)];
  return fileScope(
    machine,
    call,
    file,
    every(cells.bounds.slice(1)).filter((cell) => cells.end(cell) > from && cells.start(cell) < to),
  );
}

/** An allocation: on hugetlbfs it looks at what all files hold of the pool. */
export function poolScope(machine: Machine, call: Call, file: number | undefined, cells: readonly number[]): Scope {
  const own = fileScope(machine, call, file, cells);
  const huge = machine.files[file ?? -1]?.object.huge;
  if (huge === undefined) return own;
  const others = machine.files.filter((other) => other.object.huge === huge);
  return others.reduce<Scope>((scope, other) => both(scope, new Reach(machine).file(other.object.index, every(other.frames)).scope()), own);
}

/** What the one or the other reaches. */
export const both =
  (one: Scope, other: Scope): Scope =>
  (region) => {
    const [a, b] = [one(region), other(region)];
    return a === undefined || b === undefined ? undefined : [...new Set([...a, ...b])];
  };

/** mmap and munmap: the mapping with all its cells, its file as far as the last mapping keeps it alive. */
export function mappingScope(machine: Machine, call: Call, file: number | undefined, index: number | undefined): Scope {
  const reach = new Reach(machine).operands(call);
  if (file !== undefined) reach.file(file, []);
  const mapping = index === undefined ? undefined : machine.mappings[index];
  if (mapping) reach.mapping(mapping, every(mapping.mapped)).notified(mapping).lifetime(mapping.object.file);
  return reach.scope();
}

/** load and store through a mapping: one page of it, and of its file. */
export function hostScope(machine: Machine, call: Call, index: number, page: number): Scope {
  const mapping = machine.mappings[index];
  const reach = new Reach(machine).operands(call);
  const { file } = mapping.object;
  const cell = mapping.cells.at(page);
  reach.mapping(mapping, cell < 0 ? [] : [cell]);
  const fileCell = machine.files[file].cells.at(page + mapping.object.filePage);
  reach.file(file, fileCell < 0 ? [] : [fileCell]);
  if (!mapping.object.shared) reach.notified(mapping);
  return (machine.closed.has(file) ? reach.lifetime(file) : reach).scope();
}

export function driverScope(machine: Machine, call: Call, index: number | undefined): Scope {
  const reach = new Reach(machine).operands(call);
  const pamt = machine.tdx?.pamt.map(({ type }) => type) ?? [];
  return reach.fields(index === undefined ? [] : [machine.drivers[index], ...pamt]).scope();
}
