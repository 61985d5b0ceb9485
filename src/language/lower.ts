// Statements → the body of a Program: `use` expanded, `repeat` unrolled, actors resolved, places checked.

import { invariants } from "../scenario/catalogue/index.ts";
import type { ActorId, ExpectedViolation, Order, Question, Site, Statement } from "../scenario/program.ts";
import { actorOf } from "./actors.ts";
import type { Primary, Range, Stmt, StmtOf, Word } from "./ast.ts";
import { lowerSimple } from "./calls.ts";
import { lowerCondition } from "./conditions.ts";
import { fold } from "./fold.ts";
import { checkKernelNames } from "./kernels.ts";
import { lowerMachine } from "./machine.ts";
import { didYouMean } from "./near.ts";
import { lowerPoint } from "./points.ts";
import { mainThread, processNamed } from "./processes.ts";
import { type Scope, TooLarge } from "./scope.ts";

export const MAX_STATEMENTS = 20_000;

/** Where a statement stands. */
interface Place {
  readonly kind: "top" | "parallel" | "actor" | "atomic";
  readonly actor: ActorId;
  readonly out: Statement[];
  readonly threads?: Map<ActorId, Statement[]>;
  readonly orders?: Order[];
  /** Names of the setups that are open, innermost last. */
  readonly setups: readonly string[];
  readonly inParallel: boolean;
  /** Of the `process` block that it stands in, and whether directly. */
  readonly process?: number;
  readonly ofProcess?: boolean;
  readonly onlyQuestions?: boolean;
}

export interface Gathered {
  readonly questions: Question[];
  readonly expected: ExpectedViolation[];
  safe?: Site;
  readonly only: string[];
  readonly except: string[];
}

export class Lowerer {
  readonly scope: Scope;
  readonly gathered: Gathered = { questions: [], expected: [], only: [], except: [] };
  private count = 0;
  private firstViolation: Range | undefined;
  private safeAt: Range | undefined;

  constructor(scope: Scope) {
    this.scope = scope;
  }

  /** Lowers the statements of a scenario into `out`. A limit that is hit is a finding. */
  run(statements: readonly Stmt[], out: Statement[]): void {
    this.guard(() => this.block(statements, { kind: "top", actor: 0, out, setups: [], inParallel: false }));
  }

  /** One statement of a bare file. */
  runOne(statement: Stmt, out: Statement[]): void {
    this.guard(() => this.statement(statement, { kind: "top", actor: 0, out, setups: [], inParallel: false }));
  }

  finish(): void {
    for (const resolve of this.scope.pending) resolve();
  }

  private stopped = false;

  private guard(work: () => void): void {
    if (this.stopped) return;
    try {
      work();
    } catch (error) {
      if (!(error instanceof TooLarge)) throw error;
      this.stopped = true;
    }
  }

  private block(statements: readonly Stmt[], place: Place): void {
    for (const statement of statements) this.statement(statement, place);
  }

  private statement(statement: Stmt, place: Place): void {
    if (++this.count > MAX_STATEMENTS) {
      this.scope.report("MEMFD6003", statement.header, `a scenario may have at most ${MAX_STATEMENTS} statements after \`repeat\` and \`use\` are expanded`);
      throw new TooLarge();
    }
    if (statement.prefixes.length > 0) return this.prefixed(statement, place);
    const asks = statement.kind === "exists" || statement.kind === "never" || statement.kind === "forall" || statement.kind === "expect";
    if (place.onlyQuestions && !asks && !["assert", "check", "ignore", "broken"].includes(statement.kind)) {
      this.scope.report("MEMFD2018", statement.header, "`on` holds assert, exists, never, forall, expect, check and ignore only");
      return;
    }
    if ((asks || statement.kind === "on" || statement.kind === "kernel") && place.kind !== "top") {
      const where = place.kind === "actor" ? "inside an actor" : `inside \`${place.kind}\``;
      this.scope.report("MEMFD2018", statement.header, `\`${statement.kind}\` does not stand ${where}`);
      return;
    }
    const block = "body" in statement;
    this.scope.muted = statement.damaged === true && !block;
    this.core(statement, place);
    this.scope.muted = false;
  }

