// Random lives of TDs: the whole of one, edited in some places, with wrong operands among them.

import * as fc from "fast-check";
import type { Oracle, Page } from "./life-cycle.oracle.ts";

export interface Command {
  readonly text: (at: number) => string;
  readonly answer: (oracle: Oracle) => string;
}

const WORDS = { malformed: "0x1001", outside: "0x1000" } as const;
const word = (page: Page): string => (typeof page === "number" ? `f[${page}]` : WORDS[page]);
const plain = (text: string, answer: (oracle: Oracle) => string): Command => ({ text: () => text, answer });

export const create = (page: Page, hkid: number): Command => ({
  text: (at) => `td${at} = TDH.MNG.CREATE(${word(page)}, ${hkid})`,
  answer: (oracle) => oracle.create(page, hkid),
});
export const createVcpu = (root: Page, page: Page): Command => ({
  text: (at) => `vcpu${at} = TDH.VP.CREATE(${word(root)}, ${word(page)})`,
  answer: (oracle) => oracle.createVcpu(root, page),
});
export const configure = (root: Page, at: number): Command => plain(`TDH.MNG.KEY.CONFIG(${word(root)}, ${at})`, (oracle) => oracle.configure(root, at));
export const addcx = (root: Page, page: Page): Command => plain(`TDH.MNG.ADDCX(${word(root)}, ${word(page)})`, (oracle) => oracle.addControlPage(root, page));
export const init = (root: Page, most: number): Command => plain(`TDH.MNG.INIT(${word(root)}, max_vcpus=${most})`, (oracle) => oracle.init(root, most));
export const finalize = (root: Page): Command => plain(`TDH.MR.FINALIZE(${word(root)})`, (oracle) => oracle.finalize(root));
export const vpAddcx = (root: Page, page: Page): Command => plain(`TDH.VP.ADDCX(${word(root)}, ${word(page)})`, (oracle) => oracle.addVcpuPage(root, page));
export const vpInit = (root: Page, lp: number): Command => plain(`TDH.VP.INIT(${word(root)}, ${lp})`, (oracle) => oracle.initVcpu(root, lp));
export const flush = (root: Page, lp: number): Command => plain(`TDH.VP.FLUSH(${word(root)}, ${lp})`, (oracle) => oracle.flush(root, lp));
export const flushDone = (root: Page): Command => plain(`TDH.MNG.VPFLUSHDONE(${word(root)})`, (oracle) => oracle.flushDone(root));
export const writeBack = (resume: number, at: number): Command => plain(`TDH.PHYMEM.CACHE.WB(${resume}, ${at})`, (oracle) => oracle.writeBack(resume, at));
export const freeKey = (root: Page): Command => plain(`TDH.MNG.KEY.FREEID(${word(root)})`, (oracle) => oracle.freeKey(root));
export const reclaim = (page: Page): Command => plain(`TDH.PHYMEM.PAGE.RECLAIM(${word(page)})`, (oracle) => oracle.reclaim(page));
export const drop = (page: Page, hkid: number): Command => plain(`TDH.PHYMEM.PAGE.WBINVD(${word(page)}, ${hkid})`, (oracle) => oracle.drop(page, hkid));

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, index) => from + index);

/** Frames of a whole life: 0 TDR, 1–6 TDCS, 7 TDVPR, 8–12 TDVPS; 13 and 14 are left over, or with the rest a second vCPU. */
export const FRAMES = 20;

export function wholeLife(packages: number, hkid: number): Command[] {
  const each = range(0, packages);
  return [
    create(0, hkid),
    ...each.map((at) => configure(0, at)),
    ...range(1, 7).map((page) => addcx(0, page)),
    init(0, 2),
    createVcpu(0, 7),
    ...range(8, 13).map((page) => vpAddcx(7, page)),
    vpInit(7, 0),
    finalize(0),
    flush(7, 0),
    flushDone(0),
    ...each.map((at) => writeBack(0, at)),
    freeKey(0),
    ...range(1, 13).map(reclaim),
    reclaim(0),
    drop(0, 32),
    create(13, hkid),
  ];
}

