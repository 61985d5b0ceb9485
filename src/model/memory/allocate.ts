// The loop of fallocate that adds pages, and what it takes back when memory runs out or a signal comes (mm/shmem.c shmem_fallocate, shmem_undo_range).

import { AGAIN, BLOCKED, type Context, type StepCode } from "../machine.ts";
import { NotModelled } from "../objects.ts";
import { INTERRUPTIBLE, isKilled, signalPending } from "../signals.ts";
import { addPage, dropPage, makeUptodate, pagesOf, setSize, sizeOf } from "./file.ts";
import { framesLeft } from "./frames.ts";
import { isHuge, takeHuge } from "./huge.ts";
import { KEEP_SIZE, PUNCH_HOLE } from "./modes.ts";
import { innerLockOf } from "./narrow.ts";
import { enterInnerLock, failUnlocked, leaveInnerLock, resize } from "./resize.ts";
import type { FileState } from "./state.ts";

const fileOf = (context: Context): FileState => context.machine.files[context.plan.file];

/** Allocates what is missing. v8 hands every mode to the tmpfs, which may still refuse it; KVM is told all the same. */
const allocate: StepCode = {
  reads: ["file", "lock", "page", "size", "uptodate"],
  writes: ["lock", "page", "uptodate", "content", "free", "size"],
  interruptible: INTERRUPTIBLE,
  jumps: [],
  acquires: innerLockOf,
  run(context) {
    const { machine, state } = context;
    const { mode, end } = resize(context);
    const file = fileOf(context);
    if (mode & ~(KEEP_SIZE | PUNCH_HOLE)) {
      if (context.telling) context.say("the tmpfs below refuses this mode: EOPNOTSUPP");
      return context.remember({ kind: "errno", errno: "EOPNOTSUPP" });
    }
    if (!enterInnerLock(context)) return BLOCKED;
    if (isHuge(file)) return takeHuge(context, file, context.cell) ? context.each() : failUnlocked(context, "ENOSPC");
    const ends = machine.features.shmem_signal === "any" ? signalPending(context) : isKilled(context);
    if (ends) return undoAllocation(context, "EINTR", "a signal is pending");
    // SGP_FALLOC on a page that was allocated before and not used since clears it, so that an undo leaves it alone.
    const pages = file.cells.end(context.cell) - file.cells.start(context.cell);
    if (file.frames[context.cell].get(state) === 0 && framesLeft(machine, state) < pages) return undoAllocation(context, "ENOMEM", "no frame is free");
    if (file.frames[context.cell].get(state) === 0) addPage(context, file, context.cell);
    else {
      if (file.shim.get(state) === 0) makeUptodate(context, file, context.cell);
      if (context.telling) context.say(`${pagesOf(file, context.cell)} is there already`);
    }
    const code = context.each();
    if (code !== AGAIN && !context.operation.labels.has("set_size") && !(mode & KEEP_SIZE) && end > sizeOf(machine, state, file))
      setSize(machine, state, file, end);
    return leaveInnerLock(context, code);
  },
};

/**
 * The pages that this call has added and nobody has used meanwhile go again, i_size stays. Those that were there before were cleared when the loop came by,
 * and stay.
 */
function undoAllocation(context: Context, errno: "EINTR" | "ENOMEM", why: string): number {
  const { state, plan } = context;
  const file = fileOf(context);
  if (file.shim.get(state) === 1) throw new NotModelled(plan.id, "what an allocation in an inaccessible file takes back when it fails is not modelled");
  for (const cell of plan.cells.slice(0, context.cursor))
    if (file.frames[cell].get(state) > 0 && file.uptodate[cell].get(state) === 0) dropPage(context, file, cell);
  if (context.telling) context.say(`${why}: what the call has added is taken back`);
  return failUnlocked(context, errno);
}

export const allocateSteps = { allocate };
