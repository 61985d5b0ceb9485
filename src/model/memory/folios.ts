// The folio lock around what a loop does with one page (mm/filemap.c).

import { BLOCKED, type Context, NEXT, type StepCode } from "../machine.ts";
import { pagesOf } from "./file.ts";
import { folioOf } from "./narrow.ts";
import type { FileState } from "./state.ts";

const fileOf = (context: Context): FileState => context.machine.files[context.plan.file];
const me = (context: Context): number => context.thread.index + 1;

const lockFolio: StepCode = {
  reads: ["lock"],
  writes: ["lock"],
  jumps: [],
  returns: false,
  acquires: folioOf,
  run(context) {
    const folio = fileOf(context).folios[context.cell];
    if (folio.get(context.state) !== 0) return BLOCKED;
    folio.set(context.state, me(context));
    if (context.telling) context.say(`the folio at ${pagesOf(fileOf(context), context.cell)} is locked`);
    return NEXT;
  },
};

const unlockFolio: StepCode = {
  reads: [],
  writes: ["lock"],
  jumps: [],
  returns: false,
  run(context) {
    const folio = fileOf(context).folios[context.cell];
    if (folio.get(context.state) === me(context)) folio.set(context.state, 0);
    if (context.telling) context.say("the folio is unlocked");
    return NEXT;
  },
};

export const folioSteps = { lock_folio: lockFolio, unlock_folio: unlockFolio };
