// The TDX module as tables: each TD's secure EPT by level beside KVM's mirror of it, the PAMT, key ids, TDs, vCPUs with their TLBs. None without TDX.

import { formatAddress } from "../base/units.ts";
import { isUsable } from "../invariants/tdx.ts";
import { PRIVATE } from "../model/kvm/state.ts";
import { type KvmTd, TD_STATE } from "../model/kvm/tdx-state.ts";
import type { Machine } from "../model/machine.ts";
import { blockAt, namedBehind, pagesOf, pamtBehind, pamtOf, restBehind, unnamedFrames } from "../model/tdx/blocks.ts";
import type { PamtEntry, SeptEntry, TdState, TdVcpuState, TdxState } from "../model/tdx/state.ts";
import { isHeldAtTheDoor, suspicion } from "../model/tdx/stepping.ts";
import { LEVEL, LIFECYCLE, LIFECYCLE_NAMES, OP_STATE, OP_STATE_NAMES, PT, SEPT, SEPT_NAMES, VCPU, VCPU_NAMES } from "../model/tdx/tables.ts";
import type { Cell, StateRow, StateTable } from "./rows.ts";
import { type Broken, brokenAt } from "./tdx-broken.ts";
import { entryText, gpaOf, keyName, kotName, kvmTdOf, linesText, lockText, ownerName, pageName, typeName } from "./tdx-words.ts";

export function tdxTables(machine: Machine, state: Int32Array, broken: Broken): StateTable[] {
  const { tdx } = machine;
  if (!tdx) return [];
  const tds = tdx.tds.filter((td) => td.tdr.get(state) > 0);
  if (tds.length === 0 && tdx.pamt.every(({ type }) => type.get(state) === PT.NDA)) return [];
  return [
    ...tds.filter((td) => td.opState.get(state) !== OP_STATE.UNINITIALIZED).map((td) => septTable(machine, state, tdx, td, broken)),
    pamtTable(machine, state, tdx, broken),
    tdTable(machine, state, tdx, tds, broken),
    ...vcpuTable(machine, state, tdx, broken),
    keyTable(state, tdx, broken),
  ].filter((table) => table.rows.length > 0);
}

const cell = (text: string, detail?: string, broken?: string): Cell => ({
  text,
  ...(detail === undefined ? {} : { detail }),
  ...(broken === undefined ? {} : { broken }),
});

const isTable = (entry: SeptEntry | undefined, state: Int32Array): boolean => {
  const is = entry?.state.get(state);
  return is === SEPT.NL_MAPPED || is === SEPT.NL_BLOCKED;
};

/** What KVM's mirror has for an entry; undefined where no KVM is. */
function mirrorText(machine: Machine, state: Int32Array, kvm: KvmTd | undefined, entry: SeptEntry): string | undefined {
  if (!kvm) return undefined;
  if (entry.level > LEVEL.PT) {
    const table = kvm.tables.find((one) => one.entry === entry);
    const frame = table?.frame.get(state) ?? 0;
    return table?.frozen.get(state) === 1 ? "FROZEN" : frame > 0 ? `table ${frame}` : "";
  }
  const vm = machine.vms[kvm.vm];
  const at = vm.cells.at(entry.gfn);
  const frame = vm.ept[PRIVATE][at]?.get(state) ?? 0;
  return kvm.frozen.get(at)?.get(state) === 1 ? "FROZEN" : frame > 0 ? `${frame}` : "";
}

const SIZES = ["4K", "2M", "1G", "512G", "256T"];

