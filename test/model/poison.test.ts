// Memory errors in pages of a guest_memfd: what the guest's fault and a pre-fault answer, what the model refuses to guess, and the footprints of the steps.

import assert from "node:assert/strict";
import { it } from "node:test";
import { explore } from "../../src/explore/search.ts";
import { GMEM_SETUP } from "./gmem-random.ts";
import { broken, labelled, onMachine, report, still } from "./support.ts";
import { watching } from "./watching.ts";

const START = `${GMEM_SETUP}  fallocate(ram, FALLOC_FL_KEEP_SIZE, 0, 8K) = 0\n`;
const POISON = "poison(frame(ram, 0)) = 0\n";

it("KVM_RUN and KVM_PRE_FAULT_MEMORY answer EHWPOISON, the other page is there", () => {
  const text = `kernel 6.18\n${START}${POISON}vcpu0: load(0x1000) @touched\nKVM_PRE_FAULT_MEMORY(vcpu1, 0x1000, 4K) @ahead\nvcpu0: load(SHARED|0x2000) @other\n`;
  const { touched, ahead } = labelled(text);
  assert.match(touched, /^exit KVM_EXIT_MEMORY_FAULT \{.*errno=EHWPOISON\}$/);
  assert.equal(ahead, "-EHWPOISON");
});

it("the reference is forgotten before c31745d2c508 only", () => {
  const text = (kernel: string): string => `kernel ${kernel}\n${START}${POISON}vcpu0: load(0x1000) @touched\n`;
  assert.deepEqual(broken(text("6.8.0")), ["refcount-balanced touched.get_page"]);
  for (const kernel of ["6.8", "6.16", "6.18", "7.2"]) assert.deepEqual(broken(text(kernel)), [], kernel);
});

it("a guest that has the page mapped loses it, and meets the error with its next access", () => {
  for (const kernel of ["6.8", "6.16", "6.18", "7.2"]) {
    const text = `kernel ${kernel}\n${START}vcpu0: store(0x1000, 7)\nassert ept(vm, 0x1000) != NONE\n${POISON}assert ept(vm, 0x1000) == NONE && pages(ram) == 2\nvcpu0: load(0x1000) @touched\n`;
    assert.match(labelled(text).touched, /^exit KVM_EXIT_MEMORY_FAULT \{.*errno=EHWPOISON\}$/, kernel);
    assert.deepEqual([report(text).verdict, broken(text)], ["pass", []], kernel);
  }
});

it("a fault that is under way finds the error, or maps the page before and loses it", () => {
  const text = `kernel 6.18\n${START}parallel {\n  vmm { poison(frame(ram, 0)) = 0 }\n  vcpu0 { load(0x1000) @touched }\n}\nassert ept(vm, 0x1000) == NONE\n`;
  const { verdict, exploration } = report(text);
  assert.deepEqual([verdict, exploration.complete, broken(text)], ["pass", true, []]);
  assert.match(labelled(text).touched, /^0x00 or exit KVM_EXIT_MEMORY_FAULT \{.*errno=EHWPOISON\}$/);
});

it("without the invalidation the guest goes on with the broken page: no source tells what it meets there", () => {
  const { exploration } = report(`kernel deaf extends 6.18 { poison without invalidate_begin }\nkernel deaf\n${START}vcpu0: store(0x1000, 7)\n${POISON}`);
  assert.ok(!exploration.complete);
});

it("what no source tells is not modelled: a page that the host maps, that leaves its file, of an ordinary memfd", () => {
  const refused = (lines: string): boolean => {
    const { exploration, remarks } = report(`kernel 6.18\n${START}${lines}`);
    return !exploration.complete && remarks.some(({ message }) => message.includes("modelled"));
  };
  assert.ok(
    refused(
      `gm = KVM_CREATE_GUEST_MEMFD(vm, 4K, GUEST_MEMFD_FLAG_MMAP|GUEST_MEMFD_FLAG_INIT_SHARED)\nhost = mmap(NULL, 4K, PROT_READ, MAP_SHARED, gm, 0)\nload(host, 0)\npoison(frame(gm, 0))\n`,
    ),
  );
  assert.ok(refused(`${POISON}fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0, 4K)\n`));
  assert.ok(refused("pwrite(mem, 1, 0)\npoison(frame(mem, 0))\n"));
  assert.ok(!refused(`${POISON}fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 4K, 4K)\n`));
});

it("a page that is not there has no error", () => {
  assert.deepEqual(labelled(`kernel 6.18\n${GMEM_SETUP}poison(frame(ram, 0)) @none\n`), { none: "-ENOENT" });
});

it("its steps touch only what they declare", () => {
  const missing = new Set<string>();
  for (const kernel of ["6.8.0", "6.18"]) {
    const block =
      "vmm { poison(frame(ram, 0)) }  other { fallocate(ram, FALLOC_FL_KEEP_SIZE, 0, 8K); migrate(frame(ram, 4K)) }  vcpu0 { load(0x2000); load(0x1000) }";
    onMachine(`kernel ${kernel}\n${START}parallel {\n  ${block}\n}\nparallel {\n  vcpu0 { load(0x1000) }  vcpu1 { load(0x1000) }\n}\n`, (machine) =>
      watching(
        machine,
        (text) => missing.add(text),
        () => explore(machine, {}, { maxStates: 20_000, maxMilliseconds: 1e9, maxBytes: 1 << 26, now: still }),
      ),
    );
  }
  assert.deepEqual([...missing].sort(), []);
});
