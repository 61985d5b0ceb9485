// A table walked cell by cell, as an ARIA grid asks: which cell an event is at (`data-at="row/column"`), and where a key leads from it.

/** Row 0 is the header, column 0 the heads of the rows. */
export interface GridPlace {
  readonly row: number;
  readonly column: number;
}

export function gridPlaceOf(target: EventTarget | null): GridPlace | undefined {
  const at = target instanceof Element ? target.closest<HTMLElement>("[data-at]")?.dataset.at : undefined;
  if (at === undefined) return undefined;
  const [row, column] = at.split("/").map(Number);
  return { row, column };
}

/** Undefined for a key that does not walk. `last` is the last row and the last column. */
export function nextCell({ key, ctrlKey }: KeyboardEvent, { row, column }: GridPlace, last: GridPlace): GridPlace | undefined {
  switch (key) {
    case "ArrowLeft":
      return { row, column: Math.max(0, column - 1) };
    case "ArrowRight":
      return { row, column: Math.min(last.column, column + 1) };
    case "ArrowUp":
      return { row: Math.max(0, row - 1), column };
    case "ArrowDown":
      return { row: Math.min(last.row, row + 1), column };
    case "Home":
      return { row: ctrlKey ? 0 : row, column: 0 };
    case "End":
      return { row: ctrlKey ? last.row : row, column: last.column };
    default:
      return undefined;
  }
}

/** What a grid handles does not reach the panel's own keys. */
export function stop(event: Event): void {
  event.preventDefault();
  event.stopPropagation();
}