function septTable(machine: Machine, state: Int32Array, tdx: TdxState, td: TdState, broken: Broken): StateTable {
  const top = td.pwl.get(state);
  const kvm = kvmTdOf(machine, td);
  const rows: StateRow[] = [];
  const visit = (level: number, from: number, to: number): void => {
    for (const entry of [...td.entries[level].values()].sort((a, b) => a.gfn - b.gfn)) {
      if (entry.gfn < from || entry.gfn >= to) continue;
      rows.push(septRow(machine, state, tdx, td, entry, kvm, broken));
      const mirrored = kvm?.tables.some((table) => table.entry === entry && table.frame.get(state) > 0) === true;
      if (level === LEVEL.PT || !(isTable(entry, state) || mirrored)) continue;
      visit(level - 1, entry.gfn, entry.gfn + 512 ** level);
      rows.push(...restRow(state, tdx, td, entry));
    }
  };
  visit(top, 0, Number.POSITIVE_INFINITY);
  return {
    id: `sept${td.object.index}`,
    title: `Secure EPT of ${td.object.name}`,
    help: "the TDX module's page table for private memory, from the root's entries down; none of them is in the reach of the host",
    columns: [
      { id: "entry", title: "entry", help: "guest physical address of the entry, and what one entry of its level covers" },
      { id: "state", title: "secure EPT", help: "state of the entry, and the frame of the page or table that it names" },
      ...(kvm ? [{ id: "mirror", title: "mirror", help: "what KVM's mirror has there" }] : []),
      { id: "pamt", title: "PAMT", help: "page type and BEPOCH of the frame" },
      { id: "lock", title: "lock", help: "the entry's lock, and whether a host leaf waits for it" },
    ],
    rows,
  };
}

/** Entries of a table that no call names, where the split of a large page has filled them. */
function restRow(state: Int32Array, tdx: TdxState, td: TdState, entry: SeptEntry): StateRow[] {
  const rest = restBehind(td, entry);
  const is = rest?.state.get(state) ?? SEPT.FREE;
  if (is === SEPT.FREE) return [];
  const count = 512 - namedBehind(td, entry).length;
  const text = `${SEPT_NAMES[is]}, ${count} pages`;
  const block = blockAt(tdx, rest?.first.get(state) ?? 0);
  const frame = unnamedFrames(tdx, state, td).find((one) => blockAt(tdx, one) === block) ?? 0;
  return [
    {
      key: `sept${td.object.index}/rest/${entry.gfn}`,
      label: "the others",
      depth: td.pwl.get(state) - LEVEL.PT,
      cells: {
        state: cell(text, `${count} entries of this table that no call names: ${text}`),
        pamt: cell(typeName(tdx.pamt[frame].type.get(state))),
        lock: cell(""),
      },
    },
  ];
}

function septRow(machine: Machine, state: Int32Array, tdx: TdxState, td: TdState, entry: SeptEntry, kvm: KvmTd | undefined, broken: Broken): StateRow {
  const frame = entry.frame.get(state);
  const mirror = mirrorText(machine, state, kvm, entry);
  const { type, bepoch } = pamtBehind(tdx, state, entry);
  const wrong = entry.level === LEVEL.PT ? brokenAt(broken, td, entry.gfn) : undefined;
  const lock = [lockText(entry.lock, state), entry.hostPriority.get(state) === 1 ? "host waits" : ""].filter((text) => text !== "").join(", ");
  const blocked = bepoch.get(state) > 0 ? `, BEPOCH ${bepoch.get(state)}` : "";
  return {
    key: `sept${td.object.index}/${entry.level}/${entry.gfn}`,
    label: entry.level === LEVEL.PT ? gpaOf(entry.gfn) : `${gpaOf(entry.gfn)} +${SIZES[entry.level]}`,
    depth: td.pwl.get(state) - entry.level,
    cells: {
      state: cell(
        entryText(entry, state),
        `level ${entry.level}, ${gpaOf(entry.gfn)}: ${entryText(entry, state)}`,
        wrong === "mirror-agrees" ? undefined : wrong,
      ),
      ...(mirror === undefined
        ? {}
        : { mirror: cell(mirror, `the mirror has ${mirror === "" ? "nothing" : mirror} there`, wrong === "mirror-agrees" ? wrong : undefined) }),
      pamt:
        frame > 0
          ? cell(`${typeName(type.get(state))}${blocked}`, `frame ${frame} is ${typeName(type.get(state))} of ${ownerName(tdx, state, frame) || "nobody"}`)
          : cell(""),
      lock: cell(lock),
    },
  };
}

const PAMT_COLUMNS = [
  { id: "pages", title: "frames", help: "page frames with the same entry" },
  { id: "name", title: "name", help: "the scenario's name of the page, or what KVM has it for" },
  { id: "type", title: "type", help: "page type; PT_NDA is not assigned, the host's" },
  { id: "owner", title: "owner", help: "the TD whose TDR the entry names" },
  { id: "bepoch", title: "BEPOCH", help: "TD_EPOCH when the page, or the table, was blocked" },
  { id: "lines", title: "lines", help: "TD-owner bit and poison in memory, and keys under which lines may lie modified in a cache" },
  { id: "lock", title: "lock", help: "the entry's lock" },
];

