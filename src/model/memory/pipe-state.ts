// State of pipes: the pages that each can ever have in its ring, and who may put them there.

import type { Program } from "../../scenario/program.ts";
import type { Field, Layout } from "../layout.ts";
import { fileOfOperand, type Objects } from "../objects.ts";

/** PIPE_DEF_BUFFERS: pages that a pipe holds. */
export const PIPE_BUFFERS = 16;
export const PAGE_BYTES = 4096;

/** struct pipe_buffer: bytes [from, to) of a page; frame 0 is the zero page. */
interface PipeBuffer {
  readonly frame: Field;
  readonly from: Field;
  readonly to: Field;
}

/** struct pipe_inode_info: its buffers, the oldest first. */
export interface PipeState {
  readonly buffers: readonly PipeBuffer[];
  readonly used: Field;
}

/** Calls that put pages into a pipe, with the place of the pipe and of the length among their operands. */
const FILLS: Readonly<Record<string, readonly [pipe: number, length: number]>> = { splice: [2, 4], vmsplice: [0, 2], sendfile: [0, 3] };

/** By file: the pipes of a program, each with as many buffers as its calls can ever fill. */
export function pipeStates(layout: Layout, program: Program, objects: Objects, frames: number): ReadonlyMap<number, PipeState> {
  const pipes = new Map<number, PipeState>();
  for (const file of objects.files) {
    if (file.special !== "pipe") continue;
    const pages = program.calls.reduce((sum, { spec, operands }) => {
      const fills = FILLS[spec];
      if (!fills || fileOfOperand(program, objects, operands[fills[0]]) !== file.index) return sum;
      const length = operands[fills[1]];
      return (
        sum +
        (length.kind === "int" && length.value >= 0n && length.value < BigInt(PIPE_BUFFERS * PAGE_BYTES)
          ? Number((length.value + 4095n) >> 12n) + 1
          : PIPE_BUFFERS)
      );
    }, 0);
    const name = `pipe ${file.index}`;
    const field = (max: number): Field => layout.field("reference", max, name);
    const buffers = Array.from({ length: Math.min(PIPE_BUFFERS, pages) }, () => ({ frame: field(frames), from: field(PAGE_BYTES), to: field(PAGE_BYTES) }));
    pipes.set(file.index, { buffers, used: field(PIPE_BUFFERS) });
  }
  return pipes;
}
