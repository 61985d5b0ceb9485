// C identifiers for the names of a scenario, and what C wants of comments, strings and numbers.

import { asS64 } from "../../base/units.ts";
import type { Program } from "../../scenario/program.ts";

/** Keywords of C, and what the included headers declare without an underscore (glibc; other C libraries declare fewer). */
const TAKEN =
  "a64l abort abs access acct alarm alloca arc4random asctime asm asprintf atexit atof atoi atol atoll auto basename bcmp bcopy bool break brk bsearch " +
  "bzero calloc case char chdir chmod chown chroot clearenv clearerr clock clone close closefrom confstr const continue creat crypt ctermid ctime cuserid " +
  "daemon daylight default difftime div do double dprintf drand48 dup dup2 dup3 dysize eaccess ecvt else endusershell enum environ erand48 errno " +
  "euidaccess execl execle execlp execv execve execveat execvp execvpe exit extern faccessat fallocate false fchdir fchmod fchmodat fchown fchownat " +
  "fclose fcloseall fcntl fcvt fdatasync fdopen feof ferror fexecve fflush ffs ffsl ffsll fgetc fgetpos fgets fileno float flockfile fmemopen fopen " +
  "fopencookie for fork fpathconf fprintf fputc fputs fread free freopen fscanf fseek fseeko fsetpos fstat fstatat fstatfs fstatfs64 fsync ftell ftello " +
  "ftruncate ftrylockfile funlockfile futimens fwrite gcvt getc getchar getcpu getcwd getdate getdelim getdomainname getdtablesize getegid getentropy " +
  "getenv geteuid getgid getgroups gethostid gethostname getline getloadavg getlogin getopt getpagesize getpass getpgid getpgrp getpid getppid " +
  "getpriority getpt getresgid getresuid getrlimit getrusage getsid getsubopt gettid getuid getumask getusershell getw getwd gmtime goto grantpt gsignal " +
  "i386 if index initstate inline int ioctl iovec isatty jrand48 kill killpg l64a labs lchmod lchown lcong48 ldiv link linkat linux llabs lldiv localtime " +
  "lockf long longjmp lrand48 lseek lstat madvise main malloc mblen mbstowcs mbtowc memccpy memchr memcmp memcpy memfrob memmem memmove mempcpy memrchr " +
  "memset mincore mkdir mkdirat mkdtemp mkfifo mkfifoat mknod mknodat mkostemp mkostemps mkstemp mkstemps mktemp mktime mlock mlock2 mlockall mmap " +
  "mprotect mrand48 mremap msync munlock munlockall munmap nanosleep nice nrand48 obstack offsetof open openat optarg opterr optind optopt pathconf pause " +
  "pclose perror pipe pipe2 popen prctl pread printf prlimit profil pselect psiginfo psignal ptsname putc putchar putenv puts putw pwrite qecvt qfcvt " +
  "qgcvt qsort raise rand random rawmemchr read readahead readlink readlinkat realloc reallocarray realpath register remove rename renameat renameat2 " +
  "restrict return revoke rewind rindex rmdir rpmatch sbrk scanf seed48 select sendfile sendfile64 setbuf setbuffer setdomainname setegid setenv seteuid " +
  "setgid sethostid sethostname setjmp setlinebuf setlogin setns setpgid setpgrp setpriority setregid setresgid setresuid setreuid setrlimit setsid " +
  "setstate setuid setusershell setvbuf short sigaction sigaddset sigaltstack sigandset sigblock sigdelset sigemptyset sigevent sigfillset siggetmask " +
  "sighold sigignore siginterrupt sigisemptyset sigismember siglongjmp sigmask signal signed sigorset sigpause sigpending sigprocmask sigqueue sigrelse " +
  "sigreturn sigset sigsetjmp sigsetmask sigstack sigsuspend sigtimedwait sigwait sigwaitinfo sizeof sleep snprintf splice sprintf srand srand48 srandom " +
  "sscanf ssignal stat static statfs statfs64 statx stderr stdin stdout stpcpy stpncpy strcasecmp strcasestr strcat strchr strchrnul strcmp strcoll " +
  "strcpy strcspn strdup strdupa strerror strfromd strfromf strfromf64x strfroml strfry strftime strlen strncasecmp strncat strncmp strncpy strndup " +
  "strndupa strnlen strpbrk strptime strrchr strsep strsignal strspn strstr strtod strtof strtof64x strtok strtol strtold strtoll strtoq strtoul strtoull " +
  "strtouq struct strverscmp strxfrm swab switch symlink symlinkat sync syncfs syscall sysconf system tcgetpgrp tcsetpgrp tee tempnam tgkill time timegm " +
  "timelocal timezone tmpfile tmpnam true truncate ttyname ttyslot typedef typeof tzname tzset ualarm uint ulong umask ungetc union unix unlink unlinkat " +
  "unlockpt unsetenv unshare unsigned ushort usleep utimensat valloc vasprintf vdprintf vfork vfprintf vfscanf vhangup vmsplice void volatile vprintf " +
  "vscanf vsnprintf vsprintf vsscanf wait wait3 wait4 waitid waitpid wcstombs wctomb while write";

