// ioctls of KVM → statements: requests by name or number, decoded structures field by field as the catalogue's prototypes name them.

import { type CallSpec, callSpec, constants, type Param } from "../../scenario/catalogue/index.ts";
import { printInt } from "../../scenario/print.ts";
import { intOf, numberOf, succeeded, type TracedCall } from "./call.ts";
import type { Entered, Handler } from "./files.ts";
import { commentText } from "./items.ts";
import { Draft, errnoNote, hex, resultText, type Scene } from "./scene.ts";
import type { Value } from "./value.ts";
import type { Task, Thing } from "./world.ts";

const KVMIO = 0xaen;

/** Request numbers of the ioctls that the language has, and KVM_RUN (include/uapi/linux/kvm.h). */
const REQUESTS = new Map<number, string>([
  [0x01, "KVM_CREATE_VM"],
  [0x03, "KVM_CHECK_EXTENSION"],
  [0x41, "KVM_CREATE_VCPU"],
  [0x46, "KVM_SET_USER_MEMORY_REGION"],
  [0x49, "KVM_SET_USER_MEMORY_REGION2"],
  [0x80, "KVM_RUN"],
  [0xbb, "KVM_MEMORY_ENCRYPT_REG_REGION"],
  [0xbc, "KVM_MEMORY_ENCRYPT_UNREG_REGION"],
  [0xd2, "KVM_SET_MEMORY_ATTRIBUTES"],
  [0xd4, "KVM_CREATE_GUEST_MEMFD"],
  [0xd5, "KVM_PRE_FAULT_MEMORY"],
]);
/** Structures as arguments. */
const WITH_FIELDS = new Set([
  "KVM_SET_USER_MEMORY_REGION",
  "KVM_SET_USER_MEMORY_REGION2",
  "KVM_MEMORY_ENCRYPT_REG_REGION",
  "KVM_MEMORY_ENCRYPT_UNREG_REGION",
  "KVM_SET_MEMORY_ATTRIBUTES",
  "KVM_CREATE_GUEST_MEMFD",
  "KVM_PRE_FAULT_MEMORY",
]);

const numbered = (number: number): string => REQUESTS.get(number) ?? `KVM_0x${number.toString(16)}`;

/** The name of a request: as strace knows it, as `_IOC(_IOC_WRITE, 0xae, 0x49, 0xa0)`, or as a number. */
export function requestName(value: Value | undefined): string | undefined {
  if (value?.kind === "int") return ((value.value >> 8n) & 0xffn) === KVMIO ? numbered(Number(value.value & 0xffn)) : undefined;
  if (value?.kind !== "other") return undefined;
  const raw = /^_IOC\([A-Z_|0]{1,40}, 0xae, (0x[0-9a-f]{1,2}|0), (?:0x[0-9a-f]{1,4}|0)\)$/.exec(value.text)?.[1];
  if (raw !== undefined) return numbered(Number(raw));
  return /^KVM_[A-Z0-9_]{1,60}$/.test(value.text) ? value.text : undefined;
}

interface Ioctl extends Entered {
  readonly request: string;
}

export const ioctl: Handler = (scene, entered) => {
  const { call, first } = entered;
  const request = requestName(call.args[1]);
  if (request === undefined) return false;
  const target = first === "none" || first === undefined ? opener(scene, entered, request) : first;
  const wanted = request === "KVM_RUN" || request === "KVM_PRE_FAULT_MEMORY" ? "vcpu" : request === "KVM_CREATE_VM" ? "kvm" : "vm";
  if (request === "KVM_CHECK_EXTENSION") return checkExtension(scene, { ...entered, request });
  if (target === undefined || target.kind !== wanted) return target === undefined ? false : unmapped(scene, call, request);
  if (request === "KVM_CREATE_VM" || request === "KVM_CREATE_VCPU") return make(scene, { ...entered, request }, target);
  if (request === "KVM_RUN") return run(scene, call, target);
  return WITH_FIELDS.has(request) ? withFields(scene, { ...entered, request }, target) : unmapped(scene, call, request);
};

/** What makes a VM is /dev/kvm, wherever it was opened. */
function opener(scene: Scene, { call, task, first }: Entered, request: string): Thing | undefined {
  const number = numberOf(call.args[0]);
  if (request !== "KVM_CREATE_VM" || number === undefined || first !== undefined || !succeeded(call)) return undefined;
  const kvm: Thing = { kind: "kvm", name: "kvm", bound: true, file: { opaque: true }, cloexec: false, holders: 1 };
  scene.opened(task, number, kvm);
  return kvm;
}

/** Registers, interrupts, clocks: about something else, but by the name of the request. */
function unmapped(scene: Scene, call: TracedCall, request: string): boolean {
  scene.aside(call.task, call.start, call.line, request);
  return true;
}

function checkExtension(scene: Scene, { call, first, request }: Ioctl): boolean {
  const capability = intOf(call.args[2]);
  if (first === undefined || first === "none" || (first.kind !== "kvm" && first.kind !== "vm")) return false;
  const known =
    capability !== undefined && constants.some((row) => row.group === "KVM_CAP_" && row.value === capability && (row.profiles?.includes(scene.base) ?? true));
  if (!known || call.result.kind === "unknown") return unmapped(scene, call, request);
  const draft = new Draft();
  const target = first.kind === "kvm" ? "kvm" : draft.name(first);
  const text = `KVM_CHECK_EXTENSION(${target}, ${scene.flags("KVM_CAP_", capability as bigint)})`;
  scene.put(call, draft, text, { result: resultText(call.result), what: request, ...errnoNote(call.result) });
  return true;
}

