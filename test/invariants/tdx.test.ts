// The rules of the TDX module and of the memory that it guards: each broken where a variant takes the module's checks away or the host forgets a flush, at the
// very step that breaks it, and kept in the situations that a naive rule would accuse.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { invariants } from "../../src/scenario/catalogue/index.ts";
import { tdProperties } from "../../src/scenario/catalogue/tdx-invariants.ts";
import { broken } from "../model/support.ts";
import { building, running } from "../model/tdx/support.ts";

const UNCHECKED = "kernel unchecked extends 6.18 { SEAMCALL without acquire }\n";

/** A scenario under 6.18, or under a module that checks nothing. */
const text = (watch: string, body: string, unchecked = false): string =>
  `${unchecked ? UNCHECKED : ""}scenario "tdx" {\n  kernel ${unchecked ? "unchecked" : "6.18"}\n${watch === "" ? "" : `  check ${watch}\n`}${body}\n}\n`;

const all = (body: string): string => text("", body);

const REMOVAL = "TDH.MEM.RANGE.BLOCK(td, 0x1000, 0) @block; TDH.MEM.TRACK(td) @track; kick(vcpu0); TDH.MEM.PAGE.REMOVE(td, 0x1000, 0) @remove";

describe("sept-pamt-agree", () => {
  const agree = (body: string): string[] => broken(text("sept-pamt-agree", body, true));
  it("one page at two addresses", () => {
    const setup = `${building()}\n  b = alloc_frame()\n`;
    assert.deepEqual(agree(`${setup}TDH.MEM.PAGE.AUG(td, 0x1000, 0, b)\nTDH.MEM.PAGE.AUG(td, 0x2000, 0, b) @again`), ["sept-pamt-agree again.commit"]);
  });
  it("a page of a table, of another TD, counted twice", () => {
    assert.deepEqual(agree(`${building()}\nTDH.MEM.PAGE.AUG(td, 0x1000, 0, table[2]) @take`), ["sept-pamt-agree take.commit"]);
    assert.deepEqual(agree(`${running()}\nTDH.MEM.SEPT.ADD(td, 0, 2, a) @link`), ["sept-pamt-agree link.commit"]);
  });
  it("holds through every state of a page, blocked and pending leaves included, and does not look at a TD that is blocked", () => {
    assert.deepEqual(broken(text("sept-pamt-agree", `${running()}\nparallel { vmm { ${REMOVAL} }\nvcpu0 { store(0x1000, 1); load(0x1000) } }`)), []);
    const down =
      "TDH.VP.FLUSH(vcpu0); TDH.MNG.VPFLUSHDONE(td); TDH.PHYMEM.CACHE.WB(); TDH.MNG.KEY.FREEID(td); TDH.PHYMEM.PAGE.RECLAIM(table[1]); TDH.PHYMEM.PAGE.RECLAIM(a)";
    assert.deepEqual(broken(text("sept-pamt-agree", `${running()}\n${down}`)), []);
  });
});

describe("tlb-tracked", () => {
  it("a removal without BLOCK, TRACK and kick, by a module that lets it pass", () => {
    const race = `${running()}\nTDH.VP.ENTER(vcpu0)\nvcpu0: load(0x1000)\nTDH.MEM.PAGE.REMOVE(td, 0x1000, 0) @remove`;
    assert.deepEqual(broken(text("tlb-tracked", race, true)), ["tlb-tracked remove.commit"]);
    const next = race.replace("TDH.MEM.PAGE.REMOVE(td, 0x1000, 0) @remove", "b = alloc_frame()\nTDH.MEM.PAGE.RELOCATE(td, 0x1000, b) @move");
    assert.deepEqual(broken(text("tlb-tracked", next, true)), ["tlb-tracked move.commit"]);
  });
  it("a blocked entry may be hit until the removal, and what a vCPU outside keeps dies at its next entry", () => {
    assert.deepEqual(broken(text("tlb-tracked", `${running()}\nparallel { vmm { ${REMOVAL} }\nvcpu0 { load(0x1000); load(0x1000) } }`)), []);
    assert.deepEqual(broken(text("tlb-tracked", `${running()}\nvcpu0: load(0x1000)\n${REMOVAL}\nvcpu0: load(0x1000)`)), []);
  });
});

