// TD_PARAMS, what TDH.MNG.INIT is given to make a TD from: its fields with their defaults here, and what the module refuses of each, in its order
// (tdh_mng_init.c read_and_set_td_configurations; common/helpers/helpers.c verify_td_attributes, check_xfam, verify_and_set_td_eptp_controls).

import type { TdxOperandName } from "../../base/tdx-status.ts";
import { ask } from "./checks.ts";
import type { Check, LeafCall } from "./leaf.ts";
import { LEVEL } from "./tables.ts";

export const ATTRIBUTES = { DEBUG: 1n << 0n, SEPT_VE_DISABLE: 1n << 28n, MIGRATABLE: 1n << 29n, PKS: 1n << 30n, PERFMON: 1n << 63n } as const;
const KNOWN_ATTRIBUTES = Object.values(ATTRIBUTES).reduce((all, bit) => all | bit, 0n);

/** CONFIG_FLAGS: GPAW, and two that nothing here depends on (FLEXIBLE_PENDING_VE, NO_RBP_MOD). */
const GPAW = 1n;
const KNOWN_CONFIG_FLAGS = 7n;

/** XFAM: x87 and SSE are always there; the rest as on a processor that has every feature that the module allows. */
const XFAM_FIXED1 = 3n;
const XFAM_KNOWN = 0x6dbe7n;
const XFAM_BITS = { AVX: 2n, AVX3_KMASK: 5n, AVX3_ZMM: 6n, AVX3_ZMM_HI: 7n, CET_U: 11n, CET_S: 12n, AMX_XTILECFG: 17n, AMX_XTILEDATA: 18n } as const;

const WRITE_BACK = 6n;
/** In units of 25 MHz. */
const TSC_FREQUENCY = { min: 4n, max: 400n, default: 40n } as const;

export interface TdParams {
  readonly attributes: bigint;
  readonly xfam: bigint;
  readonly maxVcpus: bigint;
  readonly configFlags: bigint;
  /** Bits 2:0 memory type, 5:3 level of the root's entries, the rest 0. */
  readonly eptp: bigint;
  readonly tscFrequency: bigint;
}

/** What the scenario says, and for the rest values that the module takes. Fields are as wide as TD_PARAMS has them. */
export function tdParams(call: LeafCall): TdParams {
  const values = call.registers.values ?? {};
  const configFlags = values.gpaw ?? 0n;
  const rootLevel = (configFlags & GPAW) === 1n ? LEVEL.PML5 : LEVEL.PML4;
  return {
    attributes: values.attributes ?? ATTRIBUTES.SEPT_VE_DISABLE,
    xfam: values.xfam ?? XFAM_FIXED1,
    maxVcpus: BigInt.asUintN(16, values.max_vcpus ?? 0xffffn),
    configFlags,
    eptp: values.eptp_controls ?? WRITE_BACK | (BigInt(rootLevel) << 3n),
    tscFrequency: BigInt.asUintN(16, values.tsc_frequency ?? TSC_FREQUENCY.default),
  };
}

const rootLevelOf = (eptp: bigint): number => Number((eptp >> 3n) & 7n);

export const wantsWideGpa = (params: TdParams): boolean => (params.configFlags & GPAW) !== 0n;
/** Level of the entries in the root of the secure EPT. */
export const rootLevel = (params: TdParams): number => rootLevelOf(params.eptp);

function attributesRefused({ attributes }: TdParams): boolean {
  if ((attributes & ~KNOWN_ATTRIBUTES) !== 0n) return true;
  return (attributes & ATTRIBUTES.MIGRATABLE) !== 0n && (attributes & (ATTRIBUTES.DEBUG | ATTRIBUTES.PERFMON)) !== 0n;
}

function xfamRefused({ xfam }: TdParams): boolean {
  const has = (bit: bigint): boolean => ((xfam >> bit) & 1n) === 1n;
  const { AVX, AVX3_KMASK, AVX3_ZMM, AVX3_ZMM_HI, CET_U, CET_S, AMX_XTILECFG, AMX_XTILEDATA } = XFAM_BITS;
  if ((xfam & ~XFAM_KNOWN) !== 0n || (xfam & XFAM_FIXED1) !== XFAM_FIXED1) return true;
  if (has(AVX3_KMASK) && !has(AVX)) return true;
  return has(AVX3_KMASK) !== has(AVX3_ZMM) || has(AVX3_KMASK) !== has(AVX3_ZMM_HI) || has(CET_S) !== has(CET_U) || has(AMX_XTILECFG) !== has(AMX_XTILEDATA);
}

function eptpRefused(params: TdParams): boolean {
  const level = rootLevelOf(params.eptp);
  if ((params.eptp & 7n) !== WRITE_BACK || params.eptp >> 6n !== 0n) return true;
  return level < LEVEL.PML4 || level > LEVEL.PML5 || (wantsWideGpa(params) && level < LEVEL.PML5);
}

const field = (what: string, operand: TdxOperandName, refused: (params: TdParams) => boolean): Check =>
  ask(what, { status: "TDX_OPERAND_INVALID", operand }, (call) => refused(tdParams(call)));

/**
 * In the module's order. Not among them: NUM_L2_VMS, CPUID values and MSR configuration, which nothing here depends on, and the address of the structure, which
 * the text does not name.
 */
export const tdParamsChecks: readonly Check[] = [
  field("ATTRIBUTES has only known bits, and no MIGRATABLE beside DEBUG or PERFMON", "ATTRIBUTES", attributesRefused),
  field("XFAM has x87 and SSE, known bits, and features with all of their parts", "XFAM", xfamRefused),
  field("MAX_VCPUS is not 0", "MAX_VCPUS", ({ maxVcpus }) => maxVcpus === 0n),
  field("CONFIG_FLAGS has only known bits", "EXEC_CONTROLS", ({ configFlags }) => (configFlags & ~KNOWN_CONFIG_FLAGS) !== 0n),
  field("EPTP_CONTROLS: write-back, 4 or 5 levels, 5 for a guest address of 52 bits", "EPTP_CONTROLS", eptpRefused),
  field("TSC_FREQUENCY is between 100 MHz and 10 GHz", "TSC_FREQUENCY", ({ tscFrequency }) => {
    return tscFrequency < TSC_FREQUENCY.min || tscFrequency > TSC_FREQUENCY.max;
  }),
];
