// memfd_create, dup, close, readlink_fd: files and descriptors (mm/memfd.c, fs/file.c; v4 02/12; v8 1/8).

import { flagNames } from "../../scenario/catalogue/index.ts";
import type { Call, CallId, Result } from "../../scenario/program.ts";
import { CLOSED } from "../handles.ts";
import { planCloseVm } from "../kvm/life.ts";
import { AGAIN, type Context, type Machine, NEXT, type Plan, type StepCode } from "../machine.ts";
import { intOf, NotModelled } from "../objects.ts";
import { descriptor, plan, ZERO } from "../plan.ts";
import { descriptorOf } from "../processes.ts";
import { dropPage, isReferenced } from "./file.ts";
import { noDescriptor } from "./limits.ts";
import { checkNameOperand, isInMemory, nameRefuses } from "./name.ts";
import { firstSeals, hasHugeSize, MFD_ALLOW_SEALING, MFD_EXEC, MFD_NOEXEC_SEAL, withSysctl } from "./noexec.ts";
import { fileScope } from "./scopes.ts";
import { MARK, SEAL } from "./state.ts";

const MFD_HUGETLB = 4n;
const MFD_INACCESSIBLE = 8n;
const MFD_BASE_FLAGS = 1n | MFD_ALLOW_SEALING | MFD_HUGETLB;
/** MFD_HUGE_MASK << MFD_HUGE_SHIFT */
const MFD_HUGE_SIZES = 0x3fn << 26n;

const OTHER_FLAGS = { plain: 0n, inaccessible: MFD_INACCESSIBLE, exec: MFD_EXEC | MFD_NOEXEC_SEAL } as const;

interface Creation {
  readonly flags: bigint;
}

export function planCreate(machine: Machine, id: CallId, call: Call): Plan {
  const flags = BigInt.asUintN(32, intOf(call, id, 1));
  checkNameOperand(machine, id, call.operands[0]);
  const inaccessible = (flags & MFD_INACCESSIBLE) !== 0n && machine.features.memfd_flags === "inaccessible";
  if (flags & MFD_HUGETLB && inaccessible && flagsFit(machine, flags) && machine.features.marker === "seal")
    throw new NotModelled(id, "an inaccessible file on hugetlbfs is not modelled");
  const data: Creation = { flags };
  return plan(id, call, {
    operations: ["memfd_create", "memfd_create.plain"],
    success: { kind: "handle", handle: "fd" },
    data,
    file: machine.objects.fileOf.get(id) ?? -1,
    scope: () => fileScope(machine, call, machine.objects.fileOf.get(id)),
    select: () => (inaccessible ? "memfd_create" : "memfd_create.plain"),
  });
}

/** memfd_restricted(flags): no flag is known (v9 1/8, v10 1/9). */
export function planRestricted(machine: Machine, id: CallId, call: Call): Plan {
  const flags = BigInt.asUintN(32, intOf(call, id, 0));
  return plan(id, call, {
    operations: ["memfd_restricted"],
    success: { kind: "handle", handle: "fd" },
    data: { flags } satisfies Creation,
    file: machine.objects.fileOf.get(id) ?? -1,
    scope: () => fileScope(machine, call, machine.objects.fileOf.get(id)),
  });
}

const creation = (context: Context): Creation => context.plan.data as Creation;
const fileOf = (context: Context) => context.machine.files[context.plan.file];

/** v4 02/12 and v8 1/8: MFD_INACCESSIBLE goes with no sealing, and in v8 with no huge pages. */
function flagsFit(machine: Machine, flags: bigint): boolean {
  const known = MFD_BASE_FLAGS | OTHER_FLAGS[machine.features.memfd_flags];
  if (flags & ~(flags & MFD_HUGETLB ? known | MFD_HUGE_SIZES : known)) return false;
  if (machine.features.memfd_flags === "exec") return (flags & (MFD_EXEC | MFD_NOEXEC_SEAL)) !== (MFD_EXEC | MFD_NOEXEC_SEAL);
  if (!(flags & MFD_INACCESSIBLE)) return true;
  return !(flags & MFD_ALLOW_SEALING) && !(flags & MFD_HUGETLB && machine.features.inaccessible_hugetlb === "EINVAL");
}

