// What every generated conformance program includes: each program runs in a forked child, so that descriptors and mappings are fresh, and prints one line
// per call: its number, then a value, `E` and an errno, `S` and a signal, `T` and a text in hex, `X` and a KVM exit, or `ok` for a new object.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NAMES = 512, FIRST_FD = 100, DATA_SHOWN = 64, SECONDS_PER_PROGRAM = 10 };

/* What a name of the scenario holds: a descriptor, an address, or the negative errno of a failed call. */
static long long name[NAMES];
static int kvm = -1;
static int objects;
static sigjmp_buf landing;
static volatile sig_atomic_t in_access;

static void failed(int call) { printf("%d E %d\n", call, errno); }

static void value(int call, long long result) {
  if (result == -1) failed(call);
  else printf("%d %lld\n", call, result);
}

/* A descriptor gets a number that is never used again: the scenario's names are objects, a closed one stays closed. */
static void made_fd(int call, int to, long long result) {
  if (to >= 0) name[to] = result < 0 ? -errno : result;
  if (result < 0) return failed(call);
  if (to >= 0) {
    name[to] = FIRST_FD + objects++;
    if (dup3((int)result, (int)name[to], fcntl((int)result, F_GETFD) & FD_CLOEXEC ? O_CLOEXEC : 0) < 0) abort();
    close((int)result);
  }
  printf("%d ok\n", call);
}

/* The name is the read end; the other end stays open, out of the scenario's way. */
static void made_pipe(int call, int to, int flags) {
  int ends[2];
  if (pipe2(ends, flags) < 0) return made_fd(call, to, -1);
  made_fd(call, to, ends[0]);
}

/* Mappings lie far apart, so that nothing but the scenario maps what stands behind them. */
static void *next_place(void) { return (void *)(0x100000000000ULL + ((unsigned long long)objects++ << 36)); }

static void made_mapping(int call, int to, long long result) {
  if (to >= 0) name[to] = result == -1 ? -errno : result;
  if (result == -1) failed(call);
  else printf("%d ok\n", call);
}

struct run { int byte; long long count; };

static char *bytes(const struct run *runs, int n) {
  long long length = 0, at = 0;
  for (int i = 0; i < n; i++) length += runs[i].count;
  char *buffer = malloc((size_t)length + 1);
  if (!buffer) abort();
  for (int i = 0; i < n; at += runs[i++].count) memset(buffer + at, runs[i].byte, (size_t)runs[i].count);
  buffer[length] = 0;
  return buffer;
}

static void read_data(int call, int fd, long long count, const long long *offset) {
  unsigned char *buffer = malloc(count > 0 ? (size_t)count : 1);
  if (!buffer) abort();
  long result = offset ? syscall(SYS_pread64, fd, buffer, count, *offset) : syscall(SYS_read, fd, buffer, count);
  if (result < 0) failed(call);
  else {
    printf("%d %ld", call, result);
    if (count <= DATA_SHOWN && result > 0) {
      putchar(' ');
      for (long i = 0; i < result; i++) printf("%02x", buffer[i]);
    }
    putchar('\n');
  }
  free(buffer);
}

static int reopen(int fd, int flags) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0600);
}

static void link_text(int call, int fd) {
  char path[64], text[8192];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(path, text, sizeof text);
  if (length < 0) {
    errno = fcntl(fd, F_GETFD) < 0 ? errno : ENOENT; /* a closed descriptor has no entry: the scenario's call names it EBADF */
    return failed(call);
  }
  printf("%d T ", call);
  for (ssize_t i = 0; i < length; i++) printf("%02x", (unsigned char)text[i]);
  putchar('\n');
}

/* A field by its offset in struct stat, with the width that it has there. */
static void stat_field(int call, int fd, unsigned offset) {
  struct stat st;
  if (fstat(fd, &st) < 0) return failed(call);
  const char *at = (const char *)&st + offset;
  int narrow = offset == offsetof(struct stat, st_mode) || offset == offsetof(struct stat, st_uid);
  printf("%d %llu\n", call, narrow ? *(const unsigned *)at : *(const unsigned long long *)at);
}

static void statfs_field(int call, int fd, unsigned offset) {
  struct statfs fs;
  if (fstatfs(fd, &fs) < 0) return failed(call);
  printf("%d %llu\n", call, *(const unsigned long long *)((const char *)&fs + offset));
}

static void pages_there(int call, long long address, unsigned long long length) {
  enum { MOST = 64 };
  unsigned char there[MOST] = {0};
  if (syscall(SYS_mincore, address, length, there) < 0) return failed(call);
  printf("%d T ", call);
  for (unsigned long long page = 0; page < (length + 4095) / 4096; page++) printf("%02x", '0' + (there[page] & 1));
  putchar('\n');
}

static void soft_limit(int call, int resource, unsigned long long limit) {
  struct rlimit now;
  signal(SIGXFSZ, SIG_IGN);
  if (getrlimit(resource, &now) < 0) return failed(call);
  now.rlim_cur = limit;
  value(call, setrlimit(resource, &now));
}

static void on_fault(int signal_number) {
  if (!in_access) _exit(100 + signal_number);
  siglongjmp(landing, signal_number);
}

/* A load (store < 0) or store of one byte. */
static void host_access(int call, long long address, int store) {
  int caught = sigsetjmp(landing, 1);
  if (caught == 0) {
    in_access = 1;
    volatile unsigned char *at = (volatile unsigned char *)address;
    int byte = 0;
    if (store < 0) byte = *at;
    else *at = (unsigned char)store;
    in_access = 0;
    printf("%d %d\n", call, byte);
  } else {
    in_access = 0;
    printf("%d S %s\n", call, caught == SIGBUS ? "SIGBUS" : "SIGSEGV");
  }
}

