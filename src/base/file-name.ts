// The name of a file as people know it: the last part of a path or URI, as an editor tab shows it.

export function fileName(file: string): string {
  const last = file.slice(Math.max(file.lastIndexOf("/"), file.lastIndexOf("\\")) + 1);
  try {
    return decodeURIComponent(last);
  } catch {
    return last; // a file name with a bare percent sign
  }
}
