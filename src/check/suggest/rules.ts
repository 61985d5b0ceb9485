// What may be done to a step list, as data: which step needs which other one before it, which come in pairs, which stay where they are. A candidate that
// breaks a rule is not run: a scenario too small to show the harm would let it pass.

/** The first must come before the second where a list has both: the second works on what the first made, took or looked up. */
const BEFORE: readonly (readonly [string, string])[] = [
  ["invalidate_begin", "invalidate_end"],
  ["mn_start", "mn_end"],
  ["announce_hole", "retract_hole"],
  ["snapshot", "map"],
  ["find_slot", "check_kind"],
  ["find_slot", "get_page"],
  ["find_slot", "lookup_page"],
  ["find_slot", "gup"],
  ["get_page", "map"],
  ["lookup_page", "map"],
  ["gup", "map"],
  ["map", "unlock_folio_put"],
  ["map", "put_page"],
  ["new_file", "set_marker"],
  ["new_file", "wrap"],
  ["new_file", "install_fd"],
  ["create", "install_fd"],
  ["bind", "commit_slot"],
  ["mark_invalid", "zap_slot"],
  ["mark_invalid", "commit_slot"],
  ["commit_slot", "free_slot"],
  ["unbind", "free_slot"],
  ["deny_writable", "wait_pins"],
  ["deny_writable", "set_seals"],
  ["wait_pins", "set_seals"],
  ["drop_fd", "free_pages"],
];

/** Pairs that hold something from the first to the second. */
const BRACKETS: readonly (readonly [string, string])[] = [
  ["lock_inode", "unlock_inode"],
  ["lock_folio", "unlock_folio"],
  ["lock_slots", "unlock_slots"],
];

/** One call into KVM's notifier; the catalogue has it as a begin and an end too. */
const SINGLES: readonly string[] = ["invalidate", "notify_fallocate"];
export const BEGIN = "invalidate_begin";
export const END = "invalidate_end";
export const INVALIDATE = "invalidate";

export const isSingle = (step: string): boolean => SINGLES.includes(step);

/** The notifier's begin and end name a range of a file, so they stand in operations on files only. */
export const mayBracket = (operation: string): boolean => operation.startsWith("fallocate.") || operation === "ftruncate" || operation === "ftruncate.plain";

/** What a single invalidation may be added to: operations on files, and conversions, which name their gfns. */
export const mayInvalidate = (operation: string): boolean => mayBracket(operation) || operation.startsWith("KVM_MEMORY_ENCRYPT_");

/** What a kernel promises, not how well it keeps it: another value would be another interface, and no mend. */
const INTERFACE: ReadonlySet<string> = new Set(["private_kind", "default_kind", "marker", "exit", "inaccessible_hugetlb"]);

export const mayMend = (feature: string): boolean => !INTERFACE.has(feature);

const LOCKS = new Set(BRACKETS.flat());

/** Argument checks come first and touch nothing. `check_kind` and `check_seal_chunk` look at shared state: their place matters. */
export const isCheck = (step: string): boolean => step.startsWith("check_") && step !== "check_kind" && step !== "check_seal_chunk";

/** Locks stay where they are, but for a deadlock: another order of locks is another protection. */
export const mayMove = (step: string, locks: boolean): boolean => !isCheck(step) && (locks || !LOCKS.has(step));

/** The indexes of an open bracket around `at`, by name of its lock. */
function locksAround(list: readonly string[], at: number): string[] {
  return BRACKETS.flatMap(([lock, unlock]) => {
    const open = list.slice(0, at).lastIndexOf(lock);
    const closed = list.slice(0, at).lastIndexOf(unlock);
    return open > closed ? [lock] : [];
  });
}

/** Is `list`, made out of `original`, one that may be tried? */
export function isAllowed(original: readonly string[], list: readonly string[], locks: boolean): boolean {
  if (list.length === 0) return false;
  const at = (step: string): number => list.indexOf(step);
  const ordered = [...BEFORE, ...BRACKETS].every(([first, second]) => at(first) < 0 || at(second) < 0 || at(first) < list.lastIndexOf(second));
  if (!ordered) return false;
  const lastCheck = list.findLastIndex(isCheck);
  // A check behind an effect would answer an errno for something that has happened; where the kernel has it so, it stays so.
  const effectsBefore = (names: readonly string[], end: number): string =>
    names
      .slice(0, Math.max(0, end))
      .filter((step) => !isCheck(step) && !LOCKS.has(step))
      .join();
  if (effectsBefore(list, lastCheck) !== effectsBefore(original, original.findLastIndex(isCheck))) return false;
  if (locks) return true;
  // Nothing leaves a lock that it had.
  return original.every((step, index) => {
    const now = list.indexOf(step);
    if (now < 0) return true;
    const held = locksAround(list, now);
    return locksAround(original, index).every((lock) => held.includes(lock));
  });
}
