// The story of each rule, from a scenario that breaks it: who brought about what it breaks on, and what came too late. Never more than 40 lines of 80 columns,
// whatever the names, effects and numbers are.

import assert from "node:assert/strict";
import { describe, it, test } from "node:test";
import fc from "fast-check";
import { check } from "../../src/check/index.ts";
import { INVARIANTS } from "../../src/invariants/index.ts";
import { type MachineView, PAGE_COLUMNS, type TraceStep, type TraceView } from "../../src/view/rows.ts";
import { STORY_LINES, STORY_WIDTH, storyText } from "../../src/view/story.ts";
import { rulesTold } from "../../src/view/story-facts.ts";
import { trace } from "../../src/view/trace.ts";
import { program, still } from "../model/support.ts";

function viewOf(text: string): TraceView {
  const one = program(text);
  const line = (from: number): number => text.slice(0, from).split("\n").length;
  return trace(one, check(one, { now: still }), { lineOf: (span) => ({ file: span.file, line: line(span.from) }) });
}

function fits(text: string): void {
  const lines = text.trimEnd().split("\n");
  assert.ok(lines.length <= STORY_LINES, `${lines.length} lines\n${text}`);
  for (const line of lines) assert.ok(line.length <= STORY_WIDTH, `${line.length}: ${line}`);
}

/** The story as one line, so that a sentence is found wherever it wraps. */
function told(text: string): string {
  const story = storyText(viewOf(text));
  fits(story);
  return story.replace(/\s+/g, " ");
}

const PRIVATE = `
ram = memfd_create("ram", MFD_INACCESSIBLE); ftruncate(ram, 8K); fallocate(ram, 0, 0, 8K)
mem = memfd_create("mem", 0); ftruncate(mem, 8K); map = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED, mem, 0)
vm = KVM_CREATE_VM(0); vcpu0 = KVM_CREATE_VCPU(vm, 0)
KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=KVM_MEM_PRIVATE, guest_phys_addr=0, memory_size=8K, userspace_addr=map, private_fd=ram, private_offset=0) = 0
`;
const PUNCH = "fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K) @hole";
const variant = (edits: string): string => `kernel changed extends v8 { notifier_units = pages; ${edits} }\nkernel changed\n`;

