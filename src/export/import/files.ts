// System calls on files of memory → statements: memfd_create, its size, seals, holes and data, and the descriptors themselves.

import { quote } from "../../language/numbers.ts";
import { printInt } from "../../scenario/print.ts";
import { intOf, numberOf, succeeded, type TracedCall } from "./call.ts";
import { Draft, errnoNote, hex, resultText, type Scene } from "./scene.ts";
import type { Value } from "./value.ts";
import type { Task, Thing } from "./world.ts";

/** A call with what its first argument meant when it began. */
export interface Entered {
  readonly call: TracedCall;
  readonly task: Task;
  readonly first: Thing | "none" | undefined;
  /** `close`: it was the last descriptor. */
  readonly last?: boolean;
}

/** True where the call is dealt with. */
export type Handler = (scene: Scene, entered: Entered) => boolean;

const F_DUPFD = 0n;
const F_SETFD = 2n;
const F_DUPFD_CLOEXEC = 1030n;
const F_ADD_SEALS = 1033n;
const F_GET_SEALS = 1034n;
const FD_CLOEXEC = 1n;
const MFD_CLOEXEC = 1n;
const MAX_DATA = 1024;
/** MFD_NAME_MAX_LEN of mm/memfd.c. */
const MAX_NAME = 249;

const known = (call: TracedCall): boolean => call.result.kind !== "unknown";

/** The name of a descriptor of memory; undefined where it is no such thing. */
function descriptor(draft: Draft, first: Entered["first"]): string | undefined {
  if (first === "none") return "-1";
  if (first === undefined || first.kind === "kvm") return undefined;
  return draft.name(first);
}

function nameText(bytes: readonly number[], long: boolean): string {
  if (!long) return bytes.length > 8 && bytes.every((byte) => byte === bytes[0]) ? `${quote(bytes.slice(0, 1))} * ${bytes.length}` : quote(bytes);
  return bytes.every((byte) => byte === bytes[0])
    ? `${quote(bytes.slice(0, 1))} * ${MAX_NAME + 1}`
    : quote([...bytes, ...new Array<number>(MAX_NAME + 1 - bytes.length).fill(95)]);
}

function create(scene: Scene, { call, task }: Entered): boolean {
  const [name, flags] = call.args;
  const bits = intOf(flags);
  if (bits === undefined || !known(call)) return false;
  const bytes = name?.kind === "string" ? name.bytes.slice(0, MAX_NAME) : [];
  const whole = name?.kind === "string" && !name.cut;
  // A name that is cut and refused: made too long here, so that it is refused here too, whether its length was the reason or the flags were.
  const long = !whole && bytes.length > 0 && call.result.kind === "errno" && call.result.errno === "EINVAL";
  const draft = new Draft();
  const cut = whole ? undefined : bytes.length === 0 ? "the trace does not have its name" : "the trace has only the beginning of its name";
  const text = `memfd_create(${nameText(bytes, long)}, ${scene.flags("MFD_", bits)})`;
  if (!succeeded(call)) {
    const result = resultText(call.result) ?? "fails";
    scene.put(call, draft, text, { result, ...(cut === undefined ? errnoNote(call.result) : { note: cut }) });
    return true;
  }
  const wish = String.fromCharCode(...bytes.slice(0, 60)) || "memfd";
  const thing: Thing = {
    kind: "memfd",
    name: scene.names.fresh(wish),
    bound: true,
    file: { opaque: false, ...(whole ? {} : { nameless: true }) },
    cloexec: (bits & MFD_CLOEXEC) !== 0n,
    holders: 1,
  };
  scene.opened(task, Number(call.result.value), thing);
  scene.put(call, draft, text, { binds: thing.name, result: "ok", ...(cut === undefined ? {} : { note: cut }) });
  return true;
}

/** A call of integers on a descriptor: `print` makes the arguments behind it. */
function plain(name: string, count: number, print: (scene: Scene, numbers: readonly bigint[]) => string): Handler {
  return (scene, { call, first }) => {
    const draft = new Draft();
    const fd = descriptor(draft, first);
    if (fd === undefined) return false;
    const numbers = call.args.slice(1, 1 + count).map(intOf);
    const good = numbers.length === count && numbers.every((number) => number !== undefined);
    const rest = good ? print(scene, numbers as bigint[]) : undefined;
    if (rest === undefined || !known(call)) scene.comment(call);
    else scene.put(call, draft, `${name}(${fd}${rest})`, { result: resultText(call.result), ...errnoNote(call.result) });
    return true;
  };
}

