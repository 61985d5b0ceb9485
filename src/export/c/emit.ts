// Program → one C file that can be built and run by itself: TAP on standard output, one statement per call under its line of the scenario.

import type { Report } from "../../check/report.ts";
import { callSpec } from "../../scenario/catalogue/index.ts";
import { printCall, printExpression, printPattern } from "../../scenario/print.ts";
import { processOf } from "../../scenario/processes.ts";
import type { ActorId, CallId, Expression, HandleId, Operand, Process, Program, Site, Statement, Thread } from "../../scenario/program.ts";
import { conditionText, handlesOfCondition, hidden, wantsText } from "./condition.ts";
import { fallbackText } from "./fallback.ts";
import { Fate } from "./fate.ts";
import { Budget, cannotRun } from "./limits.ts";
import { commentText, identifiers, textLiteral } from "./names.ts";
import { intOrZero, type Uses } from "./operand.ts";
import { HEADERS, RUNTIME_NAMES, recordsText, runtimeText, SOCKET_HEADERS, SOCKET_NAMES } from "./runtime.ts";
import { conditions, expression, handlesOf, processName } from "./statement.ts";
import { type ChosenSchedule, scheduleFor, type Turn } from "./turns.ts";

export interface EmitOptions {
  /** The model's answer: which schedule a `parallel` follows. Without it, and where the model does not have the kernel, the threads run as they come. */
  readonly report?: Report;
  /** A schedule as text, in place of the report's. */
  readonly schedule?: string;
  /** `scenario.memfd:12` or `line 12`, for people. */
  readonly placeOf: (site: Site) => string;
}

/** What a row of the table is about. */
type EntrySubject =
  | { readonly kind: "call"; readonly call: CallId }
  | { readonly kind: "assert" | "exists" | "never" | "forall"; readonly condition: Expression; readonly site: Site };

/** One row of the emitted table: the line that the program prints for it begins with `title`. */
export interface Entry {
  readonly title: string;
  readonly subject: EntrySubject;
  /** Why it is not run at all. */
  readonly skipped?: string;
  /** It is a test: the scenario says what it expects. */
  readonly tested: boolean;
}

export interface Emitted {
  readonly text: string;
  /** In the order in which the program prints them. */
  readonly entries: readonly Entry[];
  readonly schedule?: ChosenSchedule;
}

const MAX_ENTRIES = 4_000;

export function emitC(program: Program, options: EmitOptions): Emitted {
  return new Emitter(program, options).emit();
}

interface Row extends Entry {
  readonly wants: string;
}

class Emitter {
  readonly #program: Program;
  readonly #options: EmitOptions;
  readonly #schedule: ChosenSchedule | undefined;
  readonly #rows: Row[] = [];
  readonly #numbers = new Map<CallId, number>();
  readonly #uses: Uses;
  /** Bodies of the threads, in the order of the text. */
  readonly #threads: string[] = [];
  readonly #main: string[] = [];
  readonly #fate: Fate;
  readonly #budget = new Budget();
  #block = 0;
  #alone = 0;

  constructor(program: Program, options: EmitOptions) {
    this.#program = program;
    this.#options = options;
    this.#schedule = scheduleFor(program, options.report, options.schedule);
    this.#fate = new Fate(program);
    const several = program.processes !== undefined;
    const names = identifiers(program, several ? new Set([...RUNTIME_NAMES, ...SOCKET_NAMES]) : RUNTIME_NAMES);
    this.#uses = { names, blocks: new Set(several ? ["report", "processes", "turnstile"] : ["report"]), constants: new Set(), requests: new Set(), kvm: false };
  }