describe("epoch-counted", () => {
  it("two TRACKs while a vCPU of the first epoch is inside, by a module that lets them pass", () => {
    const race = `${running()}\nTDH.VP.ENTER(vcpu0)\nTDH.MEM.TRACK(td)\nTDH.MEM.TRACK(td) @second`;
    assert.deepEqual(broken(text("epoch-counted", race, true)), ["epoch-counted second.commit"]);
    assert.deepEqual(broken(text("epoch-counted", race)), []);
  });
  it("a TD that dies inside keeps the count of its vCPU", () => {
    assert.deepEqual(broken(text("epoch-counted", `${running()}\nstore_frame(a, 1)\nvcpu0: load(0x1000) = #MC`)), []);
  });
});

describe("cache-flushed", () => {
  const flushed = (body: string): string[] => broken(text("cache-flushed", body));
  it("the host fills a page and gives it away without CLFLUSH", () => {
    const give = `${building()}\n  b = alloc_frame()\n  store_frame(b, 1)\n`;
    assert.deepEqual(flushed(`${give}TDH.MEM.PAGE.AUG(td, 0x1000, 0, b) @give`), ["cache-flushed give.commit"]);
    assert.deepEqual(flushed(`${give}clflush(b)\nTDH.MEM.PAGE.AUG(td, 0x1000, 0, b)`), []);
    assert.deepEqual(flushed(`${give}TDH.MEM.SEPT.ADD(td, 0x40000000, 2, b) @give`), ["cache-flushed give.commit"]);
  });
  it("the host uses a page that came back and was not written back", () => {
    const back = `${running()}\nvcpu0: store(0x1000, 1)\n${REMOVAL}\n`;
    assert.deepEqual(flushed(`${back}store_frame(a, 2) @use`), ["cache-flushed use.write_frame"]);
    assert.deepEqual(flushed(`${back}TDH.PHYMEM.PAGE.WBINVD(a, 33)\nstore_frame(a, 2)`), []);
    assert.deepEqual(flushed(`${back}TDH.PHYMEM.PAGE.WBINVD(a, 34)\nstore_frame(a, 2) @use`), ["cache-flushed use.write_frame"]);
  });
  it("a page of the old TD is lent to another one without being written back", () => {
    const second = "root2 = alloc_frame()\n  other = TDH.MNG.CREATE(root2, 34)\n  TDH.MNG.KEY.CONFIG(other)\n";
    assert.deepEqual(flushed(`${running()}\nvcpu0: store(0x1000, 1)\n${second}${REMOVAL}\nTDH.MNG.ADDCX(other, a) @lend`), ["cache-flushed lend.commit"]);
    assert.deepEqual(flushed(`${running()}\nvcpu0: store(0x1000, 1)\n${second}${REMOVAL}\nTDH.PHYMEM.PAGE.WBINVD(a, 33)\nTDH.MNG.ADDCX(other, a)`), []);
  });
  it("the TDR, which the module writes behind the write-back of the caches, is used without one of its own", () => {
    const made = "root = alloc_frame()\ntd = TDH.MNG.CREATE(root, 33)\nTDH.MNG.KEY.CONFIG(td)\n";
    const gone = `${made}TDH.MNG.VPFLUSHDONE(td)\nTDH.PHYMEM.CACHE.WB()\nTDH.MNG.KEY.FREEID(td)\nTDH.PHYMEM.PAGE.RECLAIM(root)\n`;
    assert.deepEqual(flushed(`${gone}store_frame(root, 1) @use`), ["cache-flushed use.write_frame"]);
    assert.deepEqual(flushed(`${gone}TDH.PHYMEM.PAGE.WBINVD(root, 33)\nstore_frame(root, 1) @use`), ["cache-flushed use.write_frame"]);
    assert.deepEqual(flushed(`${gone}TDH.PHYMEM.PAGE.WBINVD(root, 32)\nstore_frame(root, 1)`), []);
  });
  it("a key id is freed before its lines are written back, by a module that lets it pass", () => {
    const down = "TDH.VP.FLUSH(vcpu0)\nTDH.MNG.VPFLUSHDONE(td)\nTDH.MNG.KEY.FREEID(td) @free";
    assert.deepEqual(broken(text("cache-flushed", `${running()}\n${down}`, true)), ["cache-flushed free.commit"]);
    assert.deepEqual(flushed(`${running()}\n${down.replace("TDH.MNG.KEY", "TDH.PHYMEM.CACHE.WB()\nTDH.MNG.KEY")}`), []);
  });
});

