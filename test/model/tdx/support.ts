// A TD that is built by hand, with tables and pages, as text: what the tests of its running share.

import { stages } from "./td.ts";

/** A TD `td` with key id 33 that is being built: `vcpus` vCPUs, tables as far as level 1 of the first 2 MB, no page yet. */
export function building(vcpus = 1, init = "TDH.MNG.INIT(td)"): string {
  const vcpu = (index: number): string =>
    stages(["vcpu-created", "vcpu-allocated", "vcpu-initialised"], { vp: `tdvpr${index}`, vcpu: `vcpu${index}`, vx: `vpcx${index}` });
  return [
    stages(["created", "configured", "allocated"], { tdr: "root", cx: "tdcx" }),
    `${init} = TDX_SUCCESS`,
    ...Array.from({ length: vcpus }, (_, index) => vcpu(index)),
    "repeat 3 as i {\n  table[i] = alloc_frame()\n  TDH.MEM.SEPT.ADD(td, 0, 3 - i, table[i]) = TDX_SUCCESS\n}",
  ].join("\n");
}

/** The same, finalized, with a page `a` at 0x1000 full of 0x41. */
export const running = (vcpus = 1, init?: string): string => `${building(vcpus, init)}
  a = alloc_frame()
  source = alloc_frame()
  store_frame(source, 0x41)
  TDH.MEM.PAGE.ADD(td, 0x1000, a, source) = TDX_SUCCESS
  TDH.MR.FINALIZE(td) = TDX_SUCCESS`;

export const scenario = (body: string, setup = "", watch = ""): string => `scenario "tdx" {\n  kernel 6.18\n${watch}\n${setup}\n${body}\n}\n`;
