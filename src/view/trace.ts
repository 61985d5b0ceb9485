// A schedule run once more as a trace: per step what it did, the rows of the machine after it, and what it changed and broke. For panel, CLI and goldens.

import type { Span } from "../base/finding.ts";
import { counted, grouped } from "../check/extent.ts";
import { withMachine } from "../check/index.ts";
import type { Report, Schedule, Violation } from "../check/report.ts";
import { replaySchedule } from "../check/story.ts";
import { decodeSchedule, encodeSchedule } from "../explore/schedule.ts";
import { type About, INVARIANTS, NO_DEADLOCK } from "../invariants/index.ts";
import { resolveProfile } from "../model/profile/index.ts";
import type { MachineSystem } from "../model/system.ts";
import { invariants } from "../scenario/catalogue/index.ts";
import { printAnswer, printCall, printCondition } from "../scenario/print.ts";
import type { CallId, Program, Site } from "../scenario/program.ts";
import { type Chosen, chosenStory } from "./chosen.ts";
import { changedKeys } from "./diff.ts";
import { machineView } from "./machine.ts";
import { MAX_TRACE_STEPS, type MachineView, PAGE_COLUMNS, type TraceStep, type TraceView, type TraceViolation } from "./rows.ts";
import { violationStory } from "./story-facts.ts";

interface TraceOptions {
  /** A schedule as text; without it the story that matters most (chosen.ts), else one run to the end. */
  readonly schedule?: string;
  lineOf(span: Span): { file: string; line: number };
}

const MAX_STORIES = 40;

export function trace(program: Program, report: Report, options: TraceOptions): TraceView {
  const { profile } = resolveProfile(program.profile);
  if (!profile) return emptyTrace(program, report, options);
  try {
    return withMachine(program, profile, report.refinement, (machine) => traceOn(machine, program, report, options));
  } catch (error) {
    // A call that is not modelled: the report says so on its line, and there is no step to show.
    if (report.verdict === "incomplete") return emptyTrace(program, report, options);
    throw error;
  }
}

function traceOn(machine: MachineSystem, program: Program, report: Report, options: TraceOptions): TraceView {
  const files: string[] = [];
  const place = placer(program, files, options);
  const { schedule, shown } = chosen(machine, report, options.schedule, (site) => options.lineOf(program.sites[site]).line);
  const parallel = insideParallel(program);
  const start = new Int32Array(machine.words);
  machine.initial(start);
  let before: MachineView = machineView(machine, start);
  const effect = "the machine before anything runs";
  const steps: TraceStep[] = [
    { actor: -1, call: "", callId: -1, step: "", effect, ...place(-1), machine: before, changed: [], violations: [], parallel: false },
  ];
  const violations: TraceViolation[] = [];
  const abouts: About[] = [];
  const states = [start];
  replaySchedule(machine, schedule, (state, step) => {
    states.push(Int32Array.from(state));
    const machineNow = machineView(machine, state);
    const broken = report.violations.filter(
      // Where nobody can go on, the last step need not be one of the call that waits.
      (violation) =>
        (violation.invariant === NO_DEADLOCK || (violation.call === step.call && violation.step === step.step)) &&
        isPrefix(violation.story.schedule, schedule, steps.length),
    );
    for (const violation of broken) abouts.push(aboutOf(machine, violation, states[states.length - 2], state));
    const own = broken.map((violation) => violations.push(traceViolation(violation, steps.length, place(violation.call).line)) - 1);
    const asserted = step.call < 0 && step.actor >= 0 ? machine.instruction(states[states.length - 2], step.actor)?.assertion : undefined;
    const result = step.result && step.call >= 0 ? printAnswer(program.calls[step.call], step.result) : undefined;
    steps.push({
      actor: step.actor,
      call: step.call < 0 ? "assert" : printCall(program, step.call),
      callId: step.call,
      step: step.step,
      effect: step.effect,
      ...(result === undefined ? {} : { result }),
      ...(asserted ? { asserts: printCondition(program, asserted.condition) } : {}),
      ...place(step.call, asserted?.site),
      machine: machineNow,
      changed: changedKeys(before, machineNow),
      violations: own,
      parallel: step.call >= 0 ? parallel.calls.has(step.call) : asserted !== undefined && parallel.asserts.has(asserted.site),
    });
    before = machineNow;
  });
  const names = steps.map((step) => step.step);
  const told = violations.map((violation, index) => ({
    ...violation,
    story: violationStory(machine, violation.invariant, abouts[index], states, names, violation.step),
  }));
  const head = header(program, report);
  const cut = steps.length > MAX_TRACE_STEPS && !machine.finished(states[states.length - 1]);
  return {
    ...head,
    ...(cut ? { summary: `${head.summary}; the first ${grouped(MAX_TRACE_STEPS)} steps are shown` } : {}),
    columns: usedColumns(steps),
    schedule: encodeSchedule(schedule),
    files,
    steps,
    violations: told,
    ...(shown === undefined ? {} : { shown }),
    unmet: unmet(program, report, options),
    stories: stories(report),
  };
}

