// memfd_create, dup, close, readlink_fd: files and descriptors (mm/memfd.c, fs/file.c; v4 02/12; v8 1/8).

import type { Call, CallId, Result } from "../../scenario/program.ts";
import type { Machine } from "../machine.ts";
import { intOf, NotModelled } from "../objects.ts";
import { descriptor, plan, ZERO } from "../plan.ts";
import { CLOSED } from "../runner.ts";
import { AGAIN, type Context, NEXT, type Plan, type StepCode } from "../step.ts";
import { dropPage, isReferenced } from "./file.ts";
import { SEAL } from "./state.ts";

const MFD_ALLOW_SEALING = 2n;
const MFD_HUGETLB = 4n;
export const MFD_INACCESSIBLE = 8n;
const MFD_ALL_FLAGS = 1n | MFD_ALLOW_SEALING | MFD_HUGETLB | MFD_INACCESSIBLE;
/** MFD_HUGE_MASK << MFD_HUGE_SHIFT */
const MFD_HUGE_SIZES = 0x3fn << 26n;
/** NAME_MAX - strlen("memfd:") */
const MFD_NAME_MAX_LEN = 249n;

interface Creation {
  readonly flags: bigint;
  readonly nameLength: bigint;
}

export function planCreate(machine: Machine, id: CallId, call: Call): Plan {
  const flags = BigInt.asUintN(32, intOf(call, id, 1));
  const name = call.operands[0];
  if (flags & MFD_HUGETLB && flagsFit(machine, flags)) throw new NotModelled(id, "memfd_create with MFD_HUGETLB is not modelled");
  const data: Creation = { flags, nameLength: name?.kind === "data" ? name.length : -1n };
  return plan(id, call, {
    operations: ["memfd_create", "memfd_create.plain"],
    success: { kind: "handle", handle: "fd" },
    data,
    file: machine.objects.fileOf.get(id) ?? -1,
    select: () => (flags & MFD_INACCESSIBLE ? "memfd_create" : "memfd_create.plain"),
  });
}

const creation = (context: Context): Creation => context.plan.data as Creation;
const fileOf = (context: Context) => context.machine.files[context.plan.file];

/** v4 02/12 and v8 1/8: MFD_INACCESSIBLE goes with no sealing, and in v8 with no huge pages. */
function flagsFit(machine: Machine, flags: bigint): boolean {
  if (flags & ~(flags & MFD_HUGETLB ? MFD_ALL_FLAGS | MFD_HUGE_SIZES : MFD_ALL_FLAGS)) return false;
  if (!(flags & MFD_INACCESSIBLE)) return true;
  return !(flags & MFD_ALLOW_SEALING) && !(flags & MFD_HUGETLB && machine.features.inaccessible_hugetlb === "EINVAL");
}

const checkFlags: StepCode = {
  reads: [],
  writes: [],
  run(context) {
    if (!flagsFit(context.machine, creation(context).flags)) return context.fail("EINVAL");
    context.say("the flags are known and go together");
    return NEXT;
  },
};

const checkName: StepCode = {
  reads: [],
  writes: [],
  run(context) {
    const { nameLength } = creation(context);
    if (nameLength < 0n) return context.fail("EFAULT");
    if (nameLength > MFD_NAME_MAX_LEN) return context.fail("EINVAL");
    context.say("the name can be read and is short enough");
    return NEXT;
  },
};

/** shmem inodes start with F_SEAL_SEAL; only MFD_ALLOW_SEALING clears it (mm/shmem.c, mm/memfd.c). */
const newFile: StepCode = {
  reads: [],
  writes: ["file"],
  run(context) {
    const { state } = context;
    const sealable = (creation(context).flags & MFD_ALLOW_SEALING) !== 0n;
    fileOf(context).seals.set(state, sealable ? 0 : SEAL.SEAL);
    context.say(`a shmem file of size 0 with seals ${sealable ? "0" : "F_SEAL_SEAL"}`);
    return NEXT;
  },
};

/** v4 02/12: `*file_seals &= F_SEAL_SEAL | F_SEAL_INACCESSIBLE` keeps what is set already, so the new seal can never appear. */
const setMarker: StepCode = {
  reads: ["file"],
  writes: ["file"],
  run(context) {
    const { state, machine } = context;
    const { seals } = fileOf(context);
    const before = seals.get(state);
    const mask = SEAL.SEAL | SEAL.INACCESSIBLE;
    const after = machine.features.set_marker === "and" ? before & mask : before | mask;
    seals.set(state, after);
    context.say(
      `seals ${machine.features.set_marker === "and" ? "&=" : "|="} F_SEAL_SEAL|F_SEAL_INACCESSIBLE: 0x${before.toString(16)} becomes 0x${after.toString(16)}`,
    );
    return NEXT;
  },
};