function fcntl(scene: Scene, entered: Entered): boolean {
  const { call, first } = entered;
  const command = intOf(call.args[1]);
  if (command === F_DUPFD || command === F_DUPFD_CLOEXEC) return duplicate(scene, entered);
  const draft = new Draft();
  const fd = descriptor(draft, first);
  if (fd === undefined) return false;
  if (command === F_SETFD && first !== undefined && first !== "none") first.cloexec = ((intOf(call.args[2]) ?? 0n) & FD_CLOEXEC) !== 0n;
  const seals = intOf(call.args[2]);
  if (command === F_ADD_SEALS && seals !== undefined && known(call)) {
    scene.put(call, draft, `fcntl(${fd}, F_ADD_SEALS, ${scene.flags("F_SEAL_", seals)})`, { result: resultText(call.result), ...errnoNote(call.result) });
  } else if (command === F_GET_SEALS && known(call)) {
    const result = resultText(call.result, (value) => scene.flags("F_SEAL_", value));
    scene.put(call, draft, `fcntl(${fd}, F_GET_SEALS)`, { result, ...errnoNote(call.result) });
  } else scene.comment(call);
  return true;
}

const CLOEXEC_TEXT = /O_CLOEXEC|F_DUPFD_CLOEXEC/;

function duplicate(scene: Scene, { call, task, first }: Entered): boolean {
  const number = succeeded(call) ? Number(call.result.value) : undefined;
  const target = call.name === "dup2" || call.name === "dup3" ? numberOf(call.args[1]) : undefined;
  const source = numberOf(call.args[0]);
  if (number !== undefined && target === source && target !== undefined) return first !== undefined;
  const replaced = target === undefined || number === undefined ? undefined : task.files.get(target);
  if (replaced !== undefined && target !== undefined && scene.closed(task, target) && replaced.kind !== "kvm") {
    const draft = new Draft();
    const name = draft.name(replaced);
    scene.put(call, draft, `close(${name})`, { note: "dup2 closes what its number meant before", what: "close" });
  }
  if (first === undefined || (first !== "none" && first.kind === "kvm")) {
    if (number !== undefined) scene.opened(task, number, first);
    if (number !== undefined && first !== undefined) first.holders++;
    return false;
  }
  const draft = new Draft();
  const fd = first === "none" ? "-1" : draft.name(first);
  if (number === undefined || first === "none") {
    if (known(call)) scene.put(call, draft, `dup(${fd})`, { result: resultText(call.result), ...errnoNote(call.result) });
    else scene.comment(call);
    return true;
  }
  if (first.kind === "vcpu") {
    // An actor has the name of one descriptor: both numbers mean it.
    first.holders++;
    scene.opened(task, number, first);
    scene.comment(call, `from here on ${first.name} is descriptor ${number} too`);
    return true;
  }
  const thing: Thing = { ...first, name: scene.names.fresh(`${first.name.replace(/_dup\d*$/, "")}_dup`), cloexec: CLOEXEC_TEXT.test(call.line), holders: 1 };
  scene.opened(task, number, thing);
  scene.put(call, draft, `dup(${fd})`, { binds: thing.name, result: "ok", ...(call.name === "dup" ? {} : { note: call.line }) });
  return true;
}

function close(scene: Scene, { call, first, last }: Entered): boolean {
  const draft = new Draft();
  const fd = descriptor(draft, first);
  if (fd === undefined || !known(call)) return false;
  if (succeeded(call) && last === false) scene.comment(call, `one of several descriptors of ${fd}`);
  else scene.put(call, draft, `close(${fd})`, { result: resultText(call.result), ...errnoNote(call.result) });
  return true;
}