  emit(): Emitted {
    const { body, questions } = this.#program;
    this.#sequence(body, this.#main, undefined);
    for (const { kind, condition, site } of questions) {
      const title = `${this.#options.placeOf(site)}: ${kind} ${printExpression(this.#program, condition)}`;
      this.#condition({ kind, condition, site }, title, this.#main, "", kind === "never");
    }
    const blocks = this.#uses.blocks;
    if (this.#program.machine?.memfd_noexec !== undefined) blocks.add("noexec");
    if (!blocks.has("guest") && blocks.delete("closing")) blocks.add("plainclosing");
    blocks.add(blocks.has("turnstile") ? "turnstile" : "sequential").add(blocks.has("accesses") ? "faults" : "nofaults");
    const text = [this.#head(), this.#declarations(), ...this.#threads, this.#mainFunction()].join("\n");
    return { text, entries: this.#rows, ...(this.#schedule === undefined ? {} : { schedule: this.#schedule }) };
  }

  /** Statements of one actor of another process, one after the other, are one function that this process runs. */
  #sequence(body: readonly Statement[], out: string[], turns: readonly Turn[] | undefined, from = 0): number {
    if (out !== this.#main || this.#program.processes === undefined) return this.#inOrder(body, out, turns, from);
    let place = from;
    for (let next = 0; next < body.length; ) {
      const actor = this.#elsewhere(body[next]);
      const first = next++;
      while (actor !== undefined && next < body.length && this.#elsewhere(body[next]) === actor) next++;
      const own: string[] = [];
      place = this.#inOrder(body.slice(first, next), actor === undefined ? out : own, turns, place);
      if (actor === undefined) continue;
      const name = `alone_${this.#alone++}`;
      this.#threads.push(`static void ${name}(void)\n{\n${own.join("\n")}\n}\n`);
      out.push(`\tin_process(${processName(this.#program, processOf(this.#program, actor))}, ${this.#actor(actor)}, ${name});`);
    }
    return place;
  }

  /** The actor of another process that runs the statement. */
  #elsewhere(statement: Statement): ActorId | undefined {
    const actor = statement.kind === "call" ? this.#program.calls[statement.call].actor : statement.kind === "assert" ? statement.actor : 0;
    return processOf(this.#program, actor) === 0 ? undefined : actor;
  }

  #inOrder(body: readonly Statement[], out: string[], turns: readonly Turn[] | undefined, from: number): number {
    let place = from;
    for (const statement of body) {
      const turn = turns?.[place];
      if (this.#rows.length >= MAX_ENTRIES) throw new Error(`the scenario has more than ${MAX_ENTRIES} calls`);
      if (statement.kind === "call") {
        this.#call(statement.call, out, this.#gates(turn));
        place += 1;
      } else if (statement.kind === "assert") {
        const title = `${this.#options.placeOf(statement.site)}: assert ${printExpression(this.#program, statement.condition)}`;
        this.#condition({ kind: "assert", condition: statement.condition, site: statement.site }, title, out, this.#gates(turn), false);
        place += 1;
      } else if (statement.kind === "atomic") {
        out.push("\t/* atomic: nobody else runs between these in the model; here only the gates keep the others away */");
        place = this.#sequence(statement.body, out, turns, place);
      } else {
        this.#parallel(statement.threads);
      }
    }
    return place;
  }

  #gates(turn: Turn | undefined): string {
    const name = (actor: ActorId): string => this.#actor(actor);
    const after = turn?.after.map(({ actor, count }) => `after(${name(actor)}, ${count}) && `) ?? [];
    const meet = turn?.meet.map(({ actor, count }) => `meet(${name(actor)}, ${count}) && `) ?? [];
    return [...after, ...meet].join("");
  }

  #actor(actor: ActorId): string {
    return `ACTOR_${actor}_${this.#program.actors[actor].name.replaceAll(/[^A-Za-z0-9_]/g, "_").slice(0, 40)}`;
  }

  #parallel(threads: readonly Thread[]): void {
    const busy = threads.filter((thread) => thread.body.length > 0);
    const block = this.#block;
    if (busy.length === 0) return;
    this.#block += 1;
    this.#uses.blocks.add("turnstile");
    const started = busy.map(({ actor, body }) => {
      const own: string[] = [];
      this.#sequence(body, own, this.#schedule?.turns[block]?.[actor] ?? []);
      const name = `block_${block}_${this.#actor(actor).slice("ACTOR_".length)}`;
      this.#threads.push(`static void ${name}(void)\n{\n${own.join("\n")}\n}\n`);
      const process = processOf(this.#program, actor);
      const where = process === 0 ? "" : `.process = ${processName(this.#program, process)}, `;
      return `{ ${where}.actor = ${this.#actor(actor)}, .body = ${name} }`;
    });
    const list = started.map((each) => `\t\t${each},`).join("\n");
    this.#main.push("", "\t/* parallel */", `\ttogether((struct thread[]){\n${list}\n\t}, ${busy.length}, ${this.#rows.length - 1});`, "");
  }

  #call(id: CallId, out: string[], gates: string): void {
    const program = this.#program;
    const call = program.calls[id];
    const number = this.#rows.length;
    const place = this.#options.placeOf(call.statement);
    const binds = call.binds === undefined ? "" : `${program.handles[call.binds].name} = `;
    const actor = call.actor === 0 ? "" : `${program.actors[call.actor].name}: `;
    const expected = call.expect === undefined ? "" : ` = ${call.expect.any.map(printPattern).join(" or ")}`;
    const skipped = cannotRun(program, id, this.#budget);
    this.#numbers.set(id, number);
    const wants = wantsText(program, id);
    this.#rows.push({
      title: `${place}: ${actor}${printCall(program, id)}`,
      subject: { kind: "call", call: id },
      ...(skipped === undefined ? {} : { skipped }),
      tested: wants !== "",
      wants,
    });
    const comment = `${place}: ${actor}${binds}${printCall(program, id)}${expected}${call.label === undefined ? "" : ` @${call.label}`}`;
    out.push(`\t/* ${commentText(comment)} */`);
    const lost = this.#fate.lostBy(id);
    if (skipped !== undefined) {
      out.push(gates === "" ? `\tskip(${number}, ${textLiteral(skipped)});` : `\tif (begin(${number})${and(gates)})\n\t\tleave_out(${textLiteral(skipped)});`);
      this.#fate.notRun(id);
      if (lost.length > 0) out.push(`\tlost(${this.#addresses(lost)});`);
      return;
    }
    const needed = handlesOf(program, call);
    const made = expression(program, this.#uses, id);
    const able = [...this.#needsKvm(call.operands), ...conditions(program, this.#uses, call)];
    const wanted = [...needed.map((handle) => `have(${this.#uses.names[handle]})`), ...able];
    const assigned = call.binds === undefined ? "" : `${this.#uses.names[call.binds]} = `;
    out.push(`\tif (${[`begin(${number})${and(gates)}`, ...wanted].join(" && ")})`, `\t\t${assigned}${made};`);
    if (able.length === 0 && !this.#fate.unsure(needed)) return;
    this.#fate.notRun(id);
    if (lost.length > 0) out.push("\telse", `\t\tlost(${this.#addresses(lost)});`);
  }

  #addresses(handles: readonly HandleId[]): string {
    return handles.map((handle) => `&${this.#uses.names[handle]}`).join(", ");
  }

  #needsKvm(operands: readonly Operand[]): string[] {
    if (!operands.some((operand) => operand.kind === "kvm")) return [];
    this.#uses.kvm = true;
    return ["have(kvm)"];
  }

  #condition(subject: Exclude<EntrySubject, { kind: "call" }>, title: string, out: string[], gates: string, negated: boolean): void {
    const number = this.#rows.length;
    const skipped = hidden(subject.condition);
    const tested = subject.kind !== "exists";
    this.#rows.push({ title, subject, tested, wants: tested ? ", WANT(HOLDS)" : "", ...(skipped === undefined ? {} : { skipped }) });
    out.push(`\t/* ${commentText(title)} */`);
    this.#uses.blocks.add("queries");
    if (skipped !== undefined) {
      out.push(`\tif (begin(${number})${and(gates)})`, `\t\tleave_out(${textLiteral(skipped)});`);
      return;
    }
    const text = conditionText(this.#uses, subject.condition, (call) => this.#numbers.get(call) ?? 0);
    const needed = handlesOfCondition(subject.condition).map((handle) => ` && have(${this.#uses.names[handle]})`);
    out.push(`\tif (begin(${number})${and(gates)}${needed.join("")})`, `\t\tverdict(${negated ? `!(${text})` : text});`);
  }

  #head(): string {
    const program = this.#program;
    const { name, base, edits } = program.profile;
    const skipped = this.#rows.filter((row) => row.skipped !== undefined);
    const reasons = new Map<string, string[]>();
    for (const row of skipped) reasons.set(row.skipped!, [...(reasons.get(row.skipped!) ?? []), row.title]);
    const lines = [
      `Scenario "${program.name}", under ${name}${edits.length === 0 ? "" : ` (a variant of ${base})`}.`,
      "",
      "Build and run:  cc -Wall -Wextra -O1 -pthread -o scenario scenario.c && ./scenario",
      "It prints TAP. Exit status: 0 passed, 1 failed, 4 skipped. x86-64 Linux only; KVM needs /dev/kvm.",
      ...this.#scheduleLines(),
      ...(program.expected.length === 0 ? [] : ["", "The scenario expects the model to break a rule; user space sees only what the calls return:"]),
      ...program.expected.map(({ invariant, at }) => `  ${invariant}${at === undefined ? "" : ` at ${at.label}${at.step === undefined ? "" : `.${at.step}`}`}`),
      ...(skipped.length === 0 ? [] : ["", "Not run, and why:"]),
      ...[...reasons].flatMap(([reason, titles]) => [`  ${reason}:`, ...titles.map((title) => `    ${title}`)]),
    ];
    return `/*\n${lines.map((line) => ` * ${commentText(line)}`.trimEnd()).join("\n")}\n */`;
  }