/** `2-4, 7`. */
function ranges(frames: readonly number[]): string {
  const parts: string[] = [];
  for (let at = 0; at < frames.length; ) {
    let end = at;
    while (frames[end + 1] === frames[end] + 1) end += 1;
    parts.push(end > at ? `${frames[at]}-${frames[end]}` : `${frames[at]}`);
    at = end + 1;
  }
  return parts.join(", ");
}

/** Frames with one row: their PAMT entry, and what lines remember. */
interface Alike {
  readonly frames: number[];
  readonly entry: PamtEntry;
  /** All of memory of 2 MB, as one page. */
  readonly large: boolean;
}

/** Pages of the guest and tables stand alone; control pages of a TD that are alike are one row, and pages in memory of 2 MB that no call tells apart. */
function pamtGroups(state: Int32Array, tdx: TdxState): Map<string, Alike> {
  const groups = new Map<string, Alike>();
  for (const { first, pamt } of tdx.blocks) {
    if (pamt.type.get(state) === PT.REG) groups.set(`pamt/2M/${first}`, { frames: [first], entry: pamt, large: true });
  }
  for (let frame = 1; frame < tdx.pamt.length; frame++) {
    const entry = tdx.pamt[frame];
    const type = entry.type.get(state);
    const lines = linesText(tdx, state, frame);
    const block = blockAt(tdx, frame);
    if (type === PT.NDA && (lines === "" || pamtOf(tdx, state, frame) !== entry)) continue;
    const alone = (type !== PT.TDCX && !block) || lockText(entry.lock, state) !== "";
    const like = `${typeName(type)} ${ownerName(tdx, state, frame)} ${lines}${block ? ` ${block.index} ${entry.bepoch.get(state)}` : ""}`;
    const key = alone ? `pamt/${frame}` : `pamt/${like}`;
    const group = groups.get(key);
    if (group) group.frames.push(frame);
    else groups.set(key, { frames: [frame], entry, large: false });
  }
  return groups;
}

/** Pages of one memory of 2 MB by its name; control pages have none. */
function blockName(machine: Machine, state: Int32Array, tdx: TdxState, frames: readonly number[]): string {
  const block = blockAt(tdx, frames[0]);
  if (!block) return "";
  const pages = frames.reduce((sum, frame) => sum + pagesOf(block, frame), 0);
  return `${pageName(machine, state, block.first)}, ${pages} pages`;
}

function pamtTable(machine: Machine, state: Int32Array, tdx: TdxState, broken: Broken): StateTable {
  const rows = [...pamtGroups(state, tdx)].map(([key, { frames, entry, large }]): StateRow => {
    const [frame] = frames;
    const { type, bepoch, lock } = entry;
    const epoch = bepoch.get(state);
    return {
      key,
      label: `${ranges(frames)}${large ? " +2M" : ""}`,
      cells: {
        name: cell(frames.length === 1 ? pageName(machine, state, frame) : blockName(machine, state, tdx, frames)),
        type: cell(typeName(type.get(state)), undefined, broken.frames.get(frame)),
        owner: cell(ownerName(tdx, state, frame)),
        bepoch: cell(epoch > 0 ? `${epoch}` : ""),
        lines: cell(linesText(tdx, state, frame)),
        lock: cell(lockText(lock, state)),
      },
    };
  });
  return { id: "pamt", title: "PAMT", help: "the TDX module's entry for each page that it has, or whose lines remember a TD", columns: PAMT_COLUMNS, rows };
}