function make(scene: Scene, { call, task, request }: Ioctl, target: Thing): boolean {
  const argument = intOf(call.args[2]);
  if (argument === undefined || call.result.kind === "unknown") {
    scene.comment(call);
    return true;
  }
  const draft = new Draft();
  const vm = request === "KVM_CREATE_VM";
  const text = vm
    ? `KVM_CREATE_VM(${argument === 0n ? "0" : scene.flags("KVM_X86_", argument)})`
    : `KVM_CREATE_VCPU(${draft.name(target)}, ${printInt(argument)})`;
  if (!succeeded(call)) {
    scene.put(call, draft, text, { result: resultText(call.result), what: request, ...errnoNote(call.result) });
    return true;
  }
  const name = scene.names.fresh(vm ? "vm" : `vcpu${argument < 0n ? "" : argument}`);
  const bound = draft.missing === undefined;
  const thing: Thing = { kind: vm ? "vm" : "vcpu", name, bound, file: { opaque: true }, cloexec: false, holders: 1, ...(vm ? {} : { id: argument }) };
  scene.opened(task, Number(call.result.value), thing);
  if (vm) scene.vm ??= bound ? name : undefined;
  else if (bound && !scene.vcpus.has(argument)) scene.vcpus.set(argument, name);
  scene.put(call, draft, text, { binds: name, result: "ok", what: request });
  return true;
}

/** What the guest did is not in a log of system calls, but for an exit that stands for one instruction. */
function run(scene: Scene, call: TracedCall, vcpu: Thing): boolean {
  if (call.result.kind === "value" && call.result.note === "KVM_EXIT_HLT") {
    const draft = new Draft();
    draft.name(vcpu);
    scene.put(call, draft, "hlt()", { runner: { vcpu: vcpu.name }, result: "exit KVM_EXIT_HLT", what: "KVM_RUN" });
    return true;
  }
  return unmapped(scene, call, "KVM_RUN");
}

const UNDECODED = "the fields of its structure are not in the trace";

function withFields(scene: Scene, { call, task, request }: Ioctl, target: Thing): boolean {
  const spec = callSpec(request);
  const draft = new Draft();
  const made = request === "KVM_CREATE_GUEST_MEMFD" && succeeded(call);
  const [, , argument] = call.args;
  const fields = argument?.kind === "struct" ? argumentTexts(scene, task, draft, spec, argument.fields) : undefined;
  const good = fields !== undefined && call.result.kind !== "unknown";
  const name = made ? scene.names.fresh("gmem") : undefined;
  if (name !== undefined && succeeded(call)) {
    const bound = good && target.bound;
    const thing: Thing = { kind: "guest_memfd", name, bound, file: { opaque: true }, cloexec: false, holders: 1 };
    scene.opened(task, Number(call.result.value), thing);
  }
  if (!good) {
    const why = argument?.kind === "struct" ? "a field of it cannot be said" : UNDECODED;
    const text = name === undefined ? "" : `${name} = ${request}(${target.name}, size=...): `;
    scene.comment({ ...call, line: `${text}${commentText(call.line).slice(0, 100)}` }, why);
    return true;
  }
  const owner = draft.name(target);
  if (request.startsWith("KVM_SET_USER_MEMORY_REGION") && succeeded(call)) scene.regions++;
  const result = name === undefined ? resultText(call.result) : "ok";
  scene.put(call, draft, `${request}(${[owner, ...fields].join(", ")})`, {
    result,
    what: request,
    ...(name === undefined ? errnoNote(call.result) : { binds: name }),
  });
  return true;
}

/** `slot=0, flags=…`: every field that the prototype names; undefined where one is missing. */
function argumentTexts(scene: Scene, task: Task, draft: Draft, spec: CallSpec, fields: ReadonlyMap<string, Value>): string[] | undefined {
  const texts: string[] = [];
  for (const param of spec.params.slice(1)) {
    const value = fields.get(param.name);
    const text = value === undefined ? undefined : fieldText(scene, task, draft, param, value);
    if (text === undefined && !(param.optional && value === undefined)) return undefined;
    if (text !== undefined) texts.push(`${param.name}=${text}`);
  }
  return texts;
}

function fieldText(scene: Scene, task: Task, draft: Draft, param: Param, value: Value): string | undefined {
  if (value.kind !== "int") return undefined;
  const int = value.value;
  if (param.type === "fd") {
    const thing = scene.thing(task, value, { kind: "unknown" });
    return thing === undefined || thing === "none" ? printInt(int) : draft.name(thing);
  }
  if (param.type === "address") {
    const at = BigInt.asUintN(64, int);
    const mapping = task.space.at(at);
    if (mapping === undefined) return hex(int);
    // The guest's stores reach the file that is mapped there.
    if (mapping.file !== undefined) mapping.file.opaque = true;
    return draft.address(mapping, at);
  }
  if (param.type === "flags" && param.group !== undefined) return scene.flags(param.group, int);
  return param.type === "gpa" ? hex(int) : printInt(int);
}
