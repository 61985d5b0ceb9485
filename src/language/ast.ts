// The text as a tree of plain values, one declaration at a time. Offsets count from the start of the declaration, so that an edit above it leaves it equal.

export interface Range {
  readonly from: number;
  readonly to: number;
}

/** A word of the text; `text` is empty where the user has not written it yet. */
export interface Word extends Range {
  readonly text: string;
}

export interface Argument extends Range {
  readonly name?: Word;
  readonly value: Node;
}

/** `ram`, `vcpu[2]`, `load(0)`, `sept(vm, 0).level`. */
export interface Primary extends Range {
  readonly kind: "primary";
  readonly name: Word;
  readonly indexes: readonly Node[];
  readonly args?: readonly Argument[];
  /** `.level`, without its dot. */
  readonly field?: string;
}

export type Node =
  | Primary
  | (Range & { readonly kind: "number"; readonly text: string })
  | (Range & { readonly kind: "string"; readonly text: string })
  | (Range & { readonly kind: "unary"; readonly operator: string; readonly of: Node })
  | (Range & { readonly kind: "binary"; readonly operator: string; readonly left: Node; readonly right: Node })
  | (Range & { readonly kind: "exit"; readonly name?: Word; readonly fields: readonly { readonly name: Word; readonly value: Node }[] })
  | (Range & { readonly kind: "exception"; readonly text: string })
  | (Range & { readonly kind: "unknown" })
  /** `-1 EINVAL` */
  | (Range & { readonly kind: "errno"; readonly of: Node; readonly name: Word })
  /** `4 "abcd"` */
  | (Range & { readonly kind: "answer"; readonly of: Node; readonly data: Node })
  | (Range & { readonly kind: "missing" });

/** `= 0 or -EAGAIN`, from its `=`. */
export interface Part extends Range {
  readonly any: readonly Alternative[];
}

export interface Alternative extends Range {
  readonly value: Node;
  /** `on v8, v9` */
  readonly kernels?: readonly Word[];
}

export interface Label extends Range {
  readonly name: Word;
  readonly indexes: readonly Node[];
}

export interface Point extends Range {
  readonly label: string;
  readonly indexes: readonly Node[];
  readonly step?: string;
}

export interface VariantEntry extends Range {
  readonly name: Word;
  readonly values: readonly Word[];
  readonly without: boolean;
}

interface Prefixed extends Range {
  /** `vcpu0:` in front of the statement. */
  readonly prefixes: readonly Primary[];
  /** The part that names the statement: its first line, or all before a block. */
  readonly header: Range;
  /** Its form is broken and that has been said: it still binds names, and nothing more is said about it. */
  readonly damaged?: boolean;
}

/** `NAME = VALUE` of a `machine` block; without a value where the line is broken. */
export interface MachineEntry extends Range {
  readonly name: Word;
  readonly value?: Node;
}

export type Stmt = Prefixed &
  (
    | { readonly kind: "simple"; readonly head: Primary; readonly parts: readonly Part[]; readonly label?: Label }
    | { readonly kind: "actor"; readonly actor: Primary; readonly body: Block }
    | { readonly kind: "kernel"; readonly names: readonly Word[]; readonly base?: Word; readonly entries: readonly VariantEntry[] }
    | { readonly kind: "on"; readonly names: readonly Word[]; readonly body: Block }
    | { readonly kind: "parallel" | "atomic"; readonly body: Block }
    | { readonly kind: "repeat"; readonly count: Node; readonly variable: Word; readonly body: Block }
    | { readonly kind: "machine"; readonly entries: readonly MachineEntry[] }
    | { readonly kind: "process"; readonly name: Word; readonly body: Block }
    | { readonly kind: "use"; readonly name: Word }
    | { readonly kind: "order"; readonly before: Point; readonly after: Point }
    | { readonly kind: "check" | "ignore"; readonly names: readonly Word[] }
    | { readonly kind: "expect"; readonly safe: boolean; readonly invariant: Word; readonly at?: Point }
    | { readonly kind: "assert" | "exists" | "never" | "forall"; readonly condition: Node }
    /** A broken line: what is wrong with it has been said. */
    | { readonly kind: "broken" }
  );

/** The statement of a kind; a kind that shares its form with others gives that form. */
export type StmtOf<K extends Stmt["kind"]> = Stmt extends infer S ? (S extends { kind: infer T } ? (K & T extends never ? never : S) : never) : never;

export interface Block extends Range {
  readonly statements: readonly Stmt[];
}

/** What is wrong with the form of the text. */
export interface Complaint extends Range {
  readonly code: string;
  readonly message: string;
  readonly replacement?: { readonly title: string; readonly text: string };
}

export type Item = Range & { readonly complaints: readonly Complaint[] } & (
    | { readonly kind: "import"; readonly path: Word }
    | { readonly kind: "scenario"; readonly name: Word; readonly header: Range; readonly body?: Block }
    | { readonly kind: "setup"; readonly name: Word; readonly header: Range; readonly body?: Block }
    | { readonly kind: "statement"; readonly statement: Stmt }
  );

export type ItemOf<K extends Item["kind"]> = Extract<Item, { kind: K }>;
