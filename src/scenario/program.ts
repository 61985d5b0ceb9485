// The waist of the house: one scenario under one kernel, as plain data. The language makes it; the model, the views and the exporters take it.
// Nothing here knows text: positions are `Site` numbers into `Program.sites`, so that an edit elsewhere leaves the rest of the value equal.

import type { Errno } from "../base/errno.ts";
import type { Span } from "../base/finding.ts";

/** Index into `Program.sites`. */
export type Site = number;
/** Index into `Program.calls`, `Program.handles`, `Program.actors`. */
export type CallId = number;
export type HandleId = number;
export type ActorId = number;

export interface Program {
  readonly name: string;
  /** The header of the scenario (its name), or the first statement of a bare file. */
  readonly site: Site;
  readonly profile: ProfileChoice;
  readonly handles: readonly Handle[];
  /** `actors[0]` is always `vmm`, the main thread. */
  readonly actors: readonly Actor[];
  /** Absent where everybody runs in one process; `processes[0]` is that of `vmm`. */
  readonly processes?: readonly Process[];
  /** Every call once, in the order of the text after `use`, `repeat` and `import` are expanded. */
  readonly calls: readonly Call[];
  readonly body: readonly Statement[];
  readonly questions: readonly Question[];
  readonly expected: readonly ExpectedViolation[];
  /** `expect safe`, where it was written. */
  readonly safe?: Site;
  readonly watch: Watch;
  /** What a `machine` block sets, by name (`catalogue/settings.ts`). */
  readonly machine?: Readonly<Record<string, bigint>>;
  readonly sites: readonly Span[];
}

/** `kernel v8-pages` → `{ name: "v8-pages", base: "v8", edits: […] }`, the edits in order, outermost base first. */
export interface ProfileChoice {
  readonly name: string;
  readonly base: string;
  readonly edits: readonly ProfileEdit[];
}

export type ProfileEdit =
  | { readonly kind: "steps"; readonly operation: string; readonly steps: readonly string[]; readonly site: Site }
  | { readonly kind: "without"; readonly operation: string; readonly step: string; readonly site: Site }
  | { readonly kind: "feature"; readonly feature: string; readonly value: string; readonly site: Site };

/** A bound name. `value` names hold an integer (a count read, a byte loaded). */
export interface Handle {
  readonly name: string;
  readonly kind: HandleKind;
  readonly call: CallId;
  readonly site: Site;
}

export type HandleKind = "fd" | "vm" | "vcpu" | "mapping" | "frame" | "process" | "value";

/** An mm and a descriptor table of its own. */
export interface Process {
  readonly name: string;
  /** The `fork()` that makes it; without one it is there from the start, and nothing is open or mapped in it. */
  readonly call?: CallId;
}

export interface Actor {
  readonly name: string;
  readonly kind: "vmm" | "host" | "vcpu";
  /** The vCPU's handle. */
  readonly handle?: HandleId;
  /** Index into `Program.processes`; absent: the process of `vmm`. */
  readonly process?: number;
}

export interface Call {
  /** Key of the catalogue row (`CallSpec.id`); `known: false` where the catalogue has it but this kernel does not. */
  readonly spec: string;
  readonly known: boolean;
  readonly actor: ActorId;
  /** One operand per parameter of the prototype, in its order. */
  readonly operands: readonly Operand[];
  readonly binds?: HandleId;
  readonly label?: string;
  readonly expect?: Expectation;
  /** The call from its name to its closing parenthesis. */
  readonly site: Site;
  /** The whole statement: binding, call, result, label. */
  readonly statement: Site;
}

/** An argument after constants are folded. 64-bit values are signed two's complement. */
export type Operand =
  | { readonly kind: "int"; readonly value: bigint }
  /** A bound name, or for a mapping its address plus `offset` bytes. */
  | { readonly kind: "handle"; readonly handle: HandleId; readonly offset: bigint }
  /** `frame(fd, off)` where a frame is asked for: the frame that the file holds there when the call runs. */
  | { readonly kind: "frame"; readonly handle: HandleId; readonly offset: bigint }
  /** Bytes that a string, a byte or `*` stand for. Long runs stay runs. */
  | { readonly kind: "data"; readonly runs: readonly { readonly byte: number; readonly count: bigint }[]; readonly length: bigint }
  /** `kvm`: an open /dev/kvm. */
  | { readonly kind: "kvm" }
  /** An optional parameter that was not given. */
  | { readonly kind: "absent" };

export interface Expectation {
  readonly any: readonly ResultPattern[];
  /** From `=` to the end of the result. */
  readonly site: Site;
  /** Alternatives of the line that hold under other kernels, as written: `-EINVAL on 6.18`. A fix that rewrites the result keeps them. */
  readonly elsewhere?: readonly string[];
}