/** What they declare with an underscore, by pattern. */
const TAKEN_PATTERN =
  /^(_|pthread_|posix_|kvm_|obstack_|pkey_|clock_|process_m|fd_(set|mask)$|memfd_create$|jmp_buf$|name_to_|open_by_|open_mem|(copy|sync)_file|get_current|program_inv)|(_t|_r|_np|_unlocked)$/;

const KEPT = 60;

/** `vcpu[2]` → `vcpu_2`, `one-page` → `one_page`, `time` → `my_time`; different names stay different. `reserved`: what the file declares itself. */
export function identifiers(program: Program, reserved: ReadonlySet<string>): readonly string[] {
  const taken = new Set([...TAKEN.split(" "), ...reserved]);
  const used = new Set<string>();
  return program.handles.map(({ name }) => {
    const plain = name
      .replaceAll("]", "")
      .replaceAll(/[^A-Za-z0-9_]/g, "_")
      .slice(0, KEPT);
    const free = taken.has(plain) || TAKEN_PATTERN.test(plain) ? `my_${plain}` : plain;
    let identifier = free;
    for (let count = 2; used.has(identifier) || taken.has(identifier); count++) identifier = `${free}_${count}`;
    used.add(identifier);
    return identifier;
  });
}

/** Text of a block comment: it cannot end the comment, and it has no character that changes how others are shown. */
export function commentText(text: string): string {
  return text
    .replaceAll(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu, (found) => `\\u{${(found.codePointAt(0) ?? 0).toString(16)}}`)
    .replaceAll("*/", "* /")
    .replaceAll("/*", "/ *");
}

function byteText(byte: number, before: number | undefined): string {
  if (byte === 34 || byte === 92) return `\\${String.fromCharCode(byte)}`;
  if (byte === 10) return "\\n";
  // Two question marks may begin a trigraph.
  if (byte === 63 && before === 63) return "\\?";
  return byte >= 32 && byte < 127 ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, "0")}`;
}

/** A string literal; what follows an octal escape never belongs to it, for it has all its three digits. */
export function stringLiteral(bytes: readonly number[]): string {
  return `"${bytes.map((byte, at) => byteText(byte, bytes[at - 1])).join("")}"`;
}

export const textLiteral = (text: string): string => stringLiteral([...new TextEncoder().encode(text)]);

const INT_MAX = 0x7fff_ffffn;

/** A 64-bit value as an integer constant of the smallest type that holds it; `hex` for addresses and flags. */
export function integer(value: bigint, hex = false): string {
  const signed = asS64(value);
  if (signed === -(1n << 63n)) return "(-0x7fffffffffffffffL - 1)";
  if (signed < 0n) return `-${integer(-signed, hex)}`;
  const digits = hex && signed > 9n ? `0x${signed.toString(16)}` : signed.toString();
  return signed > INT_MAX ? `${digits}L` : digits;
}

/** The value as an argument of a C type of 32 bits: cast where it does not fit, as the kernel's register would be cut. */
export function narrow(text: string, value: bigint, type: string): string {
  const signed = asS64(value);
  const fits = type === "int" ? signed >= -INT_MAX - 1n && signed <= INT_MAX : signed >= -INT_MAX - 1n && signed <= 0xffff_ffffn;
  return fits ? text : `(${type})${/^[\w]+$/.test(text) ? text : `(${text})`}`;
}