/** A column per TD, a row per word of its TDR and TDCS, and of KVM's struct kvm_tdx. */
function tdTable(machine: Machine, state: Int32Array, tdx: TdxState, tds: readonly TdState[], broken: Broken): StateTable {
  const row = (key: string, label: string, text: (td: TdState, kvm: KvmTd | undefined) => string): StateRow => ({
    key: `td/${key}`,
    label,
    cells: Object.fromEntries(
      tds.map((td) => [`td${td.object.index}`, cell(text(td, kvmTdOf(machine, td)), undefined, broken.words.get(`${td.object.index} ${key}`))]),
    ),
  });
  const hasTdcs = (td: TdState): boolean => td.opState.get(state) !== OP_STATE.UNINITIALIZED && td.lifecycle.get(state) === LIFECYCLE.KEYS_CONFIGURED;
  const rows = [
    row("lifecycle", "life cycle", (td) => `${LIFECYCLE_NAMES[td.lifecycle.get(state)]}${td.fatal.get(state) === 1 ? ", fatal" : ""}`),
    row("key", "key id", (td) => keyName(tdx, td.key.get(state))),
    row("op", "OP_STATE", (td) => (td.numTdcx.get(state) > 0 ? OP_STATE_NAMES[td.opState.get(state)] : "")),
    row("epoch", "TD_EPOCH", (td) => (hasTdcs(td) ? `${td.epoch.get(state)}` : "")),
    row("refcount", "REFCOUNT even/odd", (td) => (hasTdcs(td) ? `${td.refcount[0].get(state)}/${td.refcount[1].get(state)}` : "")),
    row("chldcnt", "CHLDCNT", (td) => `${td.chldcnt.get(state)}`),
    row("vcpus", "vCPUs, associated", (td) => (hasTdcs(td) ? `${td.numVcpus.get(state)}, ${td.numAssociated.get(state)}` : "")),
    row("locks", "locks", (td) => tdLocks(tdx, td, state)),
    row("kvm", "kvm_tdx state", (_td, kvm) => (kvm ? kvmState(kvm, state) : "")),
    row("premapped", "nr_premapped", (_td, kvm) => (kvm && kvm.state.get(state) === TD_STATE.INITIALIZED ? `${kvm.premapped.get(state)}` : "")),
  ];
  return {
    id: "td",
    title: tds.length > 1 ? "TDs" : "TD",
    help: "what the TDX module keeps of a TD in its TDR and TDCS, and KVM in struct kvm_tdx",
    columns: [
      { id: "word", title: "", help: "a field of the TD" },
      ...tds.map(({ object }) => ({ id: `td${object.index}`, title: object.name, help: `the TD ${object.name}` })),
    ],
    rows: rows.filter(({ cells }) => Object.values(cells).some(({ text }) => text !== "")),
  };
}

const TD_STATES = Object.entries(TD_STATE).map(([name]) => `TD_STATE_${name}`);

function kvmState(kvm: KvmTd, state: Int32Array): string {
  const marks = [kvm.bugged.get(state) === 1 ? "bugged" : "", kvm.dead.get(state) === 1 ? "dead" : "", kvm.waits.get(state) === 1 ? "wait_for_sept_zap" : ""];
  return [TD_STATES[kvm.state.get(state)], ...marks].filter((text) => text !== "").join(", ");
}

function tdLocks(tdx: TdxState, td: TdState, state: Int32Array): string {
  const held: [string, string][] = [
    ["TDR", lockText(tdx.pamt[td.tdr.get(state)].lock, state)],
    ["SEPT_TREE", lockText(td.tree, state)],
    ["TD_EPOCH", lockText(td.epochLock, state)],
  ];
  return held.flatMap(([name, text]) => (text === "" ? [] : [`${name} ${text}`])).join(", ");
}

const VCPU_COLUMNS = [
  { id: "vcpu", title: "vCPU", help: "by the name of its handle" },
  { id: "state", title: "state", help: "VCPU_STATE in the TDVPS" },
  { id: "lp", title: "LP", help: "the logical processor that it is associated with" },
  { id: "epoch", title: "epoch", help: "TD_EPOCH at its last entry" },
  { id: "tlb", title: "TLB", help: "private translations that its processor has; all go with an entry in a newer epoch" },
];

