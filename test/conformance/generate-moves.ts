// Random straight-line programs over what looks at descriptors and pages, moves data between files and pipes, and limits the process, as scenario text.

import fc from "fast-check";
import {
  allocate,
  close,
  createNow,
  dup,
  fdOf,
  fixed,
  fresh,
  from,
  type LineArbitrary,
  type Lines,
  load,
  mapFile,
  mostly,
  oneOf,
  pick,
  pread,
  programOf,
  pwrite,
  read,
  reopen,
  sealNow,
  seek,
  store,
  truncate,
  unmap,
  weighted,
  write,
} from "./generate.ts";

const PAGES = ["0", "0", "4K", "8K", "12K"];

const descriptorFlags: LineArbitrary = fc
  .tuple(
    pick,
    mostly(
      ["F_GETFD", "F_GETFL", "F_SETFD, FD_CLOEXEC", "F_SETFD, 0", "F_SETFL, 0", "F_SETFL, O_APPEND", "F_SETFL, O_NONBLOCK|O_RDONLY|O_TRUNC"],
      ["F_SETFD, 6", "99", "-1"],
    ),
  )
  .map(
    ([fd, command]) =>
      (names) =>
        `fcntl(${fdOf(names, fd)}, ${command})`,
  );
const status: LineArbitrary = fc.tuple(pick, from("st_size", "st_blocks", "st_blocks", "st_mode", "st_nlink", "st_blksize")).map(
  ([fd, field]) =>
    (names) =>
      `fstat(${fdOf(names, fd)}, ${field})`,
);
const incore: LineArbitrary = fc
  .tuple(pick, mostly(["", "", " + 4K"], [" + 1"]), mostly(["4K", "8K", "16K", "1"], ["0", "-4K", "20K"]))
  .map(([map, shift, length]) => (names) => {
    const name = oneOf(names.maps, map);
    return name && `mincore(${name}${shift}, ${length})`;
  });
const populate: LineArbitrary = fc
  .tuple(pick, mostly(["", "", " + 4K"], [" + 1"]), mostly(["4K", "8K", "16K"], ["0", "20K", "-4K"]), from("MADV_POPULATE_READ", "MADV_POPULATE_WRITE"))
  .map(([map, shift, length, advice]) => (names) => {
    const name = oneOf(names.maps, map);
    return name && `madvise(${name}${shift}, ${length}, ${advice})`;
  });
const mapPopulated: LineArbitrary = fc
  .tuple(pick, from("4K", "8K", "16K"), from("PROT_READ", "PROT_READ|PROT_WRITE", "PROT_NONE"), from("MAP_SHARED", "MAP_PRIVATE"), from(...PAGES))
  .map(
    ([fd, length, prot, kind, at]) =>
      (names) =>
        `${fresh(names.maps, "m")} = mmap(NULL, ${length}, ${prot}, ${kind}|MAP_POPULATE, ${fdOf(names, fd)}, ${at})`,
  );

const inPage = from("", " + 4090", " + 100");
const splice: LineArbitrary = fc
  .tuple(
    pick,
    mostly(["NULL", "0", "4K", "100", "8190"], ["-1", "0x7fffffffffffffff"]),
    from("1", "100", "4K", "5000", "16K"),
    mostly(["SPLICE_F_NONBLOCK"], ["0x12"]),
  )
  .map(
    ([fd, at, length, flags]) =>
      (names) =>
        `splice(${fdOf(names, fd)}, ${at}, w, NULL, ${length}, ${flags})`,
  );
const vmsplice: LineArbitrary = fc.tuple(pick, inPage, from("1", "100", "4K", "8K", "0")).map(([map, shift, length]) => (names) => {
  const name = oneOf(
    names.maps.filter((each) => !names.torn.has(each)),
    map,
  );
  return name && `vmsplice(w, m0${shift}, ${length}, SPLICE_F_NONBLOCK)`;
});
const drain: LineArbitrary = from("1", "8", "64", "100", "4K", "16K", "0").map((count) => () => `read(p, ${count})`);
/** Until it is full. */
const fillPipe: LineArbitrary = fc.constant(() => new Array<string>(5).fill("splice(f0, 0, w, NULL, 16K, SPLICE_F_NONBLOCK)").join("; "));
const pipeRefusals: LineArbitrary = from(
  "fcntl(p, F_ADD_SEALS, F_SEAL_WRITE)",
  "fcntl(w, F_GET_SEALS)",
  "fallocate(w, 0, 0, 4K)",
  "lseek(p, 0, SEEK_SET)",
  "pread(p, 1, 0)",
  "read(w, 1)",
  'write(p, "a")',
  "fcntl(w, F_GETFL)",
).map((line) => () => line);

