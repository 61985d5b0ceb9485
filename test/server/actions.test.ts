// Quick fixes for a violation, applied and run again; and what is said where a scenario with errors is asked for its story.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { CodeAction, TextEdit } from "vscode-languageserver";
import { STORY, type StoryResult } from "../../src/server/protocol.ts";
import { scenario, session } from "./session.ts";

const { client, open } = session("actions");

test("the story of a scenario with errors in its text: the refusal names the first of them with its line", async () => {
  const text = `${scenario("other", "memfd_creat()")}${scenario("broken", "close(1)", 'memfd_craete("x", 0)', "close(")}`;
  const uri = await open(text);
  const line = text.slice(0, text.indexOf("memfd_craete")).split("\n").length;
  const { refusal } = await client.request<StoryResult>(STORY, { uri, scenario: "broken" });
  assert.match(refusal ?? "", new RegExp(`Line ${line}: there is no call .memfd_craete.; did you mean .memfd_create.\\?\\. The file has \\d+ errors`));
  const at = await client.request<StoryResult>(STORY, { uri, position: { line: line - 1, character: 4 } });
  assert.equal(at.refusal, refusal);
});

const VARIANT = "kernel v8-pages extends v8 { notifier_units = pages }\n";
const BODY = [
  'ram = memfd_create("guest-ram", MFD_INACCESSIBLE)',
  "ftruncate(ram, 16K) = 0",
  "vm = KVM_CREATE_VM(0)",
  "vcpu0 = KVM_CREATE_VCPU(vm, 0)",
  "KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=KVM_MEM_PRIVATE, guest_phys_addr=0, memory_size=16K, private_fd=ram, private_offset=0) = 0",
  "vcpu0: store(0x1000, 0x41)",
  "fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0x1000, 4K) = 0",
];
const under = (kernels: string, last: string): string =>
  `${VARIANT}scenario "hole" {\n  kernel ${kernels}\n  check no-stale-mapping\n  ${BODY.join("\n  ")}${last}`;
const applied = (text: string, { range, newText }: TextEdit): string => {
  const lines = text.split("\n");
  const offset = ({ line, character }: TextEdit["range"]["start"]): number => lines.slice(0, line).join("\n").length + (line > 0 ? 1 : 0) + character;
  return text.slice(0, offset(range.start)) + newText + text.slice(offset(range.end));
};

/** The fix that expects the violation on the line of the hole, and the text after it. */
async function expecting(text: string): Promise<{ titles: string[]; after: string; uri: string }> {
  const uri = await open(text);
  await client.settled(uri);
  const line = text.slice(0, text.indexOf("fallocate(")).split("\n").length - 1;
  const range = { start: { line, character: 0 }, end: { line, character: 999 } };
  const actions = await client.request<CodeAction[]>("textDocument/codeAction", { textDocument: { uri }, range, context: { diagnostics: [] } });
  const found = actions.filter(({ title }) => title.startsWith("Add “expect violation"));
  const [edit] = found[0]?.edit?.changes?.[uri] ?? [];
  return { titles: found.map(({ title }) => title), after: edit === undefined ? "" : applied(text, edit), uri };
}

for (const [what, text, line] of [
  ["before the closing brace", under("v8-pages", "\n}\n"), "\n  expect violation no-stale-mapping\n}\n"],
  ["where the brace shares its line", under("v8-pages", " }\n"), " ; expect violation no-stale-mapping }\n"],
  ["for the kernels under which it breaks", under("v8-pages, v4", "\n}\n"), "\n  on v8-pages { expect violation no-stale-mapping }\n}\n"],
  ["in a file without scenarios", `${VARIANT}kernel v8-pages\ncheck no-stale-mapping\n${BODY.join("\n")}\n`, "\nexpect violation no-stale-mapping\n"],
] as const) {
  test(`a violation may be expected by a quick fix: ${what}`, async () => {
    const { titles, after, uri } = await expecting(text);
    assert.deepEqual(titles, ["Add “expect violation no-stale-mapping”"]);
    assert.ok(after.endsWith(line), JSON.stringify(after.slice(-90)));
    const status = await client.settled(uri, await client.replace(uri, after));
    assert.deepEqual([status.fail, status.notRun], [0, 0], after);
  });
}