/** v8 1/8: an inode of a pseudo file system over the tmpfs file, with release and fallocate only. */
const wrap: StepCode = {
  reads: [],
  writes: ["file"],
  run(context) {
    fileOf(context).shim.set(context.state, 1);
    context.say("an inaccessible inode wraps the tmpfs file: no read, write or mmap method");
    return NEXT;
  },
};

/** memfd_create, KVM_CREATE_VM and KVM_CREATE_VCPU: from here on user space can name the object. */
const installFd: StepCode = {
  reads: [],
  writes: ["file", "handle"],
  run(context) {
    if (context.plan.file >= 0) fileOf(context).installed.set(context.state, 1);
    context.say("the descriptor is installed");
    return NEXT;
  },
};

export function planDup(machine: Machine, id: CallId, call: Call): Plan {
  return plan(id, call, {
    operations: ["dup"],
    success: { kind: "handle", handle: "fd" },
    decode: (context) => descriptor(machine, context, call.operands[0]),
    reads: ["handle"],
  });
}

const dupFd: StepCode = {
  reads: ["handle"],
  writes: ["handle"],
  run(context) {
    context.say("a second descriptor of the same open file");
    return NEXT;
  },
};

/** All cells of the file, for the release of the last reference. */
export function planClose(machine: Machine, id: CallId, call: Call): Plan {
  const handle = machine.handleOf(call.operands[0]);
  const file = handle === undefined ? undefined : machine.objects.fileOf.get(machine.program.handles[handle].call);
  if (handle !== undefined && machine.program.handles[handle].kind !== "fd") throw new NotModelled(id, "closing a VM or vCPU descriptor is not modelled");
  const cells = file === undefined ? [] : machine.files[file].frames.map((_, cell) => cell);
  return plan(id, call, {
    operations: ["close"],
    success: ZERO,
    decode: (context) => descriptor(machine, context, call.operands[0]),
    reads: ["handle"],
    file: file ?? -1,
    cells,
    data: handle,
  });
}

const dropFd: StepCode = {
  reads: ["handle"],
  writes: ["handle"],
  run(context) {
    context.machine.handles[context.plan.data as number].set(context.state, CLOSED);
    context.say("the descriptor is given back");
    return NEXT;
  },
};

/** The last reference is gone: the pages are freed by the thread that dropped it. */
const freePages: StepCode = {
  reads: ["handle", "pte", "slot", "page", "content", "ept", "tlb"],
  writes: ["page", "content"],
  run(context) {
    const {
      machine,
      state,
      plan: { file, cells },
    } = context;
    if (file < 0 || cells.length === 0 || (context.cursor === 0 && isReferenced(machine, state, machine.files[file]))) {
      context.say("others still refer to the file");
      return NEXT;
    }
    dropPage(context, machine.files[file], context.cell);
    return context.each() === AGAIN ? AGAIN : NEXT;
  },
};

export function planReadlink(machine: Machine, id: CallId, call: Call): Plan {
  const handle = machine.handleOf(call.operands[0]);
  const file = handle === undefined ? undefined : machine.objects.fileOf.get(machine.program.handles[handle].call);
  if (handle !== undefined && file === undefined && !neverOpens(machine, handle)) throw new NotModelled(id, "the link text of this descriptor is not modelled");
  return plan(id, call, {
    operations: ["readlink_fd"],
    success: ZERO,
    decode: (context) => descriptor(machine, context, call.operands[0]) ?? undefined,
    reads: ["handle"],
    file: file ?? -1,
    data: linkText(machine, file),
  });
}

/** dup(-1), and a dup of that. */
function neverOpens(machine: Machine, handle: number): boolean {
  const maker = machine.program.calls[machine.program.handles[handle].call];
  const source = machine.handleOf(maker.operands[0]);
  return maker.spec === "dup" && (source === undefined || neverOpens(machine, source));
}

function linkText(machine: Machine, file: number | undefined): string {
  if (file === undefined) return "";
  const name = machine.program.calls[machine.files[file].object.call].operands[0];
  const text =
    name?.kind === "data" ? name.runs.map((run) => String.fromCharCode(run.byte).repeat(Number(run.count > 4096n ? 4096n : run.count))).join("") : "";
  return `/memfd:${text} (deleted)`;
}

/** /proc shows the dentry's name (fs/libfs.c simple_dname), as for memfd_secret: the shim's is "[memfd:inaccessible]", whatever its file system is called (v8 1/8). */
const readLink: StepCode = {
  reads: ["file"],
  writes: [],
  run(context) {
    const shim = fileOf(context).shim.get(context.state) === 1;
    const text = shim ? "/[memfd:inaccessible] (deleted)" : (context.plan.data as string);
    context.say(`the dentry is called ${text}`);
    return context.done({ kind: "text", text } satisfies Result);
  },
};

export const createSteps = {
  check_flags: checkFlags,
  check_name: checkName,
  new_file: newFile,
  set_marker: setMarker,
  wrap,
  install_fd: installFd,
  dup_fd: dupFd,
  drop_fd: dropFd,
  free_pages: freePages,
  read_link: readLink,
};