const checkFlags: StepCode = {
  reads: [],
  writes: [],
  jumps: [],
  run(context) {
    const { flags } = creation(context);
    const fit = context.plan.call.spec === "memfd_restricted" ? flags === 0n : flagsFit(context.machine, flags);
    if (!fit) return context.fail("EINVAL");
    if (context.plan.call.spec === "memfd_restricted" && noDescriptor(context.machine, context.plan.id)) return context.fail("EMFILE");
    context.say("the flags are known and go together");
    return NEXT;
  },
};

const checkName: StepCode = {
  reads: [],
  writes: [],
  jumps: [],
  run(context) {
    const { id, call } = context.plan;
    const refused = nameRefuses(context, id, call);
    if (refused) return context.fail(refused);
    if (noDescriptor(context.machine, context.plan.id)) return context.fail("EMFILE");
    context.say("the name can be read and is short enough");
    return NEXT;
  },
};

/** shmem inodes start with F_SEAL_SEAL; only MFD_ALLOW_SEALING clears it (mm/shmem.c, mm/memfd.c). */
const newFile: StepCode = {
  reads: [],
  writes: ["file"],
  jumps: [],
  run(context) {
    const { machine, state } = context;
    const file = fileOf(context);
    if (!hasHugeSize(file.object)) return context.fail("ENODEV");
    const flags = withSysctl(machine, creation(context).flags);
    const { seals, mode } = firstSeals(machine, typeof flags === "bigint" ? flags : creation(context).flags);
    file.seals.set(state, seals);
    file.mode.set(state, mode);
    const kind = file.object.huge === undefined ? "shmem" : "hugetlbfs";
    const modes = machine.features.memfd_flags === "exec" ? ` and mode 0${mode.toString(8)}` : "";
    if (context.telling) context.say(`a ${kind} file of size 0 with seals ${flagNames("F_SEAL_", BigInt(seals), machine.profile.base)}${modes}`);
    return NEXT;
  },
};

/** check_sysctl_memfd_noexec: a pure function of the flags and the machine, so nothing is kept of it. */
const applySysctl: StepCode = {
  reads: [],
  writes: [],
  jumps: [],
  run(context) {
    const { machine } = context;
    const { flags } = creation(context);
    const result = withSysctl(machine, flags);
    if (typeof result !== "bigint") return context.fail(result);
    if (context.telling)
      context.say(result === flags ? "vm.memfd_noexec changes nothing" : `vm.memfd_noexec adds ${flagNames("MFD_", result & ~flags, machine.profile.base)}`);
    return NEXT;
  },
};

/** v4 02/12: `*file_seals &= F_SEAL_SEAL | F_SEAL_INACCESSIBLE` keeps what is set already, so the new seal can never appear. */
const setMarker: StepCode = {
  reads: ["file"],
  writes: ["file"],
  jumps: [],
  run(context) {
    const { state, machine } = context;
    const { seals } = fileOf(context);
    if (machine.features.marker !== "seal") return mark(context);
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

/** v5 01/13 puts it among the flags of the shmem inode, v6 3/8 in the node of a backing store, which hugetlbfs is none of. */
function mark(context: Context): number {
  const { machine, state } = context;
  const file = fileOf(context);
  const xflag = machine.features.marker === "xflag";
  if (file.object.huge !== undefined) {
    if (!xflag) return context.fail("EOPNOTSUPP");
    context.say("hugetlbfs knows no such flag: the content stays open to user space");
    return NEXT;
  }
  file.marked.set(state, MARK.INACCESSIBLE);
  context.say(xflag ? "SHM_F_INACCESSIBLE is set in the shmem inode" : "USER_INACCESSIBLE is set in the memfile_node of the inode");
  return NEXT;
}

/** v8 1/8: an inode of a pseudo file system over the tmpfs file, with release and fallocate only. */
const wrap: StepCode = {
  reads: [],
  writes: ["file"],
  jumps: [],
  returns: false,
  run(context) {
    fileOf(context).shim.set(context.state, 1);
    context.say("an inaccessible inode wraps the tmpfs file: no read, write or mmap method");
    return NEXT;
  },
};

/** memfd_create, KVM_CREATE_VM and KVM_CREATE_VCPU: from here on user space can name the object. */
const installFd: StepCode = {
  reads: [],
  writes: ["file"],
  jumps: [],
  returns: false,
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
    decode: (context) => descriptor(machine, context, call.operands[0]) ?? (noDescriptor(machine, id) ? "EMFILE" : undefined),
    reads: ["handle"],
    scope: () => fileScope(machine, call, machine.objects.fileOf.get(id)),
  });
}