/** Data as the language writes it; undefined where it cannot be said. */
function data(value: Value | undefined, count: bigint): { text: string; whole: boolean } | undefined {
  if (count < 0n) return undefined;
  if (value?.kind !== "string" || count === 0n) return count === 0n ? { text: '""', whole: true } : undefined;
  const bytes = value.bytes;
  const same = bytes.length > 0 && bytes.every((byte) => byte === bytes[0]);
  const whole = !value.cut && BigInt(bytes.length) === count;
  if (whole && same && bytes.length > 8) return { text: `0x${bytes[0].toString(16).padStart(2, "0")} * ${bytes.length}`, whole };
  if (whole && bytes.length <= MAX_DATA) return { text: quote(bytes), whole };
  return { text: `0x${(same ? bytes[0] : 0).toString(16).padStart(2, "0")} * ${printInt(count)}`, whole: false };
}

/** A trace of kernel events has the address of the data alone. */
const unknownData = (call: TracedCall, count: bigint): { text: string; whole: boolean } | undefined =>
  succeeded(call) && count > 0n && call.args[1]?.kind === "int" ? { text: `0 * ${printInt(count)}`, whole: false } : undefined;

function write(scene: Scene, { call, first }: Entered): boolean {
  const draft = new Draft();
  const fd = descriptor(draft, first);
  if (fd === undefined) return false;
  const positioned = call.name === "pwrite64" || call.name === "pwrite";
  const count = intOf(call.args[2]);
  const offset = intOf(call.args[3]);
  const bytes = count === undefined ? undefined : (data(call.args[1], count) ?? unknownData(call, count));
  if (bytes === undefined || !known(call) || (positioned && offset === undefined)) {
    scene.comment(call);
    return true;
  }
  if (!bytes.whole && first !== undefined && first !== "none" && succeeded(call)) first.file.opaque = true;
  const note = bytes.whole ? errnoNote(call.result) : { note: "the trace has only the beginning of the data" };
  const text = positioned ? `pwrite(${fd}, ${bytes.text}, ${hex(offset as bigint)})` : `write(${fd}, ${bytes.text})`;
  scene.put(call, draft, text, { result: resultText(call.result, String), ...note });
  return true;
}

function read(scene: Scene, { call, first }: Entered): boolean {
  const draft = new Draft();
  const fd = descriptor(draft, first);
  if (fd === undefined) return false;
  const positioned = call.name === "pread64" || call.name === "pread";
  const count = intOf(call.args[2]);
  const offset = intOf(call.args[3]);
  if (count === undefined || count < 0n || !known(call) || (positioned && offset === undefined)) {
    scene.comment(call);
    return true;
  }
  const [, buffer] = call.args;
  const file = first === undefined || first === "none" ? undefined : first.file;
  let result = resultText(call.result, String);
  let note = errnoNote(call.result);
  if (succeeded(call) && call.result.value > 0n && buffer?.kind === "string") {
    const whole = !buffer.cut && BigInt(buffer.bytes.length) === call.result.value && buffer.bytes.length <= MAX_DATA;
    if (whole && file?.opaque === false) result = `${call.result.value} ${quote(buffer.bytes)}`;
    else note = { note: `${quote(buffer.bytes.slice(0, 40))}${whole && buffer.bytes.length <= 40 ? ", and who wrote it is not in the trace" : "..."}` };
  }
  scene.put(call, draft, positioned ? `pread(${fd}, ${printInt(count)}, ${hex(offset as bigint)})` : `read(${fd}, ${printInt(count)})`, { result, ...note });
  return true;
}

function readlink(scene: Scene, { call, task }: Entered): boolean {
  const at = call.name === "readlinkat" ? 1 : 0;
  const path = call.args[at];
  const text = call.args[at + 1];
  if (path?.kind !== "string") return false;
  const number = /^\/proc\/(?:self|thread-self|\d+)\/fd\/(\d{1,9})$/.exec(String.fromCharCode(...path.bytes.slice(0, 100)))?.[1];
  const thing = number === undefined ? undefined : task.files.get(Number(number));
  if (thing === undefined || thing.kind === "kvm") return false;
  const draft = new Draft();
  const name = draft.name(thing);
  const whole = succeeded(call) && text?.kind === "string" && !text.cut && BigInt(text.bytes.length) === call.result.value;
  if (!whole || text?.kind !== "string" || thing.file.nameless) scene.comment(call);
  else scene.put(call, draft, `readlink_fd(${name})`, { result: quote(text.bytes) });
  return true;
}

