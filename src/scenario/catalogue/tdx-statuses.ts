// What each leaf of the TDX module answers besides TDX_SUCCESS, in the order of its checks: the first that fails is the answer. A lock is taken at once or the
// leaf answers TDX_OPERAND_BUSY. Source: intel/tdx-module TDX_1.5.01, vmm_dispatcher/api_calls and td_dispatcher/vm_exits.

import type { ErrorRow } from "./types.ts";

const row = (errno: string, when: string): ErrorRow => ({ errno, when });

type Mode = "shared" | "exclusive";

/** A page in a register, whose PAMT entry is locked. */
const page = (register: string, mode: Mode): ErrorRow[] => [
  row(`TDX_OPERAND_INVALID/${register}`, `the page in ${register} is not 4 KB aligned or carries a key id`),
  row(`TDX_OPERAND_ADDR_RANGE_ERROR/${register}`, `the page in ${register} is in no TDMR`),
  row(`TDX_OPERAND_BUSY/${register}`, `its PAMT entry is locked; the leaf takes it ${mode}`),
];
const typed = (register: string, mode: Mode, type: string): ErrorRow[] => [
  ...page(register, mode),
  row(`TDX_PAGE_METADATA_INCORRECT/${register}`, `its page type is not ${type}`),
];
const tdr = (register: string, mode: Mode): ErrorRow[] => typed(register, mode, "PT_TDR");
const fresh = (register: string): ErrorRow[] => typed(register, "exclusive", "PT_NDA");
const tdvpr = (register: string, mode: Mode): ErrorRow[] => [
  ...typed(register, mode, "PT_TDVPR"),
  row("TDX_OPERAND_BUSY/TDR", "the PAMT entry of its TDR is locked; the leaf takes it shared"),
];

const FATAL = row("TDX_TD_FATAL", "the TD is fatal");
const NO_KEYS = row("TDX_TD_KEYS_NOT_CONFIGURED", "the TD is not in TD_KEYS_CONFIGURED");
const OP_STATE = row("TDX_OP_STATE_INCORRECT", "OP_STATE does not allow the leaf");
/** What every leaf asks of a live TD. */
const LIVE = [FATAL, NO_KEYS, row("TDX_TDCS_NOT_ALLOCATED", "the TDCS has fewer than 6 pages"), OP_STATE];
const NOT_INITIALISED = row("TDX_VCPU_STATE_INCORRECT", "the vCPU is initialised already");
const KOT = (mode: Mode): ErrorRow => row("TDX_OPERAND_BUSY/KOT", `the key ownership table is locked; the leaf takes it ${mode}`);
const NO_ENTROPY = row("TDX_RND_NO_ENTROPY", "the random number generator has nothing: machine { entropy = 0 }");
const NO_PAGES = row("TDX_TDCX_NUM_INCORRECT", "the TDVPS does not have its pages");

const LEVEL = row("TDX_OPERAND_INVALID/RCX", "the level is none of the leaf's, or the guest address is not aligned to it");
const GPA = row("TDX_OPERAND_INVALID/RCX", "the guest address has the shared bit or is wider than the TD's address width");
const TREE = (mode: Mode): ErrorRow => row("TDX_OPERAND_BUSY/SEPT_TREE", `the secure EPT tree is locked; the leaf takes it ${mode}`);
const WALK = row("TDX_EPT_WALK_FAILED/RCX", "a table above the entry is missing or blocked");
const ENTRY = row("TDX_OPERAND_BUSY/RCX", "the entry is locked; from then on the guest gives way to the host");
const STATE = row("TDX_EPT_ENTRY_STATE_INCORRECT/RCX", "the state of the entry does not allow the leaf");
const MAPPED_PAGE = row("TDX_OPERAND_BUSY/RCX", "the PAMT entry of the page that is mapped is locked; the leaf takes it exclusive");
const NOT_BLOCKED = row("TDX_GPA_RANGE_NOT_BLOCKED/RCX", "the TD may be running and the entry is not blocked");
const NOT_TRACKED = (operand: string): ErrorRow => row(`TDX_TLB_TRACKING_NOT_DONE/${operand}`, "the TD may be running and the block is not tracked");

