// Modes of fallocate, and which of them the VFS lets through to the file system (fs/open.c).

import type { Errno } from "../../base/errno.ts";
import { S64_MAX } from "../../base/units.ts";
import type { FeatureValue } from "../../scenario/catalogue/index.ts";

export const KEEP_SIZE = 1n;
export const PUNCH_HOLE = 2n;
const COLLAPSE_RANGE = 8n;
const ZERO_RANGE = 0x10n;
const INSERT_RANGE = 0x20n;
const UNSHARE_RANGE = 0x40n;
const WRITE_ZEROES = 0x80n;
const SUPPORTED = KEEP_SIZE | PUNCH_HOLE | COLLAPSE_RANGE | ZERO_RANGE | INSERT_RANGE | UNSHARE_RANGE;

const MODES = [COLLAPSE_RANGE, ZERO_RANGE, INSERT_RANGE, PUNCH_HOLE, UNSHARE_RANGE, WRITE_ZEROES];

/** The checks of vfs_fallocate, in its order. */
export function vfsRefuses(mode: bigint, offset: bigint, length: bigint, writable: boolean, modes: FeatureValue<"fallocate_modes">): Errno | undefined {
  if (offset < 0n || length <= 0n) return "EINVAL";
  if (mode & ~(modes === "write_zeroes" ? SUPPORTED | WRITE_ZEROES : SUPPORTED)) return "EOPNOTSUPP";
  if ((mode & (PUNCH_HOLE | ZERO_RANGE)) === (PUNCH_HOLE | ZERO_RANGE)) return "EOPNOTSUPP";
  if (mode & PUNCH_HOLE && !(mode & KEEP_SIZE)) return "EOPNOTSUPP";
  if (modes !== "combined" && isMixed(mode)) return "EOPNOTSUPP";
  if (mode & COLLAPSE_RANGE && mode & ~COLLAPSE_RANGE) return "EINVAL";
  if (mode & INSERT_RANGE && mode & ~INSERT_RANGE) return "EINVAL";
  if (mode & UNSHARE_RANGE && mode & ~(UNSHARE_RANGE | KEEP_SIZE)) return "EINVAL";
  if (!writable) return "EBADF";
  return offset + length > S64_MAX ? "EFBIG" : undefined;
}

/** Two modes at once, or KEEP_SIZE with one that moves the end of the file. */
function isMixed(mode: bigint): boolean {
  const kinds = MODES.filter((one) => mode & one);
  return kinds.length > 1 || ((mode & KEEP_SIZE) !== 0n && (mode & (COLLAPSE_RANGE | INSERT_RANGE | WRITE_ZEROES)) !== 0n);
}
