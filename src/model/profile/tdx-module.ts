// Operations of the TDX module, version 1.5, and of guest code in a TD that is driven without KVM, for the rows of kernels that run on it to spread. A leaf is
// two steps, between which others meet its locks; a vCPU that is outside is entered first.

import type { StepList } from "./types.ts";

const ENTER = ["vp_acquire", "vp_enter"] as const;
const ACCESS = ["td_access", "td_leave"] as const;
const ATTRIBUTES = ["attributes_acquire", "attributes_commit", "td_leave"] as const;
const HALT = ["td_hlt", "td_leave"] as const;
const ACCEPT = ["accept_walk", "accept_acquire", "accept_zero", "accept_commit", "td_leave"] as const;

export const TDX_MODULE = {
  SEAMCALL: ["acquire", "commit"],
  "TD.access": ACCESS,
  "TD.access.outside": [...ENTER, ...ACCESS],
  "TDG.MEM.PAGE.ACCEPT": ACCEPT,
  "TDG.MEM.PAGE.ACCEPT.outside": [...ENTER, ...ACCEPT],
  "TDG.MEM.PAGE.ACCEPT.large": ["accept_begin", ...ENTER, "accept_walk", "accept_acquire", "accept_zero_large", "accept_commit", "td_leave"],
  "TDG.MEM.PAGE.ATTR.RD": ATTRIBUTES,
  "TDG.MEM.PAGE.ATTR.RD.outside": [...ENTER, ...ATTRIBUTES],
  "TDG.MEM.PAGE.ATTR.WR": ATTRIBUTES,
  "TDG.MEM.PAGE.ATTR.WR.outside": [...ENTER, ...ATTRIBUTES],
  "TD.hlt": HALT,
  "TD.hlt.outside": [...ENTER, ...HALT],
  "TDG.VP.VMCALL": ["td_vmcall"],
  "TDG.VP.VMCALL.outside": [...ENTER, "td_vmcall"],
  "TD.rest": ["td_run", "td_rest"],
  "TD.rest.outside": [...ENTER, "td_rest"],
  load_frame: ["load_frame"],
  clflush: ["flush_lines"],
  movdir64b: ["movdir64b"],
  movnti: ["movnti"],
  kick: ["kick"],
} as const satisfies Record<string, StepList>;
