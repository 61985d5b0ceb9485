// The lists of a profile as operations of one machine: names become code, nested lists become loops, and what no scenario of this kind can see is left out.

import type { StepName } from "../scenario/catalogue/index.ts";
import { gmemStep } from "./kvm/gmem-steps.ts";
import { tdStep } from "./kvm/tdx-steps.ts";
import type { CompiledOperation, CompiledStep, Loop, Shape, StepCode } from "./machine.ts";
import { AROUND } from "./profile/around.ts";
import { listsOf } from "./profile/lists.ts";
import type { Profile, StepList } from "./profile/types.ts";
import { STEPS } from "./steps.ts";

export interface Compiling {
  /** Some mapping copies on write, so that a host fault may change a PTE that a slot reaches; without one its footprint is smaller. */
  readonly copies: boolean;
  /** Some slot has host memory behind it, so that MMU notifiers have something to do. */
  readonly notified: boolean;
  /** Somebody sends signals. */
  readonly signals: boolean;
  /** Some VM of KVM is a TD. */
  readonly tds: boolean;
  /** The scenario uses the TDX module: what it remembers of a free frame tells that from others. */
  readonly tdx: boolean;
}

/** What of the steps around a change of host page tables is left where nobody is told: each of these changes the page tables of every mapping by itself. */
const ALONE: ReadonlySet<StepName> = new Set<StepName>(["unmap_user", "zap_range", "change_vma"]);

export function compileOperations(profile: Profile, compiling: Compiling): CompiledOperation[] {
  return listsOf(profile, compiling.tds).map(([name, list], index) => {
    const steps: CompiledStep[] = [];
    const entries = visible(name, list, compiling);
    for (const [place, entry] of entries.entries()) {
      if (typeof entry === "string") steps.push(...withCommit(entry, codeOf(profile, name, entry, compiling), entries[place + 1]));
      else {
        const over = entry.some((inner) => AROUND.has(inner)) ? "mappings" : "cells";
        const loop: Loop = { first: steps.length, last: steps.length + entry.length - 1, over };
        for (const inner of entry) steps.push({ name: inner, loop, ...codeOf(profile, name, inner, compiling) });
      }
    }
    const labels = new Map<string, number>();
    steps.forEach((step, at) => {
      if (!labels.has(step.name)) labels.set(step.name, at);
    });
    return { name, index, steps, labels };
  });
}

/** What an allocation looks at besides. */
const REMEMBERED: Shape = { reads: ["pamt"], writes: [], returns: false };

/** A leaf of the TDX module that a kernel performs is two steps; where its checks fail the kernel goes on behind the second. */
function withCommit(name: StepName, code: StepCode, next: StepList[number] | undefined): CompiledStep[] {
  if (!code.commits) return [{ name, ...code }];
  const behind = typeof next === "string" ? [next] : (next?.slice(0, 1) ?? []);
  const jumps = code.jumps && [...code.jumps, ...behind];
  return [
    { name, ...code, ...(jumps ? { jumps } : {}) },
    { name: `${name}.commit`, ...code.commits },
  ];
}

/**
 * What of a list this machine has steps of: around a change of host page tables nothing that only tells KVM where no slot hears it. A guest's access is its
 * fault path behind the access itself, and comes back to it.
 */
function visible(operation: string, list: StepList, { copies, notified }: Compiling): StepList {
  const whole: StepList = operation === "fault" ? ["access", ...list] : list;
  return whole.flatMap((entry) => {
    if (typeof entry === "string" || !entry.some((inner) => AROUND.has(inner))) return [entry];
    if (!notified) return entry.filter((inner) => ALONE.has(inner));
    return entry.includes("change_pte") && !copies ? [] : [entry];
  });
}

function codeOf(profile: Profile, operation: string, name: StepName, { copies, signals, tds, tdx }: Compiling): StepCode {
  const ordinary = gmemStep(profile.features, operation, name) ?? STEPS[name];
  const step = (tds ? tdStep(operation, name, ordinary) : undefined) ?? ordinary;
  const more = [
    ...(copies && step.copying ? [step.copying] : []),
    ...(signals && step.interruptible ? [step.interruptible] : []),
    ...(tdx && step.writes.includes("free") ? [REMEMBERED] : []),
  ];
  let code: StepCode = step;
  for (const shape of more) code = widened(code, shape);
  return code;
}

const widened = (code: StepCode, shape: Shape): StepCode => ({
  ...code,
  reads: [...code.reads, ...shape.reads],
  writes: [...code.writes, ...shape.writes],
  ...(shape.returns === true ? { returns: true } : {}),
});
