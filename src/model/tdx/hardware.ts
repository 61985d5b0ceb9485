// What the hardware keeps of each line of memory beside its bytes: the TD-owner bit, poison, and the caches, whose lines of one page under two keys are
// strangers to each other (logical integrity; Documentation/arch/x86/tdx.rst, arch/x86/virt/vmx/tdx/tdx.c).

import type { CallId, Result } from "../../scenario/program.ts";
import type { Field } from "../layout.ts";
import type { Machine } from "../machine.ts";
import { clearBytes, FOUND, LEFT } from "../memory/state.ts";
import { NotModelled } from "../objects.ts";
import { pamtOf } from "./blocks.ts";
import { LINE, LINE_BYTES, type LineState, type TdxState } from "./state.ts";
import { LIFECYCLE, type PageType, PT, pageTypeName } from "./tables.ts";

/** Who touches a poisoned line. */
export const MACHINE_CHECK: Result = { kind: "exception", exception: "#MC" };
export const AS_FOUND: Result = { kind: "found" };
/** Such a one shuts the processor down, and TDX with it. */
export const MODULE_MACHINE_CHECK = "a machine check while the TDX module runs ends TDX on the whole machine: what follows is not modelled";

/** Content ranges of the line that a byte is in. */
function lineOf(machine: Machine, byte: number): number[] {
  const first = byte - (byte % LINE_BYTES);
  return machine.bytes.range(first, first + LINE_BYTES);
}

function linesOf(machine: Machine, frame: number): LineState | undefined {
  return machine.tdx?.lines[frame];
}

/** Full lines written with a private key through the cache: TD-owner bit set, poison gone. */
export function ownLines(machine: Machine, state: Int32Array, frame: number, key: number): void {
  directLines(machine, state, frame);
  linesOf(machine, frame)?.privateDirty.set(state, key + 1);
}

/** The same with MOVDIR64B, past the cache. */
export function directLines(machine: Machine, state: Int32Array, frame: number): void {
  for (const line of linesOf(machine, frame)?.owner ?? []) line.set(state, LINE.TD);
}

/** The module zeroes a page under the TD's key (TDG.MEM.PAGE.ACCEPT). */
export function zeroPage(machine: Machine, state: Int32Array, frame: number): void {
  directLines(machine, state, frame);
  clearBytes(state, machine.frames[frame]);
  if (machine.options.taint) machine.frames[frame].tainted.set(state, 1);
}

/**
 * The module copies a page into one of the TD. With `hostReads` it reads with the shared key: zeros where lines are a TD's. `from` 0 or below: memory that no
 * name means.
 */
export function copyPage(machine: Machine, state: Int32Array, from: number, to: number, hostReads: boolean): void {
  const source = machine.tdx?.lines[from];
  machine.frames[to].content.forEach((range, index) => {
    const visible = !hostReads || source === undefined || source.owner[index].get(state) === LINE.HOST;
    range.set(state, from <= 0 ? FOUND : visible ? machine.frames[from].content[index].get(state) : 0);
  });
  // Line by line each is read before it is written: a page may be its own source.
  directLines(machine, state, to);
  if (machine.options.taint) machine.frames[to].tainted.set(state, 1);
}

/** Page type of a frame, whatever size its page has. */
const typeOf = ({ tdx }: Machine, state: Int32Array, frame: number): number | undefined => tdx && pamtOf(tdx, state, frame).type.get(state);

/** The host fills a frame through its cached mapping: whole lines, which belong to nobody from here on (no check, no fault). */
export function hostFills(machine: Machine, state: Int32Array, frame: number): void {
  const lines = linesOf(machine, frame);
  if (!lines) return;
  const key = lines.privateDirty.get(state);
  if (key > 0 && typeOf(machine, state, frame) === PT.NDA) machine.emit("handed-over-dirty", frame, key);
  for (const line of lines.owner) line.set(state, LINE.HOST);
  lines.sharedDirty.set(state, 1);
}

