// The kernels that a scenario may name, oldest first, and the groups of them that catalogue rows refer to. A variant (`kernel x extends v8`)
// is no row: its base is.

import type { ProfileRow } from "./types.ts";

export const profiles: readonly ProfileRow[] = [
  {
    name: "v4",
    title: "MFD_INACCESSIBLE series, version 4 (seal, page present in the file = private)",
    source: "18 January 2022, 20220118132121.31388-N-chao.p.peng@linux.intel.com, on 5.16",
    modelled: true,
  },
  {
    name: "v5",
    title: "MFD_INACCESSIBLE series, version 5 (shmem flag in place of the seal)",
    source: "10 March 2022, 20220310140911.50924-N",
    modelled: true,
  },
  {
    name: "v6",
    title: "MFD_INACCESSIBLE series, version 6 (memfile_node flags, KVM_EXIT_MEMORY_FAULT)",
    source: "19 May 2022, 20220519153713.819591-N",
    modelled: true,
  },
  {
    name: "v7",
    title: "MFD_INACCESSIBLE series, version 7 (conversion by KVM_MEMORY_ENCRYPT_REG_REGION)",
    source: "6 July 2022, 20220706082016.2603916-N",
    modelled: true,
  },
  {
    name: "v8",
    title: "MFD_INACCESSIBLE series, version 8 (wrapper inode over tmpfs, punch before invalidate)",
    source: "15 September 2022, 20220915142913.2213336-N, on 6.0",
    modelled: true,
  },
  {
    name: "v9",
    title: "memfd_restricted series, version 9 (invalidate_start and invalidate_end around fallocate)",
    source: "25 October 2022, 20221025151344.3784230-N",
    modelled: true,
  },
  {
    name: "v10",
    title: "memfd_restricted series, version 10 (KVM_SET_MEMORY_ATTRIBUTES, notifier in page units)",
    source: "2 December 2022, 20221202061347.1070246-N",
    modelled: true,
  },
  {
    name: "6.8.0",
    title: "Linux 6.8 as released: the first guest_memfd, with both bugs of its life cycle",
    source: "torvalds/linux v6.8, a7800aa80ea4",
    modelled: true,
  },
  {
    name: "6.8",
    title: "Linux 6.8 with the later fixes of the life cycle of slots and files",
    source: "torvalds/linux a7800aa80ea4 and fixes up to e563592224e0, 9935df5333aa, ae431059e75d",
    modelled: true,
  },
  { name: "6.16", title: "Linux 6.16, TDX guests in KVM", source: "torvalds/linux v6.16", modelled: true },
  { name: "6.18.0", title: "Linux 6.18.0, guest_memfd mmap before its stable fixes", source: "torvalds/linux v6.18", modelled: true },
  { name: "6.18", title: "Linux 6.18.44, the stable kernel that conformance runs against", source: "stable v6.18.44", modelled: true },
  { name: "7.2", title: "Linux 7.2, unsigned binding offsets, EEXIST on a second binding", source: "torvalds/linux 06ba195f136a", modelled: true },
  {
    name: "next",
    title: "the tree of kvm-x86 for later releases: attributes kept by the guest_memfd, conversion in place",
    source: "kvm-x86/linux next, 1ae5be958ff7 to 54623a16bbdc",
    modelled: false,
  },
  { name: "mainline", title: "the newest mainline row, now Linux 7.2", source: "torvalds/linux 06ba195f136a", modelled: false },
];

const NAMES = profiles.map((row) => row.name);
const from = (name: string): readonly string[] => NAMES.slice(NAMES.indexOf(name));
const between = (first: string, last: string): readonly string[] => NAMES.slice(NAMES.indexOf(first), NAMES.indexOf(last) + 1);

/** Named groups of profiles, for the rows of the catalogue. */
export const IN = {
  all: NAMES,
  v4: ["v4"],
  v8: ["v8"],
  v4v5: between("v4", "v5"),
  v4v7: between("v4", "v7"),
  v6v7: between("v6", "v7"),
  v6v10: between("v6", "v10"),
  v4v8: between("v4", "v8"),
  v5v8: between("v5", "v8"),
  v7v9: between("v7", "v9"),
  v8v10: between("v8", "v10"),
  v9v10: between("v9", "v10"),
  series: between("v4", "v10"),
  upstream: from("6.8.0"),
  tdx: from("6.16"),
  gmemMmap: from("6.18.0"),
  attributes: from("v10"),
} as const;

export function profile(name: string): ProfileRow | undefined {
  return profiles.find((row) => row.name === name);
}
