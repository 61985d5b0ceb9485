// Text in columns: nothing is wider than asked, nothing is lost, and no character can steer a terminal.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fold, sideBySide, table, wrap } from "../../src/view/columns.ts";

const squeeze = (text: string): string => text.replace(/\s+/g, "");

test("typographic characters become the mail's, control characters a question mark", () => {
  assert.equal(fold("0x2000–0x3fff → frame 3 …"), "0x2000-0x3fff -> frame 3 ...");
  assert.equal(fold("a\u001b[31mb\u202ec"), "a?[31mb?c");
  assert.equal(fold("Ägypten 中"), "Ägypten 中");
});

test("wrap breaks at spaces, and a long word behind a comma or a bar", () => {
  assert.deepEqual(wrap("one two three", 7), ["one two", "three"]);
  assert.deepEqual(wrap("one two three", 8, "  "), ["one two", "  three"]);
  assert.deepEqual(wrap("FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE", 30), ["FALLOC_FL_PUNCH_HOLE|", "FALLOC_FL_KEEP_SIZE"]);
  assert.deepEqual(wrap("", 10), [""]);
});

test("wrap keeps every character and every width", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 200 }), fc.integer({ min: 12, max: 80 }), fc.constantFrom("", "  ", "    "), (text, width, hang) => {
      const lines = wrap(text, width, hang);
      for (const line of lines) assert.ok(line.length <= width, `${line.length} > ${width}: ${line}`);
      assert.equal(squeeze(lines.join("")), squeeze(fold(text)));
    }),
  );
});

test("a table fits, and every cell is in it", () => {
  const word = fc.stringMatching(/^[a-z0-9:]{1,12}$/);
  fc.assert(
    fc.property(
      fc.array(fc.array(fc.array(word, { maxLength: 6 }), { minLength: 4, maxLength: 4 }), { maxLength: 6 }),
      fc.integer({ min: 60, max: 100 }),
      (cells, width) => {
        const rows = cells.map((row) => row.map((words) => words.join(" ")));
        const lines = table(["a", "b", "c", "d"], rows, width);
        for (const line of lines) assert.ok(line.length <= width, line);
        const text = lines.join("\n");
        for (const each of rows.flat().flatMap((cell) => cell.split(" "))) assert.ok(text.includes(each), each);
      },
    ),
  );
});

test("blocks of different height stand next to each other", () => {
  assert.deepEqual(sideBySide([["1", "2"], ["x"]], [3, 3], 1), ["1   x", "2"]);
});
