// A recorded run as a scenario: text of strace, ftrace or trace-cmd in, a `.memfd` file out. Any text gives a file that parses; what has no statement is a
// comment. Lines come one by one, so that a huge log is never held as a whole.

import { profile, profiles } from "../../scenario/catalogue/index.ts";
import { numberOf, succeeded, type TracedCall } from "./call.ts";
import { type Entered, fileHandlers } from "./files.ts";
import { FtraceReader, looksLikeFtrace } from "./ftrace.ts";
import { GuestEvents } from "./guest.ts";
import { ioctl } from "./ioctls.ts";
import { commentText } from "./items.ts";
import { fault, mapHandlers } from "./maps.ts";
import { noteEnd, noteFork, settleProcesses } from "./processes.ts";
import { Scene } from "./scene.ts";
import { looksLikeStrace, StraceReader } from "./strace.ts";
import { type TaskKind, type Woven, weave } from "./weave.ts";
import type { Task, Thing } from "./world.ts";

export interface ImportOptions {
  /** The kernel of the scenario; without it `mainline`. */
  readonly kernel?: string;
  /** Of the scenario; without it the program that ran. */
  readonly name?: string;
  /** The text that is given is the beginning of a longer one. */
  readonly more?: boolean;
  /** Every line without a statement stays as a comment of its own. */
  readonly all?: boolean;
}

export type TraceFormat = "strace" | "ftrace" | "unknown";

export interface Imported {
  readonly text: string;
  readonly format: TraceFormat;
  /** Lines that were read, and whether there were more than are read. */
  readonly lines: number;
  readonly cut: boolean;
  readonly statements: number;
  /** Comments that concern the scenario, and lines about something else. */
  readonly comments: number;
  readonly folded: number;
  readonly parallels: number;
}

const MAX_LINES = 20_000_000;
/** Lines in which one must look like a trace. */
const SNIFF = 200;

/** Row of the catalogue whose constants and calls the text may use: that of the kernel, and for an unknown name or a variant the newest. */
function baseOf(kernel: string): string {
  return (profile(kernel) ?? profiles[profiles.length - 1]).name;
}

const KERNEL_NAME = /^(?:[A-Za-z_][\w.]*(?:-[A-Za-z][\w.]*)*|\d+(?:\.\d+)*)$/;

/** Whether a kernel can be chosen by this name: a row of the catalogue. */
export const isKernel = (name: string): boolean => KERNEL_NAME.test(name) && profile(name) !== undefined;

export class TraceImport {
  readonly #scene: Scene;
  readonly #options: ImportOptions;
  readonly #kernel: string;
  readonly #strace = new StraceReader();
  readonly #ftrace = new FtraceReader();
  readonly #guest: GuestEvents;
  readonly #begun = new Map<number, { first: Thing | "none" | undefined; last?: boolean }>();
  readonly #ended = new Set<number>();
  #format: TraceFormat = "unknown";
  #lines = 0;
  #cut = false;

  constructor(options: ImportOptions = {}) {
    this.#options = options;
    this.#kernel = options.kernel !== undefined && isKernel(options.kernel) ? options.kernel : "mainline";
    this.#scene = new Scene(baseOf(this.#kernel), options.all === true);
    this.#guest = new GuestEvents(this.#scene);
  }