/** `/dev/kvm` is followed; every other file takes a number away from what it meant. */
function open(scene: Scene, { call, task }: Entered): boolean {
  if (!succeeded(call) || call.result.value < 0n) return false;
  const number = Number(call.result.value);
  const path = call.args.find((value) => value.kind === "string");
  const text = path?.kind === "string" ? String.fromCharCode(...path.bytes.slice(0, 100)) : "";
  if (text === "/dev/kvm") {
    scene.opened(task, number, { kind: "kvm", name: "kvm", bound: true, file: { opaque: true }, cloexec: CLOEXEC_TEXT.test(call.line), holders: 1 });
    return false;
  }
  const reopened = /^\/proc\/(?:self|thread-self|\d+)\/fd\/(\d{1,9})$/.exec(text)?.[1];
  const thing = reopened === undefined ? undefined : task.files.get(Number(reopened));
  if (thing === undefined || thing.kind !== "memfd") {
    scene.opened(task, number, undefined);
    return false;
  }
  // The language has no call that opens a file a second time.
  if (/O_RDWR|O_WRONLY|O_TRUNC/.test(call.line)) thing.file.opaque = true;
  scene.opened(task, number, { ...thing, name: scene.names.fresh(`${thing.name}_opened`), bound: false, holders: 1 });
  scene.comment(call, "opens the file a second time");
  return true;
}

/** Calls that answer new descriptors in an array. */
function pair(scene: Scene, { call, task }: Entered): boolean {
  const list = call.args.find((value) => value.kind === "list");
  if (succeeded(call) && list?.kind === "list")
    for (const [, number] of list.text.slice(0, 100).matchAll(/(\d{1,9})/g)) scene.opened(task, Number(number), undefined);
  return false;
}

function closeRange(scene: Scene, { call, task }: Entered): boolean {
  const from = intOf(call.args[0]);
  const to = intOf(call.args[1]);
  if (!succeeded(call) || from === undefined || /CLOSE_RANGE_CLOEXEC|CLOSE_RANGE_UNSHARE/.test(call.line)) return false;
  const numbers = [...task.files.keys()]
    .filter((number) => BigInt(number) >= from && (to === undefined || to < 0n || BigInt(number) <= to))
    .sort((a, b) => a - b);
  for (const number of numbers) {
    const thing = task.files.get(number) as Thing;
    if (!scene.closed(task, number) || thing.kind === "kvm") continue;
    const draft = new Draft();
    scene.put(call, draft, `close(${draft.name(thing)})`, { result: "0", note: call.line, what: "close" });
  }
  return numbers.length > 0;
}

const OPENERS = [
  "open openat openat2 creat socket accept accept4 eventfd eventfd2 epoll_create epoll_create1 timerfd_create signalfd signalfd4 inotify_init",
  "inotify_init1 pidfd_open pidfd_getfd memfd_secret userfaultfd io_uring_setup perf_event_open fanotify_init bpf fsopen open_tree",
]
  .join(" ")
  .split(" ");

export const fileHandlers: ReadonlyMap<string, Handler> = new Map<string, Handler>([
  ["memfd_create", create],
  ["ftruncate", plain("ftruncate", 1, (_scene, [length]) => `, ${printInt(length)}`)],
  ["ftruncate64", plain("ftruncate", 1, (_scene, [length]) => `, ${printInt(length)}`)],
  ["fallocate", plain("fallocate", 3, (scene, [mode, offset, length]) => `, ${scene.flags("FALLOC_FL_", mode)}, ${hex(offset)}, ${printInt(length)}`)],
  ["lseek", plain("lseek", 2, (scene, [offset, whence]) => `, ${hex(offset)}, ${scene.flags("SEEK_", whence)}`)],
  ["fchmod", plain("fchmod", 1, (_scene, [mode]) => `, ${mode <= 0n ? mode : `0o${mode.toString(8)}`}`)],
  ["fcntl", fcntl],
  ["fcntl64", fcntl],
  ["dup", duplicate],
  ["dup2", duplicate],
  ["dup3", duplicate],
  ["close", close],
  ["close_range", closeRange],
  ["write", write],
  ["pwrite64", write],
  ["pwrite", write],
  ["read", read],
  ["pread64", read],
  ["pread", read],
  ["readlink", readlink],
  ["readlinkat", readlink],
  ["pipe", pair],
  ["pipe2", pair],
  ["socketpair", pair],
  ...OPENERS.map((name): [string, Handler] => [name, open]),
]);
