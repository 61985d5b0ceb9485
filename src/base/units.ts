// Units of memory. Sizes and offsets of the user's text are 64-bit (`bigint`, two's complement where a C `loff_t` or `__u64` would be).

export const PAGE_SIZE = 4096n;
export const S64_MAX = (1n << 63n) - 1n;

export const asU64 = (value: bigint): bigint => BigInt.asUintN(64, value);
export const asS64 = (value: bigint): bigint => BigInt.asIntN(64, value);
export const isPageAligned = (value: bigint): boolean => (asU64(value) & (PAGE_SIZE - 1n)) === 0n;
export const pageDown = (value: bigint): bigint => value - (value % PAGE_SIZE);
export const pageUp = (value: bigint): bigint => pageDown(value + PAGE_SIZE - 1n);

const SUFFIXES = ["", "K", "M", "G", "T", "P"] as const;

/** `16384n` → `16K`; a value that is no whole multiple stays hexadecimal (`0x1001`); below 4096 it stays decimal. */
export function formatSize(value: bigint): string {
  if (value < 0n) return `-${formatSize(-value)}`;
  if (value < 4096n) return value.toString();
  let power = 0;
  let rest = value;
  while (rest % 1024n === 0n && power < SUFFIXES.length - 1) {
    rest /= 1024n;
    power += 1;
  }
  return power > 0 && rest < 10_000n ? `${rest}${SUFFIXES[power]}` : `0x${value.toString(16)}`;
}

/** An address or offset, always hexadecimal but for 0. */
export const formatAddress = (value: bigint): string => `0x${asU64(value).toString(16)}`;