  private core(statement: Stmt, place: Place): void {
    switch (statement.kind) {
      case "simple":
        if (this.outside(statement, place)) return;
        return this.push(lowerSimple(this.scope, statement, place.actor), place);
      case "actor":
        return this.actorBlock(statement.actor, statement.body.statements, place);
      case "atomic":
        return this.atomic(statement, place);
      case "parallel":
        return this.parallel(statement, place);
      case "repeat":
        return this.repeat(statement, place);
      case "use":
        return this.use(statement, place);
      case "order":
        return this.order(statement, place);
      case "assert":
        return this.assertion(statement, place);
      case "exists":
      case "never":
      case "forall":
        return this.question(statement);
      case "expect":
        return this.expectation(statement);
      case "check":
      case "ignore":
        return this.watch(statement, place);
      case "on":
        return this.on(statement, place);
      case "kernel":
        return this.misplacedKernel(statement, place);
      case "machine":
        return this.machine(statement, place);
      case "process":
        return this.process(statement, place);
      case "broken":
        return;
    }
  }

  /** Of the machine that all of the scenario runs on. */
  private machine(statement: StmtOf<"machine">, place: Place): void {
    if (place.kind !== "top" || place.setups.length > 0 || this.scope.calls.length > 0) {
      this.scope.report("MEMFD2018", statement.header, "`machine` stands first in a file or in a scenario");
      return;
    }
    lowerMachine(this.scope, statement);
  }

  private push(statement: Statement | undefined, place: Place): void {
    if (statement !== undefined) place.out.push(statement);
  }

  /** Directly in `parallel` every statement names its actor. */
  private outside(statement: Stmt, place: Place): boolean {
    if (place.kind !== "parallel") return false;
    this.scope.report("MEMFD2018", statement.header, "inside `parallel` a statement names its actor: `vmm: …` or `vmm { … }`");
    return true;
  }

  private prefixed(statement: Stmt, place: Place): void {
    const [first, second] = statement.prefixes;
    if (second !== undefined) {
      this.scope.report("MEMFD2018", second, "a statement has one actor");
      return;
    }
    this.actorBlock(first, [{ ...statement, prefixes: [] } as Stmt], place);
  }

  private actorBlock(name: Primary, body: readonly Stmt[], place: Place): void {
    if (place.kind === "actor" && place.ofProcess !== true) {
      this.scope.report("MEMFD2018", name, `\`${name.name.text}\` stands inside another actor`);
      return;
    }
    const actor = actorOf(this.scope, name, place.process);
    if (actor !== undefined) this.thread(actor, body, { ...place, ofProcess: false });
  }

  private thread(actor: ActorId, body: readonly Stmt[], place: Place): void {
    const { threads } = place;
    const out = threads === undefined ? place.out : (threads.get(actor) ?? []);
    if (place.ofProcess !== true) threads?.set(actor, out);
    this.block(body, { ...place, kind: "actor", actor, out });
    if (out.length > 0) threads?.set(actor, out);
  }

  /** What stands directly in it is done by the main thread of the process. */
  private process(statement: StmtOf<"process">, place: Place): void {
    const { body, name } = statement;
    if (place.kind === "actor" || place.kind === "atomic") {
      const where =
        place.process !== undefined ? "`process` does not nest" : `\`process\` does not stand inside ${place.kind === "actor" ? "an actor" : "`atomic`"}`;
      this.scope.report("MEMFD2018", statement.header, where);
      return;
    }
    const process = processNamed(this.scope, name);
    if (process === undefined) return;
    const actor = mainThread(this.scope, process);
    for (const one of body.statements) this.thread(actor, [one], { ...place, process, ofProcess: true });
  }

