// The TDX module in the views: the tables of a state, what a step changes in them, the text of `memfd trace --full`, and stories of broken rules in 40 lines of
// 80 columns.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { check } from "../../src/check/index.ts";
import { locate } from "../../src/check/locate.ts";
import { analyse } from "../../src/language/index.ts";
import { isLockKey } from "../../src/view/diff.ts";
import type { MachineView, StateTable, TraceView } from "../../src/view/rows.ts";
import { storyText } from "../../src/view/story.ts";
import { traceText } from "../../src/view/text.ts";
import { trace } from "../../src/view/trace.ts";
import { PUNCH, race } from "../model/kvm/tdx-support.ts";
import { building, running } from "../model/tdx/support.ts";

function traceOf(text: string): TraceView {
  const [program] = analyse("x.memfd", text, { imports: () => undefined }).programs;
  assert.ok(program, text);
  const lineOf = ({ from }: { from: number }) => ({ file: "x.memfd", line: text.slice(0, from).split("\n").length });
  return trace(program, check(program, { now: () => 0 }), { lineOf });
}

const scenario = (body: string, watch = "", head = "", kernel = "6.18"): string =>
  `${head}scenario "tdx" {\n  kernel ${kernel}\n${watch === "" ? "" : `  check ${watch}\n`}${body}\n}\n`;
const UNCHECKED = "kernel unchecked extends 6.18 { SEAMCALL without acquire }\n";

const tableOf = (machine: MachineView | undefined, id: string): StateTable => {
  const found = machine?.tables?.find((table) => table.id === id);
  assert.ok(found, `${id} of ${machine?.tables?.map((table) => table.id)}`);
  return found;
};
/** `label: text, text` per row. */
const rowsOf = (machine: MachineView | undefined, id: string, ...columns: string[]): string[] =>
  tableOf(machine, id).rows.map((row) => `${row.label}: ${columns.map((column) => row.cells[column]?.text ?? "").join(", ")}`);

const REMOVAL = "TDH.MEM.RANGE.BLOCK(td, 0x1000, 0); TDH.MEM.TRACK(td); TDH.MEM.PAGE.REMOVE(td, 0x1000, 0)";

describe("tables of a TD that a scenario drives itself", () => {
  const view = traceOf(scenario(`${running()}\nTDH.VP.ENTER(vcpu0)\nvcpu0: store(0x1000, 1)\nTDH.MEM.RANGE.BLOCK(td, 0x1000, 0)`));
  const last = view.steps.at(-1)?.machine;
  it("secure EPT by level, with what the PAMT has behind each entry", () => {
    assert.deepEqual(rowsOf(last, "sept0", "state", "pamt"), [
      "0x0 +512G: NL_MAPPED 14, PT_EPT",
      "0x0 +1G: NL_MAPPED 15, PT_EPT",
      "0x0 +2M: NL_MAPPED 16, PT_EPT",
      "0x0: FREE, ",
      "0x1000: BLOCKED 17, PT_REG, BEPOCH 1",
    ]);
    assert.deepEqual(
      tableOf(last, "sept0").rows.map((row) => row.depth),
      [0, 1, 2, 3, 3],
    );
  });
  it("PAMT: control pages that are alike in one row, each other page by its name", () => {
    assert.deepEqual(rowsOf(last, "pamt", "name", "type", "owner", "bepoch", "lines", "lock"), [
      "1: root, PT_TDR, td, , TD-owner, dirty, HKID 32, shared",
      "2-7, 9-13: , PT_TDCX, td, , TD-owner, dirty, HKID 33, ",
      "8: tdvpr0, PT_TDVPR, td, , TD-owner, dirty, HKID 33, shared",
      "14: table[0], PT_EPT, td, , TD-owner, dirty, HKID 33, ",
      "15: table[1], PT_EPT, td, , TD-owner, dirty, HKID 33, ",
      "16: table[2], PT_EPT, td, , TD-owner, dirty, HKID 33, ",
      "17: a, PT_REG, td, 1, TD-owner, dirty, HKID 33, ",
      "18: source, PT_NDA, , , dirty, shared key, ",
    ]);
  });
  it("TD, vCPU with its TLB, key ids", () => {
    assert.deepEqual(rowsOf(last, "td", "td0"), [
      "life cycle: TD_KEYS_CONFIGURED",
      "key id: HKID 33",
      "OP_STATE: RUNNABLE",
      "TD_EPOCH: 1",
      "REFCOUNT even/odd: 0/1",
      "CHLDCNT: 16",
      "vCPUs, associated: 1, 1",
      "locks: TDR shared",
    ]);
    assert.deepEqual(rowsOf(last, "tdvcpus", "state", "lp", "epoch", "tlb"), ["vcpu0: VCPU_ACTIVE, LP 0, 1, 0x1000: 17"]);
    assert.deepEqual(rowsOf(last, "hkid", "state", "td"), ["32: HKID_RESERVED, the module", "33: HKID_ASSIGNED, td"]);
    const page = last?.pages.find(({ label }) => label === "0x1000");
    assert.deepEqual([page?.cells.sept.text, page?.cells.pamt.text, page?.cells.tlb.text], ["BLOCKED 17", "PT_REG, BEPOCH 1", "vcpu0: 17"]);
  });
  it("each step says which cells it changed, and nothing is left when the TD is gone", () => {
    const block = view.steps.findLast((step) => step.step === "commit");
    const told = (block?.changed ?? []).filter((key) => !key.startsWith("thread") && !isLockKey(key)).sort();
    assert.deepEqual(told, ["pamt/17/bepoch", "sept0/0/1/pamt", "sept0/0/1/state", "td0/1/pamt", "td0/1/sept"]);
    assert.equal(view.steps[0].machine.tables, undefined);
    const down = `root = alloc_frame(); td = TDH.MNG.CREATE(root, 33); TDH.MNG.VPFLUSHDONE(td); TDH.PHYMEM.CACHE.WB(); TDH.MNG.KEY.FREEID(td)
  TDH.PHYMEM.PAGE.RECLAIM(root) = TDX_SUCCESS; TDH.PHYMEM.PAGE.WBINVD(root, 32); movdir64b(root)`;
    assert.equal(traceOf(scenario(down)).steps.at(-1)?.machine.tables, undefined);
  });
});

