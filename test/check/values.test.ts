// What a finding says of a condition that does not hold: the parts of it as they are in the state that was found.

import assert from "node:assert/strict";
import { test } from "node:test";
import { check } from "../../src/check/index.ts";
import { locate } from "../../src/check/locate.ts";
import { analyse } from "../../src/language/index.ts";

const RAM = 'ram = memfd_create("ram", MFD_ALLOW_SEALING)\nftruncate(ram, 8K)\n';
const RACE = `${RAM}parallel {\n  a { pwrite(ram, "a", 0) = 1 @write }\n  b { fcntl(ram, F_ADD_SEALS, F_SEAL_WRITE) = 0 @seal }\n}\n`;

/** Messages of the findings about conditions. */
function messages(text: string, kernel = "6.18"): string[] {
  const { programs, findings } = analyse("values.memfd", `kernel ${kernel}\n${text}\n`, { imports: () => undefined });
  assert.deepEqual(
    findings.filter(({ severity }) => severity === "error").map(({ message }) => message),
    [],
  );
  const report = check(programs[0], { now: () => 0 });
  return locate(programs[0], report)
    .filter(({ code }) => /^MEMFD302[0-4]$/.test(code))
    .map(({ message }) => message);
}

test("an assert says what there is", () => {
  assert.deepEqual(messages(`${RAM}assert pages(ram) == 1`), ["does not hold here in some interleaving: pages(ram) is 0"]);
  assert.deepEqual(messages(`${RAM}assert size(ram) == 4K && seals(ram) == F_SEAL_GROW`), [
    "does not hold here in some interleaving: size(ram) is 8K, seals(ram) is 0",
  ]);
});

test("a frame that is not there is NONE, a byte is hexadecimal, a state has its name", () => {
  assert.deepEqual(messages(`${RAM}assert frame(ram, 0) != NONE`), ["does not hold here in some interleaving: frame(ram, 0) is NONE"]);
  assert.deepEqual(messages(`${RAM}pwrite(ram, "A", 0)\nassert value(ram, 0) == 0x42`), ["does not hold here in some interleaving: value(ram, 0) is 0x41"]);
  assert.deepEqual(messages("page = alloc_frame()\nTDH.MNG.CREATE(page, 33)\nassert pamt(page) == PT_REG"), [
    "does not hold here in some interleaving: pamt(page) is PT_TDR",
  ]);
});

test("questions about final states: what one of them has; a part is named once, and at most three are", () => {
  assert.deepEqual(messages(`${RAM}forall pages(ram) == 1 || pages(ram) == 2`), ["some final state does not have it: pages(ram) is 0"]);
  assert.deepEqual(messages(`${RAM}never pages(ram) < 4`), ["some final state has it: pages(ram) is 0"]);
  assert.deepEqual(messages(`${RAM}exists pages(ram) == 1`), ["no final state has it: in one pages(ram) is 0"]);
  const [many] = messages(`${RAM}exists pages(ram) + size(ram) + mode(ram) + seals(ram) + allocated(ram, 0) == 1`);
  assert.equal(many.match(/ is /g)?.length, 3, many);
});

test("results by their labels, as they stand behind a call", () => {
  const found = messages(`${RACE}forall result(write) == 1`);
  assert.deepEqual(found, ["some final state does not have it: result(write) is -EPERM"]);
  assert.deepEqual(messages(`${RACE}never result(seal) == 0`), ["some final state has it: result(seal) is 0"]);
});

test("a condition without such parts says nothing more", () => {
  assert.deepEqual(messages("exists 1 == 2"), ["no final state has it"]);
});
