// TDX: the leaves of the TDX module, the calls of a TD, and what the host does to memory below both.
//
// A leaf is called with the names of the text in place of physical addresses: `page = alloc_frame()` is a page of the host, `td = TDH.MNG.CREATE(page, 33)`
// a TD, `vcpu = TDH.VP.CREATE(td, page)` one of its vCPUs. Where a leaf takes a TD (TDR) or a vCPU (TDVPR) it takes the page that was made one, so a page that
// is none is refused as the module refuses it. An integer is a physical address that no name stands for: in no TDMR, or malformed. `package` and `lp` say
// on which package and logical processor the host calls the leaf. Each answers its completion status, TDX_SUCCESS where it did what it says.
// A frame is one page of 4 KB; `alloc_frame(2M)` begins a larger one. A vCPU enters with what it does first, and leaves at the end of its actor's block; one
// that TDH.VP.ENTER has entered stays until it exits or is kicked (`kick`).

import { IN } from "./profiles.ts";
import { TDX_STATUSES } from "./tdx-statuses.ts";
import type { CallSpec, Context, ErrorRow, Param, Returns } from "./types.ts";

const TD: Param = { name: "td", type: "td" };
const TD_VCPU: Param = { name: "vcpu", type: "tdvpr" };
const GPA: Param = { name: "gpa", type: "gpa" };
const LEVEL: Param = { name: "level", type: "int" };
const PAGE: Param = { name: "page", type: "frame" };
const FRAME: Param = { name: "frame", type: "frame" };
const BYTE: Param = { name: "value", type: "byte" };
const int = (name: string, optional = false): Param => (optional ? { name, type: "int", optional } : { name, type: "int" });

interface Answers {
  readonly returns?: Returns;
  readonly operations?: readonly string[];
  readonly errors?: readonly ErrorRow[];
}

const row = (context: Context, name: string, params: readonly Param[], help: string, source: string, answers: Answers = {}): CallSpec => ({
  id: name,
  name,
  subsystem: "tdx",
  context,
  params,
  returns: answers.returns ?? "zero",
  prototype: `${answers.returns === undefined || answers.returns === "zero" ? "" : `${answers.returns} `}${name}(${params.map((param) => param.name).join(", ")})`,
  help,
  errors: answers.errors ?? TDX_STATUSES[name] ?? [],
  operations: answers.operations ?? [],
  profiles: IN.tdx,
  source,
});
const seamcall = (leaf: string, params: readonly Param[], help: string, returns: Returns = "status"): CallSpec =>
  row("host", `TDH.${leaf}`, params, help, `intel/tdx-module TDX_1.5.01 tdh_${leaf.toLowerCase().replaceAll(".", "_")}.c`, {
    returns,
    operations: ["SEAMCALL"],
  });

const physical = (name: string, params: readonly Param[], returns: Returns, help: string): CallSpec => ({
  ...row("host", name, params, help, "Documentation/arch/x86/tdx.rst", { returns, operations: [name] }),
  subsystem: "physical",
  prototype: `${returns === "byte" ? "unsigned char" : "void"} ${name}(${params.map((param) => param.name).join(", ")})`,
});

const tdcall = (leaf: string, params: readonly Param[], help: string): CallSpec =>
  row("guest", `TDG.${leaf}`, params, help, `intel/tdx-module TDX_1.5.01 tdg_${leaf.toLowerCase().replaceAll(".", "_")}.c`, { returns: "status" });
/** Of a leaf that is only named. */
const ANY_OPERANDS: readonly Param[] = ["rcx", "rdx", "r8", "r9", "r10"].map((name) => ({ name, type: "td", optional: true }));