const page: fc.Arbitrary<Page> = fc.oneof(
  { weight: 12, arbitrary: fc.nat(FRAMES - 1) },
  { weight: 1, arbitrary: fc.constantFrom<Page[]>("malformed", "outside") },
);
const root: fc.Arbitrary<Page> = fc.oneof({ weight: 8, arbitrary: fc.constantFrom(0, 0, 0, 13) }, { weight: 2, arbitrary: page });
const vcpuRoot: fc.Arbitrary<Page> = fc.oneof({ weight: 8, arbitrary: fc.constantFrom(7, 7, 14) }, { weight: 2, arbitrary: page });
const hkid = fc.constantFrom(33, 33, 34, 32, 31, 64);
const lp = fc.constantFrom(0, 0, 1);

const any = (packages: number): fc.Arbitrary<Command> => {
  const at = fc.nat(packages - 1);
  return fc.oneof(
    fc.tuple(page, hkid).map((args) => create(...args)),
    fc.tuple(root, at).map((args) => configure(...args)),
    fc.tuple(root, page).map((args) => addcx(...args)),
    fc.tuple(root, fc.constantFrom(0, 1, 2)).map((args) => init(...args)),
    root.map(finalize),
    fc.tuple(root, page).map((args) => createVcpu(...args)),
    fc.tuple(vcpuRoot, page).map((args) => vpAddcx(...args)),
    fc.tuple(vcpuRoot, lp).map((args) => vpInit(...args)),
    fc.tuple(vcpuRoot, lp).map((args) => flush(...args)),
    root.map(flushDone),
    fc.tuple(fc.constantFrom(0, 0, 1, 2), at).map((args) => writeBack(...args)),
    root.map(freeKey),
    page.map(reclaim),
    fc.tuple(page, hkid).map((args) => drop(...args)),
  );
};

type Edit = { readonly where: number; readonly cut: number; readonly put: readonly Command[] };

export interface Life {
  readonly packages: number;
  readonly commands: readonly Command[];
}

/** A whole life with some calls left out and others put in. */
export const life: fc.Arbitrary<Life> = fc.constantFrom(1, 1, 2).chain((packages) => {
  const edit: fc.Arbitrary<Edit> = fc.record({ where: fc.nat(40), cut: fc.constantFrom(0, 0, 1, 2), put: fc.array(any(packages), { maxLength: 3 }) });
  return fc.record({ hkid: fc.constantFrom(33, 34), edits: fc.array(edit, { maxLength: 6 }) }).map((made) => {
    const commands = wholeLife(packages, made.hkid);
    for (const { where, cut, put } of made.edits) commands.splice(where, cut, ...put);
    return { packages, commands };
  });
});

/** A TD with two vCPUs that lack only TDH.VP.INIT. */
function twoVcpus(packages: number, most: number): Command[] {
  const whole = wholeLife(packages, 33);
  const ready = whole.slice(0, packages + 14).map((command, at) => (at === packages + 7 ? init(0, most) : command));
  return [...ready, createVcpu(0, 14), ...range(15, 20).map((page) => vpAddcx(14, page))];
}

/** A life as far as some call, mostly done well, and then two threads that call what comes next, or anything. */
export const race = fc.constantFrom(1, 1, 2).chain((packages) => {
  const whole = wholeLife(packages, 33);
  const near = (at: number): Command[] => [...whole.slice(Math.max(0, at - 1), at + 4), ...whole.slice(-3)];
  const alone = fc.nat(whole.length).map((at) => ({ before: [...whole.slice(0, at), createVcpu(0, 14)], next: near(at) }));
  const together = fc.constantFrom(1, 2).map((most) => ({
    before: twoVcpus(packages, most),
    next: [vpInit(7, 0), vpInit(14, 1), flush(7, 0), flush(14, 1), finalize(0), flushDone(0)],
  }));
  return fc.oneof({ weight: 3, arbitrary: alone }, { weight: 1, arbitrary: together }).chain(({ before, next }) => {
    const thread = fc.array(fc.oneof({ weight: 2, arbitrary: fc.constantFrom(...next) }, { weight: 1, arbitrary: any(packages) }), {
      minLength: 1,
      maxLength: 2,
    });
    return fc.record({ packages: fc.constant(packages), before: fc.constant(before), threads: fc.tuple(thread, thread) });
  });
});
