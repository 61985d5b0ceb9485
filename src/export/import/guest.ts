// Events of KVM → what the guest did: a page fault that KVM resolved is a load or store of that vCPU, one that ended in user space is one with that exit.
// Fields as the kernel prints them: include/trace/events/kvm.h, arch/x86/kvm/trace.h.

import { constants } from "../../scenario/catalogue/index.ts";
import type { FtraceEvent } from "./ftrace.ts";
import { type Memory, memoryItems } from "./memory.ts";
import { Draft, hex, type Scene } from "./scene.ts";

type KvmEvent = FtraceEvent & { kind: "event" };

interface Access {
  readonly gpa: bigint;
  readonly store: boolean;
  readonly fetch: boolean;
  readonly private: boolean;
  readonly start: number;
  /** It went to a device: here the exit says whether to one in user space. */
  mmio: boolean;
}

interface Vcpu {
  readonly id: number;
  readonly name: string;
  reason: string;
  exitAt: number;
  access: Access | undefined;
}

/** Bits of the exit qualification of an EPT violation (Intel SDM 28.2.1), and of the error code of a nested page fault (AMD APM 15.25.6). */
const EPT_WRITE = 2n;
const EPT_FETCH = 4n;
const NPF_WRITE = 2n;
const NPF_FETCH = 16n;
/** PFERR_GUEST_ENC_MASK and PFERR_PRIVATE_ACCESS (arch/x86/include/asm/kvm_host.h). */
const PRIVATE = (1n << 34n) | (1n << 49n);
/** The shared bit of a TD's address, with a 52-bit and a 48-bit width; `SHARED` of the language is the first. */
const SHARED_BITS = [1n << 51n, 1n << 47n];
const KVM_HC_MAP_GPA_RANGE = 12n;
const EFAULT = 14;
const PAGE = 4096n;
const MAX_VCPUS = 64;

const big = (digits: string): bigint => BigInt.asUintN(64, BigInt(`0x${digits}`));

export class GuestEvents {
  readonly #scene: Scene;
  readonly #vcpus = new Map<number, Vcpu>();
  readonly #running = new Map<number, Vcpu>();
  readonly #memory: Memory = { pages: new Map(), devices: new Set(), confidential: false };
  #first = -1;
  #accesses = 0;
  #mixed = false;

  constructor(scene: Scene) {
    this.#scene = scene;
  }

  /** True where the event is dealt with; the others are about something else. */
  event(event: KvmEvent, number: number): boolean {
    switch (event.name) {
      case "kvm_entry":
        return this.#entry(event, number);
      case "kvm_exit":
        return this.#exit(event, number);
      case "kvm_page_fault":
        return this.#fault(event, number);
      case "kvm_mmio":
        return this.#mmio(event, number);
      case "kvm_userspace_exit":
        return this.#userspace(event, number);
      case "kvm_hypercall":
        return this.#hypercall(event, number);
      case "kvm_unmap_hva_range":
      case "kvm_rmp_fault":
        this.#scene.comment({ task: event.task, name: event.name, start: number, end: number, line: event.line });
        return true;
      default:
        return false;
    }
  }

  #vcpu(event: KvmEvent): Vcpu | undefined {
    const id = /\bvcpu (\d{1,5})\b/.exec(event.text)?.[1];
    if (id === undefined) return this.#running.get(event.task);
    const number = Number(id);
    const known = this.#vcpus.get(number);
    const before = this.#running.get(event.task);
    if (known === undefined && this.#vcpus.size >= MAX_VCPUS) return undefined;
    const made = this.#scene.vcpus.get(BigInt(number));
    const vcpu = known ?? { id: number, name: made ?? this.#scene.names.fresh(`vcpu${number}`), reason: "", exitAt: -1, access: undefined };
    this.#vcpus.set(number, vcpu);
    if (before !== vcpu) {
      for (const [task, running] of this.#running) if (running === vcpu && task !== event.task && vcpu.exitAt < 0) this.#mixed = true;
      this.#running.set(event.task, vcpu);
    }
    return vcpu;
  }

  #entry(event: KvmEvent, number: number): boolean {
    const vcpu = this.#vcpu(event);
    if (vcpu === undefined) return false;
    const { access } = vcpu;
    vcpu.exitAt = -1;
    // A device inside the kernel answered: nothing of it is in the scenario.
    if (access !== undefined && !access.mmio) this.#done(vcpu, access, number, access.store ? undefined : "ok");
    vcpu.access = undefined;
    return true;
  }

  #exit(event: KvmEvent, number: number): boolean {
    const vcpu = this.#vcpu(event);
    if (vcpu === undefined) return false;
    this.#abandoned(vcpu, number);
    vcpu.reason = /\breason (\S{1,40})/.exec(event.text)?.[1] ?? "";
    vcpu.exitAt = number;
    return true;
  }