/** Both offsets lie alike in their pages: what else is copied is not modelled. */
const copyRange: LineArbitrary = fc
  .tuple(from("f0, f1", "f1, f0", "f0, f0"), from(...PAGES), from(...PAGES), from("", " + 100"), mostly(["100", "4K", "5000", "16K"], ["0", "-1"]))
  .map(([files, at, to, low, length]) => () => {
    const [source, target] = files.split(", ");
    return `copy_file_range(${source}, ${at}${low}, ${target}, ${to}${low}, ${length})`;
  });
const sendfile: LineArbitrary = fc
  .tuple(from("f0, f1", "f1, f0"), from(...PAGES), from(...PAGES), from("", " + 100"), from("100", "4K", "5000", "16K"))
  .map(([files, at, to, low, length]) => () => {
    const [source, target] = files.split(", ");
    return `lseek(${target}, ${to}${low}, SEEK_SET); sendfile(${target}, ${source}, ${at}${low}, ${length})`;
  });
const limit: LineArbitrary = from("RLIM_INFINITY", "RLIM_INFINITY", "24576", "5000", "8K").map((value) => () => `setrlimit(RLIMIT_FSIZE, ${value})`);

/** Two files, a pipe that does not wait, and all that moves between them. */
export const movePrograms: fc.Arbitrary<Lines> = programOf(
  [
    fixed("fds", "f", 'memfd_create("one", MFD_ALLOW_SEALING)'),
    fixed("fds", "f", 'memfd_create("two", MFD_ALLOW_SEALING)'),
    from("8K", "10000", "16K").map((length) => () => `ftruncate(f0, ${length})`),
    from("0x41 * 8192", "0x42 * 5000", '"some bytes"').map((data) => () => `pwrite(f1, ${data}, 0)`),
    fc.constant(() => "p = pipe2(O_NONBLOCK)"),
    fc.constant(() => "w = open_fd(p, O_WRONLY|O_NONBLOCK)"),
    fixed("maps", "m", "mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_SHARED, f0, 0)"),
  ],
  weighted(
    [5, descriptorFlags],
    [5, status],
    [5, incore],
    [4, populate],
    [2, mapPopulated],
    [6, splice],
    [4, vmsplice],
    [6, drain],
    [1, pipeRefusals],
    [1, fillPipe],
    [5, copyRange],
    [3, sendfile],
    [1, limit],
    [3, truncate],
    [3, allocate],
    [5, pwrite],
    [3, pread],
    [3, write],
    [2, read],
    [2, seek],
    [1, reopen],
    [1, createNow],
    [1, mapFile],
    [1, unmap],
    [3, load],
    [3, store],
    [4, sealNow],
    [1, dup],
    [1, close],
  ),
  { minLength: 10, maxLength: 30 },
);

export const MOVES_REACH: readonly string[] = [
  "fcntl ok",
  "fcntl -EBUSY",
  "fcntl -EBADF",
  "fcntl -EINVAL",
  "fstat ok",
  "fstat -EBADF",
  "mincore -EINVAL",
  "mincore -ENOMEM",
  "madvise ok",
  "madvise -EFAULT",
  "madvise -EINVAL",
  "madvise -ENOMEM",
  "mmap ok",
  "splice ok",
  "splice -EAGAIN",
  "splice -EBADF",
  "splice -EINVAL",
  "vmsplice ok",
  "vmsplice -EFAULT",
  "read ok",
  "read -EAGAIN",
  "copy_file_range ok",
  "copy_file_range -EINVAL",
  "copy_file_range -EPERM",
  "copy_file_range -EFBIG",
  "copy_file_range -EBADF",
  "sendfile ok",
  "sendfile -EPERM",
  "sendfile -EINVAL",
  "setrlimit ok",
  "ftruncate -EFBIG",
  "pwrite -EFBIG",
];
