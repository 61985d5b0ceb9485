// Logs that strace wrote on a real machine, as scenarios: names, results, what overlapped, and what is left as a comment.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { importTrace, TraceImport } from "../../src/export/import/index.ts";
import { format } from "../../src/language/format.ts";
import { complaints, EVENTS, FIXTURES, fixture, imported, remarks, statements } from "./import-support.ts";

const says = (log: string, kernel = "6.18"): string[] => statements(importTrace(log, { kernel }));
const remarked = (log: string): string[] => remarks(importTrace(log, { kernel: "6.18" }));

describe("every fixture", () => {
  for (const name of [...FIXTURES, ...EVENTS]) {
    it(`${name} is a scenario without errors, as it would be laid out, under several kernels`, () => {
      for (const kernel of ["v4", "v8", "v10", "6.8", "6.18", "mainline"]) {
        const { text, statements: count } = imported(name, { kernel });
        assert.deepEqual(complaints(text), [], kernel);
        assert.equal(format(text), text);
        assert.ok(count >= 5, `${count} statements`);
      }
    });
  }
});

describe("files", () => {
  it("a program over memfd, call by call", () => {
    assert.deepEqual(statements(imported("plain.strace")), [
      'guest_ram = memfd_create("guest-ram", MFD_ALLOW_SEALING) = ok',
      "ftruncate(guest_ram, 16K) = 0",
      "fallocate(guest_ram, 0, 0, 16K) = 0",
      "guest_ram_map = mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_SHARED, guest_ram, 0) = ok",
      'write(guest_ram, "hello\\n\\000\\377world \\"q\\" \\\\ ") = 20',
      "pwrite(guest_ram, 0x42 * 4K, 0x1000) = 4096",
      "lseek(guest_ram, 0, SEEK_SET) = 0",
      "read(guest_ram, 20) = 20",
      "pread(guest_ram, 100, 0x1000) = 100",
      "pread(guest_ram, 8, 0x4000) = 0",
      "lseek(guest_ram, 0, SEEK_DATA) = 0",
      "lseek(guest_ram, 0, SEEK_HOLE) = 8K",
      "lseek(guest_ram, 0x100000, SEEK_DATA) = -ENXIO",
      "fcntl(guest_ram, F_ADD_SEALS, F_SEAL_WRITE) = -EBUSY",
      "fcntl(guest_ram, F_ADD_SEALS, F_SEAL_SHRINK|F_SEAL_GROW) = 0",
      "ftruncate(guest_ram, 0) = -EPERM",
      "fcntl(guest_ram, F_GET_SEALS) = F_SEAL_SHRINK|F_SEAL_GROW",
      "madvise(guest_ram_map + 0x1000, 4K, MADV_DONTNEED) = 0",
      "madvise(guest_ram_map + 0x1000, 4K, MADV_REMOVE) = 0",
      "mprotect(guest_ram_map, 4K, PROT_READ) = 0",
      "fchmod(guest_ram, 0o600) = 0",
      "guest_ram_dup = dup(guest_ram) = ok",
      "guest_ram_dup2 = dup(guest_ram) = ok",
      "guest_ram_dup3 = dup(guest_ram) = ok",
      'readlink_fd(guest_ram) = "/memfd:guest-ram (deleted)"',
      "close(guest_ram_dup) = 0",
      "close(guest_ram_dup2) = 0",
      "close(guest_ram_dup3) = 0",
      'two = memfd_create("two", MFD_CLOEXEC|MFD_NOEXEC_SEAL) = ok',
      "ftruncate(two, 4K) = 0",
      "two_map = mmap(NULL, 8K, PROT_READ, MAP_SHARED, two, 0) = ok",
      "load(two_map, 0x1007) = SIGBUS",
      "munmap(two_map, 8K) = 0",
      "munmap(guest_ram_map, 16K) = 0",
      "close(two) = 0",
      "close(guest_ram) = 0",
      'three = memfd_create("three", 0) = ok',
      "close(three) = 0",
      'memfd_create("bad", 0x4000) = -EINVAL',
    ]);
  });

  it("says what it read, and keeps what it could not say", () => {
    const { text, lines, comments, folded } = imported("plain.strace");
    assert.match(
      text,
      /^\/\/ Imported from an strace log: 53 lines, of which 39 statements came;\n\/\/ 3 comments .*, 11 lines about something else\.\nkernel 6\.18\n/,
    );
    assert.match(text, /scenario "a" \{/);
    assert.equal(lines, 39 + comments + folded);
    assert.deepEqual(
      remarks(imported("plain.strace")).filter((line) => /opened|second/.test(line)),
      ['openat(AT_FDCWD, "/proc/self/fd/3", O_RDONLY) = 5  (opens the file a second time)', "close(guest_ram_opened) = 0 (guest_ram_opened is not made)"],
    );
  });

  it("prefixes of -t, -tt, -ttt, -r, -i, -n, -f and -T change nothing", () => {
    const lines = fixture("plain.strace").trimEnd().split("\n");
    const plain = says(lines.join("\n"));
    const prefixes = ["07:19:33 ", "07:19:33.607695 ", "1795331992.123456 ", "     0.000051 ", "07:19:33 (+     0.000051) ", "[00007f3c2b1a4e3d] ", "[   9] "];
    for (const prefix of [...prefixes, "4711 ", "[pid  4711] ", "4711 07:19:33.607695 ", "4711<vmm> "]) {
      assert.deepEqual(says(lines.map((line) => prefix + line).join("\n")), plain, prefix);
    }
    assert.deepEqual(says(lines.map((line) => (line.includes(" = ") ? `${line} <0.000043>` : line)).join("\r\n")), plain);
  });

  it("descriptors with what they name (-y), and flags with their values (-X verbose)", () => {
    assert.deepEqual(
      says(
        [
          'memfd_create("x", 0x9 /* MFD_CLOEXEC|0x8 */) = 3</memfd:x>(deleted)',
          "ftruncate(3</memfd:x>(deleted), 4096) = 0",
          "fcntl(3</memfd:x (deleted)>, 0x409 /* F_ADD_SEALS */, 0x1 /* F_SEAL_SEAL */) = 0",
          "mmap(NULL, 4096, 0x1 /* PROT_READ */, 0x1 /* MAP_SHARED */, 3</memfd:x>(deleted)<char 1:2>, 0) = 0x7f0000000000",
        ].join("\n"),
      ),
      [
        'x = memfd_create("x", MFD_CLOEXEC|MFD_NOEXEC_SEAL) = ok',
        "ftruncate(x, 4K) = 0",
        "fcntl(x, F_ADD_SEALS, F_SEAL_SEAL) = 0",
        "x_map = mmap(NULL, 4K, PROT_READ, MAP_SHARED, x, 0) = ok",
      ],
    );
  });

  it("a number that is used again is another file with another name; a closed one is named while its number is free", () => {
    const log = [
      'memfd_create("x", 0) = 3',
      "close(3) = 0",
      "ftruncate(3, 1) = -1 EBADF (Bad file descriptor)",
      'memfd_create("x", 0) = 3',
      "ftruncate(3, 1) = 0",
    ];
    assert.deepEqual(says(log.join("\n")), [
      'x = memfd_create("x", 0) = ok',
      "close(x) = 0",
      "ftruncate(x, 1) = -EBADF",
      'x2 = memfd_create("x", 0) = ok',
      "ftruncate(x2, 1) = 0",
    ]);
    const reused = [...log.slice(0, 2), 'openat(AT_FDCWD, "/etc/hosts", O_RDONLY) = 3', "close(3) = 0", "fchmod(3, 0) = -1 EBADF (Bad file descriptor)"];
    assert.deepEqual(says(reused.join("\n")), ['x = memfd_create("x", 0) = ok', "close(x) = 0"]);
    assert.deepEqual(says("ftruncate(-1, 4096) = -1 EBADF (Bad file descriptor)"), ["ftruncate(-1, 4K) = -EBADF"]);
  });

  it("data: read back as it was written, not where the trace does not have it", () => {
    const file = 'memfd_create("x", 0) = 3\n';
    assert.deepEqual(says(`${file}write(3, "ab\\0c\\x41\\33", 6) = 6\npread64(3, "ab\\0c", 4, 0) = 4`).slice(1), [
      'write(x, "ab\\000cA\\033") = 6',
      'pread(x, 4, 0) = 4 "ab\\000c"',
    ]);
    const cut = `${file}write(3, "abab"..., 100) = 100\nread(3, "abab", 4) = 4\nread(3, "ab"..., 50) = 50`;
    assert.deepEqual(says(cut).slice(1), ["write(x, 0x00 * 100) = 100", "read(x, 4) = 4", "read(x, 50) = 50"]);
    assert.match(importTrace(cut).text, /write\(x, 0x00 \* 100\) = 100 {2}\/\/ the trace has only the beginning of the data/);
    const mapped = `${file}mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 3, 0) = 0x7f0000000000\nread(3, "Z", 1) = 1`;
    assert.deepEqual(says(mapped).slice(2), ["read(x, 1) = 1"]);
    const kept = `${file}mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE, 3, 0) = 0x7f0000000000\nread(3, "Z", 1) = 1`;
    assert.deepEqual(says(kept).slice(2), ['read(x, 1) = 1 "Z"']);
  });

  it("names of files: cut ones, refused ones, and words that the language has", () => {
    assert.deepEqual(says('memfd_create("nnnnnnnn"..., 0) = -1 EINVAL (Invalid argument)'), ['memfd_create("n" * 250, 0) = -EINVAL']);
    const cut = 'memfd_create("abcd"..., 0) = 3\nreadlink("/proc/self/fd/3", "/memfd:abcdef (deleted)", 100) = 23';
    assert.deepEqual(says(cut), ['abcd = memfd_create("abcd", 0) = ok']);
    for (const [name, wish] of [
      ["load", "load_fd"],
      ["kvm", "kvm_fd"],
      ["EINVAL", "EINVAL_fd"],
      ["MFD_CLOEXEC", "MFD_CLOEXEC_fd"],
      ["thread1", "thread1_fd"],
      ["9 lives", "x_9_lives"],
      ["\\303\\244", "x"],
      ["", "memfd"],
    ]) {
      assert.match(says(`memfd_create("${name}", 0) = 3\nclose(3) = 0`)[1], new RegExp(`^close\\(${wish}\\) = 0$`), name);
    }
  });

  it("errors that the language has no name for", () => {
    const { text } = importTrace('memfd_create("x", 0) = 3\nfallocate(3, 0, 0, 4096) = -1 EDQUOT (Disk quota exceeded)');
    assert.match(text, /fallocate\(x, 0, 0, 4K\) = fails {2}\/\/ -EDQUOT/);
  });

  it("dup2 closes what the number meant, close_range what it covers, execve what is close-on-exec", () => {
    const two = 'memfd_create("x", 0) = 3\nmemfd_create("y", MFD_CLOEXEC) = 4\n';
    assert.deepEqual(says(`${two}dup2(3, 4) = 4\nftruncate(4, 1) = 0`).slice(2), ["close(y)", "x_dup = dup(x) = ok", "ftruncate(x_dup, 1) = 0"]);
    assert.deepEqual(says(`${two}close_range(3, 4294967295, 0) = 0`).slice(2), ["close(x) = 0", "close(y) = 0"]);
    assert.ok(remarked(`${two}execve("/bin/true", ["true"], 0x7ffc /* 3 vars */) = 0`).includes("execve closes y"));
  });

  it("64-bit edges are the numbers they are", () => {
    const file = 'memfd_create("x", 0) = 3\n';
    assert.deepEqual(says(`${file}ftruncate(3, -1) = -1 EINVAL (Invalid argument)`)[1], "ftruncate(x, -1) = -EINVAL");
    assert.deepEqual(
      says(`${file}fallocate(3, 0, 9223372036854775807, 9223372036854775807) = -1 EFBIG (File too large)`)[1],
      `fallocate(x, 0, 0x7fffffffffffffff, 0x7fffffffffffffff) = -EFBIG`,
    );
    assert.deepEqual(
      says(`${file}mmap(NULL, 18446744073709551615, PROT_READ, MAP_SHARED, 3, 0) = -1 ENOMEM (Cannot allocate memory)`)[1],
      "mmap(NULL, -1, PROT_READ, MAP_SHARED, x, 0) = -ENOMEM",
    );
    assert.deepEqual(complaints(importTrace(`${file}ftruncate(3, -9223372036854775808) = -1 EINVAL (Invalid argument)`, { kernel: "v8" }).text), []);
  });
});

describe("mappings", () => {
  const RESERVE = "mmap(NULL, 1048576, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE, -1, 0) = 0x7f0000000000\n";

  it("anonymous memory is part of the scenario only once something uses it", () => {
    const slot = "ioctl(4, KVM_SET_USER_MEMORY_REGION, {slot=0, flags=0, guest_phys_addr=0, memory_size=4096, userspace_addr=0x7f0000001000}) = 0";
    const vm = 'openat(AT_FDCWD, "/dev/kvm", O_RDWR) = 3\nioctl(3, KVM_CREATE_VM, 0) = 4\n';
    assert.deepEqual(says(`${RESERVE}mprotect(0x7f0000000000, 4096, PROT_READ) = 0\n${vm}`), ["vm = KVM_CREATE_VM(0) = ok"]);
    assert.deepEqual(says(`${RESERVE}mprotect(0x7f0000000000, 8192, PROT_READ) = 0\n${vm}${slot}`), [
      "anon = mmap(NULL, 1M, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE, -1, 0) = ok",
      "mprotect(anon, 8K, PROT_READ) = 0",
      "vm = KVM_CREATE_VM(0) = ok",
      "KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0, memory_size=4K, userspace_addr=anon + 0x1000) = 0",
    ]);
  });

  it("a file is mapped into a reserve; a part is unmapped; what is mapped over is gone", () => {
    const log = `memfd_create("x", 0) = 3\n${RESERVE}mmap(0x7f0000010000, 8192, PROT_READ, MAP_SHARED|MAP_FIXED, 3, 0) = 0x7f0000010000
munmap(0x7f0000011000, 4096) = 0
madvise(0x7f0000010000, 4096, MADV_REMOVE) = -1 EACCES (Permission denied)
madvise(0x7f0000011000, 4096, MADV_REMOVE) = -1 ENOMEM (Cannot allocate memory)`;
    assert.deepEqual(says(log).slice(1), [
      "anon = mmap(NULL, 1M, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE, -1, 0) = ok",
      "x_map = mmap(anon + 0x10000, 8K, PROT_READ, MAP_SHARED|MAP_FIXED, x, 0) = ok",
      "munmap(x_map + 0x1000, 4K) = 0",
      "madvise(x_map, 4K, MADV_REMOVE) = -EACCES",
    ]);
  });

  it("a range over two mappings is two calls", () => {
    const log = `memfd_create("x", 0) = 3
mmap(NULL, 4096, PROT_READ, MAP_SHARED, 3, 0) = 0x7f0000001000
mmap(NULL, 4096, PROT_READ, MAP_SHARED, 3, 0) = 0x7f0000000000
munmap(0x7f0000000000, 8192) = 0`;
    assert.deepEqual(says(log).slice(3), ["munmap(x_map2, 4K) = 0", "munmap(x_map, 4K) = 0"]);
  });

  it("signals at an address of a mapping are the access that raised them", () => {
    const map = (prot: string): string => `memfd_create("x", 0) = 3\nmmap(NULL, 8192, ${prot}, MAP_SHARED, 3, 0) = 0x7f0000000000\n`;
    const signal = (name: string, code: string, at: string): string => `--- ${name} {si_signo=${name}, si_code=${code}, si_addr=${at}} ---`;
    assert.equal(says(`${map("PROT_READ")}${signal("SIGBUS", "BUS_ADRERR", "0x7f0000001fff")}`)[2], "load(x_map, 0x1fff) = SIGBUS");
    assert.equal(says(`${map("PROT_READ")}${signal("SIGSEGV", "SEGV_ACCERR", "0x7f0000000000")}`)[2], "store(x_map, 0, 0) = SIGSEGV");
    assert.equal(says(`${map("PROT_NONE")}${signal("SIGSEGV", "SEGV_ACCERR", "0x7f0000000000")}`)[2], "load(x_map, 0) = SIGSEGV");
    assert.deepEqual(says(`${map("PROT_READ")}${signal("SIGSEGV", "SEGV_MAPERR", "0x7")}`).slice(2), []);
    assert.ok(remarked(`${map("PROT_READ")}${signal("SIGSEGV", "SEGV_MAPERR", "0x7")}`).some((line) => line.startsWith("--- SIGSEGV")));
  });
});

describe("KVM", () => {
  it("ioctls by name, by number and as _IOC; structures that strace decodes", () => {
    assert.deepEqual(statements(imported("kvm.strace")), [
      "KVM_CHECK_EXTENSION(kvm, KVM_CAP_VM_TYPES) = 1",
      "vm = KVM_CREATE_VM(0) = ok",
      "KVM_CHECK_EXTENSION(vm, KVM_CAP_MEMORY_ATTRIBUTES) = 0",
      "anon = mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0) = ok",
      "KVM_SET_USER_MEMORY_REGION(vm, slot=1, flags=0, guest_phys_addr=0x100000, memory_size=4K, userspace_addr=anon) = 0",
      "vcpu0 = KVM_CREATE_VCPU(vm, 0) = ok",
      "close(vcpu0) = 0",
      "close(vm) = 0",
    ]);
    const raw = "ioctl(3, 0xae01, 0) = 4\nioctl(4, 0xae41, 0x1) = 5\nioctl(4, 0xae41, 0x1) = -1 EEXIST (File exists)\nioctl(5, 0xae80, 0) = 0 (KVM_EXIT_HLT)";
    assert.deepEqual(says(raw), [
      "vm = KVM_CREATE_VM(0) = ok",
      "vcpu1 = KVM_CREATE_VCPU(vm, 1) = ok",
      "KVM_CREATE_VCPU(vm, 1) = -EEXIST",
      "vcpu1: hlt() = exit KVM_EXIT_HLT",
    ]);
  });

  it("what strace does not decode stays, and what rests on it stays ready to be filled in", () => {
    const lines = remarks(imported("kvm.strace"));
    assert.ok(
      lines.some((line) => line.startsWith("gmem = KVM_CREATE_GUEST_MEMFD(vm, size=...): ioctl(4<anon_inode:kvm-vm>, _IOC(")),
      lines.join("\n"),
    );
    assert.ok(lines.includes("fallocate(gmem, FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE, 0, 4K) = 0 (gmem is not made)"), lines.join("\n"));
  });

  it("structures with every field, should a later strace have them", () => {
    const log = `ioctl(3, KVM_CREATE_VM, 0x1) = 4
ioctl(4, KVM_CREATE_GUEST_MEMFD, {size=16384, flags=0}) = 5
mmap(NULL, 16384, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000
ioctl(4, KVM_SET_USER_MEMORY_REGION2, {slot=0, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0x1000, memory_size=8192, userspace_addr=0x7f0000002000, guest_memfd_offset=4096, guest_memfd=5}) = 0
ioctl(4, KVM_SET_MEMORY_ATTRIBUTES, {address=0x1000, size=4096, attributes=KVM_MEMORY_ATTRIBUTE_PRIVATE, flags=0}) = 0
ioctl(4, KVM_SET_MEMORY_ATTRIBUTES, {address=0x1000, size=4096}) = 0
fallocate(5, FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE, 4096, 4096) = 0`;
    const text = importTrace(log, { kernel: "6.18" });
    assert.deepEqual(complaints(text.text), []);
    assert.deepEqual(statements(text), [
      "vm = KVM_CREATE_VM(KVM_X86_SW_PROTECTED_VM) = ok",
      "gmem = KVM_CREATE_GUEST_MEMFD(vm, size=16K, flags=0) = ok",
      "anon = mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = ok",
      "KVM_SET_USER_MEMORY_REGION2(vm, slot=0, flags=KVM_MEM_GUEST_MEMFD, guest_phys_addr=0x1000, memory_size=8K, userspace_addr=anon + 0x2000, guest_memfd_offset=4K, guest_memfd=gmem) = 0",
      "KVM_SET_MEMORY_ATTRIBUTES(vm, address=0x1000, size=4K, attributes=KVM_MEMORY_ATTRIBUTE_PRIVATE, flags=0) = 0",
      "fallocate(gmem, FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE, 0x1000, 4K) = 0",
    ]);
  });

  it("an exit that stands for one instruction is that instruction", () => {
    assert.deepEqual(
      statements(imported("kvm-exits.strace")).filter((line) => line.startsWith("vcpu0:")),
      ["vcpu0: hlt() = exit KVM_EXIT_HLT", "vcpu0: hlt() = exit KVM_EXIT_HLT"],
    );
  });
});

describe("what is said of the rest", () => {
  const NOISE = Array.from({ length: 50 }, (_, at) => `brk(0x${(at + 1).toString(16)}000) = 0x${(at + 1).toString(16)}000`).join("\n");

  it("lines about something else are folded, or with `all` kept one by one", () => {
    assert.deepEqual(remarked(NOISE), ["50 lines about something else: brk x50"]);
    const all = importTrace(NOISE, { all: true });
    assert.equal(remarks(all).length, 50);
    assert.equal(remarks(all)[0], "brk(0x1000) = 0x1000");
  });

  it("comments cannot end themselves or hold what the language refuses", () => {
    const { text } = importTrace('memfd_create("x", 0) = 3\nfstat(3, "*/ \u0000 \ufffd \u2028 \u001b[31m // /*") = 0\n}\nscenario "x" {', { kernel: "v8" });
    assert.deepEqual(complaints(text), []);
    assert.doesNotMatch(text, /[\0\ufffd\u2028\u001b]/);
  });

  it("a text without a trace is a scenario without a statement", () => {
    for (const text of ["", "\n\n", "hello world", "--- a/file\n+++ b/file\n@@ -1 +1 @@", "int main(void) { return 0; }", "\u0000\u0001\u0002"]) {
      const result = importTrace(text);
      assert.equal(result.format, "unknown");
      assert.equal(result.statements, 0);
      assert.deepEqual(complaints(importTrace(text, { kernel: "v8" }).text), []);
    }
  });

  it("a line that is longer than anybody reads is a call all the same", () => {
    const { format: tool, text } = importTrace(`write(3, "${"ab".repeat(20_000)}", 40000) = 40000`);
    assert.equal(tool, "strace");
    assert.ok(text.length < 1000);
  });

  it("a huge log is cut where a scenario would have no reader any more", () => {
    const trace = new TraceImport({ kernel: "v8" });
    let lines = 0;
    trace.line('memfd_create("x", 0) = 3');
    while (lines < 100_000 && trace.line(`ftruncate(3, ${lines}) = 0`)) lines++;
    const result = trace.finish();
    assert.ok(result.cut && lines < 10_000, `${lines} lines`);
    assert.match(result.text, /The trace goes on: what follows is cut off\./);
    assert.ok(result.text.length < 1_000_000);
    assert.deepEqual(complaints(result.text), []);
  });

  it("an endless log about something else is read in bounded memory", () => {
    const trace = new TraceImport();
    for (let i = 0; i < 200_000; i++) assert.ok(trace.line("1234 ioctl(5, KVM_RUN, 0) = 0"));
    const result = trace.finish();
    assert.equal(result.folded, 200_000);
    assert.ok(result.text.length < 1000);
  });
});
