// Completion and the help on parameters over the wire: what is replaced, when a space asks, snippets for those who know them.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { CompletionItem, SignatureHelp } from "vscode-languageserver";
import { scenario, session } from "./session.ts";

const { client, open } = session("completion");

test("completion replaces a kernel's name from its first digit on; a space asks only where something is awaited", async () => {
  const text = 'scenario "dotted" {\n  kernel 6.1\n  close( 1)\n}\n';
  const uri = await open(text);
  const ask = (line: number, character: number, triggerCharacter?: string) =>
    client.request<CompletionItem[]>("textDocument/completion", {
      textDocument: { uri },
      position: { line, character },
      context: triggerCharacter === undefined ? { triggerKind: 1 } : { triggerKind: 2, triggerCharacter },
    });
  const item = (await ask(1, 12)).find(({ label }) => label === "6.18");
  assert.deepEqual(item?.textEdit, { newText: "6.18", range: { start: { line: 1, character: 9 }, end: { line: 1, character: 12 } } });
  assert.ok((await ask(1, 9, " ")).some(({ label }) => label === "6.18"));
  assert.deepEqual(await ask(2, 9, " "), []);
});

test("the parameters of the call at the cursor, and null outside of one", async () => {
  const uri = await open(scenario("helped", "fallocate(-1, 0, "));
  const ask = (character: number) =>
    client.request<SignatureHelp | null>("textDocument/signatureHelp", { textDocument: { uri }, position: { line: 2, character } });
  const help = await ask("  fallocate(-1, 0, ".length);
  assert.equal(help?.signatures[0].label, "fallocate(fd, mode, offset, len)");
  assert.equal(help?.activeParameter, 2);
  assert.equal(await ask(0), null);
});

test("a call has its parameters behind its name and is taken by a parenthesis; what would cut a long name stands in the help", async () => {
  const uri = await open(scenario("offered", "check ", ""));
  const at = async (line: number, character: number): Promise<CompletionItem[]> =>
    client.request<CompletionItem[]>("textDocument/completion", { textDocument: { uri }, position: { line, character }, context: { triggerKind: 1 } });
  const call = (await at(3, 2)).find(({ label }) => label === "memfd_create");
  assert.deepEqual([call?.labelDetails, call?.commitCharacters], [{ detail: "(name, flags)" }, ["("]]);
  assert.equal(call?.detail, "int memfd_create(const char *name, unsigned int flags)");
  const invariant = (await at(2, 8)).find(({ label }) => label === "no-stale-mapping");
  assert.equal(invariant?.detail, undefined);
  assert.match(JSON.stringify(invariant?.documentation), /Every page table entry/);
  assert.equal(invariant?.commitCharacters, undefined);
});
