// Completion statuses of the TDX module, as RAX holds them: class and name in bits 63:32, details (mostly the id of the operand at fault) in bits 31:0.
// Numbers: intel/tdx-module TDX_1.5.01, auto_gen/tdx_error_codes_defs.h.

/** Bits 63:32 of each status. Those that version 1.5.01 defines and never answers are not listed. */
export const TDX_STATUS = {
  TDX_SUCCESS: 0x00000000,
  TDX_NON_RECOVERABLE_VCPU: 0x40000001,
  TDX_NON_RECOVERABLE_TD: 0x60000002,
  TDX_INTERRUPTED_RESUMABLE: 0x80000003,
  TDX_INTERRUPTED_RESTARTABLE: 0x80000004,
  TDX_NON_RECOVERABLE_TD_NON_ACCESSIBLE: 0x60000005,
  TDX_NON_RECOVERABLE_TD_WRONG_APIC_MODE: 0xe0000007,
  TDX_OPERAND_INVALID: 0xc0000100,
  TDX_OPERAND_ADDR_RANGE_ERROR: 0xc0000101,
  TDX_OPERAND_BUSY: 0x80000200,
  TDX_PREVIOUS_TLB_EPOCH_BUSY: 0x80000201,
  TDX_SYS_BUSY: 0x80000202,
  TDX_RND_NO_ENTROPY: 0x80000203,
  TDX_OPERAND_BUSY_HOST_PRIORITY: 0x80000204,
  TDX_HOST_PRIORITY_BUSY_TIMEOUT: 0x90000205,
  TDX_PAGE_METADATA_INCORRECT: 0xc0000300,
  TDX_TD_ASSOCIATED_PAGES_EXIST: 0xc0000400,
  TDX_TD_FATAL: 0xe0000604,
  TDX_TD_NON_DEBUG: 0xc0000605,
  TDX_TDCS_NOT_ALLOCATED: 0xc0000606,
  TDX_LIFECYCLE_STATE_INCORRECT: 0xc0000607,
  TDX_OP_STATE_INCORRECT: 0xc0000608,
  TDX_NO_VCPUS: 0xc0000609,
  TDX_TDCX_NUM_INCORRECT: 0xc0000610,
  TDX_VCPU_STATE_INCORRECT: 0xc0000700,
  TDX_VCPU_ASSOCIATED: 0x80000701,
  TDX_VCPU_NOT_ASSOCIATED: 0x80000702,
  TDX_MAX_VCPUS_EXCEEDED: 0xc0000705,
  TDX_TSC_ROLLBACK: 0xc0000706,
  TDX_KEY_GENERATION_FAILED: 0x80000800,
  TDX_TD_KEYS_NOT_CONFIGURED: 0x80000810,
  TDX_KEY_STATE_INCORRECT: 0xc0000811,
  TDX_KEY_CONFIGURED: 0x00000815,
  TDX_WBCACHE_NOT_COMPLETE: 0x80000817,
  TDX_HKID_NOT_FREE: 0xc0000820,
  TDX_NO_HKID_READY_TO_WBCACHE: 0x00000821,
  TDX_WBCACHE_RESUME_ERROR: 0xc0000823,
  TDX_FLUSHVP_NOT_DONE: 0x80000824,
  TDX_EPT_WALK_FAILED: 0xc0000b00,
  TDX_EPT_ENTRY_NOT_PRESENT: 0xc0000b03,
  TDX_GPA_RANGE_NOT_BLOCKED: 0xc0000b06,
  TDX_GPA_RANGE_ALREADY_BLOCKED: 0x00000b07,
  TDX_TLB_TRACKING_NOT_DONE: 0xc0000b08,
  TDX_EPT_INVALID_PROMOTE_CONDITIONS: 0xc0000b09,
  TDX_PAGE_ALREADY_ACCEPTED: 0x00000b0a,
  TDX_PAGE_SIZE_MISMATCH: 0xc0000b0b,
  TDX_EPT_ENTRY_STATE_INCORRECT: 0xc0000b0d,
  TDX_EPT_PAGE_NOT_FREE: 0xc0000b0e,
  TDX_PAGE_ATTR_INVALID: 0xc0000b11,
} as const;

export type TdxStatusName = keyof typeof TDX_STATUS;

/** Ids of operands: explicit ones by register, implicit ones by the structure that they name. A guest leaf may name a level there; LVL_PT is 0. */
export const TDX_OPERAND = {
  RAX: 0,
  LVL_PD: 1,
  LVL_PDPT: 2,
  RCX: 1,
  RDX: 2,
  R8: 8,
  R9: 9,
  R10: 10,
  R11: 11,
  ATTRIBUTES: 64,
  XFAM: 65,
  EXEC_CONTROLS: 66,
  EPTP_CONTROLS: 67,
  MAX_VCPUS: 68,
  CPUID_CONFIG: 69,
  TSC_FREQUENCY: 70,
  TDR: 128,
  TDCX: 129,
  TDVPR: 130,
  TDCS: 144,
  TDVPS: 145,
  SEPT_TREE: 146,
  SEPT_ENTRY: 147,
  TD_EPOCH: 169,
  OP_STATE: 172,
  KOT: 186,
  KET: 187,
  WBCACHE: 188,
} as const;

export type TdxOperandName = keyof typeof TDX_OPERAND;

/** What a leaf answers: a status, and the operand that it is about. */
export interface TdxStatus {
  readonly status: TdxStatusName;
  readonly operand?: TdxOperandName;
}

/** The word in RAX, unsigned. */
export function tdxStatusWord({ status, operand }: TdxStatus): bigint {
  return (BigInt(TDX_STATUS[status]) << 32n) | BigInt(operand === undefined ? 0 : TDX_OPERAND[operand]);
}

/** Bit 63: the leaf did not do what it was asked for. Without it the status only informs. */
export const isTdxError = (status: TdxStatusName): boolean => TDX_STATUS[status] >= 0x80000000;

export const isTdxStatus = (name: string): name is TdxStatusName => Object.hasOwn(TDX_STATUS, name);
export const isTdxOperand = (name: string): name is TdxOperandName => Object.hasOwn(TDX_OPERAND, name);