test("no quick fix expects what the scenario says is safe", async () => {
  assert.deepEqual((await expecting(under("v8-pages", "\n  expect safe\n}\n"))).titles, []);
});

/** Texts after each of the fixes that choose a kernel, by title. */
async function underOthers(text: string, word: string): Promise<[title: string, after: string][]> {
  const uri = await open(text);
  await client.settled(uri);
  const before = text.slice(0, text.indexOf(word)).split("\n");
  const at = { line: before.length - 1, character: before[before.length - 1].length + 1 };
  const actions = await client.request<CodeAction[]>("textDocument/codeAction", {
    textDocument: { uri },
    range: { start: at, end: at },
    context: { diagnostics: [] },
  });
  const chosen = actions.filter(({ title }) => title.startsWith("Run under "));
  return chosen.map(({ title, edit }) => [title, applied(text, edit?.changes?.[uri]?.[0] as TextEdit)]);
}

const MADE = 'ram = memfd_create("ram", MFD_INACCESSIBLE)';

for (const [what, text, after] of [
  ["a line more in the scenario", `kernel 6.18\nscenario "s" {\n  ${MADE}\n}\n`, `kernel 6.18\nscenario "s" {\n  kernel v8\n  ${MADE}\n}\n`],
  ["the scenario's own choice", `kernel v8\nscenario "s" {\n  kernel 6.18, 7.2\n  ${MADE}\n}\n`, `kernel v8\nscenario "s" {\n  kernel v8\n  ${MADE}\n}\n`],
  ["the choice of a file of bare statements", `kernel 6.18 // now\n${MADE}\n`, `kernel v8 // now\n${MADE}\n`],
  ["the choice behind a comment that looks like one", `/*\nkernel 6.8\n*/\nkernel 6.18; ${MADE}\n`, `/*\nkernel 6.8\n*/\nkernel v8; ${MADE}\n`],
  ["a file that chooses none", `${MADE}\n`, `kernel v8\n\n${MADE}\n`],
] as const) {
  test(`a constant of other kernels: a quick fix runs the scenario under one of them: ${what}`, async () => {
    const found = await underOthers(text, "MFD_INACCESSIBLE");
    assert.deepEqual(
      found.map(([title]) => title),
      ["Run under v8", "Run under v7", "Run under v6"],
    );
    assert.equal(found[0][1], after);
    assert.deepEqual(await underOthers(after, "MFD_INACCESSIBLE"), []);
  });
}

test("a call of other kernels likewise, and nothing is offered for a name that no kernel has", async () => {
  const text = `scenario "s" {\n  kernel v8\n  vm = KVM_CREATE_VM(0)\n  KVM_CREATE_GUEST_MEMFD(vm, 4K, 0)\n  close(NOWHERE)\n}\n`;
  const titles = (await underOthers(text, "KVM_CREATE_GUEST_MEMFD")).map(([title]) => title);
  assert.ok(titles.length > 0 && titles.every((title) => /^Run under [67]\./.test(title)), titles.join(", "));
  assert.deepEqual(await underOthers(text, "NOWHERE"), []);
});

test("two statements on one line: a quick fix puts what parts them in between", async () => {
  const text = 'kernel v8\nscenario "s" {\n  close(1) close(2)\n}\n';
  const uri = await open(text);
  const at = { line: 2, character: 12 };
  const actions = await client.request<CodeAction[]>("textDocument/codeAction", {
    textDocument: { uri },
    range: { start: at, end: at },
    context: { diagnostics: [] },
  });
  const fix = actions.find(({ title }) => title === "Begin another statement");
  assert.match(String(fix?.diagnostics?.[0]?.message), /unexpected `close`: the statement is complete before it; between two on one line stands `;`$/);
  assert.equal(applied(text, fix?.edit?.changes?.[uri]?.[0] as TextEdit), text.replace("close(1) close(2)", "close(1) ; close(2)"));
});