/** The host touches a page that is a TD's: what it may hold is judged by its taint. */
export function judgeHostAccess(machine: Machine, state: Int32Array, frame: number): void {
  if (typeOf(machine, state, frame) === PT.REG) machine.emit("host-access", frame);
}

/**
 * The host writes to a page that the module has for itself: the next time that it looks there is a machine check. Of a TD whose keys are gone it looks at the
 * TDR only.
 */
export function refuseOwnPage(machine: Machine, state: Int32Array, frame: number, id: CallId): void {
  if (!machine.tdx) return;
  const { type, owner } = pamtOf(machine.tdx, state, frame);
  const is = type.get(state) as PageType;
  if (is === PT.NDA || is === PT.RSVD || is === PT.REG) return;
  const td = machine.tdx.tds[owner.get(state) - 1];
  if (td && td.lifecycle.get(state) >= LIFECYCLE.BLOCKED) return;
  throw new NotModelled(id, `the page is the TDX module's own (${pageTypeName(is)}): ${MODULE_MACHINE_CHECK}`);
}

/** A page is given to the module under a key: no line of it may lie modified under another one. */
export function judgeHandOver(machine: Machine, state: Int32Array, frame: number, key: number): void {
  const { sharedDirty, privateDirty } = linesOf(machine, frame) as LineState;
  if (sharedDirty.get(state) === 1) machine.emit("handed-over-dirty", frame, 0);
  const other = privateDirty.get(state);
  if (other > 0 && other !== key + 1) machine.emit("handed-over-dirty", frame, other);
}

/** A content range as a reader gets it: a byte, or -1 for what lay there before and no name means. */
export const byteIn = (content: number): number => (content & LEFT ? content & 255 : content === FOUND ? -1 : content);

/** What a read with the shared key finds: a byte, -1 as found, or "#MC". */
export function hostRead(machine: Machine, state: Int32Array, frame: number, range: number): number | "#MC" {
  const owner = linesOf(machine, frame)?.owner[range].get(state) ?? LINE.HOST;
  if (owner === LINE.POISON) return "#MC";
  if (owner === LINE.TD) return 0;
  return byteIn(machine.frames[frame].content[range].get(state));
}

/** MOVDIR64B over the whole page with the shared key: nothing is read, so ownership and poison are gone, and the bytes are zero (tdx_clear_page). */
export function resetPage(machine: Machine, state: Int32Array, frame: number): void {
  for (const line of linesOf(machine, frame)?.owner ?? []) line.set(state, LINE.HOST);
  clearBytes(state, machine.frames[frame]);
}

/** CLFLUSH of the page's lines under the shared key: those that were modified reach memory now, and with them the TD-owner bit goes. */
export function flushShared(machine: Machine, state: Int32Array, frame: number): boolean {
  const lines = linesOf(machine, frame);
  if (lines?.sharedDirty.get(state) !== 1) return false;
  lines.sharedDirty.set(state, 0);
  for (const line of lines.owner) line.set(state, LINE.HOST);
  return true;
}

/** The page is by now one that a TD reads under another key. */
function isUnderOtherKey({ tdx }: Machine, state: Int32Array, frame: number, key: number): boolean {
  const { type, owner } = pamtOf(tdx as TdxState, state, frame);
  const td = type.get(state) === PT.REG ? tdx?.tds[owner.get(state) - 1] : undefined;
  return td !== undefined && td.key.get(state) !== key;
}

/** WBINVD of lines under a private key: those that were modified reach memory now, over whatever the host has put there. True where there were any. */
export function writeBack(machine: Machine, state: Int32Array, frame: number, key: number): boolean {
  const lines = linesOf(machine, frame);
  if (lines?.privateDirty.get(state) !== key + 1) return false;
  lines.privateDirty.set(state, 0);
  // Lines that another TD has written meanwhile are overwritten too, and the TD-owner bit, which stays, tells nobody.
  const strangers = isUnderOtherKey(machine, state, frame, key);
  lines.owner.forEach((line, range) => {
    if (strangers || line.get(state) === LINE.HOST) machine.frames[frame].content[range].set(state, FOUND);
    line.set(state, LINE.TD);
  });
  return true;
}

