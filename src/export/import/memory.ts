// The memory under a traced guest: its events tell which pages it touched and not what is behind them, so a slot is assumed, and the text says so.

import { callSpec } from "../../scenario/catalogue/index.ts";
import { printInt } from "../../scenario/print.ts";
import { Draft, hex, type Scene } from "./scene.ts";

export interface Memory {
  /** Pages that the guest touched, by address, with the kind of the first access. */
  readonly pages: Map<bigint, "private" | "shared">;
  /** Pages on which KVM found no slot. */
  readonly devices: Set<bigint>;
  /** Some access was a private one. */
  confidential: boolean;
}

interface Run {
  readonly from: bigint;
  to: bigint;
}

const PAGE = 4096n;
/** A hole of less than a huge page does not part two slots. */
const GAP = 512n * PAGE;
const MAX_SLOTS = 16;

function runsOf(pages: readonly bigint[], devices: readonly bigint[], gap: bigint): Run[] {
  const runs: Run[] = [];
  let at = 0;
  for (const page of [...pages].sort((a, b) => (a < b ? -1 : 1))) {
    const last = runs.at(-1);
    while (last !== undefined && at < devices.length && devices[at] < last.to) at++;
    const device = last !== undefined && at < devices.length && devices[at] < page;
    if (last !== undefined && !device && page - last.to <= gap) last.to = page + PAGE;
    else runs.push({ from: page, to: page + PAGE });
  }
  return runs;
}

/** Statements at `start`, in front of the first access: the VM and the vCPUs that the trace does not make, and one slot under each run of pages. */
export function memoryItems(scene: Scene, memory: Memory, vcpus: readonly { readonly id: number; readonly name: string }[], start: number): void {
  const place = { task: scene.tasks.all()[0]?.id ?? 0, name: "assumed", start, end: start, line: "" };
  const put = (text: string, uses: readonly string[], binds?: string, note?: string): void => {
    const draft = new Draft();
    draft.uses.push(...uses);
    scene.put(place, draft, text, { ...(binds === undefined ? {} : { binds }), ...(note === undefined ? {} : { note }) });
  };
  const assumed = "assumed: the trace does not tell";
  const hidden = [...memory.pages].filter(([, kind]) => kind === "private").map(([page]) => page);
  const gmem = memory.confidential && callSpec("KVM_CREATE_GUEST_MEMFD").profiles.includes(scene.base);
  let vm = scene.vm;
  if (vm === undefined) {
    vm = scene.names.fresh("vm");
    put(`KVM_CREATE_VM(${gmem ? "KVM_X86_SW_PROTECTED_VM" : "0"})`, [], vm, assumed);
  }
  for (const { id, name } of vcpus) put(`KVM_CREATE_VCPU(${vm}, ${id})`, [vm], name);
  if (scene.regions > 0) return;
  const devices = [...memory.devices].filter((page) => !memory.pages.has(page)).sort((a, b) => (a < b ? -1 : 1));
  const runs = runsOf([...memory.pages.keys()], devices, GAP);
  for (const [slot, run] of runs.slice(0, MAX_SLOTS).entries()) {
    const size = printInt(run.to - run.from);
    const ram = scene.names.fresh("ram");
    put(`mmap(NULL, ${size}, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)`, [], ram, `${assumed} what is behind ${hex(run.from)}`);
    const common = `slot=${slot}, flags=${gmem ? "KVM_MEM_GUEST_MEMFD" : "0"}, guest_phys_addr=${hex(run.from)}, memory_size=${size}, userspace_addr=${ram}`;
    if (!gmem) put(`KVM_SET_USER_MEMORY_REGION(${vm}, ${common})`, [vm, ram]);
    else {
      const file = scene.names.fresh("gmem");
      put(`KVM_CREATE_GUEST_MEMFD(${vm}, size=${size})`, [vm], file);
      put(`KVM_SET_USER_MEMORY_REGION2(${vm}, ${common}, guest_memfd_offset=0, guest_memfd=${file})`, [vm, ram, file]);
    }
  }
  if (runs.length > MAX_SLOTS) scene.comment(place, `${runs.length - MAX_SLOTS} more runs of pages have no slot here`);
  if (!gmem) return;
  for (const run of runsOf(hidden, [], 0n)) {
    put(`KVM_SET_MEMORY_ATTRIBUTES(${vm}, address=${hex(run.from)}, size=${printInt(run.to - run.from)}, attributes=KVM_MEMORY_ATTRIBUTE_PRIVATE)`, [vm]);
  }
}
