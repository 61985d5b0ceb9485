// MAP_POPULATE and MADV_POPULATE_READ and _WRITE: page faults ahead of the access (mm/gup.c populate_vma_page_range, faultin_page_range; mm/madvise.c
// madvise_populate).

import type { Call, CallId, Result } from "../../scenario/program.ts";
import { AGAIN, BLOCKED, type Context, type Machine, NEXT, type Plan, type StepCode } from "../machine.ts";
import { NotModelled } from "../objects.ts";
import { INTERRUPTED, INTERRUPTIBLE, isKilled } from "../signals.ts";
import { framesLeft } from "./frames.ts";
import { getUserPage } from "./gup.ts";
import { PROT, protOf } from "./state.ts";

export const MAP_POPULATE = 0x8000n;
/** Each page is a step of its own. */
const MAX_PAGES = 64;

/** What madvise populates; mmap's plan has the number of its mapping alone. */
export interface Populate {
  readonly mapping: number;
  readonly first: number;
  readonly write: boolean;
  /** The range goes on behind the mapping. */
  readonly beyond: boolean;
}

/** Numbers of the pages of a range, for the loop; what a call populates page by page must be short. */
export function pagesFor(id: CallId, { spec }: Call, count: number): number[] {
  if (count > MAX_PAGES) throw new NotModelled(id, `${spec} that populates more than ${MAX_PAGES} pages is not modelled`);
  return Array.from({ length: count }, (_, page) => page);
}

/** The plan of an mmap with MAP_POPULATE: the same, and then the pages. */
export function populating(machine: Machine, own: Plan): Plan {
  if (typeof own.data !== "number") return own;
  const { pages } = machine.mappings[own.data].object;
  return { ...own, operations: ["mmap.populate"], select: () => "mmap.populate", cells: pagesFor(own.id, own.call, pages) };
}

const refused = (errno: "EFAULT" | "EINVAL" | "ENOMEM"): Result => ({ kind: "errno", errno });
const FAULTED = refused("EFAULT");
const NO_PERMISSION = refused("EINVAL");
const NO_MAPPING = refused("ENOMEM");

/** One page: mmap reads where the mapping is shared and breaks copy on write where it is private, and keeps quiet about what it cannot have. */
const populate: StepCode = {
  reads: ["size", "lock", "page", "pte", "uptodate", "hole", "control", "file", "slot", "ept", "faults", "reference"],
  writes: ["page", "uptodate", "content", "free", "pte", "ept", "tlb", "faults"],
  interruptible: INTERRUPTIBLE,
  jumps: [],
  events: true,
  run(context) {
    const { machine, state } = context;
    // __get_user_pages looks before each page.
    if (isKilled(context)) return context.always(INTERRUPTED);
    const data = context.plan.data as number | Populate;
    const advised = typeof data !== "number";
    const mapping = machine.mappings[advised ? data.mapping : data];
    const page = (advised ? data.first : 0) + context.cell;
    const cell = mapping.cells.at(page);
    if (context.plan.cells.length === 0 || cell < 0) return advised && data.beyond ? context.always(NO_MAPPING) : NEXT;
    const prot = protOf(state, mapping, cell);
    const write = advised ? data.write : !mapping.object.shared && (prot & PROT.WRITE) !== 0;
    if (advised && mapping.mapped[cell].get(state) === 0) return context.always(NO_MAPPING);
    if (advised && !(prot & (write ? PROT.WRITE : PROT.READ))) return context.always(NO_PERMISSION);
    if (framesLeft(machine, state) === 0) throw new NotModelled(context.plan.id, "populating a mapping without free memory is not modelled");
    const frame = getUserPage(context, mapping, page, write);
    if (frame === "blocked") return BLOCKED;
    if (frame === "again") return AGAIN;
    if (frame === undefined) return advised ? context.always(FAULTED) : silently(context);
    if (context.telling) context.say(`page ${page} of the mapping is there: frame ${frame}`);
    const code = context.each();
    if (code === AGAIN || !advised || !data.beyond) return code;
    return context.always(NO_MAPPING);
  },
};

/** __mm_populate with ignore_errors goes on behind the mapping. */
function silently(context: Context): number {
  context.say("the page cannot be had, and mmap says nothing of it");
  context.thread.cursor.set(context.state, 0);
  return NEXT;
}

export const populateSteps = { populate };
