// Invariants of the memory that TDX guards: caches and their keys when a page changes hands, what a TD reads back, pages that the allocator has and the module
// has too. All are of a page, so that a VM which is bugged is no excuse.

import type { Machine } from "../model/machine.ts";
import { framesOf } from "../model/tdx/blocks.ts";
import { GLOBAL_KEY } from "../model/tdx/pages.ts";
import { KOT, type PageType, PT, pageTypeName } from "../model/tdx/tables.ts";
import { NOTHING, tdxOf } from "./tdx.ts";
import { type Check, type Invariant, overStates } from "./types.ts";

/** Subjects of `cache-flushed`: frame, key (0 the shared one, else 1 + its index), how it was handed over. */
const HANDED_OVER = 0;
const FREED = 1;
const KEY_FREED = 2;
const KEYS = 0x40;
const FRAMES = 0x10000;
const subjectOf = (how: number, key: number, frame: number): number => (how * KEYS + key) * FRAMES + frame;

/** Marks frames that somebody owns or has a reference on; nobody but KVM gives pages back. */
function unheld(machine: Machine): (state: Int32Array) => Uint8Array {
  const held = new Uint8Array(machine.frames.length);
  const { holders } = machine.frameFields;
  return (state) => {
    held.fill(0);
    for (const holder of holders) held[holder.get(state)] = 1;
    // Memory of alloc_frame(2M) is never given back.
    for (const block of machine.tdx?.blocks ?? []) for (const frame of framesOf(block)) held[frame] = 1;
    return held;
  };
}

function checkCaches(machine: Machine): Check {
  const { tdx } = machine;
  if (!tdx) return NOTHING;
  const heldIn = unheld(machine);
  const isFreed = machine.kvmTds !== undefined;
  return (state, broken) => {
    let held: Uint8Array | undefined;
    for (let frame = 1; frame < tdx.lines.length; frame++) {
      const dirty = tdx.lines[frame].privateDirty.get(state);
      if (dirty === 0) continue;
      if (dirty - 1 !== GLOBAL_KEY && tdx.keys[dirty - 1].state.get(state) === KOT.FREE) broken(subjectOf(KEY_FREED, dirty, frame));
      if (!isFreed) continue;
      held ??= heldIn(state);
      if (held[frame] === 0) broken(subjectOf(FREED, dirty, frame));
    }
  };
}

const cacheFlushed: Invariant = {
  name: "cache-flushed",
  reads: ["content", "td", "page", "driver", "reference"],
  ...overStates(checkCaches),
  event: (_machine, event) => (event.kind === "handed-over-dirty" ? subjectOf(HANDED_OVER, event.b, event.a) : undefined),
  describe(machine, subject) {
    const frame = subject % FRAMES;
    const key = Math.floor(subject / FRAMES) % KEYS;
    const how = Math.floor(subject / FRAMES / KEYS);
    const hkid = key === 0 ? undefined : tdxOf(machine).keys[key - 1].hkid;
    const under = hkid === undefined ? "the shared key" : `key id ${hkid}`;
    const what = {
      [HANDED_OVER]: `frame ${frame} changes hands`,
      [FREED]: `frame ${frame} goes back to the allocator`,
      [KEY_FREED]: `${under} is free for another TD`,
    }[how];
    const of = how === KEY_FREED ? `of frame ${frame} ` : "";
    return {
      subject: how === KEY_FREED ? `${under}, frame ${frame}` : `frame ${frame}`,
      message: `${what} while lines ${of}may lie modified in a cache under ${under}: written back later, they destroy what its new user writes`,
      about: { frame },
    };
  },
};

/** Subjects: a frame, and whether its content was other than the TD's or its line poisoned. */
const privateIntegrity: Invariant = {
  name: "private-integrity",
  reads: [],
  ghosts: { integrity: true },
  event(_machine, event) {
    if (event.kind === "poison-read") return event.a * 2;
    return event.kind === "integrity-lost" ? event.a * 2 + 1 : undefined;
  },
  describe(_machine, subject) {
    const frame = subject >> 1;
    const message =
      (subject & 1) === 0
        ? `the TD touches a line of frame ${frame} that was not written under its key: poison, a machine check, and the TD is lost`
        : `the TD loads from frame ${frame} what it has not stored there`;
    return { subject: `frame ${frame}`, message, about: { frame } };
  },
};

/** Subjects: frames. */
const pagesHeld: Invariant = {
  name: "td-page-held",
  reads: ["pamt", "td", "page", "ept", "driver", "reference"],
  ...overStates((machine) => {
    const { tdx } = machine;
    if (!tdx || !machine.kvmTds) return NOTHING;
    const heldIn = unheld(machine);
    return (state, broken) => {
      const held = heldIn(state);
      for (let frame = 1; frame < held.length; frame++) if (held[frame] === 0 && tdx.pamt[frame].type.get(state) !== PT.NDA) broken(frame);
    };
  }),
  describe(machine, frame, state) {
    const { tds, pamt } = tdxOf(machine);
    const owner = tds[pamt[frame].owner.get(state) - 1];
    return {
      subject: `frame ${frame}`,
      message: `frame ${frame} goes back to the allocator, and the PAMT still has it as ${pageTypeName(pamt[frame].type.get(state) as PageType)}${owner ? ` of ${owner.object.name}` : ""}`,
      about: { ...(owner ? { td: owner.object.index } : {}), frame },
    };
  },
};

export const tdxMemoryInvariants: readonly Invariant[] = [cacheFlushed, privateIntegrity, pagesHeld];