/** What an access to memory raises; and what a thread is killed by that another one ends the process of. */
export type FatalSignal = "SIGBUS" | "SIGSEGV" | "SIGKILL";

/** What may stand behind `=`. */
export type ResultPattern =
  | { readonly kind: "value"; readonly value: bigint; readonly data?: readonly number[] }
  | { readonly kind: "errno"; readonly errno: Errno }
  | { readonly kind: "status"; readonly status: string; readonly operand?: string }
  | { readonly kind: "exit"; readonly exit: string; readonly fields: readonly { readonly name: string; readonly value: bigint }[] }
  | { readonly kind: "signal"; readonly signal: FatalSignal }
  | { readonly kind: "exception"; readonly exception: "#VE" | "#PF" | "#MC" | "#UD" }
  /** `"/memfd:x (deleted)"`: what a call that returns a text answers. */
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "ok" }
  | { readonly kind: "fails" }
  | { readonly kind: "blocks" }
  /** `?`: unknown yet, the tool shows it. */
  | { readonly kind: "unknown" }
  /** `_`: do not care. */
  | { readonly kind: "any" };

export type Statement =
  | { readonly kind: "call"; readonly call: CallId }
  | { readonly kind: "atomic"; readonly site: Site; readonly body: readonly Statement[] }
  | { readonly kind: "assert"; readonly site: Site; readonly actor: ActorId; readonly condition: Expression }
  | { readonly kind: "parallel"; readonly site: Site; readonly threads: readonly Thread[]; readonly orders: readonly Order[] };

/** All blocks of one actor in a `parallel`, joined in the order of the text. */
export interface Thread {
  readonly actor: ActorId;
  readonly body: readonly Statement[];
}

export interface Order {
  readonly before: Point;
  readonly after: Point;
  readonly site: Site;
}

/** `label` or `label.step`: any of these calls (several after `repeat`), or one atomic step of them. */
export interface Point {
  readonly label: string;
  readonly calls: readonly CallId[];
  readonly step?: string;
}

export type Expression =
  | { readonly kind: "int"; readonly value: bigint }
  /** The value of a bound name: an integer, a handle's address, or the negative errno of a failed call. */
  | { readonly kind: "name"; readonly handle: HandleId }
  | { readonly kind: "unary"; readonly operator: "-" | "~" | "!"; readonly of: Expression }
  | { readonly kind: "binary"; readonly operator: BinaryOperator; readonly left: Expression; readonly right: Expression }
  /** `allocated(ram, 0x1000)`: a state query of `catalogue/queries.ts`; `field` for `.level`, `.frame`. */
  | { readonly kind: "query"; readonly query: string; readonly operands: readonly Operand[]; readonly field?: string; readonly site: Site }
  /** `result(label)` as an integer (a failure is the negative errno). */
  | { readonly kind: "result"; readonly calls: readonly CallId[]; readonly site: Site }
  /** `result(label) == RESULT` and `!=`. */
  | { readonly kind: "matches"; readonly calls: readonly CallId[]; readonly pattern: ResultPattern; readonly negated: boolean; readonly site: Site };

export type BinaryOperator = "*" | "/" | "%" | "+" | "-" | "<<" | ">>" | "&" | "^" | "|" | "<" | "<=" | ">" | ">=" | "==" | "!=" | "&&" | "||";

export interface Question {
  readonly kind: "exists" | "never" | "forall";
  readonly condition: Expression;
  readonly site: Site;
}

export interface ExpectedViolation {
  readonly invariant: string;
  readonly at?: Point;
  readonly site: Site;
}

/** `check …` watches only these, `ignore …` all but these. */
export interface Watch {
  readonly only?: readonly string[];
  readonly except?: readonly string[];
}

/** What a call answered in one interleaving. Unlike a pattern it is a fact. */
export type Result =
  | { readonly kind: "value"; readonly value: bigint; readonly data?: readonly number[] }
  /** A new object; numbers of descriptors are not modelled. */
  | { readonly kind: "handle"; readonly handle: HandleKind }
  /** A byte that lay in the frame before its present allocation and that nobody in the scenario wrote. */
  | { readonly kind: "found" }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "errno"; readonly errno: Errno }
  | { readonly kind: "status"; readonly status: string; readonly operand?: string }
  | { readonly kind: "exit"; readonly exit: string; readonly fields: readonly { readonly name: string; readonly value: bigint }[] }
  | { readonly kind: "signal"; readonly signal: FatalSignal }
  | { readonly kind: "exception"; readonly exception: "#VE" | "#PF" | "#MC" | "#UD" }
  | { readonly kind: "blocks" };