  /** Takes the next line, without its end. False where enough was read: what follows would be cut off. */
  line(text: string): boolean {
    if (this.#cut) return false;
    if (this.#scene.full || this.#lines >= MAX_LINES) {
      this.#cut = true;
      return false;
    }
    this.#lines++;
    if (text.trim() === "") return true;
    if (this.#format === "unknown" && this.#lines <= SNIFF) this.#format = looksLikeFtrace(text) ? "ftrace" : looksLikeStrace(text) ? "strace" : "unknown";
    if (this.#format === "ftrace") this.#ftraceLine(text);
    else this.#straceLine(text);
    return true;
  }

  #straceLine(text: string): void {
    const number = this.#lines;
    const event = this.#strace.line(text, number);
    // A line that is too long to be looked at as a whole may be the first.
    if (this.#format === "unknown" && event.kind === "call") this.#format = "strace";
    switch (event.kind) {
      case "begin":
        this.#begin(event.task, event.name, event.args, event.line);
        return;
      case "call":
        return this.#call(event.call);
      case "signal":
        if (!fault(this.#scene, event, this.#scene.tasks.get(event.task), number)) this.#scene.aside(event.task, number, event.line, event.signal);
        return;
      case "exit":
        this.#exit(event.task, number);
        return this.#scene.aside(event.task, number, event.line, "end of a thread");
      default:
        this.#scene.aside(event.task, number, event.line, "line of another form");
    }
  }

  #ftraceLine(text: string): void {
    const number = this.#lines;
    const event = this.#ftrace.line(text, number);
    if (event === undefined) return;
    if (event.kind === "begin") this.#begin(event.task, event.name, event.args, event.line);
    else if (event.kind === "call") this.#call(event.call);
    else if (!this.#guest.event(event, number)) this.#scene.aside(event.task, number, event.line, event.name);
  }

  /** What a descriptor means is settled when the call begins: its number may be given away before the call ends. */
  #begin(id: number, name: string, args: TracedCall["args"], line: string): void {
    const { tasks } = this.#scene;
    const task = tasks.get(id);
    tasks.begin(id, name, line);
    const number = numberOf(args[0]);
    const first = this.#scene.thing(task, args[0], { kind: "unknown" });
    const last = name === "close" && number !== undefined && first !== undefined ? this.#scene.closed(task, number) : undefined;
    this.#begun.set(id, last === undefined ? { first } : { first, last });
  }

  #call(call: TracedCall): void {
    const scene = this.#scene;
    const task = scene.tasks.get(call.task);
    const begun = this.#begun.get(call.task);
    this.#begun.delete(call.task);
    const number = numberOf(call.args[0]);
    const first = begun?.first ?? scene.thing(task, call.args[0], call.result);
    const closes = begun === undefined && call.name === "close" && number !== undefined && succeeded(call) && first !== undefined;
    const last = closes ? scene.closed(task, number) : begun?.last;
    if (call.name === "execve" || call.name === "execveat") this.#execve(call);
    const child = succeeded(call) ? Number(call.result.value) : undefined;
    const made = scene.tasks.end(call.task, call.name, call.line, child);
    if (made !== "other") {
      if (made === undefined || made.process === task.process) return scene.aside(call.task, call.start, call.line, call.name);
      return noteFork(scene, task, made, call);
    }
    const entered: Entered = last === undefined ? { call, task, first } : { call, task, first, last };
    const handler = call.name === "ioctl" ? ioctl : (fileHandlers.get(call.name) ?? mapHandlers.get(call.name));
    if (handler?.(scene, entered)) return;
    const concerns = first !== undefined && first !== "none" && first.kind !== "kvm" && call.args[0]?.kind === "int" && DESCRIPTOR_CALLS.test(call.name);
    if (concerns) scene.comment(call);
    else scene.aside(call.task, call.start, call.line, call.name);
  }

  /** A new program: its mappings are gone, and what was close-on-exec. */
  #execve(call: TracedCall): void {
    if (!succeeded(call)) return;
    const task = this.#scene.tasks.get(call.task);
    noteEnd(this.#scene, task, call.start, "execve", (cloexec) => cloexec);
    task.space.clear();
    for (const [number, thing] of [...task.files]) {
      if (!thing.cloexec || thing.kind === "kvm") continue;
      if (this.#scene.closed(task, number)) this.#scene.comment({ ...call, line: `execve closes ${thing.name}` });
    }
    const path = call.args.find((value) => value.kind === "string");
    if (path?.kind === "string") this.#scene.program ??= String.fromCharCode(...path.bytes.slice(-80)).replace(/^.*\//s, "");
  }

  /** With its last thread a process ends. */
  #exit(id: number, number: number): void {
    const { tasks } = this.#scene;
    const task = tasks.find(id);
    if (task === undefined) return;
    this.#ended.add(id);
    const lives = tasks.all().some((other) => other.process === task.process && !this.#ended.has(other.id));
    if (!lives) noteEnd(this.#scene, task, number, "the process ends", () => true);
  }

  finish(): Imported {
    const scene = this.#scene;
    for (const { task, text, start } of this.#strace.pending()) {
      const call = { task, name: "", start, end: start, line: text };
      if (/^(?:exit|exit_group|futex|poll|ppoll|epoll_wait|select|wait4|nanosleep|clock_nanosleep)\(/.test(text))
        scene.aside(task, start, text, "call without an end");
      else scene.comment(call, "it does not return in this trace");
    }
    this.#guest.finish();
    settleProcesses(scene);
    const woven = weave(scene.items, scene.folds, (id) => runnerOf(scene.tasks.find(id)), this.#options.all === true);
    const text = `${[...this.#head(woven), ...woven.lines, "}"].join("\n")}\n`;
    const { statements, comments, folded, parallels } = woven;
    return { text, format: this.#format, lines: this.#lines, cut: this.#cut || this.#options.more === true, statements, comments, folded, parallels };
  }

  #head(woven: Woven): string[] {
    const head: string[] = [];
    const tool =
      this.#format === "ftrace" ? "a trace of kernel events" : this.#format === "strace" ? "an strace log" : "a text in which nothing looks like a trace";
    head.push(`// Imported from ${tool}: ${count(this.#lines, "line")}, of which ${count(woven.statements, "statement")} came;`);
    head.push(`// ${count(woven.comments, "comment")} on what could not be said, ${count(woven.folded, "line")} about something else.`);
    if (this.#cut || this.#options.more === true) head.push("// The trace goes on: what follows is cut off.");
    const threads = [...woven.threads].filter(([task]) => task !== 0);
    if (woven.threads.size > 1) {
      const named = threads.slice(0, 12).map(([task, name]) => `${name} is ${task}`);
      head.push(`// Threads by their ids in the trace: ${named.join(", ")}${threads.length > 12 ? " and so on" : ""}.`);
    }
    if (woven.half) head.push("// A process that shares its memory or its descriptors with another one runs as one more thread of that.");
    if (woven.parallels > 0) {
      head.push("// Calls that overlapped run in parallel, in every order that the trace allows; `exists` asks whether the model can answer what was seen.");
    }
    if (woven.cut) head.push("// Some overlaps were longer than one parallel block should be; a comment says where they are cut.");
    for (const note of this.#guest.notes()) head.push(`// ${note}`);
    const name =
      commentText(this.#options.name ?? this.#scene.program ?? "an imported trace")
        .replace(/["\\]/g, "'")
        .slice(0, 80) || "an imported trace";
    return [...head, `kernel ${this.#kernel}`, "", `scenario "${name}" {`];
  }
}

/** What a task is to the scenario. */
const runnerOf = (task: Task | undefined): TaskKind => ({
  kind: task?.thread === false && task.process.name === undefined && task.process.main !== task.id ? "half" : "thread",
  ...(task?.process.name === undefined ? {} : { process: task.process.name, main: task.process.main === task.id }),
});

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? "" : "s"}`;

/** System calls whose first argument is a descriptor and that handlers above leave alone. */
const DESCRIPTOR_CALLS =
  /^(?:f|p?readv|p?writev|readv|writev|preadv2|pwritev2|copy_file_range|sendfile|splice|tee|vmsplice|sync_file_range|newfstatat|statx|ioctl|lseek|dup)/;

/** The whole text at once. */
export function importTrace(text: string, options: ImportOptions = {}): Imported {
  const trace = new TraceImport(options);
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf("\n", at);
    const stop = end < 0 ? text.length : end;
    if (!trace.line(text.slice(at, stop).replace(/\r$/, ""))) break;
    at = stop + 1;
  }
  return trace.finish();
}
