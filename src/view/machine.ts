// A state of the machine as rows: one per guest page (or file page) across all its owners, and facts below. Wide cells are one row for all their pages.

import { formatAddress, formatSize } from "../base/units.ts";
import { staleMappings } from "../invariants/index.ts";
import { BOUND, CLOSED } from "../model/handles.ts";
import { slotAt } from "../model/kvm/access.ts";
import { convertedKind, isPrivateSlot } from "../model/kvm/kinds.ts";
import { isFreed, usersOf } from "../model/kvm/life.ts";
import { KINDS, PRIVATE, SHARED, type VmState } from "../model/kvm/state.ts";
import type { Machine } from "../model/machine.ts";
import { sizeOf } from "../model/memory/file.ts";
import { eachHolder, referencesOf } from "../model/memory/frames.ts";
import { type FileState, FOUND } from "../model/memory/state.ts";
import { descriptorsOf } from "../model/names.ts";
import { fieldsOf } from "../model/processes.ts";
import { pamtOf } from "../model/tdx/blocks.ts";
import { PT } from "../model/tdx/tables.ts";
import { flagNames } from "../scenario/catalogue/index.ts";
import { processFacts } from "./processes.ts";
import type { Cell, ColumnId, FactRow, MachineView, PageRow } from "./rows.ts";
import { type Broken, brokenPlaces } from "./tdx-broken.ts";
import { tdCells, tdRows } from "./tdx-pages.ts";
import { tdxTables } from "./tdx-tables.ts";

const EMPTY: Cell = { text: "" };

export function machineView(machine: Machine, state: Int32Array): MachineView {
  const stale = staleMappings(machine, state);
  const broken = brokenPlaces(machine, state);
  const pages: PageRow[] = [];
  const shown = new Set<string>();
  for (const vm of machine.vms) {
    for (let cell = 0; cell < vm.cells.count; cell++) {
      const row = guestRow(machine, state, vm, cell, stale, broken, shown);
      if (row) pages.push(row);
    }
  }
  for (const file of machine.files) {
    if (file.object.kind !== "memfd" || file.installed.get(state) === 0) continue;
    for (let cell = 0; cell < file.cells.count; cell++) if (!shown.has(`${file.object.index}/${cell}`)) pages.push(fileRow(machine, state, file, cell));
  }
  pages.push(...tdRows(machine, state, broken, (frame) => contentCell(machine, state, frame)));
  const tables = tdxTables(machine, state, broken);
  return { pages, facts: facts(machine, state), ...(tables.length > 0 ? { tables } : {}) };
}

const address = (page: number): string => formatAddress(BigInt(page) << 12n);

function label(start: number, end: number): string {
  return end - start === 1 ? address(start) : `${address(start)}–${formatAddress((BigInt(end) << 12n) - 1n)}`;
}

/** Rows of gfns that a slot covers now or that something still maps. */
function guestRow(
  machine: Machine,
  state: Int32Array,
  vm: VmState,
  cell: number,
  stale: ReturnType<typeof staleMappings>,
  places: Broken,
  shown: Set<string>,
): PageRow | undefined {
  const gfn = vm.cells.start(cell);
  const slot = slotAt(machine, state, vm, gfn);
  const mapped = vm.ept.some((leaves) => (leaves[cell]?.get(state) ?? 0) > 0);
  if (!slot && !mapped) return undefined;
  const config = slot?.config;
  const file = config?.file === undefined ? undefined : machine.files[config.file];
  const fileCell = file && config ? file.cells.at(config.filePage + gfn - config.gfn) : -1;
  if (file && fileCell >= 0) shown.add(`${file.object.index}/${fileCell}`);
  const mapping = config?.mapping === undefined ? undefined : machine.mappings[config.mapping];
  const hostCell = mapping && config ? mapping.cells.at(config.mappingPage + gfn - config.gfn) : -1;
  const frame = file && fileCell >= 0 && file.cells.single(fileCell) ? file.frames[fileCell].get(state) : 0;
  const ept = KINDS.map((_, kind) => vm.ept[kind][cell]?.get(state) ?? 0);
  const broken = stale.some((entry) => entry.vm === vm.object.index && entry.cell === cell) ? "no-stale-mapping" : undefined;
  const isPrivate = config !== undefined && isPrivateSlot(config);
  const present = file !== undefined && fileCell >= 0 && file.frames[fileCell].get(state) > 0;
  const td = tdCells(machine, state, vm, cell, places);
  // The mirror of a TD is a table of KVM's own; what hardware walks beside the secure EPT is the shared one.
  const walked = td ? ept.map((entry, of) => (of === SHARED ? entry : 0)) : ept;
  const kind = isPrivate ? (convertedKind(machine, state, vm, cell) ?? (present ? PRIVATE : SHARED)) : undefined;
  return {
    key: `vm${vm.object.index}/${gfn}`,
    label: label(gfn, vm.cells.end(cell)),
    space: vm.object.name,
    cells: {
      slot: slot
        ? { text: `${slot.config.id}${slot.invalid ? " INVALID" : ""}`, detail: `slot ${slot.config.id}, ${isPrivate ? "KVM_MEM_PRIVATE" : "ordinary"}` }
        : EMPTY,
      attribute: kind === undefined ? (slot ? { text: "ordinary" } : EMPTY) : { text: KINDS[kind] },
      file: file && fileCell >= 0 ? filePlace(file, fileCell, present) : EMPTY,
      frame: frameCell(machine, state, file, fileCell, frame),
      host:
        mapping && hostCell >= 0
          ? hostEntries(machine, state, [{ mapping: mapping.object.index, cell: hostCell }])
          : hostOfFile(machine, state, file, fileCell),
      ept: eptCell(walked, broken),
      mirror: EMPTY,
      sept: EMPTY,
      pamt: EMPTY,
      ...td?.cells,
      ...(td && broken && td.cells.sept ? { sept: { ...td.cells.sept, broken } } : {}),
      tlb: joined(td?.cells.tlb, tlbCell(machine, state, vm, cell, broken)),
      content: contentCell(machine, state, td?.frame || walked[PRIVATE] || walked[SHARED] || frame),
    },
  };
}