it("what a vCPU outside keeps of an older epoch is said to be gone, and a key id that is flushed says which packages it waits for", () => {
  const after = `machine { packages = 2 }\n${running().replace("TDH.MNG.KEY.CONFIG(td)", "TDH.MNG.KEY.CONFIG(td, 0)\n  TDH.MNG.KEY.CONFIG(td, 1)")}
  TDH.VP.ENTER(vcpu0); vcpu0: load(0x1000); kick(vcpu0)
  TDH.MEM.RANGE.BLOCK(td, 0x1000, 0); TDH.MEM.TRACK(td)`;
  assert.deepEqual(rowsOf(traceOf(scenario(after)).steps.at(-1)?.machine, "tdvcpus", "tlb"), ["vcpu0: 0x1000: 17 (gone)"]);
  const flushed = traceOf(scenario(`${after}\nTDH.VP.FLUSH(vcpu0); TDH.MNG.VPFLUSHDONE(td); TDH.PHYMEM.CACHE.WB(0, 0)`)).steps.at(-1)?.machine;
  assert.deepEqual(rowsOf(flushed, "hkid", "state", "td", "wbinvd"), ["32: HKID_RESERVED, the module, ", "33: HKID_FLUSHED, td, 1"]);
});

describe("a page of 2 MB that is split", () => {
  const large = `${running()}
  large = alloc_frame(2M)
  TDH.MEM.PAGE.AUG(td, 2M, 1, large)
  TDH.VP.ENTER(vcpu0)
  vcpu0: TDG.MEM.PAGE.ACCEPT(2M, 1)
  small = alloc_frame()
  kick(vcpu0)
  TDH.MEM.RANGE.BLOCK(td, 2M, 1); TDH.MEM.TRACK(td)
  TDH.MEM.PAGE.DEMOTE(td, 2M, 1, small) = TDX_SUCCESS
  TDH.MEM.RANGE.BLOCK(td, 0x203000, 0); TDH.MEM.TRACK(td)
  TDH.MEM.PAGE.REMOVE(td, 0x203000, 0) = TDX_SUCCESS
  TDH.MEM.RANGE.BLOCK(td, 2M, 1)`;
  const view = traceOf(scenario(large));
  const tableAfter = (call: string): string[] =>
    rowsOf(view.steps.findLast((step) => step.call.startsWith(call))?.machine, "sept0", "state", "pamt").filter((row) => /^(0x20|the others)/.test(row));

  it("the entries that no call names are one row, from the split on", () => {
    assert.deepEqual(tableAfter("TDH.MEM.PAGE.AUG"), ["0x200000 +2M: PENDING 23, PT_REG"]);
    assert.deepEqual(tableAfter("TDH.MEM.PAGE.DEMOTE"), [
      "0x200000 +2M: NL_MAPPED 19, PT_EPT",
      "0x200000: MAPPED 23, PT_REG",
      "0x203000: MAPPED 26, PT_REG",
      "the others: MAPPED, 510 pages, PT_REG",
    ]);
    const row = tableOf(view.steps.at(-1)?.machine, "sept0").rows.find(({ label }) => label === "the others");
    assert.deepEqual([row?.depth, row?.cells.state.detail], [3, "510 entries of this table that no call names: MAPPED, 510 pages"]);
  });
  it("it stays as it is where one page leaves", () => {
    const split = view.steps.findLast((step) => step.call.startsWith("TDH.MEM.PAGE.DEMOTE"));
    assert.ok(split?.changed.includes("sept0/rest/512/state"), split?.changed.join(", "));
    const removed = view.steps.findLast((step) => step.call.startsWith("TDH.MEM.PAGE.REMOVE"));
    assert.deepEqual(tableAfter("TDH.MEM.PAGE.REMOVE").slice(2), ["0x203000: FREE, ", "the others: MAPPED, 510 pages, PT_REG"]);
    assert.ok(!removed?.changed.some((key) => key.startsWith("sept0/rest")), removed?.changed.join(", "));
  });
});

