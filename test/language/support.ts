// Shared by the language's tests: one file, no imports, findings as short texts, Programs without their sites.

import { type Analysis, analyse } from "../../src/language/index.ts";
import type { Program } from "../../src/scenario/program.ts";

export const read = (text: string, previous?: Analysis): Analysis => analyse("test.memfd", text, { imports: () => undefined, previous });

/** `MEMFD2001 "memfd_craete"` per finding: code and the text under the squiggle. */
export const said = (text: string): string[] =>
  read(text).findings.map((finding) => `${finding.code} ${JSON.stringify(text.slice(finding.span.from, finding.span.to))}`);

const SITES = new Set(["site", "statement", "sites", "safe"]);

/** A Program as plain data without positions. */
export function bare(program: Program): unknown {
  const text = JSON.stringify({ ...program, isSafe: program.safe !== undefined }, (key, value) =>
    SITES.has(key) ? undefined : typeof value === "bigint" ? `${value}n` : value,
  );
  return JSON.parse(text);
}

export const SAMPLE = `// Does punching before invalidating open a window?
kernel v8

setup one-private-page {
  ram   = memfd_create("guest-ram", MFD_INACCESSIBLE)
  ftruncate(ram, 16K) = 0
  fallocate(ram, 0, 0, 16K) = 0
  vm    = KVM_CREATE_VM(0)
  vcpu0 = KVM_CREATE_VCPU(vm, 0)
  KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=KVM_MEM_PRIVATE, guest_phys_addr=0, memory_size=16K,
                             private_fd=ram, private_offset=0) = 0
  vcpu0: store(0x1000, 0x41)
}

setup punch-against-load {
  parallel {
    vmm   { fallocate(ram, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 0x1000, 4K) = 0 @hole }
    vcpu0 { load(0x1000) @look }
  }
}

scenario "between the punch and the invalidation the guest runs on a page that the file no longer holds" {
  check no-stale-mapping
  use one-private-page
  use punch-against-load
  expect violation no-stale-mapping at hole
}

kernel v8-pages     extends v8       { notifier_units = pages }      // v8 hands bytes to a handler that counts pages
kernel v8-reordered extends v8-pages { fallocate.punch_hole = check_alignment, invalidate, truncate }
kernel v8-bracketed extends v8-pages { fallocate.punch_hole = check_alignment, invalidate_begin, truncate, invalidate_end }

scenario "the order alone is not enough: a fault comes in between and maps the page again" {
  kernel v8-reordered
  check no-stale-mapping
  use one-private-page
  use punch-against-load
  expect violation no-stale-mapping
}

scenario "begin and end around the punch close the window" {
  kernel v8-bracketed
  check no-stale-mapping
  use one-private-page
  use punch-against-load
  exists allocated(ram, 0x1000) == 1              // some schedule faults a page in again, properly
  exists allocated(ram, 0x1000) == 0
}
`;