/** TLBs of the module's vCPUs, and of the shared EPT. */
function joined(first: Cell | undefined, second: Cell): Cell {
  if (first === undefined || first.text === "") return second;
  if (second.text === "") return first;
  const broken = first.broken ?? second.broken;
  return { text: `${first.text}, ${second.text}`, detail: `${first.detail}; ${second.detail}`, ...(broken === undefined ? {} : { broken }) };
}

function fileRow(machine: Machine, state: Int32Array, file: FileState, cell: number): PageRow {
  const present = file.frames[cell].get(state) > 0;
  const frame = file.cells.single(cell) ? file.frames[cell].get(state) : 0;
  const cells: Record<ColumnId, Cell> = {
    slot: EMPTY,
    attribute: EMPTY,
    file: filePlace(file, cell, present),
    frame: frameCell(machine, state, file, cell, frame),
    host: hostOfFile(machine, state, file, cell),
    ept: EMPTY,
    mirror: EMPTY,
    sept: EMPTY,
    pamt: EMPTY,
    tlb: EMPTY,
    content: contentCell(machine, state, frame),
  };
  return {
    key: `file${file.object.index}/${file.cells.start(cell)}`,
    label: label(file.cells.start(cell), file.cells.end(cell)),
    space: file.object.name,
    cells,
  };
}

function filePlace(file: FileState, cell: number, present: boolean): Cell {
  const place = `${file.object.name}+${address(file.cells.start(cell))}`;
  return present
    ? { text: place, detail: `${place}: the page cache holds ${file.cells.single(cell) ? "a page" : "every page of the range"}` }
    : { text: `${place} hole`, detail: `${place}: nothing in the page cache` };
}

function frameCell(machine: Machine, state: Int32Array, file: FileState | undefined, cell: number, frame: number): Cell {
  if (!file || cell < 0 || file.frames[cell].get(state) === 0) return EMPTY;
  if (frame === 0)
    return { text: `×${file.cells.end(cell) - file.cells.start(cell)}`, detail: `${file.cells.end(cell) - file.cells.start(cell)} frames, one per page` };
  const references = referencesOf(machine, state, frame);
  const tainted = machine.options.taint && machine.frames[frame].tainted.get(state) === 1;
  return {
    text: `${frame}${references > 1 ? ` (${references} refs)` : ""}`,
    detail: `frame ${frame}, ${references} reference${references === 1 ? "" : "s"}${tainted ? ", written by the guest" : ""}`,
  };
}

function hostEntries(machine: Machine, state: Int32Array, places: readonly { mapping: number; cell: number }[]): Cell {
  const entries = places.flatMap(({ mapping, cell }) => {
    const frame = machine.mappings[mapping].ptes[cell]?.get(state) ?? 0;
    return frame > 0 ? [`${machine.mappings[mapping].object.name}: ${frame}`] : [];
  });
  return entries.length > 0 ? { text: entries.join(", "), detail: entries.map((entry) => `${entry} in the host page table`).join(", ") } : EMPTY;
}

