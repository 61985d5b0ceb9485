// TDX: the sub-commands of KVM_MEMORY_ENCRYPT_OP, the leaves of the TDX module and the calls of a TD. No kernel row models them yet, so they are
// known by name and prototype.

import { IN } from "./profiles.ts";
import type { CallSpec, Context, Param } from "./types.ts";

const VM: Param = { name: "vm", type: "vm" };
const VCPU: Param = { name: "vcpu", type: "vcpu" };
const TD: Param = { name: "td", type: "vm" };
const GPA: Param = { name: "gpa", type: "gpa" };
const LEVEL: Param = { name: "level", type: "int" };
const PAGE: Param = { name: "page", type: "frame" };
const int = (name: string, optional = false): Param => (optional ? { name, type: "int", optional } : { name, type: "int" });

const row = (context: Context, name: string, params: readonly Param[], help: string, source: string): CallSpec => ({
  id: name,
  name,
  subsystem: "tdx",
  context,
  params,
  returns: "zero",
  prototype: `${name}(${params.map((param) => param.name).join(", ")})`,
  help,
  errors: [],
  operations: [],
  profiles: IN.tdx,
  source,
});
const ioctl = (name: string, params: readonly Param[], help: string): CallSpec => row("host", name, params, help, "arch/x86/kvm/vmx/tdx.c, Linux 6.16");
const seamcall = (leaf: string, params: readonly Param[], help: string): CallSpec =>
  row("host", `TDH.${leaf}`, params, help, `intel/tdx-module TDX_1.5.01 tdh_${leaf.toLowerCase().replaceAll(".", "_")}.c`);

export const tdxCalls: readonly CallSpec[] = [
  ioctl("KVM_TDX_CAPABILITIES", [VM], "Reads what TDs can be configured with."),
  ioctl("KVM_TDX_INIT_VM", [VM], "Takes a key id, creates and initialises the TD."),
  ioctl("KVM_TDX_INIT_VCPU", [VCPU], "Creates and initialises the vCPU in the TDX module."),
  ioctl(
    "KVM_TDX_INIT_MEM_REGION",
    [VCPU, { name: "source_addr", type: "address" }, GPA, int("nr_pages"), { name: "flags", type: "flags", group: "KVM_TDX_", optional: true }],
    "Copies initial content into private pages and measures it on request.",
  ),
  ioctl("KVM_TDX_FINALIZE_VM", [VM], "Closes the measurement; the TD may run."),
  ioctl("KVM_TDX_GET_CPUID", [VCPU], "Reads the CPUID values that the TD sees."),
  seamcall("MNG.CREATE", [TD, PAGE, int("hkid")], "Makes the page the root of a new TD and assigns it the key id."),
  seamcall("MNG.KEY.CONFIG", [TD, int("package", true)], "Configures the key on one package."),
  seamcall("MNG.ADDCX", [TD, PAGE], "Adds a control page to the TD."),
  seamcall("MNG.INIT", [TD], "Initialises the TD from its parameters."),
  seamcall("MNG.VPFLUSHDONE", [TD], "Checks that no vCPU is associated any more and blocks the TD."),
  seamcall("MNG.KEY.FREEID", [TD], "Frees the key id after every package wrote its caches back."),
  seamcall("MNG.KEY.RECLAIMID", [TD], "Does nothing; kept for compatibility."),
  seamcall("VP.CREATE", [TD, PAGE], "Makes the page the root of a new vCPU."),
  seamcall("VP.ADDCX", [VCPU, PAGE], "Adds a control page to the vCPU."),
  seamcall("VP.INIT", [VCPU], "Initialises the vCPU."),
  seamcall("VP.ENTER", [VCPU], "Enters the TD on this vCPU."),
  seamcall("VP.FLUSH", [VCPU], "Drops the association of the vCPU with its processor and flushes its TLB."),
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
  seamcall("PHYMEM.CACHE.WB", [int("resume", true)], "Writes the caches of this package back for flushed key ids."),
  seamcall("PHYMEM.PAGE.RECLAIM", [PAGE], "Takes a page back from a TD that is torn down."),
  seamcall("PHYMEM.PAGE.WBINVD", [PAGE], "Flushes the cache lines of a page that is not assigned."),
  row(
    "guest",
    "TDG.MEM.PAGE.ACCEPT",
    [GPA, LEVEL],
    "The TD accepts a pending page: it is zeroed under the TD's key and mapped.",
    "intel/tdx-module TDX_1.5.01 tdg_mem_page_accept.c",
  ),
  row(
    "guest",
    "TDG.VP.VMCALL.MAPGPA",
    [GPA, int("size")],
    "The TD asks the host to make the range private or shared; the shared bit of gpa says which.",
    "arch/x86/kvm/vmx/tdx.c tdx_map_gpa",
  ),
];