function vcpuTable(machine: Machine, state: Int32Array, tdx: TdxState, broken: Broken): StateTable[] {
  const vcpus = tdx.vcpus.filter((vcpu) => vcpu.tdvpr.get(state) > 0);
  if (vcpus.length === 0) return [];
  const counts = tdx.vcpus.some(({ stepping }) => stepping !== undefined);
  const columns = counts ? [...VCPU_COLUMNS, STEPPING_COLUMN] : VCPU_COLUMNS;
  const rows = vcpus.map((vcpu): StateRow => {
    const lp = vcpu.lp.get(state);
    const epoch = vcpu.epoch.get(state);
    const { text, detail } = tlbText(tdx, state, vcpu);
    return {
      key: `tdvcpu/${vcpu.object.index}`,
      label: vcpu.object.name,
      cells: {
        state: cell(
          [VCPU_NAMES[vcpu.state.get(state)], ...(isHeldAtTheDoor(vcpu, state) ? ["on its way in"] : []), ...requests(machine, state, vcpu)].join(", "),
        ),
        lp: cell(lp > 0 ? `LP ${lp - 1}` : ""),
        epoch: cell(epoch > 0 ? `${epoch}` : ""),
        tlb: cell(text, detail, broken.vcpus.get(vcpu.object.index)),
        ...(counts ? { stepping: steppingCell(vcpu, state) } : {}),
      },
    };
  });
  return [{ id: "tdvcpus", title: "vCPUs of TDs", help: "what the TDX module keeps in each TDVPS, and the TLB of its processor", columns, rows }];
}

/** Only where an access can come so often. */
const STEPPING_COLUMN = {
  id: "stepping",
  title: "EPT violations",
  help: "of one access in a row; with the seventh its page is listed, and TDH.VP.ENTER asks first whether the vCPU would leave again",
};

function steppingCell(vcpu: TdVcpuState, state: Int32Array): Cell {
  const found = suspicion(vcpu, state);
  if (!found) return cell("");
  const page = formatAddress(found.access.gpa);
  const times = `${found.violations}${found.listed ? " or more" : ""}`;
  return cell(
    found.listed ? `${page} listed` : times,
    `${times} in a row at ${page}${found.listed ? ": the page is listed, and the next entry takes the secure EPT tree" : ""}`,
  );
}

/** What KVM has asked of a vCPU, or waits for. */
function requests(machine: Machine, state: Int32Array, vcpu: TdVcpuState): string[] {
  const own = machine.kvmTds?.vcpus.find((one) => one?.tdVcpu === vcpu);
  return [...(own?.kicked.get(state) === 1 ? ["kicked"] : []), ...((own?.hypercall.get(state) ?? 0) > 0 ? ["waits for KVM_HC_MAP_GPA_RANGE"] : [])];
}

/** Entries of a vCPU outside that an older epoch filled are not hit again: it flushes when it enters. */
export function tlbText(tdx: TdxState, state: Int32Array, vcpu: TdVcpuState): { readonly text: string; readonly detail: string } {
  const entries = [...vcpu.tlb].flatMap(([gfn, field]) => (field.get(state) > 0 ? [`${gpaOf(gfn)}: ${field.get(state)}`] : []));
  if (entries.length === 0) return { text: "", detail: "" };
  const td = tdx.tds[vcpu.td.get(state) - 1];
  const usable = td !== undefined && isUsable(td, vcpu, state);
  const why = vcpu.state.get(state) === VCPU.ACTIVE ? "hit while it is inside" : usable ? "hit when it enters in this epoch" : "gone with its next entry";
  return { text: `${entries.join(", ")}${usable ? "" : " (gone)"}`, detail: `${entries.join(", ")}, ${why}` };
}

function keyTable(state: Int32Array, tdx: TdxState, broken: Broken): StateTable {
  const rows = tdx.keys.map((key, index): StateRow => {
    const holder = tdx.tds.find((td) => td.tdr.get(state) > 0 && td.key.get(state) === index && td.lifecycle.get(state) !== LIFECYCLE.TEARDOWN);
    const packages = Array.from({ length: tdx.packages }, (_, bit) => bit).filter((bit) => key.wbinvd.get(state) & (1 << bit));
    return {
      key: `hkid/${key.hkid}`,
      label: `${key.hkid}`,
      cells: {
        state: cell(kotName(tdx, state, index), undefined, broken.keys.get(index)),
        td: cell(index === 0 ? "the module" : (holder?.object.name ?? "")),
        wbinvd: cell(packages.join(", ")),
      },
    };
  });
  return {
    id: "hkid",
    title: "Key ids",
    help: "the key ownership table (KOT)",
    columns: [
      { id: "hkid", title: "HKID", help: "private key id" },
      { id: "state", title: "KOT", help: "its state" },
      { id: "td", title: "TD", help: "whose key it is" },
      { id: "wbinvd", title: "packages to write back", help: "that have not written their caches back since it was flushed" },
    ],
    rows: rows.filter(({ cells }) => cells.state.text !== "HKID_FREE" || cells.state.broken !== undefined),
  };
}