function hostOfFile(machine: Machine, state: Int32Array, file: FileState | undefined, cell: number): Cell {
  if (!file || cell < 0) return EMPTY;
  const places = machine.mappings.flatMap((mapping) => {
    if (mapping.object.file !== file.object.index) return [];
    const own = mapping.cells.at(file.cells.start(cell) - mapping.object.filePage);
    return own < 0 ? [] : [{ mapping: mapping.object.index, cell: own }];
  });
  return hostEntries(machine, state, places);
}

function eptCell(ept: readonly number[], broken: string | undefined): Cell {
  const leaves = [PRIVATE, SHARED].flatMap((kind) => (ept[kind] > 0 ? [`${ept[kind]} ${KINDS[kind]}`] : []));
  if (leaves.length === 0) return EMPTY;
  return { text: leaves.join(", "), detail: leaves.map((leaf) => `the EPT maps frame ${leaf}`).join(", "), ...(broken ? { broken } : {}) };
}

function tlbCell(machine: Machine, state: Int32Array, vm: VmState, cell: number, broken: string | undefined): Cell {
  const entries = machine.vcpus.flatMap((vcpu) => {
    if (vcpu.object.vm !== vm.object.index) return [];
    const frames = [PRIVATE, SHARED].map((kind) => vcpu.tlb[kind][cell]?.get(state) ?? 0).filter((frame) => frame > 0);
    return frames.map((frame) => `${vcpu.object.name}: ${frame}`);
  });
  return entries.length > 0 ? { text: entries.join(", "), detail: `${entries.join(", ")} in the TLB`, ...(broken ? { broken } : {}) } : EMPTY;
}

/** Bytes at the offsets that the scenario names, of the frame that a reader reaches. */
function contentCell(machine: Machine, state: Int32Array, frame: number): Cell {
  if (frame === 0) return EMPTY;
  const { bytes } = machine;
  const named = Array.from({ length: bytes.count }, (_, range) => range).filter((range) => bytes.end(range) - bytes.start(range) === 1);
  const texts = named.slice(0, 8).map((range) => {
    const value = machine.frames[frame].content[range].get(state);
    const text = value === FOUND ? "as found" : `0x${(value & 255).toString(16).padStart(2, "0")}${value > FOUND ? " left over" : ""}`;
    return named.length === 1 ? text : `+${bytes.start(range)}: ${text}`;
  });
  return texts.length > 0 ? { text: texts.join(", "), detail: `bytes of frame ${frame}: ${texts.join(", ")}` } : EMPTY;
}

function facts(machine: Machine, state: Int32Array): FactRow[] {
  return [
    ...machine.files.flatMap((file) => fileFacts(machine, state, file)),
    ...machine.vms.flatMap((vm) => vmFacts(machine, state, vm)),
    ...machine.threads.flatMap((thread) => threadFact(machine, state, thread.index)),
    ...processFacts(machine, state),
    ...frameFacts(machine, state),
  ];
}

const who = (machine: Machine, owner: number): string => machine.program.actors[owner - 1].name;

function fileFacts(machine: Machine, state: Int32Array, file: FileState): FactRow[] {
  if (file.object.kind !== "memfd" || file.installed.get(state) === 0) return [];
  const key = `file${file.object.index}`;
  const { name } = file.object;
  const open = descriptorsOf(machine, file.object.index).reduce(
    (sum, handle) => sum + fieldsOf(machine, handle).filter((field) => field.get(state) === BOUND).length,
    0,
  );
  const seals = BigInt(file.seals.get(state));
  const rows: FactRow[] = [
    { key: `${key}/size`, group: "file", name: `${name} i_size`, value: formatSize(sizeOf(machine, state, file)) },
    { key: `${key}/fds`, group: "file", name: `${name} descriptors`, value: String(open) },
    file.shim.get(state) === 1
      ? { key: `${key}/marker`, group: "file", name: `${name} inode`, value: "inaccessible shim" }
      : { key: `${key}/seals`, group: "file", name: `${name} seals`, value: seals === 0n ? "0" : flagNames("F_SEAL_", seals, machine.profile.base) },
  ];
  if (file.lock.get(state) > 0) rows.push({ key: `${key}/lock`, group: "lock", name: `${name} inode_lock`, value: who(machine, file.lock.get(state)) });
  if (file.hole.get(state) > 0) rows.push({ key: `${key}/hole`, group: "lock", name: `${name} hole announced`, value: who(machine, file.hole.get(state)) });
  file.folios.forEach((folio, cell) => {
    if (folio.get(state) > 0)
      rows.push({ key: `${key}/folio${cell}`, group: "lock", name: `folio ${name}+${address(file.cells.start(cell))}`, value: who(machine, folio.get(state)) });
  });
  return rows;
}