describe("private-integrity", () => {
  const integrity = (body: string): string[] => broken(text("private-integrity", body));
  it("the host writes a line of the TD, and the TD meets poison", () => {
    assert.deepEqual(integrity(`${running()}\nstore_frame(a, 1)\nvcpu0: load(0x1000) @look`), ["private-integrity look.td_access"]);
    const erratum = `machine { erratum = 1 }\n${running()}\nmovnti(a, 0, 1)\nvcpu0: store(0x1000, 2) @write`;
    assert.deepEqual(integrity(erratum), ["private-integrity write.td_access"]);
  });
  it("lines of another TD's key reach memory behind the page's new owner, whose TD-owner bit tells nothing", () => {
    const next = building(1)
      .replaceAll(/\b(root|td|tdcx|tdvpr0|vcpu0|vpcx0|table)\b/g, "$1b")
      .replace("33", "34");
    const lent = `${running()}\nvcpu0: store(0x1000, 1)\n${next}
  TDH.MR.FINALIZE(tdb)
  ${REMOVAL}
  TDH.MEM.PAGE.AUG(tdb, 0x1000, 0, a)
  vcpu0b: TDG.MEM.PAGE.ACCEPT(0x1000, 0)
  TDH.VP.FLUSH(vcpu0); TDH.MNG.VPFLUSHDONE(td); TDH.PHYMEM.CACHE.WB()
  vcpu0b: load(0x1000) @look`;
    assert.deepEqual(integrity(lent), ["private-integrity look.td_access"]);
    assert.deepEqual(integrity(lent.replace("TDH.MEM.PAGE.AUG(tdb", "TDH.PHYMEM.PAGE.WBINVD(a, 33)\n  TDH.MEM.PAGE.AUG(tdb")), []);
  });
  it("what is lost by removal and a new acceptance is no violation, nor is the host's reading of zeros", () => {
    const again = `b = alloc_frame()\nTDH.MEM.PAGE.AUG(td, 0x1000, 0, b)\nvcpu0 { TDG.MEM.PAGE.ACCEPT(0x1000, 0); load(0x1000) = 0 }`;
    assert.deepEqual(integrity(`${running()}\nvcpu0: store(0x1000, 1)\nload_frame(a) = 0\nvcpu0: load(0x1000) = 1\n${REMOVAL}\n${again}`), []);
    const moved = "b = alloc_frame()\nTDH.MEM.RANGE.BLOCK(td, 0x1000, 0); TDH.MEM.TRACK(td); TDH.MEM.PAGE.RELOCATE(td, 0x1000, b)\nvcpu0: load(0x1000) = 1";
    assert.deepEqual(integrity(`${running()}\nvcpu0: store(0x1000, 1)\n${moved}`), []);
    assert.deepEqual(integrity(`${running()}\nvcpu0: load(0x1000) = 0x41`), []);
  });
});

describe("private-inaccessible", () => {
  const reach = (body: string): string[] => broken(text("private-inaccessible", body));
  it("the host reads or writes a page of a TD through the direct map", () => {
    assert.deepEqual(reach(`${running()}\nload_frame(a) @look`), ["private-inaccessible look.load_frame"]);
    assert.deepEqual(reach(`${running()}\nstore_frame(a, 1) @write`), ["private-inaccessible write.write_frame"]);
  });
  it("a page that has not been accepted holds nothing of the TD, and one that has been removed is the host's", () => {
    const pending = `${running()}\nb = alloc_frame()\nTDH.MEM.PAGE.AUG(td, 0x2000, 0, b)\nload_frame(b)`;
    assert.deepEqual(reach(pending), []);
    assert.deepEqual(reach(`${running()}\n${REMOVAL}\nTDH.PHYMEM.PAGE.WBINVD(a, 33)\nload_frame(a)\nmovdir64b(a)`), []);
  });
});

