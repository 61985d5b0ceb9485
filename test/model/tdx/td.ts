// A TD by direct leaves, stage by stage, as text: what the tests beside this file prepare.

/** In the order in which a TD lives. */
export const STAGES = [
  "created",
  "configured",
  "allocated",
  "initialised",
  "vcpu-created",
  "vcpu-allocated",
  "vcpu-initialised",
  "runnable",
  "flushed",
  "blocked",
  "written-back",
  "torn-down",
] as const;

export type Stage = (typeof STAGES)[number];

/** The stages' names under others: those of `names`, and for the rest `otherwise`. */
const renamed = (text: string, names: Readonly<Record<string, string>>, otherwise = (name: string): string => name): string =>
  text.replaceAll(/\b(tdr|td|vcpu|cx|vp|vx)\b/g, (name) => names[name] ?? otherwise(name));

const LINES: Readonly<Record<Stage, string>> = {
  created: "tdr = alloc_frame()\ntd = TDH.MNG.CREATE(tdr, 33) = TDX_SUCCESS",
  configured: "TDH.MNG.KEY.CONFIG(td) = TDX_SUCCESS",
  allocated: "repeat 6 as i {\n  cx[i] = alloc_frame()\n  TDH.MNG.ADDCX(td, cx[i]) = TDX_SUCCESS\n}",
  initialised: "TDH.MNG.INIT(td) = TDX_SUCCESS",
  "vcpu-created": "vp = alloc_frame()\nvcpu = TDH.VP.CREATE(td, vp) = TDX_SUCCESS",
  "vcpu-allocated": "repeat 5 as i {\n  vx[i] = alloc_frame()\n  TDH.VP.ADDCX(vcpu, vx[i]) = TDX_SUCCESS\n}",
  "vcpu-initialised": "TDH.VP.INIT(vcpu) = TDX_SUCCESS",
  runnable: "TDH.MR.FINALIZE(td) = TDX_SUCCESS",
  flushed: "TDH.VP.FLUSH(vcpu) = TDX_SUCCESS",
  blocked: "TDH.MNG.VPFLUSHDONE(td) = TDX_SUCCESS",
  "written-back": "TDH.PHYMEM.CACHE.WB(0) = TDX_SUCCESS",
  "torn-down": "TDH.MNG.KEY.FREEID(td) = TDX_SUCCESS",
};

export interface TdText {
  /** Behind the names of this TD. */
  readonly suffix?: string;
  readonly hkid?: number;
}

/** A TD from nothing up to and with a stage. */
export function upTo(stage: Stage, { suffix = "", hkid = 33 }: TdText = {}): string {
  const lines = STAGES.slice(0, STAGES.indexOf(stage) + 1).map((each) => LINES[each]);
  return renamed(lines.join("\n"), {}, (name) => `${name}${suffix}`).replace("33)", `${hkid})`);
}

/** Some stages alone, `names` in place of theirs. */
export const stages = (wanted: readonly Stage[], names: Readonly<Record<string, string>> = {}): string =>
  renamed(wanted.map((each) => LINES[each]).join("\n"), names);

export interface TextOptions {
  readonly machine?: string;
}

/** One scenario of these lines on a kernel that drives the module. */
export const scenarioText = (lines: readonly string[], { machine }: TextOptions = {}): string =>
  `kernel 6.16\nscenario "leaves" {\n${[...(machine === undefined ? [] : [`machine { ${machine} }`]), ...lines].join("\n")}\n}\n`;
