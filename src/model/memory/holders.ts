// Who can ever hold or map a frame, by the fields of the state: page caches, private copies, drivers, pipes, TDs, faults in flight.

import type { VcpuState, VmState } from "../kvm/state.ts";
import { type KvmTds, tdHolders } from "../kvm/tdx-state.ts";
import type { Field } from "../layout.ts";
import type { Objects } from "../objects.ts";
import type { TdxState } from "../tdx/state.ts";
import type { ThreadState } from "../threads.ts";
import type { PipeState } from "./pipe-state.ts";
import type { FileState, FrameState, MappingState } from "./state.ts";

/** One who holds a frame. */
export type Holder =
  | { readonly kind: "page"; readonly file: number; readonly cell: number }
  | { readonly kind: "copy"; readonly mapping: number; readonly cell: number }
  | { readonly kind: "driver"; readonly driver: number }
  | { readonly kind: "pipe"; readonly file: number }
  | { readonly kind: "td" }
  | { readonly kind: "fault"; readonly thread: number };

/** Where the numbers of frames stand, and room to mark frames in; made once per machine. */
export interface FrameFields {
  /** All who hold a frame; the first `owners` of them own it, the rest are references of faults in flight. */
  readonly holders: readonly Field[];
  readonly owners: number;
  readonly kinds: readonly Holder[];
  /** Cells of several pages, which hold as many frames that nobody tells apart, or none. */
  readonly wide: readonly { readonly field: Field; readonly pages: number }[];
  /** Page tables and TLBs. */
  readonly mapped: readonly Field[];
  /** Memory of alloc_frame(2M), and what it has beyond the one frame that its holder names. */
  readonly blocks: readonly { readonly field: Field; readonly pages: number }[];
  /** By frame that any allocation may take; all 0 between two uses. */
  readonly marks: Uint8Array;
  /** Free frames that an allocation may take. */
  readonly free: Int32Array;
}

/** Whose fields they are: the whole state of a machine. */
interface Places {
  readonly objects: Objects;
  readonly files: readonly FileState[];
  readonly mappings: readonly MappingState[];
  readonly pipes: ReadonlyMap<number, PipeState>;
  readonly drivers: readonly Field[];
  readonly threads: readonly ThreadState[];
  readonly vms: readonly VmState[];
  readonly vcpus: readonly VcpuState[];
  readonly tdx: TdxState | undefined;
  readonly kvmTds: KvmTds | undefined;
  readonly frames: readonly FrameState[];
}

export function frameFields(machine: Places): FrameFields {
  const holders: Field[] = [];
  const kinds: Holder[] = [];
  const add = (field: Field | undefined, holder: Holder): void => {
    if (!field) return;
    holders.push(field);
    kinds.push(holder);
  };
  for (const file of machine.files) {
    file.frames.forEach((field, cell) => void (file.cells.single(cell) && add(field, { kind: "page", file: file.object.index, cell })));
  }
  for (const mapping of machine.mappings) mapping.copies.forEach((copy, cell) => void add(copy, { kind: "copy", mapping: mapping.object.index, cell }));
  machine.drivers.forEach((field, driver) => void add(field, { kind: "driver", driver }));
  const tds = tdHolders(machine.kvmTds);
  for (const field of tds.owners) add(field, { kind: "td" });
  const owners = holders.length;
  for (const field of tds.references) add(field, { kind: "td" });
  for (const thread of machine.threads) add(thread.frame, { kind: "fault", thread: thread.index });
  for (const [file, pipe] of machine.pipes) for (const { frame } of pipe.buffers) add(frame, { kind: "pipe", file });
  const tables = [...machine.vms.flatMap((vm) => vm.ept.flat()), ...machine.vcpus.flatMap((vcpu) => vcpu.tlb.flat())];
  const mapped = [...tables, ...machine.mappings.flatMap((mapping) => mapping.ptes)].filter((field) => field !== undefined);
  const count = machine.tdx?.blocks[0]?.first ?? machine.frames.length;
  const blocks = machine.objects.drivers.flatMap(({ index, pages }) => (pages > 1 ? [{ field: machine.drivers[index], pages: pages - 1 }] : []));
  // Huge pages come from a pool of their own.
  const wide = machine.files.flatMap(({ object, cells, frames }) =>
    frames.flatMap((field, cell) => (object.huge !== undefined || cells.single(cell) ? [] : [{ field, pages: cells.end(cell) - cells.start(cell) }])),
  );
  return { holders, owners, kinds, wide, mapped, blocks, marks: new Uint8Array(count), free: new Int32Array(count) };
}