describe("key-order", () => {
  const order = (body: string, unchecked = true): string[] => broken(text("key-order", body, unchecked));
  it("freed without a flush, freed before a package has written back, given to two TDs", () => {
    assert.deepEqual(order(`${building()}\nTDH.MNG.KEY.FREEID(td) @free`), ["key-order free.commit"]);
    assert.deepEqual(order(`${building()}\nTDH.VP.FLUSH(vcpu0)\nTDH.MNG.VPFLUSHDONE(td)\nTDH.MNG.KEY.FREEID(td) @free`), ["key-order free.commit"]);
    assert.deepEqual(order(`${building()}\nother = alloc_frame()\nTDH.MNG.CREATE(other, 33) @second`), ["key-order second.commit"]);
  });
  it("a page leaf before the keys are configured", () => {
    const early = "root = alloc_frame()\ntd = TDH.MNG.CREATE(root, 33)\nb = alloc_frame()\nTDH.MEM.PAGE.AUG(td, 0x1000, 0, b) @early";
    assert.deepEqual(order(early), ["key-order early.commit"]);
  });
  it("VPFLUSHDONE straight from HKID_ASSIGNED is legal, and a key id that stays assigned for ever is only leaked", () => {
    const straight =
      "root = alloc_frame()\ntd = TDH.MNG.CREATE(root, 33)\nTDH.MNG.VPFLUSHDONE(td) = TDX_SUCCESS\nTDH.PHYMEM.CACHE.WB()\nTDH.MNG.KEY.FREEID(td) = TDX_SUCCESS";
    assert.deepEqual(order(straight, false), []);
    assert.deepEqual(order(`${running()}\nTDH.MNG.VPFLUSHDONE(td) = TDX_FLUSHVP_NOT_DONE`, false), []);
    const two =
      "machine { packages = 2 }\nroot = alloc_frame()\ntd = TDH.MNG.CREATE(root, 33)\nTDH.MNG.VPFLUSHDONE(td)\nTDH.PHYMEM.CACHE.WB(0, 0)\nTDH.MNG.KEY.FREEID(td)";
    assert.deepEqual(order(two, false), []);
  });
});

describe("a correct use of the module breaks nothing", () => {
  it("the life of a TD, from its first page to the last", () => {
    const down = `TDH.VP.FLUSH(vcpu0); TDH.MNG.VPFLUSHDONE(td); TDH.PHYMEM.CACHE.WB(); TDH.MNG.KEY.FREEID(td)
  repeat 5 as i { TDH.PHYMEM.PAGE.RECLAIM(vpcx0[i]) = TDX_SUCCESS }
  TDH.PHYMEM.PAGE.RECLAIM(tdvpr0); repeat 3 as i { TDH.PHYMEM.PAGE.RECLAIM(table[i]) = TDX_SUCCESS }
  repeat 6 as i { TDH.PHYMEM.PAGE.RECLAIM(tdcx[i]) = TDX_SUCCESS }
  TDH.PHYMEM.PAGE.RECLAIM(root) = TDX_SUCCESS
  TDH.PHYMEM.PAGE.WBINVD(root, 32) = TDX_SUCCESS; movdir64b(root)`;
    const page = "TDH.PHYMEM.PAGE.WBINVD(a, 33) = TDX_SUCCESS; movdir64b(a); store_frame(a, 1)";
    assert.deepEqual(broken(all(`${running()}\nvcpu0: store(0x1000, 1)\n${REMOVAL}\n${page}\n${down}`)), []);
  });
  it("a removal against accesses and acceptance of two vCPUs", () => {
    const race = `${running(2)}\n  b = alloc_frame()\n  TDH.MEM.PAGE.AUG(td, 0x2000, 0, b)
  parallel {
    vmm { TDH.MEM.RANGE.BLOCK(td, 0x2000, 0); TDH.MEM.TRACK(td); kick(vcpu0); kick(vcpu1); TDH.MEM.PAGE.REMOVE(td, 0x2000, 0) }
    vcpu0 { TDG.MEM.PAGE.ACCEPT(0x2000, 0); load(0x2000) }
    vcpu1 { load(0x1000) }
  }`;
    assert.deepEqual(broken(all(race)), []);
  });
});

it("each property of a TD is watched over by invariants that there are, and the README says so", () => {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  for (const { property, invariants: names } of tdProperties) {
    assert.ok(names.length > 0, property);
    assert.ok(readme.includes(`| ${property} | ${names.map((name) => `\`${name}\``).join(" ")} |`), property);
    for (const name of names) assert.ok(invariants.find((row) => row.name === name)?.modelled, `${property} ${name}`);
  }
});