/** What a violation is about: of the subjects that the step just run has broken, the one that the report names. */
function aboutOf(machine: MachineSystem, violation: Violation, before: Int32Array, after: Int32Array): About {
  const invariant = INVARIANTS.find((each) => each.name === violation.invariant);
  const subjects: number[] = [];
  if (invariant?.event)
    for (const event of machine.events) subjects.push(...[invariant.event(machine, event, after)].filter((subject) => subject !== undefined));
  const old = new Set<number>();
  invariant?.state?.(machine, before, (subject) => old.add(subject));
  invariant?.state?.(machine, after, (subject) => old.has(subject) || subjects.push(subject));
  const described = subjects.flatMap((subject) => invariant?.describe(machine, subject, after) ?? []);
  return (described.find((each) => each.subject === violation.subject) ?? described[0])?.about ?? {};
}

/** Broken expectations that are no violations, with their lines. */
function unmet(program: Program, report: Report, options: TraceOptions): string[] {
  return report.remarks
    .filter((remark) => remark.severity === "error" && remark.code.startsWith("MEMFD3"))
    .map((remark) => `line ${options.lineOf(program.sites[remark.site]).line}: ${remark.message}`);
}

/** Columns that some step has something in: a scenario without host mappings needs no host PTE column. */
function usedColumns(steps: readonly TraceStep[]): TraceView["columns"] {
  return PAGE_COLUMNS.filter(({ id }) => steps.some((step) => step.machine.pages.some((row) => row.cells[id].text !== "")));
}

type Header = Pick<TraceView, "version" | "scenario" | "kernel" | "variant" | "verdict" | "summary" | "notJudged" | "actors" | "columns">;

function header(program: Program, report: Report): Header {
  const { states, complete, limit, reduced } = report.exploration;
  const summary = complete
    ? `all interleavings of the modelled steps${reduced ? `: ${counted(states, "state")}, reduced` : ` explored: ${counted(states, "state")}`}`
    : `not all interleavings explored (${limit ?? "stopped"}): ${counted(states, "state")}`;
  return {
    version: 1,
    scenario: program.name,
    kernel: report.kernel,
    ...variant(program),
    verdict: report.verdict,
    summary,
    notJudged: (report.notJudged ?? []).map(({ invariant, reason }) => `${invariant} could not be judged: ${reason}`),
    columns: PAGE_COLUMNS,
    actors: program.actors.map(({ name, kind }) => ({ name, kind })),
  };
}

function emptyTrace(program: Program, report: Report, options: TraceOptions): TraceView {
  const files: string[] = [];
  const place = placer(program, files, options);
  const effect = report.exploration.limit ?? "there is nothing to show";
  const step: TraceStep = {
    actor: -1,
    call: "",
    callId: -1,
    step: "",
    effect,
    ...place(-1),
    machine: { pages: [], facts: [] },
    changed: [],
    violations: [],
    parallel: false,
  };
  return { ...header(program, report), schedule: "", files, steps: [step], violations: [], stories: [] };
}

