// The help on the parameters of the call around the cursor: their names under the kernel, which one is being written, and nothing where there is no call.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Signature, signaturesAt } from "../../src/language/signature.ts";
import { read } from "./support.ts";

const at = (line: string, kernel = "v8"): Signature[] => {
  const text = `scenario "s" {\n  kernel ${kernel}\n  fd = memfd_create("x", 0)\n  map = mmap(NULL, 4K, PROT_READ, MAP_SHARED, fd, 0)\n  vm = KVM_CREATE_VM(0)\n  ${line}\n}\n`;
  const offset = text.indexOf("|", text.indexOf("KVM_CREATE_VM"));
  return signaturesAt(read(text.slice(0, offset) + text.slice(offset + 1)), offset);
};
const active = (line: string, kernel?: string): string | undefined => {
  const [{ label, parameters, active: index }] = at(line, kernel);
  const parameter = index === undefined ? undefined : parameters[index];
  return parameter && label.slice(parameter.from, parameter.to);
};

test("the parameter at the cursor, by place", () => {
  assert.equal(at("fallocate(|")[0].label, "fallocate(fd, mode, offset, len)");
  assert.equal(active("fallocate(|"), "fd");
  assert.equal(active("fallocate(fd, |"), "mode");
  assert.equal(active("fallocate(fd, FALLOC_FL_PUN|"), "mode");
  assert.equal(active("fallocate(fd, 0, (1 + 2) * 4K, |)"), "len");
  assert.equal(active("fallocate(fd, 0, 0, 4K, |)"), undefined, "there is no fifth");
  assert.equal(active('pwrite(fd, "a, (b", |'), active("pwrite(fd, 1, |"), "a comma in quotes parts nothing");
});

test("the parameter at the cursor, by name; behind a name the place says nothing", () => {
  assert.equal(active("KVM_SET_USER_MEMORY_REGION(vm, memory_size=|"), "memory_size");
  assert.equal(active("KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=KVM_MEM|"), "flags");
  assert.equal(active("KVM_SET_USER_MEMORY_REGION(vm, slot=0, |"), undefined);
});

test("names, constants and optional parameters are those of the kernel", () => {
  const [v8] = at("KVM_SET_USER_MEMORY_REGION(|");
  const [v10] = at("KVM_SET_USER_MEMORY_REGION(|", "v10");
  assert.match(v8.label, /\[private_fd\]/);
  assert.match(v10.label, /\[restricted_fd\]/);
  const flags = (kernel: string): string => at('memfd_create("x", |', kernel)[0].parameters[1].documentation;
  assert.match(flags("v8"), /`MFD_INACCESSIBLE`/);
  assert.doesNotMatch(flags("6.18"), /MFD_INACCESSIBLE/);
});

test("the target of an ioctl on /dev/kvm may be left out", () => {
  assert.equal(active("KVM_CREATE_VM(|"), "type");
  assert.equal(active("KVM_CREATE_VM(kvm, |"), "type");
});

test("a word with two meanings: the one that the first argument fits stands first", () => {
  const labels = (line: string): string[] => at(line).map(({ label }) => label);
  assert.deepEqual(labels("load(map, |"), [...labels("load(0x1000|")].reverse());
  assert.equal(active("load(map, |"), "off");
});

test("queries have help too; strings, comments and places outside of calls have none", () => {
  assert.equal(active("assert allocated(fd, |"), "off");
  for (const line of ["close(1) |", 'memfd_create("x|', "// close(|", "nonsense(|"]) assert.deepEqual(at(line), [], line);
});
