// The shapes of catalogue rows: every call, constant, kernel, atomic step and state query as data. Completion, hover, lowering, the model and
// the reference page all read the same rows.

type Subsystem = "memory" | "kvm" | "tdx" | "physical";

/** Where a call may stand: `host` (vmm, host threads), `guest` (under a vCPU), `any`. */
export type Context = "host" | "guest" | "any";

export type ParamType =
  | "fd" // a file descriptor handle or an integer such as -1
  | "vm"
  | "vcpu"
  | "kvm" // target of an ioctl; `kvm` may be left out
  | "mapping" // a mapping handle (load, store, munmap take it as an address)
  | "address" // a host address: NULL, an integer, or a mapping handle + offset
  | "frame"
  | "td" // a TD, or a page in place of its TDR
  | "tdvpr" // a vCPU of a TD, or a page in place of its TDVPR
  | "actor"
  | "int" // any integer
  | "flags" // integer made of the constants of `group`
  | "gpa"
  | "byte"
  | "string" // a name (`memfd_create`)
  | "data" // buffer and length: a string, or a byte `*` a count
  | "count"; // the count alone (`read`)

export interface Param {
  readonly name: string;
  readonly type: ParamType;
  readonly optional?: boolean;
  /** A pointer to an integer that may be NULL. */
  readonly nullable?: boolean;
  /** What base profiles call it that have another name for it. Each name is understood under all of them, for a scenario may run under several. */
  readonly names?: Readonly<Record<string, string>>;
  /** Constant group offered by completion and used to print flags (`MFD_`, `F_SEAL_`). */
  readonly group?: string;
  /** The group in place of `group` where the parameter in front of this one is that constant. */
  readonly groups?: Readonly<Record<string, string>>;
}

export type Returns = "fd" | "vm" | "vcpu" | "mapping" | "frame" | "process" | "zero" | "count" | "byte" | "offset" | "seals" | "text" | "status" | "nothing";

/** One error of a call, rows in the kernel's order of checking. */
export interface ErrorRow {
  readonly errno: string;
  readonly when: string;
  /** Profiles it exists in; absent = all that know the call. */
  readonly profiles?: readonly string[];
  /** True where the source is a conclusion from code and not a statement or a run. */
  readonly derived?: boolean;
}

export interface CallSpec {
  /** Unique key: the name, or `guest.load` / `host.load` where one name has two meanings. */
  readonly id: string;
  /** The word in the text. */
  readonly name: string;
  readonly subsystem: Subsystem;
  readonly context: Context;
  readonly params: readonly Param[];
  readonly returns: Returns;
  /** The C prototype, one line. */
  readonly prototype: string;
  /** One paragraph of help. */
  readonly help: string;
  readonly errors: readonly ErrorRow[];
  /** Operations of model/profile that it runs (names of step lists). */
  readonly operations: readonly string[];
  /** Base profiles that know it. */
  readonly profiles: readonly string[];
  /** Kernel function and release, mail, or leaf. */
  readonly source: string;
}

export interface Constant {
  readonly name: string;
  readonly value: bigint;
  readonly group: string;
  readonly help: string;
  /** Base profiles that have it; absent = all. */
  readonly profiles?: readonly string[];
}

export interface ProfileRow {
  readonly name: string;
  readonly title: string;
  /** Date or release, and message id or tag. */
  readonly source: string;
  readonly modelled: boolean;
}

/** An atomic step that a kernel variant may name. */
export interface StepRow {
  readonly name: string;
  readonly help: string;
  readonly source: string;
  /** False where the model has no code for it yet. */
  readonly modelled?: boolean;
}

/** A list of steps that a kernel variant may rewrite: `fallocate.punch_hole = …`. */
export interface OperationRow {
  readonly name: string;
  readonly help: string;
  /** Kernels that have it, where not all do that know a call which runs it. */
  readonly profiles?: readonly string[];
}

/** What `FEATURE = value` of a kernel variant may set. */
export interface FeatureRow {
  readonly name: string;
  /** One sentence. */
  readonly help: string;
  readonly values: readonly { readonly name: string; readonly help: string }[];
  readonly source: string;
}

/** A state expression: `allocated(fd, off)`. */
export interface QueryRow {
  readonly name: string;
  readonly params: readonly Param[];
  readonly returns: "int" | "frame" | "state";
  /** Constants that name its values (`PT_`). */
  readonly group?: string;
  readonly help: string;
  readonly modelled: boolean;
}

export interface InvariantRow {
  readonly name: string;
  readonly subsystem: "memory" | "kvm" | "tdx";
  /** One sentence that holds in a correct kernel. */
  readonly statement: string;
  readonly when: string;
  readonly source: string;
  readonly modelled: boolean;
}