function vmFacts(machine: Machine, state: Int32Array, vm: VmState): FactRow[] {
  const handle = machine.program.calls[vm.object.call].binds;
  const bound = handle === undefined ? 0 : machine.handles[handle].get(state);
  if (bound !== BOUND && (bound !== CLOSED || isFreed(vm, state))) return [];
  const key = `vm${vm.object.index}`;
  const inProgress = vm.inProgress.get(state);
  const range = inProgress > 0 ? `, gfns ${address(vm.cells.bounds[vm.rangeStart.get(state)])} to ${address(vm.cells.bounds[vm.rangeEnd.get(state)])}` : "";
  const rows: FactRow[] = [{ key: `${key}/progress`, group: "vm", name: `${vm.object.name} mmu_invalidate_in_progress`, value: `${inProgress}${range}` }];
  const users = usersOf(machine, state, vm.object.index);
  if (users) rows.push({ key: `${key}/users`, group: "vm", name: `${vm.object.name} held by`, value: users.join(", ") || "nobody" });
  const active = vm.activeNotifiers.get(state);
  if (active > 0) rows.push({ key: `${key}/active`, group: "vm", name: `${vm.object.name} mn_active_invalidate_count`, value: String(active) });
  const td = machine.kvmTds?.vms[vm.object.index];
  const readers = td?.mmuReaders.get(state) ?? 0;
  if (td && td.mmuWriter.get(state) > 0)
    rows.push({ key: `${key}/mmu`, group: "lock", name: `${vm.object.name} mmu_lock`, value: who(machine, td.mmuWriter.get(state)) });
  else if (readers > 0) rows.push({ key: `${key}/mmu`, group: "lock", name: `${vm.object.name} mmu_lock`, value: `read by ${readers}` });
  if (vm.slotsLock.get(state) > 0)
    rows.push({ key: `${key}/slots`, group: "lock", name: `${vm.object.name} slots_lock`, value: who(machine, vm.slotsLock.get(state)) });
  return rows;
}

function threadFact(machine: Machine, state: Int32Array, actor: number): FactRow[] {
  const position = machine.position(state, actor);
  if (!position) return [];
  const thread = machine.threads[actor];
  const notes = [`${position.operation.name}, next ${position.step?.name ?? "return"}`];
  if (thread.frame.get(state) > 0) notes.push(`holds frame ${thread.frame.get(state)}`);
  if (thread.inFault.get(state) === 1)
    notes.push(thread.stale.get(state) === 1 ? "mmu_invalidate_seq moved since its snapshot" : "snapshot of mmu_invalidate_seq current");
  return [{ key: `thread${actor}`, group: "thread", name: machine.program.actors[actor].name, value: notes.join("; ") }];
}

/** Frames that somebody outside took, and free frames that something still maps. */
function frameFacts(machine: Machine, state: Int32Array): FactRow[] {
  const rows: FactRow[] = [];
  const held = new Set<number>();
  eachHolder(machine, state, (frame, holder) => {
    held.add(frame);
    // A page that the PAMT has is a row there, with its name.
    if (holder.kind === "driver" && (machine.tdx ? pamtOf(machine.tdx, state, frame).type.get(state) : PT.NDA) === PT.NDA)
      rows.push({ key: `frame${frame}`, group: "frame", name: `frame ${frame}`, value: `taken by ${machine.objects.drivers[holder.driver].name}` });
    if (holder.kind === "pipe")
      rows.push({ key: `frame${frame}/pipe`, group: "frame", name: `frame ${frame}`, value: `pinned by the pipe ${machine.objects.files[holder.file].name}` });
  });
  const mapped = new Set<number>();
  for (const vm of machine.vms) for (const leaves of vm.ept) for (const leaf of leaves) mapped.add(leaf?.get(state) ?? 0);
  for (const vcpu of machine.vcpus) for (const entries of vcpu.tlb) for (const entry of entries) mapped.add(entry?.get(state) ?? 0);
  for (const frame of mapped)
    if (frame > 0 && !held.has(frame)) rows.push({ key: `frame${frame}`, group: "frame", name: `frame ${frame}`, value: "free, and still mapped" });
  return rows;
}
