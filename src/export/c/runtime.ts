// The helpers that stand above the scenario in an emitted file: which of them, in which order, and the words that they take.

import { ACCESSES, DATA, DESCRIPTORS, LINKS, MAPPINGS, READS, REOPENING } from "./runtime/calls.ts";
import { QUERIES } from "./runtime/conditions.ts";
import { CAPABILITIES, CLOSING, GUEST, PLAIN_CLOSING } from "./runtime/kvm.ts";
import { FIELDS, INCORE, PIPES, SOFT_LIMITS } from "./runtime/moves.ts";
import { NOEXEC } from "./runtime/noexec.ts";
import { PROCESSES, withProcesses } from "./runtime/processes.ts";
import { RECORDS, REPORT } from "./runtime/report.ts";
import { FAULTS, NO_FAULTS, SEQUENTIAL, TURNSTILE } from "./runtime/threads.ts";

export const HEADERS = [
  "errno.h",
  "fcntl.h",
  "linux/kvm.h",
  "pthread.h",
  "setjmp.h",
  "signal.h",
  "stdarg.h",
  "stddef.h",
  "stdio.h",
  "stdlib.h",
  "string.h",
  "sys/ioctl.h",
  "sys/mman.h",
  "sys/resource.h",
  "sys/sendfile.h",
  "sys/stat.h",
  "sys/statfs.h",
  "sys/syscall.h",
  "time.h",
  "unistd.h",
] as const;

/** What a file of several processes includes besides, and what that declares. */
export const SOCKET_HEADERS = ["poll.h", "sys/socket.h"] as const;
export const SOCKET_NAMES = (
  "accept accept4 bind connect getpeername getsockname getsockopt isfdtype listen recv recvfrom recvmmsg recvmsg send sendmmsg sendmsg sendto setsockopt " +
  "shutdown sockaddr sockatmark socket socketpair msghdr cmsghdr linger ucred mmsghdr osockaddr poll ppoll pollfd"
).split(" ");

const BLOCKS = [
  RECORDS,
  REPORT,
  SEQUENTIAL,
  TURNSTILE,
  FAULTS,
  NO_FAULTS,
  DESCRIPTORS,
  REOPENING,
  MAPPINGS,
  DATA,
  READS,
  LINKS,
  FIELDS,
  INCORE,
  SOFT_LIMITS,
  PIPES,
  PROCESSES,
  ACCESSES,
  QUERIES,
  CAPABILITIES,
  GUEST,
  CLOSING,
  PLAIN_CLOSING,
  NOEXEC,
];

/** The blocks of these names and those that they need, in an order that C can read. `records` is left to the caller, whose table stands behind it. */
export function runtimeText(names: ReadonlySet<string>): string {
  const wanted = new Set<string>();
  const want = (name: string): void => {
    const block = BLOCKS.find((each) => each.name === name);
    if (block === undefined) throw new Error(`no block ${name}`);
    for (const need of block.needs) want(need);
    wanted.add(name);
  };
  for (const name of names) want(name);
  const text = BLOCKS.filter((block) => block !== RECORDS && wanted.has(block.name))
    .map((block) => block.text)
    .join("\n");
  return wanted.has(PROCESSES.name) ? withProcesses(text) : text;
}

export const recordsText = (): string => RECORDS.text;

/** What a line at file scope declares: a function's name, or those of variables. */
function declared(line: string): string[] {
  const plain = line.replace(/__attribute__\(\(.*?\)\)\s*/, "").replaceAll(/\(\(.*?\)\)/g, "");
  const name = /^[^(=]*?(\w+)\(/.exec(plain);
  if (name !== null) return [name[1]];
  return [...plain.matchAll(/\b[a-z]\w*(?=\[|;|,| =| \{|$)/g)].map((match) => match[0]);
}

/** Words that a scenario's name must not be: all constants and macros of the blocks, and whatever stands at file scope. */
export const RUNTIME_NAMES: ReadonlySet<string> = new Set([
  ...BLOCKS.flatMap(({ text }) => [
    ...[...text.matchAll(/\b[A-Z][A-Z0-9_]*\b|(?<=^#define )\w+/gm)].map((match) => match[0]),
    ...text
      .split("\n")
      .filter((line) => /^(__attribute__|static|struct|enum)\b/.test(line))
      .flatMap(declared),
  ]),
  "calls",
  "kvm",
]);