static void region(int call, int vm, unsigned slot, unsigned flags, unsigned long long gpa, unsigned long long size, unsigned long long address) {
  struct kvm_userspace_memory_region memory = {.slot = slot, .flags = flags, .guest_phys_addr = gpa, .memory_size = size, .userspace_addr = address};
  value(call, ioctl(vm, KVM_SET_USER_MEMORY_REGION, &memory));
}

#ifndef KVM_CREATE_GUEST_MEMFD
struct kvm_create_guest_memfd {
  unsigned long long size, flags, reserved[6];
};
struct kvm_userspace_memory_region2 {
  unsigned slot, flags;
  unsigned long long guest_phys_addr, memory_size, userspace_addr, guest_memfd_offset;
  unsigned guest_memfd, pad1;
  unsigned long long pad2[14];
};
#define KVM_SET_USER_MEMORY_REGION2 _IOW(KVMIO, 0x49, struct kvm_userspace_memory_region2)
#define KVM_CREATE_GUEST_MEMFD _IOWR(KVMIO, 0xd4, struct kvm_create_guest_memfd)
#endif

static void made_guest_memfd(int call, int to, int vm, unsigned long long size, unsigned long long flags) {
  struct kvm_create_guest_memfd file = {.size = size, .flags = flags};
  made_fd(call, to, ioctl(vm, KVM_CREATE_GUEST_MEMFD, &file));
}

static void region2(int call, int vm, unsigned slot, unsigned flags, unsigned long long gpa, unsigned long long size, unsigned long long address,
                    unsigned long long offset, unsigned fd) {
  struct kvm_userspace_memory_region2 memory = {.slot = slot, .flags = flags, .guest_phys_addr = gpa, .memory_size = size, .userspace_addr = address,
                                                .guest_memfd_offset = offset, .guest_memfd = fd};
  value(call, ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &memory));
}

/* Guest code stands in a slot of its own, out of the scenarios' way: real mode, DS:0 is the byte that is touched. */
enum { CODE_SLOT = 32000, CODE_GPA = 0xf0000, PORT = 0x10 };

static unsigned char *code_of(int vm) {
  static int owner = -1;
  static unsigned char *code;
  if (owner == vm) return code;
  code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  struct kvm_userspace_memory_region memory = {.slot = CODE_SLOT, .guest_phys_addr = CODE_GPA, .memory_size = 4096, .userspace_addr = (unsigned long long)code};
  if (code == MAP_FAILED || ioctl(vm, KVM_SET_USER_MEMORY_REGION, &memory) != 0) abort();
  owner = vm;
  return code;
}

static void set_up(int vcpu, unsigned long long gpa) {
  struct kvm_sregs segments;
  if (ioctl(vcpu, KVM_GET_SREGS, &segments) != 0) abort();
  segments.cs.base = CODE_GPA;
  segments.cs.selector = CODE_GPA >> 4;
  segments.ds.base = gpa & ~15ULL;
  segments.ds.selector = (unsigned short)(gpa >> 4);
  struct kvm_regs registers = {.rip = 0, .rflags = 2};
  if (ioctl(vcpu, KVM_SET_SREGS, &segments) != 0 || ioctl(vcpu, KVM_SET_REGS, &registers) != 0) abort();
}

/* Lets KVM finish the instruction that left the guest, without running the next one. */
static void complete(int vcpu, struct kvm_run *run) {
  run->immediate_exit = 1;
  ioctl(vcpu, KVM_RUN, 0);
  run->immediate_exit = 0;
}

static void show_exit(int call, const struct kvm_run *run) {
  if (run->exit_reason != KVM_EXIT_MMIO) {
    printf("%d X %u\n", call, run->exit_reason);
    return;
  }
  printf("%d X KVM_EXIT_MMIO phys_addr=%llu len=%u is_write=%u", call, (unsigned long long)run->mmio.phys_addr, run->mmio.len, run->mmio.is_write);
  if (run->mmio.is_write) printf(" data=%u", run->mmio.data[0]);
  putchar('\n');
}

/* load: mov al, [ds:offset]; out PORT, al; hlt      store: mov byte [ds:offset], value; hlt */
static void guest_access(int call, int vm, int vcpu, unsigned long long gpa, int store) {
  int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
  struct kvm_run *run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
  if (run == MAP_FAILED) return failed(call);
  unsigned char offset = gpa & 15;
  unsigned char load_code[] = {0xa0, offset, 0, 0xe6, PORT, 0xf4}, store_code[] = {0xc6, 0x06, offset, 0, (unsigned char)store, 0xf4};
  memcpy(code_of(vm), store < 0 ? load_code : store_code, 6);
  set_up(vcpu, gpa);
  if (ioctl(vcpu, KVM_RUN, 0) != 0) failed(call);
  else if (store < 0 && run->exit_reason == KVM_EXIT_IO && run->io.port == PORT) {
    printf("%d %u\n", call, *((unsigned char *)run + run->io.data_offset));
    complete(vcpu, run);
  } else if (store >= 0 && run->exit_reason == KVM_EXIT_HLT) printf("%d 0\n", call);
  else {
    show_exit(call, run);
    complete(vcpu, run);
  }
  munmap(run, (size_t)size);
}

struct program { const char *id; void (*run)(void); };

static void run_one(const struct program *program) {
  printf("= %s\n", program->id);
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    struct sigaction action = {.sa_handler = on_fault};
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    alarm(SECONDS_PER_PROGRAM);
    program->run();
    fflush(stdout);
    _exit(0);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) < 0) abort();
  if (status != 0) printf("! %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static int run_all(const struct program *programs, int n) {
  setvbuf(stdout, NULL, _IOLBF, 1 << 16);
  kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
  for (int i = 0; i < n; i++) run_one(&programs[i]);
  return 0;
}