/** Of a call; of what is no call, an assertion's own site or the scenario. */
function placer(program: Program, files: string[], options: TraceOptions): (call: CallId, own?: Site) => { file: number; line: number } {
  return (call, own) => {
    const site = call < 0 ? (own ?? program.site) : program.calls[call].site;
    const { file, line } = options.lineOf(program.sites[site]);
    if (!files.includes(file)) files.push(file);
    return { file: files.indexOf(file), line };
  };
}

/** What a `kernel x extends y` changes in the end: of one feature or operation the last word, with steps that are dropped already left out of its list. */
function variant(program: Program): Pick<TraceView, "variant"> {
  const { name, base, edits } = program.profile;
  if (name === base && edits.length === 0) return {};
  const changes = new Map<string, string>();
  const lists = new Map<string, readonly string[]>();
  for (const edit of edits) {
    if (edit.kind === "feature") changes.set(edit.feature, `${edit.feature} = ${edit.value}`);
    else {
      const known = edit.kind === "steps" ? edit.steps : lists.get(edit.operation)?.filter((step) => step !== edit.step);
      if (known) lists.set(edit.operation, known);
      const before = changes.get(edit.operation);
      const dropped = edit.kind === "without" && !known ? `${edit.operation} without ${edit.step}` : undefined;
      changes.set(
        edit.operation,
        known ? `${edit.operation} = ${known.join(", ")}` : before ? `${before}, ${dropped?.split(" without ")[1]}` : (dropped ?? ""),
      );
    }
  }
  return { variant: { base, changes: [...changes.values()] } };
}

/** The schedule that was asked for, else the story that matters most and how it comes out, else one run to its end. */
function chosen(machine: MachineSystem, report: Report, text: string | undefined, lineOf: (site: number) => number): Chosen {
  if (text !== undefined) {
    const decoded = decodeSchedule(text);
    return { schedule: decoded.ok ? decoded.schedule.slice(0, MAX_TRACE_STEPS) : [] };
  }
  return chosenStory(machine, report, lineOf, MAX_TRACE_STEPS);
}

/** A violation belongs to this trace when its own story is how the trace came here. */
function isPrefix(story: Schedule, schedule: Schedule, length: number): boolean {
  return story.length === length && story.every((step, at) => step.actor === schedule[at].actor && step.choice === schedule[at].choice);
}

function traceViolation(violation: Violation, step: number, line: number): TraceViolation {
  const statement = invariants.find((row) => row.name === violation.invariant)?.statement ?? violation.invariant;
  const { round } = violation.story;
  return {
    invariant: violation.invariant,
    statement,
    message: violation.message,
    step,
    line,
    expected: violation.expected,
    ...(round === undefined ? {} : { round }),
  };
}

function insideParallel(program: Program): { readonly calls: ReadonlySet<CallId>; readonly asserts: ReadonlySet<Site> } {
  const calls = new Set<CallId>();
  const asserts = new Set<Site>();
  const visit = (body: Program["body"]): void => {
    for (const statement of body) {
      if (statement.kind === "call") calls.add(statement.call);
      else if (statement.kind === "assert") asserts.add(statement.site);
      else if (statement.kind === "atomic") visit(statement.body);
    }
  };
  for (const statement of program.body) if (statement.kind === "parallel") for (const thread of statement.threads) visit(thread.body);
  return { calls, asserts };
}

function stories(report: Report): { title: string; schedule: string }[] {
  return report.violations.slice(0, MAX_STORIES).map((violation) => ({
    title: `${violation.invariant} at ${violation.step}${violation.expected ? " (expected)" : ""}`,
    schedule: encodeSchedule(violation.story.schedule),
  }));
}