describe("tables of a TD of KVM", () => {
  it("the mirror beside the secure EPT, FROZEN while the module is called, and nr_premapped before the TD is final", () => {
    const view = traceOf(race("6.18", "vcpu0 { TDG.MEM.PAGE.ACCEPT(0x2000, 0) = TDX_SUCCESS }"));
    const frozen = view.steps.find((step) => step.step === "freeze_spte" && step.parallel)?.machine;
    assert.ok(rowsOf(frozen, "sept0", "state", "mirror").includes("0x2000: FREE, FROZEN"));
    const last = view.steps.at(-1)?.machine;
    assert.match(rowsOf(last, "sept0", "state", "mirror").find((row) => row.startsWith("0x2000")) ?? "", /^0x2000: MAPPED (\d+), \1$/);
    assert.match(rowsOf(last, "sept0", "state", "mirror")[0], /^0x0 \+256T: NL_MAPPED (\d+), table \1$/);
    const premapped = view.steps.find((step) => step.step === "premap")?.machine;
    assert.ok(rowsOf(premapped, "td", "td0").includes("nr_premapped: 1"));
    assert.ok(rowsOf(last, "td", "td0").includes("kvm_tdx state: TD_STATE_RUNNABLE"));
    const page = last?.pages.find(({ label }) => label === "0x2000");
    assert.equal(page?.cells.mirror.text, page?.cells.frame.text.split(" ")[0]);
    assert.equal(page?.cells.ept.text, "", "the mirror is no EPT");
  });
});

it("KVM's removal: who holds mmu_lock, and what the finding points to", () => {
  const text = race("6.18", `vmm { ${PUNCH(0x1000)} }`);
  const view = traceOf(text);
  const locked = view.steps.find((step) => step.step === "clear_mirror" && step.actor === 0)?.machine;
  assert.deepEqual(
    locked?.facts.filter(({ name }) => name.endsWith("mmu_lock")).map(({ value }) => value),
    ["vmm"],
  );
  const bugged = `kernel notrack extends 6.18 { fallocate.punch_hole.td without track }\n${race("notrack", `vmm { ${PUNCH(0x1000)} }`).replace("use td", "check no-kvm-bug\n  use td")}`;
  const [program] = analyse("x.memfd", bugged, { imports: () => undefined }).programs;
  const found = locate(program, check(program, { now: () => 0 })).find(({ code }) => code === "MEMFD4025");
  assert.match(found?.related?.[0].message ?? "", /block\.commit of fallocate.*MAPPED becomes BLOCKED/);
});

it("the long text has the same rows", () => {
  const text = traceText(traceOf(scenario(`${running()}\nTDH.MEM.RANGE.BLOCK(td, 0x1000, 0)`)));
  assert.match(text, /Secure EPT of td\n {4}entry +secure EPT +PAMT\n/);
  assert.match(text, /\n {4}\.\.\.0x1000 +BLOCKED 17\*? +PT_REG/);
  assert.match(text, /\n {4}REFCOUNT even\/odd +0\/0\n/);
  assert.match(text, /\n {4}33 +HKID_ASSIGNED +td\n/);
  for (const line of text.split("\n")) assert.ok(line.length <= 80, line);
});

