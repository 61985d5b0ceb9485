// State expressions about the TDX module: what `sept`, `pamt`, `epoch` and their like answer of a state.

import { asU64 } from "../../base/units.ts";
import type { Operand } from "../../scenario/program.ts";
import type { Machine } from "../machine.ts";
import { SHARED_BIT } from "../objects.ts";
import { NoAnswer } from "../refine.ts";
import { pamtOf } from "./blocks.ts";
import { keyState } from "./build.ts";
import { walkTo } from "./checks.ts";
import { tdOf } from "./enter.ts";
import { gfnOf, HIGHEST_GPA } from "./objects.ts";
import { hpaOf } from "./operands.ts";
import { type TdState, type TdVcpuState, type TdxState, tdAt, tdVcpuAt } from "./state.ts";
import { LEVEL, PUBLIC_STATE, PUBLIC_VCPU_STATE } from "./tables.ts";

type Asked = (tdx: TdxState, state: Int32Array, operands: readonly Operand[], field: string | undefined) => bigint;

const int = (operand: Operand | undefined): bigint => (operand?.kind === "int" ? asU64(operand.value) : 0n);
const NO_CALL = -1;

/** The state expression compiled for one machine; undefined for one that is not about TDX. */
export function tdxQuery(machine: Machine, name: string, operands: readonly Operand[], field: string | undefined): ((state: Int32Array) => bigint) | undefined {
  const { tdx } = machine;
  if (!Object.hasOwn(QUERIES, name) && !(name === "tlb" && tdx && isTdVcpu(machine, operands[0]))) return undefined;
  if (!tdx) {
    return () => {
      throw new NoAnswer(`${name} asks about the TDX module, which this scenario does not use`);
    };
  }
  const hpa = name === "key_state" ? () => 0 : hpaOf(machine, NO_CALL, operands[0]);
  const asked = (QUERIES[name] ?? tlbOf)(hpa);
  return (state) => asked(tdx, state, operands, field);
}

const isTdVcpu = (machine: Machine, operand: Operand | undefined): boolean =>
  operand?.kind === "handle" && machine.tdx?.objects.vcpuOf.has(machine.program.handles[operand.handle].call) === true;

type Page = (state: Int32Array) => number;

function theTd(tdx: TdxState, state: Int32Array, page: number): TdState {
  const td = tdAt(tdx, state, page);
  if (!td) throw new NoAnswer("there is no such TD in this state");
  return td;
}

function theVcpu(tdx: TdxState, state: Int32Array, page: number): TdVcpuState {
  const vcpu = tdVcpuAt(tdx, state, page);
  if (!vcpu) throw new NoAnswer("there is no such vCPU in this state");
  return vcpu;
}

const ofTd =
  (value: (td: TdState, state: Int32Array, operands: readonly Operand[]) => number) =>
  (page: Page): Asked =>
  (tdx, state, operands) =>
    BigInt(value(theTd(tdx, state, page(state)), state, operands));

const ofFrame =
  (value: (entry: TdxState["pamt"][number], state: Int32Array) => number) =>
  (page: Page): Asked =>
  (tdx, state) => {
    const frame = page(state);
    if (frame <= 0) throw new NoAnswer("the page is none of a TDMR");
    return BigInt(value(pamtOf(tdx, state, frame), state));
  };

/** The page of a private address: bit 47 is one of its bits where the address width is 52. */
const gfnIn = (td: TdState, state: Int32Array, gpa: bigint): number =>
  td.wide.get(state) === 1 ? Number((gpa & ~SHARED_BIT & HIGHEST_GPA) >> 12n) : gfnOf(gpa);

/** The entry at which a walk for the page ends, as the hardware and a leaf for level 0 would find it. */
const septOf =
  (page: Page): Asked =>
  (tdx, state, operands, field) => {
    const td = theTd(tdx, state, page(state));
    const entry = walkTo(td, state, gfnIn(td, state, int(operands[1])), LEVEL.PT);
    if (!entry) throw new NoAnswer("no call of the scenario names this guest address");
    if (field === "level") return BigInt(entry.level);
    return BigInt(field === "frame" ? entry.frame.get(state) : PUBLIC_STATE[entry.state.get(state)]);
  };

const tlbOf =
  (page: Page): Asked =>
  (tdx, state, operands) => {
    const vcpu = theVcpu(tdx, state, page(state));
    const gfn = gfnIn(tdOf(tdx, state, vcpu), state, int(operands[1]));
    return BigInt(vcpu.tlb.get(gfn)?.get(state) ?? 0);
  };

const QUERIES: Readonly<Record<string, (page: Page) => Asked>> = {
  sept: septOf,
  pamt: ofFrame((entry, state) => entry.type.get(state)),
  bepoch: ofFrame((entry, state) => entry.bepoch.get(state)),
  epoch: ofTd((td, state) => td.epoch.get(state)),
  epoch_refcount: ofTd((td, state, operands) => td.refcount[Number(int(operands[1]) & 1n)].get(state)),
  chldcnt: ofTd((td, state) => td.chldcnt.get(state)),
  op_state: ofTd((td, state) => td.opState.get(state)),
  life_cycle: ofTd((td, state) => td.lifecycle.get(state)),
  vcpu_state: (page) => (tdx, state) => BigInt(PUBLIC_VCPU_STATE[theVcpu(tdx, state, page(state)).state.get(state)]),
  key_state: () => (tdx, state, operands) => {
    const key = tdx.keys.find(({ hkid }) => BigInt(hkid) === int(operands[0]));
    const call = { tdx, state };
    return key ? BigInt(keyState(call, key)) : 0n;
  },
};
