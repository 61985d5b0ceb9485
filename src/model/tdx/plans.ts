// Calls of a scenario that drive the TDX module directly: what their arguments put into the registers, and the plan that runs the leaf as two steps.

import { asU64 } from "../../base/units.ts";
import { callSpec } from "../../scenario/catalogue/index.ts";
import type { Call, CallId, Operand } from "../../scenario/program.ts";
import type { Context, Machine, Plan } from "../machine.ts";
import { NotModelled } from "../objects.ts";
import { plan } from "../plan.ts";
import { guestPlan } from "./guest-plans.ts";
import { hostPlan } from "./host.ts";
import { EEQ, violationResult } from "./inside.ts";
import { type Hpa, type Leaf, leafSteps, type Registers, SUCCESS, statusResult } from "./leaf.ts";
import { leafNamed } from "./leaves.ts";
import { hpaOf } from "./operands.ts";
import { PHYSICAL_BITS, PRIVATE_HKIDS } from "./tables.ts";
import { refuseAbsent, refuseUnmodelled } from "./unmodelled.ts";

/** Where a key id stands in an address, and the part of it that is no private one. */
const KEY_IDS = BigInt(PRIVATE_HKIDS.first + PRIVATE_HKIDS.count - 1) << BigInt(PHYSICAL_BITS);
const SHARED_HKIDS = BigInt(PRIVATE_HKIDS.first - 1) << BigInt(PHYSICAL_BITS);

/** The plan data of a leaf that the scenario calls. */
interface DirectLeaf {
  readonly leaf: Leaf;
  readonly registers: (state: Int32Array) => Registers;
}

/** The operation of every host leaf. */
const SEAMCALL = "SEAMCALL";

const numberOf = (call: Call, id: CallId, index: number): bigint | undefined => {
  const operand = call.operands[index];
  if (operand === undefined || operand.kind === "absent") return undefined;
  if (operand.kind === "int") return asU64(operand.value);
  throw new NotModelled(id, "an argument that is computed from a result is not modelled; write the number");
};

/** The plan of a call on the TDX module or by a vCPU of a TD; undefined for all other calls. */
export function tdxPlan(machine: Machine, id: CallId, call: Call): Plan | undefined {
  refuseUnmodelled(id, call.spec);
  const own = guestPlan(machine, id, call) ?? hostPlan(machine, id, call);
  if (own) return own;
  const leaf = leafNamed(call.spec);
  if (!leaf) return undefined;
  const names = callSpec(call.spec).params.map((param) => param.name);
  return plan(id, call, {
    operations: [SEAMCALL],
    success: { kind: "status", ...SUCCESS },
    data: { leaf, registers: registersOf(machine, id, call, names) } satisfies DirectLeaf,
  });
}

/** Bits of an operand that are no address: flags, and the key id of TDH.PHYMEM.PAGE.WBINVD. Only an integer can have them set. */
const NO_ADDRESS: Readonly<Record<string, Readonly<Record<string, bigint>>>> = {
  "TDH.MEM.SEPT.ADD": { td: 1n, page: 1n << 63n },
  "TDH.MEM.SEPT.RD": { td: 1n },
  "TDH.MEM.PAGE.ADD": { source: SHARED_HKIDS },
  "TDH.MEM.PAGE.DEMOTE": { td: 1n },
  "TDH.VP.ENTER": { vcpu: 3n << 52n },
  "TDH.PHYMEM.PAGE.WBINVD": { page: KEY_IDS },
};

function addressIn(call: Call, name: string, index: number): Operand {
  const operand = call.operands[index];
  return operand?.kind === "int" ? { ...operand, value: asU64(operand.value) & ~(NO_ADDRESS[call.spec]?.[name] ?? 0n) } : operand;
}

const HPAS = { td: "tdr", vcpu: "tdvpr", page: "page", source: "source" } as const;

/** The registers by the names of the parameters in the catalogue. */
function registersOf(machine: Machine, id: CallId, call: Call, names: readonly string[]): (state: Int32Array) => Registers {
  const values: Record<string, bigint> = {};
  const hpas: { readonly to: (typeof HPAS)[keyof typeof HPAS]; readonly of: (state: Int32Array) => Hpa }[] = [];
  names.forEach((name, index) => {
    if (Object.hasOwn(HPAS, name)) {
      const operand = call.operands[index];
      if (operand?.kind === "int") values[name] = asU64(operand.value);
      hpas.push({ to: HPAS[name as keyof typeof HPAS], of: hpaOf(machine, id, addressIn(call, name, index)) });
      return;
    }
    const value = numberOf(call, id, index);
    if (value !== undefined) values[name] = value;
  });
  const small = (name: string): number | undefined => (values[name] === undefined ? undefined : Number(values[name]));
  const { tdOf, vcpuOf } = machine.tdx?.objects ?? { tdOf: new Map(), vcpuOf: new Map() };
  const makes = tdOf.get(id) ?? vcpuOf.get(id);
  const fixed: Registers = {
    makes,
    stays: call.spec === "TDH.VP.ENTER",
    gpa: values.gpa,
    level: small("level"),
    hkid: small("hkid"),
    package: small("package"),
    lp: small("lp"),
    values,
  };
  refuseAbsent(machine, id, fixed);
  return (state) => {
    const registers: { -readonly [Key in keyof Registers]: Registers[Key] } = { ...fixed };
    for (const { to, of } of hpas) registers[to] = of(state);
    return registers;
  };
}

const direct = (context: Context): { leaf: Leaf; registers: Registers } => {
  const { leaf, registers } = context.plan.data as DirectLeaf;
  return { leaf, registers: registers(context.state) };
};

export const { acquire, commit } = leafSteps({
  of: direct,
  acquiredBy: "acquire",
  answered: (context, status, _output, violation) =>
    violation === undefined ? context.always(statusResult(status)) : context.done(violationResult(violation, EEQ.NONE)),
});