describe("stories", () => {
  const cases: readonly (readonly [name: string, text: string, said: readonly RegExp[]])[] = [
    [
      "a removal with a vCPU inside, by a module that lets it pass",
      scenario(`${running()}\nparallel { vmm { ${REMOVAL} }\nvcpu0 { store(0x1000, 1); load(0x1000) } }`, "tlb-tracked", UNCHECKED, "unchecked"),
      [
        /vcpu0's TLB has gpa 0x1000 -> frame 17 since vcpu0's td_access/,
        /vcpu0 is in the guest, in epoch 1, since/,
        /TD_EPOCH is 2/,
        /the PAMT has frame 17 as PT_NDA/,
      ],
    ],
    [
      "PAGE.REMOVE against ACCEPT and an access of another vCPU: the block meets the entry's lock",
      scenario(
        `${building(2)}\n  b = alloc_frame()\n  TDH.MEM.PAGE.AUG(td, 0x1000, 0, b)\n  TDH.MR.FINALIZE(td)
  parallel { vmm { TDH.MEM.RANGE.BLOCK(td, 0x1000, 0) @block; TDH.MEM.TRACK(td); TDH.MEM.PAGE.REMOVE(td, 0x1000, 0) @remove }
    vcpu0 { TDG.MEM.PAGE.ACCEPT(0x1000, 0) @accept; load(0x1000) }\nvcpu1 { load(0x1000) } }
  exists result(block) == TDX_OPERAND_BUSY/RCX && result(remove) == TDX_GPA_RANGE_NOT_BLOCKED/RCX && result(accept) == TDX_SUCCESS`,
      ),
      [/so it comes about/, /TDX_OPERAND_BUSY\/RCX/, /TDX_GPA_RANGE_NOT_BLOCKED\/RCX/],
    ],
    [
      "the host uses a page that it has not written back",
      scenario(`${running()}\nvcpu0: store(0x1000, 1)\n${REMOVAL}\nstore_frame(a, 2)`, "cache-flushed"),
      [/lines of frame 17 may lie modified in a cache under HKID 33 since vcpu0's td_access/, /the PAMT has frame 17 as PT_NDA, the host's, since/],
    ],
    [
      "the host writes a line of a TD",
      scenario(`${running()}\nparallel { vmm { store_frame(a, 2) }\nvcpu0 { load(0x1000) } }`, "private-integrity"),
      [/private-integrity breaks/, /#MC/, /its TD-owner bit is clear since vmm's write_frame|poisoned/],
    ],
    [
      "a kick is left out of KVM's removal",
      `kernel nokick extends 6.18 { fallocate.punch_hole.td without kick_send; fallocate.punch_hole.td without kick_wait }\n${race("nokick", `vmm { ${PUNCH(0x1000)} }  vcpu0 { load(0x1000) }`)}`,
      [/TDX_TLB_TRACKING_NOT_DONE\/RCX/, /BLOCKED with frame \d+ since vmm's block.commit/, /vcpu0 is in the guest, in epoch 1/],
    ],
    [
      "no write-back behind KVM's removal",
      `kernel nowb extends 6.18 { fallocate.punch_hole.td without page_wbinvd }\n${race("nowb", `vmm { ${PUNCH(0x1000)} }  vcpu0 { store(0x1000, 1) }`)}`,
      [/cache-flushed breaks in vmm's fallocate: truncate/, /under HKID 33 since vcpu0's td_access/, /nothing that comes later takes that away/],
    ],
    [
      "no reference, and a removal that failed",
      `kernel nopin extends 7.2 { fallocate.punch_hole.td without track }\n${race("nopin", `vmm { ${PUNCH(0x1000)} }  vcpu0 { load(0x1000) }`).replace("use td", "check td-page-held\n  use td")}`,
      [/td-page-held breaks/, /the PAMT has frame \d+ as PT_REG of vm since vmm's page_add.commit/],
    ],
  ];
  for (const [name, text, said] of cases) {
    it(name, () => {
      const story = storyText(traceOf(text));
      const lines = story.trimEnd().split("\n");
      assert.ok(lines.length <= 40, `${lines.length} lines\n${story}`);
      for (const line of lines) assert.ok(line.length <= 80, line);
      const flat = story.replace(/\s+/g, " ");
      for (const pattern of said) assert.match(flat, pattern, story);
    });
  }
  it("a leaf that is refused is told with its status, and is no violation", () => {
    const view = traceOf(
      scenario(
        `${running()}\nparallel { vmm { ${REMOVAL} @remove }\nvcpu0 { load(0x1000); load(0x1000) } }\nexists result(remove) == TDX_TLB_TRACKING_NOT_DONE/RCX`,
      ),
    );
    assert.deepEqual(view.violations, []);
    assert.match(storyText(view).replace(/\s+/g, " "), /so it comes about[\s\S]*TDX_TLB_TRACKING_NOT_DONE\/RCX/);
  });
});
