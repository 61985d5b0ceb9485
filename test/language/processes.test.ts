// Processes and signals in the text: who an actor is in which process, what is wrong where, and the way back from a Program to its text.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { completeAt } from "../../src/language/complete.ts";
import { describeAt } from "../../src/language/hover.ts";
import { printProgram } from "../../src/scenario/print.ts";
import { bare, read, said } from "./support.ts";

const one = (body: string): string => `kernel 6.18\nscenario "s" {\n${body}\n}\n`;
const findings = (body: string): string[] => said(one(body));
const actors = (body: string): string[] =>
  read(one(body)).programs[0].actors.map(({ name, kind, process = 0 }) => `${name} ${kind} ${read(one(body)).programs[0].processes?.[process].name ?? "-"}`);

describe("who acts in which process", () => {
  it("the main thread has the name of its process; other names are threads of it", () => {
    assert.deepEqual(actors('f = memfd_create("f", 0)\nchild = fork()\nprocess child { close(f); worker { close(f) } }\nchild: close(f)\nworker: close(f)'), [
      "vmm vmm vmm",
      "child host child",
      "worker host child",
    ]);
  });
  it("a vCPU acts in the process that made it, and in a process block in that one", () => {
    const vm = "vm = KVM_CREATE_VM(0)\nvcpu0 = KVM_CREATE_VCPU(vm, 0)\n";
    assert.deepEqual(actors(`${vm}child = fork()\nprocess child { vcpu0: load(0) }\nvcpu0: load(0)`), [
      "vmm vmm vmm",
      "child host child",
      "child.vcpu0 vcpu child",
      "vcpu0 vcpu vmm",
    ]);
    assert.deepEqual(actors(`process other { ${vm.replaceAll("\n", "; ")} }\nparallel { vcpu0 { load(0) } }`), [
      "vmm vmm vmm",
      "other host other",
      "vcpu0 vcpu other",
    ]);
  });
  it("children in a repeat are told apart by their index", () => {
    assert.deepEqual(actors('f = memfd_create("f", 0)\nrepeat 2 as i { child = fork() }\nchild[1]: close(f)\nchild[0] { close(f) }'), [
      "vmm vmm vmm",
      "child[1] host child[1]",
      "child[0] host child[0]",
    ]);
  });
  it("a scenario without processes has no list of them", () => {
    assert.equal(read(one("close(0)\nother: close(0)")).programs[0].processes, undefined);
  });
});

describe("what is wrong", () => {
  const cases: readonly [string, string, string[]][] = [
    ["a process in an actor", "vmm { process p { close(0) } }", ['MEMFD2018 "process p"']],
    ["a process in a process", "process p { process q { close(0) } }", ['MEMFD2018 "process q"']],
    ["a process in atomic", "atomic { process p { close(0) } }", ['MEMFD2018 "process p"']],
    ["a parallel in a process", "process p { parallel { vmm { close(0) } } }", ['MEMFD2018 "parallel"']],
    ["a thread of one process in another", "process p { t { close(0) } }\nprocess q { t { close(0) } }", ['MEMFD2018 "t"']],
    ["the main thread in another process", "process p { vmm { close(0) } }", ['MEMFD2018 "vmm"']],
    ["a name that is bound otherwise", 'f = memfd_create("f", 0)\nprocess f { close(0) }', ['MEMFD2006 "f"']],
    ["a thread's name for a process", "t { close(0) }\nprocess t { close(0) }", ['MEMFD2006 "t"']],
    ["a process's name for a fork", "process p { close(0) }\np = fork()", ['MEMFD2006 "p"']],
    ["a signal to nobody", "signal(ghost)", ['MEMFD2005 "ghost"']],
    ["a signal to a number", "signal(1 + 1)", ['MEMFD2005 "1 + 1"']],
    ["an offset behind a process", "child = fork()\nclose(child)", ['MEMFD2005 "child"']],
  ];
  for (const [name, body, wanted] of cases) it(name, () => assert.deepEqual(findings(body), wanted));
  it("a signal may stand before what its thread does, and a process is its main thread", () => {
    assert.deepEqual(findings("signal(late)\nlate: close(0)\nprocess p { close(0) }\nsignal(p)\nsend_fd(-1, p)"), []);
  });
});

it("a Program with processes is printed as text that means the same", () => {
  const text = one(`
    f = memfd_create("f", 0)
    vm = KVM_CREATE_VM(0)
    vcpu0 = KVM_CREATE_VCPU(vm, 0)
    process other { assert size(f) == 0; own = KVM_CREATE_VM(0); there = KVM_CREATE_VCPU(own, 0) }
    send_fd(f, other)
    child = fork()
    process child { close(f); helper { close(f) = -EBADF } ; vcpu0: load(0) = -EIO }
    parallel {
      vmm { signal(child) @sent }
      process child { close(f); atomic { close(f); close(f) } }
      process child { helper { close(f) } }
      there { load(0) }
      process other { vcpu0 { load(0) } }
    }`);
  const [first] = read(text).programs;
  const printed = printProgram(first);
  const again = read(printed);
  assert.deepEqual(
    again.findings.filter(({ severity }) => severity === "error"),
    [],
    printed,
  );
  assert.deepEqual(bare(again.programs[0]), bare(first), printed);
});

it("completion and hover know processes", () => {
  const text = one('f = memfd_create("f", 0)\nprocess other { close(f) }\nchild = fork()\nprocess \nsend_fd(f, \nsignal(');
  const labels = (behind: string): string[] => completeAt(read(text), text.indexOf(behind) + behind.length).map(({ label }) => label);
  assert.deepEqual(labels("fork()\nprocess ").sort(), ["child", "other"]);
  assert.ok(
    ["child", "other", "vmm"].every((name) => labels("send_fd(f, ").includes(name)),
    labels("send_fd(f, ").join(),
  );
  const full = one('f = memfd_create("f", 0)\nchild = fork()\nprocess child { close(f) }\nsend_fd(f, child)');
  assert.match(describeAt(read(full), full.indexOf("send_fd"))?.markdown ?? "", /SCM_RIGHTS/);
  assert.match(describeAt(read(full), full.indexOf("child {"))?.markdown ?? "", /process/);
});