const dupFd: StepCode = {
  reads: [],
  writes: [],
  jumps: [],
  returns: false,
  run(context) {
    context.say("a second descriptor of the same open file");
    return NEXT;
  },
};

/** All cells of the file, for the release of the last reference. */
export function planClose(machine: Machine, id: CallId, call: Call): Plan {
  const handle = machine.handleOf(call.operands[0]);
  const file = handle === undefined ? undefined : machine.objects.fileOf.get(machine.program.handles[handle].call);
  if (handle !== undefined && machine.program.handles[handle].kind !== "fd") return planCloseVm(machine, id, call, handle);
  const cells = file === undefined ? [] : machine.files[file].frames.map((_, cell) => cell);
  return plan(id, call, {
    operations: ["close"],
    success: ZERO,
    decode: (context) => descriptor(machine, context, call.operands[0]),
    reads: ["handle"],
    scope: () => fileScope(machine, call, file),
    file: file ?? -1,
    cells,
    data: handle,
  });
}

const dropFd: StepCode = {
  reads: [],
  writes: ["handle"],
  jumps: [],
  returns: false,
  run(context) {
    const { machine, plan: own } = context;
    const handle = own.data as number;
    descriptorOf(machine, own.call.actor, handle)?.set(context.state, CLOSED);
    // Where a process ends it has many.
    context.say(own.idle ? `the descriptor ${machine.program.handles[handle].name} goes with the process` : "the descriptor is given back");
    return NEXT;
  },
};

/** The last reference is gone: the pages are freed by the thread that dropped it. */
const freePages: StepCode = {
  reads: ["handle", "pte", "slot", "control", "reference", "page"],
  writes: ["page", "uptodate", "free", "content"],
  jumps: [],
  returns: false,
  run(context) {
    const {
      machine,
      state,
      plan: { file, cells },
    } = context;
    if (file < 0 || cells.length === 0 || (context.cursor === 0 && isReferenced(machine, state, machine.files[file]))) {
      context.say(file < 0 ? "no file with pages" : "others still refer to the file");
      return NEXT;
    }
    dropPage(context, machine.files[file], context.cell);
    return context.each() === AGAIN ? AGAIN : NEXT;
  },
};

export function planReadlink(machine: Machine, id: CallId, call: Call): Plan {
  const handle = machine.handleOf(call.operands[0]);
  const file = handle === undefined ? undefined : machine.objects.fileOf.get(machine.program.handles[handle].call);
  if (file !== undefined && machine.objects.files[file].restricted) throw new NotModelled(id, "the name of a memfd_restricted file is not modelled");
  if (file !== undefined && isInMemory(machine.program.calls[machine.objects.files[file].call].operands[0]))
    throw new NotModelled(id, "the name of a file that was read from memory is not modelled");
  if (handle !== undefined && file === undefined && !neverOpens(machine, handle)) throw new NotModelled(id, "the link text of this descriptor is not modelled");
  return plan(id, call, {
    operations: ["readlink_fd"],
    success: ZERO,
    decode: (context) => descriptor(machine, context, call.operands[0]) ?? undefined,
    reads: ["handle"],
    scope: () => fileScope(machine, call, file),
    file: file ?? -1,
    data: linkText(machine, file),
  });
}

/** dup(-1), and a dup of that. */
function neverOpens(machine: Machine, handle: number): boolean {
  const maker = machine.program.calls[machine.program.handles[handle].call];
  const source = machine.handleOf(maker.operands[0]);
  return (maker.spec === "dup" || maker.spec === "open_fd") && (source === undefined || neverOpens(machine, source));
}

function linkText(machine: Machine, file: number | undefined): string {
  if (file === undefined) return "";
  const name = machine.program.calls[machine.files[file].object.call].operands[0];
  const text =
    name?.kind === "data" ? name.runs.map((run) => String.fromCharCode(run.byte).repeat(Number(run.count > 4096n ? 4096n : run.count))).join("") : "";
  return `/memfd:${text} (deleted)`;
}

/**
 * /proc shows the dentry's name (fs/libfs.c simple_dname), as for memfd_secret: the shim's is "[memfd:inaccessible]", whatever its file system is called (v8
 * 1/8).
 */
const readLink: StepCode = {
  reads: ["file"],
  writes: [],
  jumps: [],
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
  apply_sysctl: applySysctl,
  new_file: newFile,
  set_marker: setMarker,
  wrap,
  install_fd: installFd,
  dup_fd: dupFd,
  drop_fd: dropFd,
  free_pages: freePages,
  read_link: readLink,
};