describe("what matters for each rule", () => {
  it("no-stale-mapping: who freed, who mapped, who comes too late", () => {
    const text = told(`${variant("")}check no-stale-mapping\n${PRIVATE}vcpu0: store(0, 1)\nparallel { vmm { ${PUNCH} }\nvcpu0 { load(0) } }`);
    assert.match(text, /no-stale-mapping breaks in vmm's fallocate: truncate \(step \d+, line \d+\)/);
    assert.match(text, /- frame 1 left ram at 0x0 in vmm's truncate \(step \d+\) and is free/);
    assert.match(text, /- the EPT of vm maps gfn 0x0 to frame 1 since vcpu0's map \(step \d+, line \d+\)/);
    assert.match(text, /- vcpu0's TLB has gfn 0x0 -> frame 1 since vcpu0's access/);
    assert.match(text, /- vmm's invalidate \(step \d+\) takes that away, 2 steps too late/);
    assert.match(text, /Before, .*slot 0 of vm is gfn 0x0 to 0x1, private memory from ram \(8K, MFD_INACCESSIBLE\), shared memory from the host mapping map/);
  });
  it("no-stale-mapping: a step that ran and did not help says why", () => {
    const text = told(`kernel v8\ncheck no-stale-mapping\n${PRIVATE}vcpu0: store(0x1000, 1)\n${PUNCH.replace(", 0, 4K", ", 0x1000, 4K")}\nvcpu0: load(0x1000)`);
    assert.match(text, /nothing that comes later takes that away/);
    assert.match(text, /vmm's invalidate \(step \d+\) does not help: the handler of slot 0 returns at once/);
  });
  it("no-stale-mapping: mapped again behind a zap, by a fault that nothing told", () => {
    const text = told(
      `${variant("fallocate.punch_hole = check_alignment, invalidate, truncate")}check no-stale-mapping\n${PRIVATE}vcpu0: store(0, 1)
expect violation no-stale-mapping at hole.truncate\nparallel { vmm { ${PUNCH} }\nvcpu0 { load(0) @look } }\nexists ept(vm, 0) != NONE && allocated(ram, 0) == 0`,
    );
    assert.match(text, /exists ept\(vm, 0\) != 0 && allocated\(ram, 0\) == 0 \(line 13\) holds at the end/);
    assert.match(text, /the EPT of vm maps gfn 0x0 to frame 1 since vcpu0's map \(step \d+\); it was zapped before, in vmm's invalidate/);
  });
  it("no-stale-mapping: a slot that moved and left its mappings", () => {
    const text = told(`kernel changed extends v8 { KVM_SET_USER_MEMORY_REGION.move without zap_slot }\nkernel changed\ncheck no-stale-mapping
mem = memfd_create("mem", 0); ftruncate(mem, 8K); map = mmap(NULL, 8K, PROT_READ|PROT_WRITE, MAP_SHARED, mem, 0)
vm = KVM_CREATE_VM(0); vcpu0 = KVM_CREATE_VCPU(vm, 0)
KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0, memory_size=8K, userspace_addr=map)
vcpu0: load(0x1000)
KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0x1000, memory_size=8K, userspace_addr=map) @move`);
    assert.match(text, /slot 0 of vm is at gfn 0x1 to 0x2 since vmm's commit_slot/);
  });
  it("private-inaccessible: whose bytes, where the frame is, and the mark that is missing", () => {
    const text = told(`kernel v4\ncheck private-inaccessible\n${PRIVATE}vcpu0: store(0, 1)\npread(ram, 1, 0)`);
    assert.match(text, /frame 1 holds what a guest stored in private memory since vcpu0's access/);
    assert.match(text, /frame 1 is in ram at 0x0 since vmm's allocate/);
    assert.match(text, /a descriptor leads to ram, which has the seal F_SEAL_SEAL only, since vmm's install_fd/);
    assert.match(text, /set_marker \(step \d+, line \d+\) does not help: seals &=/);
  });
  it("inaccessible-marked", () => {
    const text = told('kernel changed extends v8 { memfd_create without wrap }\nkernel changed\nmemfd_create("ram", MFD_INACCESSIBLE)');
    assert.match(text, /a descriptor leads to #0, which no inaccessible inode wraps, since vmm's install_fd \(step 4\)/);
  });
  it("private-unmovable", () => {
    const text = told(`kernel v8\ncheck private-unmovable\n${PRIVATE}vcpu0: store(0, 1)\nmigrate(frame(ram, 0)) @move`);
    assert.match(text, /frame 1 left ram at 0x0 in vmm's migrate/);
    assert.match(text, /frame 1 holds what a guest stored in private memory since vcpu0's access/);
  });
  it("zeroed-on-allocation", () => {
    const text = told(`kernel v8\ncheck zeroed-on-allocation\n${PRIVATE}vcpu0: load(0) @look`);
    assert.match(text, /frame 1 is in ram at 0x0 since vmm's allocate \(step \d+, line \d+\)/);
  });
  it("attributes-respected", () => {
    const edits = "kernel changed extends v8 { KVM_MEMORY_ENCRYPT_UNREG_REGION without invalidate }\nkernel changed\n";
    const text = told(`${edits}check attributes-respected\n${PRIVATE}vcpu0: load(0)\nKVM_MEMORY_ENCRYPT_UNREG_REGION(vm, 0, 4K)\nvcpu0: load(0)`);
    assert.match(text, /gfn 0x0 of vm is shared since vmm's store/);
    assert.match(text, /the EPT of vm maps gfn 0x0 to frame 1 since vcpu0's map/);
    assert.match(text, /nothing that comes later takes that away/);
  });
  it("no-lost-invalidation", () => {
    const race = `parallel { vmm { ${PUNCH.replace(", 0, 4K", ", 0x1000, 4K")} }\nvcpu0 { load(0x1000) } }`;
    const text = told(`kernel v8\ncheck no-lost-invalidation\n${PRIVATE}${race}`);
    assert.match(text, /vcpu0's fault has decided what to map since vcpu0's check_kind/);
    assert.match(text, /an invalidation of gfn 0x1 has begun behind its back, since vmm's invalidate/);
    assert.match(text, /nothing has moved mmu_invalidate_seq since vcpu0's snapshot/);
  });
  it("invalidate-balanced", () => {
    const text = told(`${variant("fallocate.punch_hole = check_alignment, invalidate_begin, truncate")}check invalidate-balanced\n${PRIVATE}${PUNCH}`);
    assert.match(text, /mmu_invalidate_in_progress of vm is 1 since vmm's invalidate_begin \(step \d+\)/);
    assert.match(text, /nothing that comes later takes that away/);
    const late = told(`${variant("fallocate.punch_hole = check_alignment, invalidate_begin, truncate, invalidate_end")}check invalidate-balanced
ram = memfd_create("ram", MFD_INACCESSIBLE); ftruncate(ram, 4K); vm = KVM_CREATE_VM(0)
parallel { vmm { ${PUNCH} }\nhelper { KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=KVM_MEM_PRIVATE, guest_phys_addr=0, memory_size=4K, private_fd=ram, private_offset=0) } }`);
    assert.match(late, /slot 0 of vm is told of changes to ram since helper's bind/);
  });
  it("no-deadlock: who waits, and who holds the lock", () => {
    const edits = "kernel changed extends v8 { ftruncate.plain without unlock_inode }\nkernel changed\ncheck no-deadlock\n";
    const text = told(`${edits}mem = memfd_create("mem", 0)\nftruncate(mem, 4K)\npwrite(mem, "a", 0)`);
    assert.match(text, /no-deadlock breaks: nobody can go on: vmm waits for\s+ever at\s+\w+/);
    assert.match(text, /vmm's pwrite waits in lock_inode since/);
    assert.match(text, /vmm holds inode_lock of mem since vmm's lock_inode \(step \d+, line \d+\)/);
  });
  it("no-livelock: the round that repeats, and what it waits for", () => {
    const text = told(
      `${variant("fallocate.punch_hole = check_alignment, invalidate_begin, truncate")}check no-livelock\n${PRIVATE}parallel { vmm { ${PUNCH} }\nvcpu0 { load(0) } }`,
    );
    assert.match(text, /no-livelock breaks: vcpu0 can step for ever/);
    assert.match(text, /These \d+ steps can repeat for ever:/);
    assert.match(text, /map: an invalidation of gfn 0x0 is in progress: try again/);
    assert.match(text, /!! and again from step \d+/);
    assert.match(text, /mmu_invalidate_in_progress of vm is 1 since vmm's invalidate_begin/);
  });
  it("every rule that is watched has a row of what matters", () => {
    for (const { name } of INVARIANTS) assert.ok(rulesTold.includes(name), name);
    for (const name of ["no-deadlock", "no-livelock"]) assert.ok(rulesTold.includes(name), name);
  });
});

describe("a schedule that breaks no rule", () => {
  const WRITERS = 'kernel v8\nram = memfd_create("ram", 0)\nparallel { first { pwrite(ram, "a", 0) = 1 }\nsecond { pwrite(ram, "b", 0) = 1 } }\n';
  it("shows how an exists comes about", () => {
    const text = told(`${WRITERS}exists value(ram, 0) == 'a'`);
    assert.match(text, /exists value\(ram, 0\) == 0x61 \(line 5\): so it comes about/);
    assert.ok(text.indexOf('pwrite(ram, "b", 0)') < text.lastIndexOf("write_chunk: writes 1 byte into"), text);
  });
  it("shows where a never, a forall and an assertion fail", () => {
    assert.match(told(`${WRITERS}never value(ram, 0) == 'b'`), /never value\(ram, 0\) == 0x62 \(line 5\) fails: this schedule ends with it/);
    assert.match(
      told(`${WRITERS}forall value(ram, 0) == 'b'`),
      /forall .* fails: this schedule ends without it.*Not as expected, line 5: some final state does not have it/,
    );
    assert.match(told('kernel v8\nram = memfd_create("ram", 0)\nassert size(ram) == 1'), /assert size\(ram\) == 1 \(line 3\) fails in this schedule/);
  });
  it("shows an answer that the line does not expect", () => {
    const text = told('kernel v8\nram = memfd_create("ram", 0)\nftruncate(ram, -1) = 0');
    assert.match(text, /ftruncate\(ram, -1\) \(line 3\) answers -EINVAL, which its line does not expect/);
    assert.match(text, /Verdict: fail/);
  });
  it("of which there is nothing to show says so", () => {
    assert.match(storyText({ ...viewOf("kernel v8\nclose(-1)"), steps: [] }), /Nothing runs/);
  });
});

it("a rule that breaks where an exists asks for its worst end goes on to that end", () => {
  const text = told(`${variant("")}check no-stale-mapping\n${PRIVATE}vcpu0: store(0, 1)
parallel { vmm { ${PUNCH} }\nvcpu0 { load(0) @look }\ndriver { page = alloc_frame() @take; store_frame(page, 0x66) }\norder hole.truncate before take }
exists result(look) == 0x66\nexpect violation no-stale-mapping`);
  assert.match(text, /exists result\(look\) == 0x66 \(line 14\) holds at the end/);
  assert.match(text, /take_frame: .*frame 1 = frame/);
  assert.match(text, /access: .*frame 1.* = 0x66|access: .*loads from frame 1: 0x66/);
});

describe("the diagram", () => {
  const race = `${variant("")}check no-stale-mapping\n${PRIVATE}vcpu0: store(0, 1)\nparallel { vmm { ${PUNCH} }\nvcpu0 { load(0) } }`;
  it("has a column per actor, an arrow where one meets what the other did, and folds the rest", () => {
    const lines = storyText(viewOf(race)).split("\n");
    const head = lines.find((line) => / vmm -+ +vcpu0 -+$/.test(line));
    assert.ok(head !== undefined, lines.join("\n"));
    const column = head.indexOf("vcpu0");
    assert.ok(lines.some((line) => line.indexOf("load(0)") === column));
    const [, step] = /^ +(\d+) +truncate: frame 1 leaves ram/m.exec(lines.join("\n")) ?? [];
    assert.ok(
      lines.some((line) => new RegExp(`^ +\\d+ +${step} -+> +access: TLB hit`).test(line)),
      lines.join("\n"),
    );
    assert.ok(lines.some((line) => /^ +\d+ +check_alignment$/.test(line)));
  });
  it("is a list with names where more than three take part", () => {
    const many = race.replace("vcpu0 { load(0) } }", "vcpu0 { load(0) }\na { pread(mem, 1, 0) }\nb { pread(mem, 1, 0) } }");
    const story = storyText(viewOf(many));
    fits(story);
    assert.match(story, /^ +vmm +fallocate\(/m);
    assert.match(story, /\(2 calls more that do not touch it\)/);
  });
});

const EMPTY: MachineView = { pages: [], facts: [] };
const words = fc.string({ unit: "grapheme", maxLength: 160 });
const steps = fc.array(
  fc.record({
    actor: fc.integer({ min: 0, max: 4 }),
    call: words,
    callId: fc.nat(6),
    step: fc.stringMatching(/^[a-z_]{1,30}$/),
    effect: words,
    parallel: fc.boolean(),
    result: fc.option(words, { nil: undefined }),
    breaks: fc.nat(9),
  }),
  { minLength: 1, maxLength: 120 },
);
const spans = fc.array(fc.record({ from: fc.nat(60), length: fc.nat(60), open: fc.boolean() }), { maxLength: 4 });
const facts = fc.array(
  fc.record({ kind: fc.constantFrom("page", "ept", "tlb", "slot", "lock"), is: words, ended: words, on: words, off: words, spans, wrong: fc.boolean() }),
  {
    maxLength: 12,
  },
);

test("never more than 40 lines of 80 columns, whatever is told", () => {
  fc.assert(
    fc.property(
      steps,
      facts,
      words,
      words,
      fc.array(words, { maxLength: 6 }),
      fc.option(fc.nat(40), { nil: undefined }),
      (list, all, name, message, texts, round) => {
        const made = list.map(
          ({ breaks, ...step }): TraceStep => ({ ...step, file: 0, line: 3, machine: EMPTY, changed: [], violations: breaks === 0 ? [0] : [] }),
        );
        const at = Math.max(1, made.findIndex((step) => step.violations.length > 0) + 1);
        const story = {
          facts: all.map((fact) => ({
            ...fact,
            spans: fact.spans.map(({ from, length, open }) => ({
              from: Math.min(from, made.length),
              ...(open ? {} : { to: Math.min(from + length, made.length) }),
            })),
          })),
          names: texts,
          duties: [1],
          objects: message,
        };
        const start: TraceStep = {
          actor: -1,
          call: "",
          callId: -1,
          step: "",
          effect: "",
          file: 0,
          line: 1,
          machine: EMPTY,
          changed: [],
          violations: [],
          parallel: false,
        };
        const violation = {
          invariant: "no-stale-mapping",
          statement: message,
          message,
          step: at,
          line: 3,
          expected: false,
          story,
          ...(round === undefined ? {} : { round }),
        };
        const view: TraceView = {
          version: 1,
          scenario: name,
          kernel: "changed",
          variant: { base: "v8", changes: texts },
          verdict: "fail",
          summary: message,
          schedule: message,
          files: ["a.memfd"],
          actors: ["vmm", "vcpu0", name, "x", "y"].map((each) => ({ name: each, kind: "host" as const })),
          columns: PAGE_COLUMNS,
          steps: [start, ...made],
          violations: list.length % 3 === 0 ? [] : [violation, ...texts.map(() => violation)],
          shown: name,
          unmet: texts,
          notJudged: texts,
          stories: texts.map((title) => ({ title, schedule: "a" })),
        };
        fits(storyText(view));
      },
    ),
    { numRuns: 400 },
  );
});
