// Rows of processes: what is open and mapped in each, from the fork on, and signals that are pending.

import assert from "node:assert/strict";
import { it } from "node:test";
import { machineView } from "../../src/view/machine.ts";
import { onMachine } from "../model/support.ts";

/** The rows of processes after so many steps of each turn, one actor after the other in the order of the text. */
function rows(body: string): string[][] {
  return onMachine(`scenario "s" {\n  kernel 6.18\n${body}\n}\n`, (machine) => {
    const state = new Int32Array(machine.words);
    machine.initial(state);
    const seen: string[][] = [];
    for (let moved = true; moved; ) {
      const facts = machineView(machine, state).facts.filter(({ group }) => group === "process");
      const text = facts.map(({ name, value }) => `${name}: ${value}`);
      if (seen.length === 0 || seen[seen.length - 1].join() !== text.join()) seen.push(text);
      moved = machine.program.actors.some((_, actor) => machine.step(state, actor, 0) > 0);
    }
    return seen;
  });
}

it("say for each process what it has open and mapped, the child's from the fork on", () => {
  const all = rows(`
    ram = memfd_create("ram", 0)
    map = mmap(NULL, 4K, PROT_READ, MAP_SHARED, ram, 0)
    child = fork()
    munmap(map, 4K)
    process child { close(ram) }
    vm = KVM_CREATE_VM(0)
  `);
  assert.deepEqual(all[0], ["vmm descriptors: none", "vmm mappings: none"]);
  assert.deepEqual(all.slice(-4), [
    ["vmm descriptors: ram", "vmm mappings: map", "child descriptors: ram", "child mappings: map"],
    ["vmm descriptors: ram", "vmm mappings: none", "child descriptors: ram", "child mappings: map"],
    ["vmm descriptors: ram", "vmm mappings: none", "child descriptors: none", "child mappings: map"],
    ["vmm descriptors: ram, vm", "vmm mappings: none", "child descriptors: none", "child mappings: map"],
  ]);
});

it("say that a process is about to end, and that it has ended", () => {
  const all = rows(`
    ram = memfd_create("ram", 0)
    child = fork()
    kill(child, SIGKILL)
    close(ram)
  `);
  const child = all.map((texts) => texts.filter((text) => text.startsWith("child")).join(" | ")).filter((text, at, list) => text !== list[at - 1]);
  assert.deepEqual(child, [
    "",
    "child descriptors: ram | child mappings: none",
    "child: ends | child descriptors: ram | child mappings: none",
    "child: ends | child descriptors: none | child mappings: none",
    "child: ended",
  ]);
  assert.deepEqual(rows('mem = memfd_create("mem", 0)\n exit_group(0)'), [[], ["vmm: ends"], ["vmm: ended"]]);
});

it("count the descriptors of a file in all processes", () => {
  onMachine(
    'scenario "s" {\n kernel 6.18\n ram = memfd_create("ram", 0)\n child = fork()\n process other { close(0) }\n send_fd(ram, other)\n}\n',
    (machine) => {
      const state = new Int32Array(machine.words);
      machine.initial(state);
      while (machine.program.actors.some((_, actor) => machine.step(state, actor, 0) > 0));
      const fact = machineView(machine, state).facts.find(({ name }) => name === "ram descriptors");
      assert.equal(fact?.value, "3");
    },
  );
});

it("say which signals are pending, and are not there in a scenario of one process", () => {
  const all = rows('mem = memfd_create("mem", 0)\ntimer: signal(vmm)\nftruncate(mem, 4K)');
  assert.deepEqual(all, [[], ["vmm signal: pending"], []]);
});