  private atomic(statement: StmtOf<"atomic">, place: Place): void {
    if (this.outside(statement, place)) return;
    if (place.kind === "atomic") {
      this.scope.report("MEMFD2018", statement.header, "`atomic` does not nest");
      return;
    }
    const body: Statement[] = [];
    const kind = place.kind === "actor" ? "actor" : "atomic";
    const site = this.scope.site(statement.header);
    this.block(statement.body.statements, { ...place, kind, out: body });
    const nested = body.find((inner) => inner.kind === "parallel" || inner.kind === "atomic");
    if (nested !== undefined) this.scope.report("MEMFD2018", statement.header, `\`${nested.kind}\` does not stand inside \`atomic\``);
    else place.out.push({ kind: "atomic", site, body });
  }

  private parallel(statement: StmtOf<"parallel">, place: Place): void {
    if (place.inParallel || place.kind !== "top") {
      const where = place.inParallel
        ? "`parallel` does not nest"
        : place.kind === "actor"
          ? "`parallel` does not stand inside an actor"
          : "`parallel` does not stand inside `atomic`";
      this.scope.report("MEMFD2018", statement.header, where);
      return;
    }
    const threads = new Map<ActorId, Statement[]>();
    const orders: Order[] = [];
    const site = this.scope.site(statement.header);
    this.block(statement.body.statements, { ...place, kind: "parallel", threads, orders, inParallel: true });
    place.out.push({ kind: "parallel", site, threads: [...threads].map(([actor, body]) => ({ actor, body })), orders });
  }

  private repeat(statement: StmtOf<"repeat">, place: Place): void {
    const { scope } = this;
    const count = fold(scope, statement.count);
    const name = statement.variable.text;
    if (count === undefined || name === "") return;
    if (count.handle !== undefined || count.value < 0n) {
      scope.report("MEMFD2033", statement.count, "the count is a constant that is not negative");
      return;
    }
    if (scope.variables.has(name) || scope.lookUp(name) !== undefined) {
      scope.report("MEMFD2006", statement.variable, `\`${name}\` has a meaning here already`);
      return;
    }
    const size = BigInt(Math.max(1, statement.body.statements.length));
    if (count.value * size > BigInt(MAX_STATEMENTS)) {
      scope.report("MEMFD6003", statement.count, `a scenario may have at most ${MAX_STATEMENTS} statements after \`repeat\` and \`use\` are expanded`);
      return;
    }
    try {
      for (let i = 0n; i < count.value; i++) {
        this.count++;
        scope.variables.set(name, i);
        scope.rounds.push(`[${i}]`);
        this.block(statement.body.statements, place);
        scope.rounds.pop();
      }
    } finally {
      scope.variables.delete(name);
    }
  }

  private use(statement: StmtOf<"use">, place: Place): void {
    const { scope } = this;
    const name = statement.name.text;
    if (name === "") return;
    const setup = scope.declarations.setups.get(name);
    if (setup === undefined) {
      scope.report("MEMFD2008", statement.name, `there is no setup \`${name}\`${didYouMean(name, scope.declarations.setups.keys())}`);
      return;
    }
    scope.usedSetups.add(name);
    if (place.setups.includes(name)) {
      scope.report(
        "MEMFD2009",
        statement.name,
        place.setups[place.setups.length - 1] === name
          ? `the setup \`${name}\` uses itself`
          : `the setup \`${name}\` uses itself: ${[...place.setups, name].join(" → ")}`,
      );
      return;
    }
    const { source, anchor } = scope;
    if (setup.broken) {
      if (setup.file !== source.file) scope.report("MEMFD2008", statement.name, `the setup \`${name}\` has errors in its own file`);
    }
    const variables = new Map(scope.variables);
    if (setup.file !== scope.mainFile) scope.anchor ??= scope.span(statement);
    scope.source = setup;
    scope.variables.clear();
    try {
      this.block(setup.body.statements, { ...place, setups: [...place.setups, name] });
    } finally {
      scope.source = source;
      scope.anchor = anchor;
      for (const [key, value] of variables) scope.variables.set(key, value);
    }
  }