  #fault(event: KvmEvent, number: number): boolean {
    const vcpu = this.#vcpu(event);
    const found = /\baddress (?:0x)?([0-9a-f]{1,16}) error_code (?:0x)?([0-9a-f]{1,16})/.exec(event.text);
    if (vcpu === undefined || found === null) return false;
    this.#abandoned(vcpu, number);
    const [gpa, code] = [big(found[1]), big(found[2])];
    if (/^EXCEPTION|excp/i.test(vcpu.reason)) {
      this.#scene.comment(
        { task: event.task, name: event.name, start: number, end: number, line: event.line },
        "shadow paging: the address is the guest's own",
      );
      return true;
    }
    const npf = /npf/i.test(vcpu.reason);
    const store = (code & (npf ? NPF_WRITE : EPT_WRITE)) !== 0n;
    const fetch = (code & (npf ? NPF_FETCH : EPT_FETCH)) !== 0n && !store;
    vcpu.access = { gpa, store, fetch, private: (code & PRIVATE) !== 0n, start: vcpu.exitAt < 0 ? number : vcpu.exitAt, mmio: false };
    return true;
  }

  #mmio(event: KvmEvent, number: number): boolean {
    const vcpu = this.#running.get(event.task);
    const found = /\bmmio (read|write|unsatisfied-read) len \d{1,5} gpa 0x([0-9a-f]{1,16})/.exec(event.text);
    if (vcpu === undefined || found === null) return false;
    // The answer to a read that user space gave: told of already.
    if (found[1] === "read" && vcpu.access === undefined) return true;
    const start = vcpu.access?.start ?? (vcpu.exitAt < 0 ? number : vcpu.exitAt);
    vcpu.access = { gpa: big(found[2]), store: found[1] === "write", fetch: false, private: false, start, mmio: true };
    return true;
  }

  #userspace(event: KvmEvent, number: number): boolean {
    const vcpu = this.#running.get(event.task);
    const found = /\breason (\S{1,60}) \((\d{1,10})\)/.exec(event.text);
    if (vcpu === undefined || found === null) return false;
    const { access } = vcpu;
    vcpu.access = undefined;
    const code = Number(found[2]);
    const failed = found[1] === "error" || found[1] === "restart";
    const exit = failed ? undefined : exitName(found[1], code, this.#scene.base);
    if (exit === "KVM_EXIT_HLT") {
      this.#put(vcpu, "hlt()", number, number, `exit ${exit}`);
      return true;
    }
    if (access === undefined) return false;
    if (found[1] === "restart") return true;
    if (failed) {
      const why =
        code === EFAULT ? "KVM_RUN failed with EFAULT: the trace does not tell whether as KVM_EXIT_MEMORY_FAULT" : `KVM_RUN failed with errno ${code}`;
      this.#done(vcpu, access, number, undefined, why);
    } else if (exit === "KVM_EXIT_MMIO" || exit === "KVM_EXIT_MEMORY_FAULT" || exit === "KVM_EXIT_MEMORY_ERROR" || exit === "KVM_EXIT_SHUTDOWN") {
      this.#done(vcpu, access, number, `exit ${exit}`);
    } else this.#done(vcpu, access, number, undefined, `KVM_RUN returned with ${exit ?? found[1]}`);
    return true;
  }

  #hypercall(event: KvmEvent, number: number): boolean {
    const found = /\bnr 0x([0-9a-f]{1,16}) a0 0x([0-9a-f]{1,16}) a1 0x([0-9a-f]{1,16}) a2 0x([0-9a-f]{1,16})/.exec(event.text);
    if (found === null || big(found[1]) !== KVM_HC_MAP_GPA_RANGE) return false;
    const kind = (big(found[4]) & 16n) !== 0n ? "private" : "shared";
    const why = `the guest asks for ${big(found[3])} pages at ${hex(big(found[2]))} to become ${kind}: what user space makes of it is not in this event`;
    this.#scene.comment({ task: event.task, name: event.name, start: number, end: number, line: event.line }, why);
    return true;
  }

  /** The trace has lost events: nobody knows what became of the access. */
  #abandoned(vcpu: Vcpu, number: number): void {
    const { access } = vcpu;
    vcpu.access = undefined;
    if (access !== undefined && !access.mmio) this.#done(vcpu, access, number, undefined, "the trace does not tell what became of it");
  }

  #done(vcpu: Vcpu, access: Access, end: number, result: string | undefined, why?: string): void {
    const bit = SHARED_BITS.find((each) => (access.gpa & each) !== 0n && access.gpa < each * 2n);
    const gpa = bit === undefined ? access.gpa : access.gpa & ~bit;
    const page = gpa - (gpa % PAGE);
    const mismatch = result === "exit KVM_EXIT_MEMORY_FAULT";
    if (access.mmio || result === "exit KVM_EXIT_MMIO") this.#memory.devices.add(page);
    // A memory fault says that the page was of the other kind.
    else if (!this.#memory.pages.has(page)) this.#memory.pages.set(page, access.private === mismatch ? "shared" : "private");
    this.#memory.confidential ||= access.private || mismatch;
    const where = bit === undefined ? hex(gpa) : `SHARED|${hex(gpa)}`;
    const remarks = [...(access.fetch ? ["a fetch"] : []), ...(access.private ? ["a private access"] : []), ...(why === undefined ? [] : [why])];
    const note = remarks.length === 0 ? undefined : remarks.join("; ");
    this.#accesses++;
    this.#put(vcpu, access.store ? `store(${where}, 0)` : `load(${where})`, access.start, end, result, note);
  }

  #put(vcpu: Vcpu, text: string, start: number, end: number, result?: string, note?: string): void {
    if (this.#first < 0 || start < this.#first) this.#first = start;
    const draft = new Draft();
    draft.uses.push(vcpu.name);
    const call = { task: 0, name: text.slice(0, text.indexOf("(")), start, end, line: text };
    this.#scene.put(call, draft, text, { runner: { vcpu: vcpu.name }, ...(result === undefined ? {} : { result }), ...(note === undefined ? {} : { note }) });
  }

  /** Writes what the events say nothing about and a scenario cannot do without: VM, vCPUs and memory. */
  finish(): void {
    for (const vcpu of this.#vcpus.values()) this.#abandoned(vcpu, vcpu.access?.start ?? 0);
    if (this.#first < 0) return;
    const missing = [...this.#vcpus.values()].filter((vcpu) => this.#scene.vcpus.get(BigInt(vcpu.id)) !== vcpu.name);
    memoryItems(this.#scene, this.#memory, missing, this.#first - 0.5);
  }

  notes(): string[] {
    const notes: string[] = [];
    if (this.#accesses > 0)
      notes.push("A guest's first access to a page is in such a trace, the next ones are not; nor is the byte that a store writes: 0 stands for it.");
    if (this.#mixed) notes.push("Two tasks ran a vCPU of the same number at once: there is more than one VM in the trace, and the text takes them for one.");
    return notes;
  }
}

/** `KVM_EXIT_HLT`, or for a number without a name the catalogue's. */
function exitName(text: string, code: number, base: string): string | undefined {
  if (/^KVM_EXIT_[A-Z0-9_]+$/.test(text)) return text;
  return constants.find((row) => row.group === "KVM_EXIT_" && row.value === BigInt(code) && (row.profiles?.includes(base) ?? true))?.name;
}