/** Leaves that a scenario cannot use; each says why (model/tdx/unmodelled.ts). */
const NOT_MODELLED_LEAVES: readonly CallSpec[] = [
  seamcall("MNG.RD", [TD, int("field")], "Reads a metadata field of the TD (not modelled)."),
  seamcall("MNG.WR", [TD, int("field"), int("value"), int("mask", true)], "Writes a metadata field of a TD that is being debugged (not modelled)."),
  seamcall("VP.RD", [TD_VCPU, int("field")], "Reads a metadata field of the vCPU (not modelled)."),
  seamcall("VP.WR", [TD_VCPU, int("field"), int("value"), int("mask", true)], "Writes a metadata field of the vCPU (not modelled)."),
  seamcall("SYS.INIT", [], "Initialises the module (not modelled)."),
  seamcall("SYS.LP.INIT", [], "Initialises the module on a logical processor (not modelled)."),
  seamcall("SYS.CONFIG", [], "Tells the module its TDMRs and its own key id (not modelled)."),
  seamcall("SYS.KEY.CONFIG", [], "Configures the module's own key on a package (not modelled)."),
  seamcall("SYS.TDMR.INIT", [], "Initialises a piece of a TDMR's PAMT (not modelled)."),
  seamcall("SYS.INFO", [], "Reads what the module can do (not modelled)."),
  seamcall("SYS.RD", [int("field")], "Reads a field of the module (not modelled)."),
  seamcall("SYS.LP.SHUTDOWN", [], "Ends the module on a logical processor (not modelled)."),
  seamcall("MEM.RD", [TD, GPA], "Reads memory of a TD that is being debugged (not modelled)."),
  seamcall("MEM.WR", [TD, GPA, int("value")], "Writes memory of a TD that is being debugged (not modelled)."),
  ...["ABORT", "BLOCKW", "MEM", "PAUSE", "RESTORE", "STATE.IMMUTABLE", "STATE.TD", "STATE.VP", "TRACK", "UNBLOCKW"].map((leaf) =>
    seamcall(`EXPORT.${leaf}`, ANY_OPERANDS, "Belongs to the export of a TD to another machine (not modelled)."),
  ),
  ...["ABORT", "COMMIT", "END", "MEM", "STATE.IMMUTABLE", "STATE.TD", "STATE.VP", "TRACK"].map((leaf) =>
    seamcall(`IMPORT.${leaf}`, ANY_OPERANDS, "Belongs to the import of a TD from another machine (not modelled)."),
  ),
  ...["MIG.STREAM.CREATE", "SERVTD.BIND", "SERVTD.PREBIND"].map((leaf) => seamcall(leaf, ANY_OPERANDS, "Belongs to the migration of a TD (not modelled).")),
  ...["VP.ENTER", "VP.INVEPT", "VP.INVVPID"].map((leaf) => tdcall(leaf, ANY_OPERANDS, "Belongs to the nested VMs of a TD (not modelled).")),
  ...["VP.INFO", "VP.RD", "VP.WR", "VP.VEINFO.GET", "VP.CPUIDVE.SET", "VM.RD", "VM.WR", "SYS.RD", "SERVTD.RD", "SERVTD.WR"].map((leaf) =>
    tdcall(leaf, ANY_OPERANDS, "Reads or writes metadata of the TD (not modelled)."),
  ),
  ...["MR.REPORT", "MR.RTMR.EXTEND", "MR.VERIFYREPORT"].map((leaf) => tdcall(leaf, ANY_OPERANDS, "Belongs to the measurement of the TD (not modelled).")),
];