/** A write of part of a line that does not go through the cache, on a processor with the erratum: the line is poisoned at once where it is a TD's. */
export function partialWrite(machine: Machine, state: Int32Array, frame: number, byte: number, value: number): boolean {
  const lines = linesOf(machine, frame);
  const line = lineOf(machine, byte);
  const isTds = lines !== undefined && line.some((range) => lines.owner[range].get(state) === LINE.TD);
  if (isTds && machine.setting("erratum") === 1n) {
    for (const range of line) lines.owner[range].set(state, LINE.POISON);
    return true;
  }
  // Elsewhere the line is read (zeros where it is a TD's), changed and written whole, and belongs to nobody.
  for (const range of line) {
    if (isTds) machine.frames[frame].content[range].set(state, 0);
    lines?.owner[range].set(state, LINE.HOST);
  }
  machine.frames[frame].content[machine.bytes.one(byte)].set(state, value);
  return false;
}

/** A TD touches a line of its page, which a store of less than a line reads first: false where that poisons it. */
export function tdMayTouch(machine: Machine, state: Int32Array, frame: number, byte: number): boolean {
  const lines = linesOf(machine, frame);
  if (!lines) return true;
  const line = lineOf(machine, byte);
  if (line.every((range) => lines.owner[range].get(state) === LINE.TD)) return true;
  for (const range of line) lines.owner[range].set(state, LINE.POISON);
  return false;
}

/** A frame is no representative of clean ones while the module or the hardware remembers something of it. */
export function remembers(machine: Machine, state: Int32Array, frame: number): boolean {
  const { tdx } = machine;
  if (!tdx) return false;
  return !isSpare(machine, state, frame) || tdx.lines[frame].owner.some((line) => line.get(state) !== LINE.HOST);
}

/** A read with the shared key finds zeros where the line is a TD's. */
export const isTdLine = (machine: Machine, state: Int32Array, frame: number, range: number): boolean =>
  linesOf(machine, frame)?.owner[range].get(state) === LINE.TD;

/** An ordinary store of the host: the line is read (zeros where it is a TD's), changed and written whole, and belongs to nobody from here on. */
export function hostStores(machine: Machine, state: Int32Array, frame: number, range: number): void {
  const lines = linesOf(machine, frame);
  if (!lines || lines.owner[range].get(state) === LINE.HOST) return;
  for (const other of lineOf(machine, machine.bytes.start(range))) {
    if (lines.owner[other].get(state) === LINE.TD) machine.frames[frame].content[other].set(state, 0);
    lines.owner[other].set(state, LINE.HOST);
  }
}

/** The module and the hardware remember the same of two frames. */
export function likeRemembered({ tdx }: Machine, state: Int32Array, a: number, b: number): boolean {
  if (!tdx) return true;
  const [one, other] = [tdx.lines[a], tdx.lines[b]];
  const fields = (frame: number): Field[] => [tdx.pamt[frame].type, tdx.pamt[frame].owner, tdx.pamt[frame].bepoch];
  const same = (x: Field, y: Field): boolean => x.get(state) === y.get(state);
  if (!same(one.sharedDirty, other.sharedDirty) || !same(one.privateDirty, other.privateDirty)) return false;
  return fields(a).every((field, index) => same(field, fields(b)[index])) && one.owner.every((line, range) => same(line, other.owner[range]));
}

/** All that is left of a frame's time with the module is the owner of its lines, or poison: whoever writes it whole meets nothing of it. */
export function isSpare({ tdx }: Machine, state: Int32Array, frame: number): boolean {
  if (!tdx) return false;
  const { sharedDirty, privateDirty } = tdx.lines[frame];
  return tdx.pamt[frame].type.get(state) === 0 && sharedDirty.get(state) === 0 && privateDirty.get(state) === 0;
}
