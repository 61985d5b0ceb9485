// What stands behind the calls and over the scenarios: results against what is written, and the lenses of several kernels.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { CodeLens, InlayHint } from "vscode-languageserver";
import { scenario, session } from "./session.ts";

const { client, open } = session("hints");

const EVERYWHERE = { start: { line: 0, character: 0 }, end: { line: 10_000, character: 0 } };

const hints = async (uri: string): Promise<readonly string[]> => {
  const found = await client.request<InlayHint[]>("textDocument/inlayHint", { textDocument: { uri }, range: EVERYWHERE });
  return found.map((hint) => `${hint.position.line}:${hint.position.character} ${hint.label}`);
};

test("several kernels: a lens of each opens its page tables, the first one those of a kernel that fails", async () => {
  const uri = await open('scenario "seal" {\n  kernel v4, v8\n  close(-1) = -EBADF on v4 or 0 on v8\n}\n');
  await client.settled(uri);
  const lenses = await client.request<CodeLens[]>("textDocument/codeLens", { textDocument: { uri } });
  const shows = lenses.flatMap(({ command }) => (command?.command === "memfd.showPageTables" ? [[command.title, command.arguments?.[0].kernel]] : []));
  assert.deepEqual(shows, [
    ["Show page tables", "v8"],
    ["✓ v4", "v4"],
    ["✗ v8", "v8"],
  ]);
});

test("a result that stands there is not said again, however its number is written; what says less shows what came back behind it", async () => {
  const lines = [
    'ram = memfd_create("x", MFD_ALLOW_SEALING) = ok',
    "ftruncate(ram, 4K) = 0",
    "map = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_SHARED, ram, 0)",
    "store(map, 0, 0x41)",
    "load(map, 0) = 65",
    "fcntl(ram, F_ADD_SEALS, F_SEAL_SHRINK|F_SEAL_GROW) = 0 or -EPERM",
    "fcntl(ram, F_GET_SEALS) = F_SEAL_SHRINK|F_SEAL_GROW",
    "ftruncate(ram, 8K) = fails",
    "ftruncate(ram, 8K) = ?",
    "ftruncate(ram, 8K) = _",
    "vcpu: load(0) = exit KVM_EXIT_MMIO",
  ];
  const uri = await open(scenario("written", ...lines.slice(0, -1), "vm = KVM_CREATE_VM(0); vcpu = KVM_CREATE_VCPU(vm, 0)", ...lines.slice(-1)));
  await client.settled(uri);
  const behind = (line: number): number => lines[line].length + 2;
  const found = (await hints(uri)).filter((hint) => !/= (VM|vCPU)$/.test(hint));
  const expected = ["✓ fd", "✓", "= mapping", "= 0", "✓", "✓ never -EPERM", "✓", "✓ -EPERM", "= -EPERM", "= -EPERM", "✓"];
  assert.deepEqual(
    found,
    expected.map((label, line) => `${line + (line < 10 ? 2 : 3)}:${behind(line)} ${label}`),
  );
});

test("a call that returns nothing has nothing behind it; one that does not come about has", async () => {
  const uri = await open(scenario("void", "page = alloc_frame()", "store_frame(page, 1)", "process qemu { exit_group(0) }", "send_fd(-1, qemu)"));
  await client.settled(uri);
  assert.deepEqual(await hints(uri), ["2:22 = frame", "5:19 = -EBADF"]);
});

test("where kernels have each its own results, those of a line may be written for each; where their names have no room they are in the tooltip", async () => {
  const text = 'scenario "each" {\n  kernel v4, v8\n  ram = memfd_create("x", MFD_INACCESSIBLE)\n  fcntl(ram, F_GET_SEALS) = 1 on v4 or -EINVAL on v8\n}\n';
  const uri = await open(text);
  await client.settled(uri);
  assert.deepEqual((await hints(uri)).slice(1), [`3:${text.split("\n")[3].length} ✓`]);
  const names = ["a", "b", "c", "d"].map((letter) => `v8-${letter.repeat(20)}`);
  const many = `${names.map((name) => `kernel ${name} extends v8 { notifier_units = pages }\n`).join("")}${text.replace("v4, v8", ["v4", ...names].join(", "))}`;
  const wide = await open(many);
  await client.settled(wide);
  const last = (await hints(wide)).at(-1) ?? "";
  assert.doesNotMatch(last, /v8-aaa|… \d+ more/);
});