export const tdxCalls: readonly CallSpec[] = [
  seamcall("MNG.CREATE", [PAGE, int("hkid")], "Makes the page the root of a new TD and assigns it the key id.", "vm"),
  seamcall("MNG.KEY.CONFIG", [TD, int("package", true)], "Configures the key on one package."),
  seamcall("MNG.ADDCX", [TD, PAGE], "Adds a control page to the TD."),
  seamcall(
    "MNG.INIT",
    [TD, int("attributes", true), int("gpaw", true), int("max_vcpus", true), int("xfam", true), int("eptp_controls", true), int("tsc_frequency", true)],
    "Initialises the TD from the fields of TD_PARAMS: attributes (without them SEPT_VE_DISABLE alone), gpaw 1 for a guest address of 52 bits and a secure EPT of " +
      "five levels, how many vCPUs it may have (65535), xfam (x87 and SSE), eptp_controls (write-back, as many levels as gpaw asks for), tsc_frequency in " +
      "units of 25 MHz (40).",
  ),
  seamcall("MNG.VPFLUSHDONE", [TD], "Checks that no vCPU is associated any more and blocks the TD."),
  seamcall("MNG.KEY.FREEID", [TD], "Frees the key id after every package wrote its caches back."),
  seamcall("MNG.KEY.RECLAIMID", [TD], "Does nothing; kept for compatibility."),
  seamcall("VP.CREATE", [TD, PAGE], "Makes the page the root of a new vCPU.", "vcpu"),
  seamcall("VP.ADDCX", [TD_VCPU, PAGE], "Adds a control page to the vCPU."),
  seamcall("VP.INIT", [TD_VCPU, int("lp", true)], "Initialises the vCPU."),
  {
    ...seamcall(
      "VP.ENTER",
      [TD_VCPU, int("lp", true)],
      "Enters the TD on this vCPU, which stays inside until it exits or is kicked. Without it a vCPU enters with what it does first, and leaves at the end of " +
        "its actor's block. Behind seven EPT violations of one access in a row it takes the secure EPT tree, and leaves with that violation again where it is " +
        "still to come.",
    ),
    context: "any",
  },
  seamcall("VP.FLUSH", [TD_VCPU, int("lp", true)], "Drops the association of the vCPU with its processor and flushes its TLB."),
  seamcall("MR.EXTEND", [TD, GPA], "Extends the measurement by 256 bytes of a page."),
  seamcall("MR.FINALIZE", [TD], "Closes the measurement."),
  seamcall("MEM.SEPT.ADD", [TD, GPA, LEVEL, PAGE], "Adds a page table to the secure EPT."),
  seamcall("MEM.SEPT.REMOVE", [TD, GPA, LEVEL], "Takes an empty page table out of the secure EPT."),
  seamcall("MEM.SEPT.RD", [TD, GPA, LEVEL], "Reads a secure EPT entry."),
  seamcall("MEM.PAGE.ADD", [TD, GPA, PAGE, { name: "source", type: "frame" }], "Adds a page with initial content while the TD is being built."),
  seamcall("MEM.PAGE.AUG", [TD, GPA, LEVEL, PAGE], "Adds a page that the TD must accept."),
  seamcall("MEM.RANGE.BLOCK", [TD, GPA, LEVEL], "Blocks a secure EPT entry: no new TLB entry can come from it."),
  seamcall("MEM.RANGE.UNBLOCK", [TD, GPA, LEVEL], "Takes a block back."),
  seamcall("MEM.TRACK", [TD], "Counts the TD's epoch up, so that vCPUs flush at their next entry."),
  seamcall("MEM.PAGE.REMOVE", [TD, GPA, LEVEL], "Takes a blocked and tracked page away from the TD."),
  seamcall("MEM.PAGE.RELOCATE", [TD, GPA, PAGE], "Moves a blocked page to another frame."),
  seamcall("MEM.PAGE.PROMOTE", [TD, GPA, LEVEL], "Joins 512 pages into a larger one."),
  seamcall("MEM.PAGE.DEMOTE", [TD, GPA, LEVEL, PAGE], "Splits a large page."),
  seamcall(
    "PHYMEM.CACHE.WB",
    [int("resume", true), int("package", true)],
    "Writes the caches of one package back for the key ids that are flushed; resume 1 goes on where an interrupt has stopped it.",
  ),
  seamcall("PHYMEM.PAGE.RECLAIM", [PAGE], "Takes a page back from a TD that is torn down; the TDR as the last one."),
  seamcall(
    "PHYMEM.PAGE.WBINVD",
    [PAGE, int("hkid")],
    "Writes back and drops the cache lines that a page, which must not be assigned, has under a key id; 0 is the host's.",
  ),
  seamcall("PHYMEM.PAGE.RDMD", [PAGE], "Reads what the PAMT has of a page: type, owner, size, and BEPOCH of a private page or a secure EPT page."),
  ...NOT_MODELLED_LEAVES,
  row(
    "guest",
    "TDG.MEM.PAGE.ACCEPT",
    [GPA, LEVEL],
    "The TD accepts a pending page: it is zeroed under the TD's key and mapped.",
    "intel/tdx-module TDX_1.5.01 tdg_mem_page_accept.c",
    { returns: "status", operations: ["TDG.MEM.PAGE.ACCEPT", "TDG.MEM.PAGE.ACCEPT.outside", "TDG.MEM.PAGE.ACCEPT.large", "accept.td"] },
  ),
  row(
    "guest",
    "TDG.MEM.PAGE.ATTR.RD",
    [GPA],
    "The TD reads the attributes of a page that it uses or that is pending; of any other entry the vCPU leaves with an EPT violation.",
    "intel/tdx-module TDX_1.5.01 tdg_mem_page_attr_rd.c",
    { returns: "status", operations: ["TDG.MEM.PAGE.ATTR.RD", "TDG.MEM.PAGE.ATTR.RD.outside", "attributes.td"] },
  ),
  row(
    "guest",
    "TDG.MEM.PAGE.ATTR.WR",
    [GPA, LEVEL, int("attributes", true), int("flags", true)],
    "The TD sets the attributes that nested VMs have on a page that it uses or that is pending. It has none here: attributes and flags must be 0, and nothing " +
      "changes.",
    "intel/tdx-module TDX_1.5.01 tdg_mem_page_attr_wr.c",
    { returns: "status", operations: ["TDG.MEM.PAGE.ATTR.WR", "TDG.MEM.PAGE.ATTR.WR.outside", "attributes.td"] },
  ),
  row(
    "guest",
    "TDG.VP.VMCALL.HLT",
    [int("interrupts_blocked", true)],
    "The TD asks the host to wait for an interrupt: what the handler of a #VE does for HLT. Not modelled through KVM.",
    "intel/tdx-module TDX_1.5.01 tdg_vp_vmcall.c",
    { operations: ["TDG.VP.VMCALL", "TDG.VP.VMCALL.outside"] },
  ),
  row(
    "guest",
    "TDG.VP.VMCALL.MAPGPA",
    [GPA, int("size")],
    "The TD asks the host to make the range private or shared; the shared bit of gpa says which. KVM asks user space, which is taken to have enabled " +
      "KVM_CAP_EXIT_HYPERCALL for it.",
    "arch/x86/kvm/vmx/tdx.c tdx_map_gpa",
    { operations: ["TDG.VP.VMCALL", "TDG.VP.VMCALL.outside", "hypercall.td"] },
  ),
  physical("load_frame", [FRAME], "byte", "The host reads the frame's first byte with the shared key: 0 where the line is a TD's, #MC where it is poisoned."),
  physical("clflush", [FRAME], "nothing", "Modified cache lines of the frame under the shared key reach memory, and the line is nobody's."),
  physical("movdir64b", [FRAME], "nothing", "Fills the frame with zeros, whole lines at once, so that no line of it is a TD's or poisoned."),
  physical("movnti", [FRAME, int("off"), BYTE], "nothing", "Writes part of a line past the cache; with `machine { erratum = 1 }` that poisons a line of a TD."),
  physical("kick", [{ name: "vcpu", type: "vcpu" }], "nothing", "An interprocessor interrupt: behind it the vCPU has left the guest."),
];
