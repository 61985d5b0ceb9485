// setrlimit: what a process may use (kernel/sys.c do_prlimit; mm/filemap.c generic_write_check_limits; fs/attr.c inode_newsize_ok).
// The limits change between parallel blocks only, so that each call has the one that the last setrlimit before it gave.

import { asU64 } from "../../base/units.ts";
import type { Call, CallId } from "../../scenario/program.ts";
import { type Context, type Machine, NEXT, type Plan, type StepCode } from "../machine.ts";
import { intOf, NotModelled } from "../objects.ts";
import { plan, ZERO } from "../plan.ts";

const RLIMIT_FSIZE = 1n;
const RLIMIT_NOFILE = 7n;
const RLIM_NLIMITS = 16n;
const RLIM_INFINITY = (1n << 64n) - 1n;

/** setrlimit(resource, limit): the soft limit; the hard one stays. */
export function planLimit(machine: Machine, id: CallId, call: Call): Plan {
  const [resource, limit] = [BigInt.asUintN(32, intOf(call, id, 0)), asU64(intOf(call, id, 1))];
  if (machine.program.body.every((statement) => statement.kind !== "call" || statement.call !== id) && !isAlone(machine, id))
    throw new NotModelled(id, "setrlimit while others run is not modelled: a call under way looks at the limit once, and no step stands for that");
  if (machine.program.processes !== undefined) throw new NotModelled(id, "the limits of several processes are not modelled");
  if (resource < RLIM_NLIMITS && resource !== RLIMIT_FSIZE && resource !== RLIMIT_NOFILE)
    throw new NotModelled(id, "of the resources of setrlimit only RLIMIT_FSIZE and RLIMIT_NOFILE are modelled");
  if (resource === RLIMIT_NOFILE && limit !== 0n)
    throw new NotModelled(id, "numbers of descriptors are not modelled, so of RLIMIT_NOFILE only 0 is: nothing more can be opened");
  return plan(id, call, { operations: ["setrlimit"], success: ZERO, scope: () => () => [], decode: () => (resource < RLIM_NLIMITS ? undefined : "EINVAL") });
}

/** In an atomic block outside of any `parallel`. */
function isAlone(machine: Machine, id: CallId): boolean {
  return machine.segments.some((segment) => !segment.parallel && segment.sequence.some((instruction) => instruction.call === id));
}

const setLimit: StepCode = {
  reads: [],
  writes: [],
  jumps: [],
  returns: false,
  run(context) {
    context.say("the soft limit of the process is set; SIGXFSZ is ignored");
    return NEXT;
  },
};

const known = new WeakMap<Machine, readonly { readonly id: CallId; readonly resource: bigint; readonly limit: bigint }[]>();

function limitAt(machine: Machine, id: CallId, resource: bigint): bigint {
  let all = known.get(machine);
  if (!all) {
    all = machine.program.calls.flatMap((call, at) =>
      call.spec === "setrlimit" ? [{ id: at, resource: BigInt.asUintN(32, intOf(call, at, 0)), limit: asU64(intOf(call, at, 1)) }] : [],
    );
    known.set(machine, all);
  }
  return all.findLast((one) => one.id < id && one.resource === resource)?.limit ?? RLIM_INFINITY;
}

/** RLIMIT_FSIZE under which a call runs; undefined without one. */
export function sizeLimit(machine: Machine, id: CallId): bigint | undefined {
  const limit = limitAt(machine, id, RLIMIT_FSIZE);
  return limit === RLIM_INFINITY ? undefined : limit;
}

/** get_unused_fd_flags: whether the call finds no number below RLIMIT_NOFILE. */
export const noDescriptor = (machine: Machine, id: CallId): boolean => limitAt(machine, id, RLIMIT_NOFILE) === 0n;

/** inode_newsize_ok: a larger size must be within the limit. */
export const growsTooFar = (context: Context, size: bigint, end: bigint): boolean => {
  const limit = end > size ? sizeLimit(context.machine, context.plan.id) : undefined;
  return limit !== undefined && end > limit;
};

export const limitSteps = { set_limit: setLimit };