  private order(statement: StmtOf<"order">, place: Place): void {
    if (place.kind !== "parallel" || place.orders === undefined) {
      this.scope.report("MEMFD2035", statement.header, "`order` stands directly inside `parallel`");
      return;
    }
    const before = lowerPoint(this.scope, statement.before);
    const after = lowerPoint(this.scope, statement.after);
    if (before !== undefined && after !== undefined) place.orders.push({ before, after, site: this.scope.site(statement.header) });
  }

  private assertion(statement: StmtOf<"assert">, place: Place): void {
    if (this.outside(statement, place)) return;
    const condition = lowerCondition(this.scope, statement.condition);
    if (condition !== undefined) place.out.push({ kind: "assert", site: this.scope.site(statement.header), actor: place.actor, condition });
  }

  private question(statement: StmtOf<"exists" | "never" | "forall">): void {
    const condition = lowerCondition(this.scope, statement.condition);
    if (condition !== undefined) this.gathered.questions.push({ kind: statement.kind as Question["kind"], condition, site: this.scope.site(statement.header) });
  }

  private invariant(word: Word): boolean {
    if (word.text === "") return false;
    const row = invariants.find((invariant) => invariant.name === word.text);
    if (row === undefined) {
      this.scope.report(
        "MEMFD2012",
        word,
        `there is no invariant \`${word.text}\`${didYouMean(
          word.text,
          invariants.map((invariant) => invariant.name),
        )}`,
      );
      return false;
    }
    if (!row.modelled) {
      this.scope.report("MEMFD5005", word, `the invariant \`${word.text}\` is not modelled yet`);
      return false;
    }
    return true;
  }

  private expectation(statement: StmtOf<"expect">): void {
    const { scope, gathered } = this;
    if (statement.safe) {
      this.safeAt = statement.header;
      gathered.safe ??= scope.site(statement.header);
    } else {
      this.firstViolation ??= statement.header;
      if (this.invariant(statement.invariant)) {
        const at = statement.at === undefined ? undefined : lowerPoint(this.scope, statement.at);
        const site = scope.site(statement.header);
        if (statement.at === undefined) gathered.expected.push({ invariant: statement.invariant.text, site });
        else if (at !== undefined) gathered.expected.push({ invariant: statement.invariant.text, at, site });
      }
    }
    if (this.safeAt !== undefined && this.firstViolation !== undefined) {
      scope.report("MEMFD2029", statement.header, "`expect safe` and `expect violation` contradict each other");
    }
  }

  private watch(statement: StmtOf<"check" | "ignore">, place: Place): void {
    if (place.kind !== "top") {
      const where = place.kind === "actor" ? "inside an actor" : `inside \`${place.kind}\``;
      this.scope.report("MEMFD2018", statement.header, `\`${statement.kind}\` does not stand ${where}`);
      return;
    }
    const list = statement.kind === "check" ? this.gathered.only : this.gathered.except;
    for (const word of statement.names) if (this.invariant(word) && !list.includes(word.text)) list.push(word.text);
  }

  private on(statement: StmtOf<"on">, place: Place): void {
    checkKernelNames(this.scope, statement.names);
    const named = statement.names.some((word) => word.text === this.scope.choice.name || word.text === "all");
    if (named) this.block(statement.body.statements, { ...place, onlyQuestions: true });
  }

  private misplacedKernel(statement: StmtOf<"kernel">, place: Place): void {
    const inSetup = place.setups.length > 0;
    const message =
      statement.base !== undefined
        ? "a kernel variant is declared at file level"
        : inSetup
          ? "`kernel` does not stand in a setup: a setup runs under the kernel of its scenario"
          : "`kernel` is the first statement of a scenario";
    this.scope.report("MEMFD2017", statement.header, message);
  }
}
