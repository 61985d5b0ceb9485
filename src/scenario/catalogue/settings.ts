// What a `machine` block may set: the settings of the machine that a scenario runs on. The defaults are those of the machine that conformance was measured on.

export interface SettingRow {
  readonly name: string;
  /** One sentence. */
  readonly help: string;
  readonly min: bigint;
  readonly max: bigint;
  /** Undefined: without the setting there is no limit. */
  readonly value?: bigint;
  readonly source: string;
  /** False where the model does nothing with it yet. */
  readonly modelled?: boolean;
}

export const settings = [
  {
    name: "memfd_noexec",
    help: "vm.memfd_noexec of the pid namespace: 0 leaves memfd_create alone, 1 makes MFD_NOEXEC_SEAL the default, 2 refuses MFD_EXEC.",
    min: 0n,
    max: 2n,
    value: 0n,
    source: "mm/memfd.c check_sysctl_memfd_noexec, Linux 6.3",
  },
  {
    name: "frames",
    help: "How many page frames can be allocated for files, private copies and drivers. Without it memory never runs out; page tables are not counted.",
    min: 0n,
    max: 1n << 40n,
    source: "mm/page_alloc.c",
  },
  {
    name: "hugepages_2M",
    help: "Huge pages of 2 MiB in the pool of hugetlbfs.",
    min: 0n,
    max: 1n << 20n,
    value: 0n,
    source: "mm/hugetlb.c",
  },
  {
    name: "hugepages_1G",
    help: "Huge pages of 1 GiB in the pool of hugetlbfs.",
    min: 0n,
    max: 1n << 20n,
    value: 0n,
    source: "mm/hugetlb.c",
  },
  { name: "uid", help: "User id of the processes; 0 is root.", min: 0n, max: (1n << 32n) - 2n, value: 0n, source: "kernel/cred.c" },
  {
    name: "cpus",
    help: "Processors of the machine: a TD has at most as many vCPUs. Without it there is no limit.",
    min: 1n,
    max: 8192n,
    source: "arch/x86/kvm/vmx/tdx.c tdx_vm_init",
  },
  {
    name: "packages",
    help: "Processor packages: each has its own keys and caches. The TDX module knows at most eight.",
    min: 1n,
    max: 8n,
    value: 1n,
    source: "arch/x86/kernel/cpu/topology.c; intel/tdx-module TDX_1.5.01 data_structures/tdx_global_data.h MAX_PKGS",
  },
  {
    name: "keyids",
    help: "Private key ids, the TDX module's own one among them: KVM has one less to give to its TDs.",
    min: 2n,
    max: 32n,
    value: 32n,
    source: "arch/x86/virt/vmx/tdx/tdx.c tdx_nr_guest_keyids",
  },
  {
    name: "misc_max_tdx",
    help: "The limit for tdx in misc.max of the processes' cgroup: key ids that their TDs may have at a time. Without it there is no limit.",
    min: 0n,
    max: 31n,
    source: "kernel/cgroup/misc.c misc_cg_try_charge, MISC_CG_RES_TDX",
  },
  {
    name: "interrupts",
    help: "1: an interrupt may be pending whenever a leaf of the TDX module looks for one, and the leaf stops (TDH.PHYMEM.CACHE.WB, TDH.MEM.PAGE.PROMOTE and DEMOTE, TDG.MEM.PAGE.ACCEPT of 2 MB).",
    min: 0n,
    max: 1n,
    value: 0n,
    source: "intel/tdx-module TDX_1.5.01 common/helpers/helpers.h is_interrupt_pending_host_side",
  },
  {
    name: "entropy",
    help: "0: the random number generator may have nothing when a leaf of the TDX module asks (TDH.MNG.CREATE, TDH.MNG.KEY.CONFIG, TDH.MNG.ADDCX).",
    min: 0n,
    max: 1n,
    value: 1n,
    source: "intel/tdx-module TDX_1.5.01 common/helpers/helpers.c generate_256bit_random; PCONFIG of the Intel SDM",
  },
  { name: "memory_limit", help: "RLIMIT_MEMLOCK of the processes, in bytes.", min: 0n, max: (1n << 63n) - 1n, source: "mm/mlock.c", modelled: false },
  {
    name: "erratum",
    help: "The partial-write erratum of the first TDX processors.",
    min: 0n,
    max: 1n,
    value: 0n,
    source: "arch/x86/kernel/cpu/common.c",
  },
] as const satisfies readonly SettingRow[];

export type SettingName = (typeof settings)[number]["name"];

export function setting(name: string): SettingRow | undefined {
  return settings.find((row) => row.name === name);
}

/** The value without a `machine` block; -1 for no limit. */
export const settingDefault = (name: SettingName): bigint => setting(name)?.value ?? -1n;