/** A MEM leaf as far as the lock of its entry. */
const toEntry = (tree: Mode): ErrorRow[] => [...tdr("RDX", "shared"), ...LIVE, LEVEL, GPA, TREE(tree), WALK, ENTRY];
const RESTARTABLE = row("TDX_INTERRUPTED_RESTARTABLE", "an interrupt stops it, and nothing has changed: machine { interrupts = 1 }");
const TRACKED = [NOT_BLOCKED, NOT_TRACKED("RCX")];

export const TDX_STATUSES: Readonly<Record<string, readonly ErrorRow[]>> = {
  "TDH.MNG.CREATE": [
    row("TDX_OPERAND_INVALID/RDX", "the key id is no private one"),
    ...fresh("RCX"),
    KOT("exclusive"),
    row("TDX_HKID_NOT_FREE", "the key id is not free"),
    NO_ENTROPY,
  ],
  "TDH.MNG.KEY.CONFIG": [
    ...tdr("RCX", "exclusive"),
    FATAL,
    row("TDX_LIFECYCLE_STATE_INCORRECT", "the TD is not in TD_HKID_ASSIGNED"),
    row("TDX_KEY_CONFIGURED", "this package has done it already"),
    row("TDX_OPERAND_BUSY/KET", "the key encryption table of the package is in use"),
    row("TDX_KEY_GENERATION_FAILED", "the random number generator has nothing: machine { entropy = 0 }"),
  ],
  "TDH.MNG.ADDCX": [...tdr("RDX", "exclusive"), FATAL, NO_KEYS, row("TDX_TDCX_NUM_INCORRECT", "the TDCS has 9 pages"), ...fresh("RCX"), NO_ENTROPY, OP_STATE],
  "TDH.MNG.INIT": [
    ...tdr("RCX", "exclusive"),
    ...LIVE,
    row("TDX_OPERAND_INVALID/ATTRIBUTES", "ATTRIBUTES has an unknown bit, or bits that do not go together"),
    row("TDX_OPERAND_INVALID/XFAM", "XFAM lacks x87 or SSE, has an unknown bit, or part of a feature"),
    row("TDX_OPERAND_INVALID/MAX_VCPUS", "MAX_VCPUS is 0"),
    row("TDX_OPERAND_INVALID/EXEC_CONTROLS", "CONFIG_FLAGS has an unknown bit"),
    row("TDX_OPERAND_INVALID/EPTP_CONTROLS", "the memory type or the number of levels is wrong"),
    row("TDX_OPERAND_INVALID/TSC_FREQUENCY", "the frequency is below 100 MHz or above 10 GHz"),
  ],
  "TDH.MNG.VPFLUSHDONE": [
    ...tdr("RCX", "exclusive"),
    KOT("exclusive"),
    row("TDX_LIFECYCLE_STATE_INCORRECT", "the TD has no key id that is assigned"),
    row("TDX_FLUSHVP_NOT_DONE", "a vCPU is associated with a processor"),
  ],
  "TDH.MNG.KEY.FREEID": [
    ...tdr("RCX", "exclusive"),
    row("TDX_LIFECYCLE_STATE_INCORRECT", "the TD is not in TD_BLOCKED"),
    KOT("exclusive"),
    row("TDX_WBCACHE_NOT_COMPLETE", "a package has not written its caches back"),
  ],
  "TDH.MNG.KEY.RECLAIMID": [],
  "TDH.MR.FINALIZE": [...tdr("RCX", "exclusive"), ...LIVE, row("TDX_NO_VCPUS", "the TD has no vCPU that is initialised")],
  "TDH.MR.EXTEND": [
    ...tdr("RDX", "exclusive"),
    ...LIVE,
    row("TDX_OPERAND_INVALID/RCX", "the guest address is not 256 bytes aligned"),
    GPA,
    row("TDX_EPT_ENTRY_NOT_PRESENT/RCX", "no page is mapped there"),
  ],
  "TDH.VP.CREATE": [...tdr("RDX", "shared"), ...LIVE, ...fresh("RCX")],
  "TDH.VP.ADDCX": [
    ...tdvpr("RDX", "exclusive"),
    ...LIVE,
    NOT_INITIALISED,
    row("TDX_TDCX_NUM_INCORRECT", "the TDVPS has all the pages that it can have"),
    ...fresh("RCX"),
  ],
  "TDH.VP.INIT": [...tdvpr("RCX", "exclusive"), ...LIVE, NO_PAGES, NOT_INITIALISED, row("TDX_MAX_VCPUS_EXCEEDED", "the TD has as many vCPUs as it may have")],
  "TDH.VP.ENTER": [
    ...tdvpr("RCX", "shared"),
    ...LIVE,
    NO_PAGES,
    row("TDX_VCPU_STATE_INCORRECT", "the vCPU is not ready: not initialised, in the guest, or disabled"),
    row("TDX_VCPU_ASSOCIATED", "it is associated with another processor"),
    row("TDX_VCPU_ASSOCIATED", "another processor is about to enter it"),
    row("TDX_OPERAND_BUSY/TD_EPOCH", "TD_EPOCH is locked; the leaf takes it shared"),
    row("TDX_OPERAND_BUSY/SEPT_TREE", "behind seven EPT violations of one access in a row: the secure EPT tree is locked; the leaf takes it exclusive"),
  ],
  "TDH.VP.FLUSH": [
    ...tdvpr("RCX", "exclusive"),
    NO_KEYS,
    NO_PAGES,
    row("TDX_VCPU_NOT_ASSOCIATED", "the vCPU is associated with no processor or with another one"),
  ],
  "TDH.MEM.SEPT.ADD": [
    ...toEntry("shared"),
    STATE,
    row("TDX_OPERAND_INVALID/R8", "R8 is all ones, which says that there is no page"),
    row("TDX_EPT_ENTRY_STATE_INCORRECT/RCX", "there is a table already"),
    ...fresh("R8"),
  ],
  "TDH.MEM.SEPT.REMOVE": [...toEntry("exclusive"), STATE, MAPPED_PAGE, ...TRACKED, row("TDX_EPT_PAGE_NOT_FREE/RCX", "one of its 512 entries is not free")],
  "TDH.MEM.SEPT.RD": toEntry("shared"),
  "TDH.MEM.PAGE.ADD": [
    ...tdr("RDX", "exclusive"),
    ...LIVE,
    LEVEL,
    GPA,
    WALK,
    STATE,
    row("TDX_OPERAND_INVALID/R9", "the source is not 4 KB aligned or carries a key id"),
    ...fresh("R8"),
  ],
  "TDH.MEM.PAGE.AUG": [
    ...toEntry("shared"),
    STATE,
    row("TDX_OPERAND_INVALID/R8", "the page is not aligned to the level, or its address carries a key id"),
    ...fresh("R8").slice(1),
  ],
  "TDH.MEM.RANGE.BLOCK": [
    ...toEntry("exclusive"),
    row("TDX_GPA_RANGE_ALREADY_BLOCKED/RCX", "the entry is blocked already"),
    row("TDX_EPT_ENTRY_STATE_INCORRECT/RCX", "the entry is free"),
  ],
  "TDH.MEM.RANGE.UNBLOCK": [...toEntry("exclusive"), STATE, NOT_TRACKED("SEPT_TREE")],
  "TDH.MEM.TRACK": [
    ...tdr("RCX", "shared"),
    ...LIVE,
    row("TDX_OPERAND_BUSY/TD_EPOCH", "TD_EPOCH is locked; the leaf takes it exclusive"),
    row("TDX_PREVIOUS_TLB_EPOCH_BUSY", "a vCPU is inside that entered in the epoch before"),
  ],
  "TDH.MEM.PAGE.REMOVE": [...toEntry("shared"), STATE, MAPPED_PAGE, ...TRACKED],
  "TDH.MEM.PAGE.RELOCATE": [
    ...toEntry("shared"),
    STATE,
    row("TDX_OPERAND_INVALID/R8", "the new page is the one that is mapped"),
    MAPPED_PAGE,
    ...TRACKED,
    ...fresh("R8"),
  ],
  "TDH.MEM.PAGE.PROMOTE": [
    ...toEntry("shared"),
    STATE,
    MAPPED_PAGE,
    ...TRACKED,
    row("TDX_OPERAND_BUSY/RCX", "an entry of the table is locked"),
    row("TDX_EPT_INVALID_PROMOTE_CONDITIONS/RCX", "its 512 entries are not alike, or their pages no neighbours from an aligned one on"),
    row("TDX_OPERAND_BUSY/RCX", "the PAMT entry of the larger page is locked"),
    RESTARTABLE,
  ],
  "TDH.MEM.PAGE.DEMOTE": [
    ...toEntry("shared"),
    STATE,
    ...TRACKED,
    ...fresh("R8"),
    row("TDX_OPERAND_BUSY/RCX", "the PAMT entry of the large page is locked"),
    RESTARTABLE,
  ],
  "TDH.PHYMEM.CACHE.WB": [
    row("TDX_OPERAND_INVALID/RCX", "the command is neither start nor resume"),
    row("TDX_OPERAND_BUSY/WBCACHE", "another one runs on the package"),
    KOT("shared"),
    row("TDX_NO_HKID_READY_TO_WBCACHE", "start: no key id is flushed"),
    row("TDX_WBCACHE_RESUME_ERROR", "resume: nothing was interrupted on the package"),
    row("TDX_INTERRUPTED_RESUMABLE", "an interrupt stops it: machine { interrupts = 1 }"),
  ],
  "TDH.PHYMEM.PAGE.RECLAIM": [
    ...page("RCX", "exclusive"),
    row("TDX_PAGE_METADATA_INCORRECT/RCX", "the page is not the module's"),
    row("TDX_OPERAND_INVALID/RCX", "the page lies inside one of 2 MB, which its first page names"),
    row("TDX_OPERAND_BUSY/TDR", "the PAMT entry of the TDR that owns it is locked; the leaf takes it shared"),
    row("TDX_LIFECYCLE_STATE_INCORRECT", "the TD is not in TD_TEARDOWN"),
    row("TDX_TD_ASSOCIATED_PAGES_EXIST", "of a TDR: the TD owns other pages"),
  ],
  "TDH.PHYMEM.PAGE.WBINVD": typed("RCX", "shared", "PT_NDA"),
  "TDH.PHYMEM.PAGE.RDMD": page("RCX", "shared"),
  "TDG.MEM.PAGE.ATTR.RD": [
    row("TDX_OPERAND_INVALID/RCX", "the guest address has the shared bit or is wider than the TD's address width"),
    row("TDX_OPERAND_BUSY/RCX", "the host has locked the entry, or waits for it"),
    row("TDX_HOST_PRIORITY_BUSY_TIMEOUT", "the host has waited too long: the vCPU leaves the guest"),
  ],
  "TDG.MEM.PAGE.ATTR.WR": [
    row("TDX_OPERAND_INVALID/RDX", "attributes are given to a VM that the TD does not have"),
    row("TDX_OPERAND_INVALID/R8", "flags are given for a VM that the TD does not have; by VM, attributes before flags"),
    row(
      "TDX_OPERAND_INVALID/RCX",
      "the level is not 0 to 2, the guest address is not aligned to it, has the shared bit or is wider than the TD's address width",
    ),
    row("TDX_OPERAND_BUSY/RCX", "the host has locked the entry, or waits for it"),
    row("TDX_HOST_PRIORITY_BUSY_TIMEOUT", "the host has waited too long: the vCPU leaves the guest"),
    row("TDX_PAGE_SIZE_MISMATCH", "the entry is a table"),
  ],
  "TDG.MEM.PAGE.ACCEPT": [
    row("TDX_OPERAND_INVALID/RCX", "the level is not 0 or 1, the guest address is not aligned to it, or has the shared bit"),
    row("TDX_OPERAND_BUSY/RCX", "the host has locked the entry, or waits for it"),
    row("TDX_HOST_PRIORITY_BUSY_TIMEOUT", "the host has waited too long: the vCPU leaves the guest"),
    row("TDX_PAGE_SIZE_MISMATCH", "the entry is a table, or was no leaf when it was looked up"),
    row("TDX_PAGE_ALREADY_ACCEPTED", "the page, or the page of 2 MB around it, is mapped already"),
  ],
};