  #scheduleLines(): string[] {
    if (this.#block === 0) return [];
    if (this.#schedule === undefined) return ["", "No schedule is known for the parallel block: the threads run as they come."];
    const runs = this.#schedule.text.split(" ");
    const lines: string[] = [""];
    for (const run of runs) {
      if (lines[lines.length - 1].length + run.length > 90) lines.push("");
      lines[lines.length - 1] += ` ${run}`;
    }
    return ["", `The threads follow this schedule call by call (${this.#schedule.reason}):`, ...lines.map((line) => ` ${line}`)];
  }

  #declarations(): string {
    const { names, blocks, constants, requests, kvm } = this.#uses;
    const { actors, handles, profile, processes } = this.#program;
    const tests = this.#rows.filter((row) => row.tested).length;
    const table = this.#rows.map(({ title, wants }, number) => `\t[${number}] = { .title = ${textLiteral(title)}${wants} },`);
    const usesActors = blocks.has("turnstile") || blocks.has("guest");
    const variables = handles.map((_, id) => names[id]).filter((_, id) => this.#isUsed(id));
    return [
      "",
      "#define _GNU_SOURCE",
      ...[...HEADERS, ...(processes === undefined ? [] : SOCKET_HEADERS)].map((header) => `#include <${header}>`),
      "",
      "#ifndef __x86_64__",
      "#error the scenario is about x86-64",
      "#endif",
      fallbackText(constants, requests, profile.base),
      "",
      `#define CALLS ${Math.max(1, this.#rows.length)}`,
      `#define TESTS ${tests}`,
      ...(usesActors ? [`enum { ${actors.map((_, actor) => this.#actor(actor)).join(", ")}, ACTORS };`] : []),
      ...(processes === undefined ? [] : this.#processes(processes)),
      ...(blocks.has("guest") ? this.#room() : []),
      recordsText(),
      "",
      "/* What the scenario says of each call. */",
      "static struct call calls[CALLS] = {",
      ...(table.length === 0 ? ['\t[0] = { .title = "the scenario calls nothing" },'] : table),
      "};",
      "",
      "/* The names of the scenario. */",
      ...(kvm ? ["static long kvm = UNSET;"] : []),
      ...variables.map((name) => `static long ${name} = UNSET;`),
      runtimeText(blocks),
      "",
    ].join("\n");
  }

  /** A name that no statement of the file reads or sets would be a warning. */
  #isUsed(id: number): boolean {
    const word = new RegExp(`\\b${this.#uses.names[id]}\\b`);
    const isCode = (line: string): boolean => !line.startsWith("\t/*") && word.test(line);
    return [...this.#main, ...this.#threads.flatMap((thread) => thread.split("\n"))].some(isCode);
  }

  #processes(processes: readonly Process[]): string[] {
    const forked = processes.flatMap(({ call }, process) => (call === undefined ? [] : [`(process) == ${processName(this.#program, process)}`]));
    return [
      `enum { ${processes.map((_, process) => processName(this.#program, process)).join(", ")}, PROCESSES };`,
      `#define FORKED(process) (${forked.length === 0 ? "0" : forked.join(" || ")})`,
    ];
  }

  /** A page and a slot that the scenario leaves alone. */
  #room(): string[] {
    const { calls } = this.#program;
    const slots = calls.filter((call) => call.spec.startsWith("KVM_SET_USER_MEMORY_REGION"));
    const taken = slots.map(({ operands }) => ({ from: intOrZero(operands[3]), to: intOrZero(operands[3]) + intOrZero(operands[4]) }));
    const touched = calls.filter((call) => callSpec(call.spec).context === "guest").map(({ operands }) => intOrZero(operands[0]));
    const candidates = [0xf0000n, 0xe0000n, 0xd0000n, 0xc0000n, 0x80000n, 0x40000n, 0x20000n, 0xd000_0000n, 0x8000_0000n, 0xe000_0000n];
    const free = (page: bigint): boolean =>
      !taken.some(({ from, to }) => from < page + 4096n && page < to) && !touched.some((gpa) => gpa >= page && gpa < page + 4096n);
    const used = new Set(slots.map(({ operands }) => intOrZero(operands[1])));
    const slot = Array.from({ length: 508 }, (_, index) => BigInt(508 - index)).find((each) => !used.has(each)) ?? 508n;
    return [`#define CODE_GPA 0x${(candidates.find(free) ?? candidates[0]).toString(16)}UL`, `#define CODE_SLOT ${slot}`];
  }

  #mainFunction(): string {
    const open = ['\tif ((device = open("/dev/kvm", O_RDWR | O_CLOEXEC)) >= 0)', "\t\tkvm = fcntl(device, F_DUPFD, FIRST_FD - 1);", "\tclose(device);"];
    const { kvm } = this.#uses;
    const noexec = this.#program.machine?.memfd_noexec;
    return [
      "int main(void)",
      "{",
      ...(kvm ? ["\tint device;", ""] : []),
      "\tset_up();",
      ...(noexec === undefined ? [] : [`\tif (!noexec_is(${noexec}))`, "\t\treturn end();"]),
      ...(kvm ? open : []),
      ...(this.#program.processes === undefined ? [] : ["\tstart();"]),
      "",
      ...this.#main,
      "",
      this.#program.processes === undefined ? "\treturn end();" : "\treturn finish_all(end());",
      "}",
      "",
    ].join("\n");
  }
}

/** `after(…) && ` behind a first condition. */
const and = (gates: string): string => (gates === "" ? "" : ` && ${gates.slice(0, -" && ".length)}`);
