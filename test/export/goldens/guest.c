/*
 * Scenario "the guest is an actor of its own", under v8.
 *
 * Build and run:  cc -Wall -Wextra -O1 -pthread -o scenario scenario.c && ./scenario
 * It prints TAP. Exit status: 0 passed, 1 failed, 4 skipped. x86-64 Linux only; KVM needs /dev/kvm.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef __x86_64__
#error the scenario is about x86-64
#endif
#ifndef KVM_X86_DEFAULT_VM
#define KVM_X86_DEFAULT_VM 0x0
#endif
#ifndef MAP_SHARED
#define MAP_SHARED 0x1
#endif
#ifndef PROT_READ
#define PROT_READ 0x1
#endif
#ifndef PROT_WRITE
#define PROT_WRITE 0x2
#endif

#define CALLS 11
#define TESTS 5
enum { ACTOR_0_vmm, ACTOR_1_vcpu0, ACTORS };
#define CODE_GPA 0xf0000UL
#define CODE_SLOT 508

/* A call that has not returned after so many seconds counts as blocked: an answer, and the end of the program. */
#define BLOCK_SECONDS 5
#define CPU_SECONDS 20
#define DATA_MAX 64

/* What a name of the scenario holds: a descriptor, an address or a number; -errno after a failed call; this if its call did not run. */
#define UNSET (-1000000L)

enum kind { PENDING, RUNNING, VALUE_KIND, ERRNO_KIND, SIGNAL_KIND, EXIT_KIND, TEXT_KIND, HELD_KIND, BLOCKED_KIND, SKIPPED_KIND };

struct field {
	const char *name;
	unsigned long long value;
};

/* One result that the scenario allows. */
struct want {
	enum { WANT_VALUE, WANT_ERRNO, WANT_SIGNAL, WANT_EXIT, WANT_TEXT, WANT_OK, WANT_FAILS, WANT_BLOCKS, WANT_ANY } kind;
	long long value;
	const char *data;
	long size;
	struct field field[4];
};

#define WANT(...) .want = (const struct want[]){ __VA_ARGS__ }, .wants = sizeof((const struct want[]){ __VA_ARGS__ }) / sizeof(struct want)
#define VALUE(number) { .kind = WANT_VALUE, .value = (number), .size = -1 }
#define DATA(count, bytes) { .kind = WANT_VALUE, .value = (count), .data = (bytes), .size = sizeof(bytes) - 1 }
#define ERR(number) { .kind = WANT_ERRNO, .value = (number) }
#define SIGNAL(number) { .kind = WANT_SIGNAL, .value = (number) }
#define EXIT(...) { .kind = WANT_EXIT, .value = __VA_ARGS__ }
#define TEXT(bytes) { .kind = WANT_TEXT, .data = (bytes), .size = sizeof(bytes) - 1 }
#define SUCCESS { .kind = WANT_OK }
#define FAILURE { .kind = WANT_FAILS }
#define BLOCKS { .kind = WANT_BLOCKS }
#define ANYTHING { .kind = WANT_ANY }
#define HOLDS VALUE(1)

struct call {
	const char *title;
	const struct want *want;
	int wants;
	enum kind kind;
	long long value;
	unsigned char data[DATA_MAX + 256];
	long size;
	struct field field[4];
};

/* What the scenario says of each call. */
static struct call calls[CALLS] = {
	[0] = { .title = "line 29: memfd_create(\"guest-ram\", 0)" },
	[1] = { .title = "line 30: ftruncate(ram, 16K)", WANT(VALUE(0)) },
	[2] = { .title = "line 31: mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_SHARED, ram, 0)" },
	[3] = { .title = "line 32: KVM_CREATE_VM(KVM_X86_DEFAULT_VM)" },
	[4] = { .title = "line 33: KVM_CREATE_VCPU(vm, 0)" },
	[5] = { .title = "line 34: KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0, memory_size=16K, userspace_addr=map)", WANT(VALUE(0)) },
	[6] = { .title = "line 36: store(map, 0x1000, 0x41)" },
	[7] = { .title = "line 37: vcpu0: load(0x1000)", WANT(VALUE(65)) },
	[8] = { .title = "line 38: vcpu0: store(0x1001, 0x42)" },
	[9] = { .title = "line 39: load(map, 0x1001)", WANT(VALUE(66)) },
	[10] = { .title = "line 40: vcpu0: load(0x10000)", WANT(EXIT(6)) },
};

/* The names of the scenario. */
static long kvm = UNSET;
static long ram = UNSET;
static long map = UNSET;
static long vm = UNSET;
static long vcpu0 = UNSET;

static FILE *tap;
static int shown, tests_done, passed, failed, skipped;
static __thread struct call *now;

static const char *errno_name(int number)
{
	static const struct { int number; const char *name; } names[] = {
		{ EPERM, "EPERM" },
		{ ENOENT, "ENOENT" },
		{ ESRCH, "ESRCH" },
		{ EINTR, "EINTR" },
		{ EIO, "EIO" },
		{ ENXIO, "ENXIO" },
		{ E2BIG, "E2BIG" },
		{ EBADF, "EBADF" },
		{ EAGAIN, "EAGAIN" },
		{ ENOMEM, "ENOMEM" },
		{ EACCES, "EACCES" },
		{ EFAULT, "EFAULT" },
		{ EBUSY, "EBUSY" },
		{ EEXIST, "EEXIST" },
		{ EXDEV, "EXDEV" },
		{ ENODEV, "ENODEV" },
		{ EISDIR, "EISDIR" },
		{ EINVAL, "EINVAL" },
		{ ENFILE, "ENFILE" },
		{ EMFILE, "EMFILE" },
		{ ENOTTY, "ENOTTY" },
		{ ETXTBSY, "ETXTBSY" },
		{ EFBIG, "EFBIG" },
		{ ENOSPC, "ENOSPC" },
		{ ESPIPE, "ESPIPE" },
		{ EROFS, "EROFS" },
		{ EPIPE, "EPIPE" },
		{ ERANGE, "ERANGE" },
		{ ENOSYS, "ENOSYS" },
		{ EOVERFLOW, "EOVERFLOW" },
		{ EOPNOTSUPP, "EOPNOTSUPP" },
	};
	static __thread char other[24];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].number == number)
			return names[i].name;
	snprintf(other, sizeof(other), "errno %d", number);
	return other;
}

static const char *exit_name(long long reason)
{
	static __thread char other[24];

	switch (reason) {
	case 2: return "KVM_EXIT_IO";
	case 3: return "KVM_EXIT_HYPERCALL";
	case 5: return "KVM_EXIT_HLT";
	case 6: return "KVM_EXIT_MMIO";
	case 8: return "KVM_EXIT_SHUTDOWN";
	case 9: return "KVM_EXIT_FAIL_ENTRY";
	case 17: return "KVM_EXIT_INTERNAL_ERROR";
	case 39: return "KVM_EXIT_MEMORY_FAULT";
	case 40: return "KVM_EXIT_TDX";
	}
	snprintf(other, sizeof(other), "%lld", reason);
	return other;
}

static void print_bytes(const unsigned char *bytes, long size)
{
	fputc('"', tap);
	for (long i = 0; i < size; i++) {
		if (bytes[i] == '"' || bytes[i] == '\\')
			fprintf(tap, "\\%c", bytes[i]);
		else if (bytes[i] >= 32 && bytes[i] < 127)
			fputc(bytes[i], tap);
		else
			fprintf(tap, "\\%03o", bytes[i]);
	}
	fputc('"', tap);
}

static void print_answer(const struct call *call)
{
	switch (call->kind) {
	case VALUE_KIND:
		fprintf(tap, " = %lld", call->value);
		if (call->size > 0) {
			fputc(' ', tap);
			print_bytes(call->data, call->size);
		}
		break;
	case ERRNO_KIND:
		fprintf(tap, " = -%s", errno_name(call->value));
		break;
	case SIGNAL_KIND:
		fprintf(tap, " = %s", call->value == SIGBUS ? "SIGBUS" : "SIGSEGV");
		break;
	case EXIT_KIND:
		fprintf(tap, " = exit %s {", exit_name(call->value));
		for (int i = 0; i < 4 && call->field[i].name; i++)
			fprintf(tap, "%s%s=0x%llx", i ? ", " : "", call->field[i].name, call->field[i].value);
		fputc('}', tap);
		break;
	case TEXT_KIND:
		fputs(" = ", tap);
		print_bytes(call->data, call->size);
		break;
	case HELD_KIND:
		fputs(call->value ? " : holds" : " : does not hold", tap);
		break;
	case BLOCKED_KIND:
		fputs(" = blocks", tap);
		break;
	default:
		fprintf(tap, " # SKIP %s", call->kind == SKIPPED_KIND ? (const char *)call->data : "not reached");
	}
}

static int fits(const struct call *call, const struct want *want)
{
	switch (want->kind) {
	case WANT_VALUE:
		if (call->kind == ERRNO_KIND)
			return want->value == -call->value;
		if ((call->kind != VALUE_KIND && call->kind != HELD_KIND) || call->value != want->value)
			return 0;
		return want->size < 0 || call->size < 0 || (call->size == want->size && !memcmp(call->data, want->data, want->size));
	case WANT_ERRNO:
		return call->kind == ERRNO_KIND && call->value == want->value;
	case WANT_SIGNAL:
		return call->kind == SIGNAL_KIND && call->value == want->value;
	case WANT_EXIT:
		if (call->kind != EXIT_KIND || call->value != want->value)
			return 0;
		for (int i = 0; i < 4 && want->field[i].name; i++) {
			int same = 0;

			for (int j = 0; j < 4 && call->field[j].name; j++)
				same |= !strcmp(want->field[i].name, call->field[j].name) && want->field[i].value == call->field[j].value;
			if (!same)
				return 0;
		}
		return 1;
	case WANT_TEXT:
		return call->kind == TEXT_KIND && call->size == want->size && !memcmp(call->data, want->data, want->size);
	case WANT_OK:
		return call->kind == VALUE_KIND || call->kind == TEXT_KIND;
	case WANT_FAILS:
		return call->kind == ERRNO_KIND || call->kind == SIGNAL_KIND;
	case WANT_BLOCKS:
		return call->kind == BLOCKED_KIND;
	case WANT_ANY:
		return 1;
	}
	return 0;
}

/* One line per call: a test where the scenario says what it expects, else a comment. */
static void show(struct call *call)
{
	int skip = call->kind <= RUNNING || call->kind == SKIPPED_KIND, good = skip;

	for (int i = 0; i < call->wants; i++)
		good |= fits(call, &call->want[i]);
	if (call->wants > 0) {
		fprintf(tap, "%s %d - ", good ? "ok" : "not ok", ++tests_done);
		*(skip ? &skipped : good ? &passed : &failed) += 1;
	} else {
		fputs("# ", tap);
	}
	fputs(call->title, tap);
	print_answer(call);
	fputc('\n', tap);
	shown++;
}

/* Exit status as the kernel's selftests have it: 0 passed, 1 failed, 4 skipped. */
static int end(void)
{
	alarm(0);
	while (shown < CALLS)
		show(&calls[shown]);
	fprintf(tap, "# Totals: pass:%d fail:%d skip:%d\n", passed, failed, skipped);
	fflush(tap);
	return failed ? 1 : passed || !skipped ? 0 : 4;
}

/* The call of the main thread never returned. Nothing else of this thread can be running, so stdio is safe here. */
static void on_alarm(int number)
{
	(void)number;
	if (now && now->kind == RUNNING) {
		now->kind = BLOCKED_KIND;
		show(now);
	}
	_exit(end());
}

static void finish(void);

static int begin(int number);

static long long returned(enum kind kind, long long value)
{
	now->value = value;
	now->kind = kind;
	finish();
	return kind == ERRNO_KIND ? -value : value;
}

__attribute__((format(printf, 1, 2), unused)) static int leave_out(const char *reason, ...)
{
	va_list list;

	va_start(list, reason);
	vsnprintf((char *)now->data, sizeof(now->data), reason, list);
	va_end(list);
	returned(SKIPPED_KIND, 0);
	return 0;
}

__attribute__((unused)) static void skip(int number, const char *reason)
{
	begin(number);
	leave_out("%s", reason);
}

#define have(name) have_name(name, #name)
__attribute__((unused)) static int have_name(long value, const char *name)
{
	return value != UNSET || leave_out("it depends on a call that did not run (%s)", name);
}

/* A call that did not run leaves these as the scenario does not have them: nothing is said of them from here on. */
#define lost(...) lose((long *[]){ __VA_ARGS__, NULL })
__attribute__((unused)) static void lose(long *names[])
{
	for (; *names; names++)
		**names = UNSET;
}

/* What a system call returned; -1 stands for errno. */
__attribute__((unused)) static long long ret(long long result)
{
	if (result == -1 && errno == ENOSYS)
		return leave_out("this kernel does not have the call"), UNSET;
	return result == -1 ? returned(ERRNO_KIND, errno) : returned(VALUE_KIND, result);
}

static void on_fault(int number);

/* The scenario's descriptors are objects: none is 0, 1 or 2, and a number is never used twice, so that a closed name stays closed. */
#define FIRST_FD 200
static void set_up(void)
{
	struct rlimit processor = { CPU_SECONDS, CPU_SECONDS + 1 }, none = { 0, 0 };
	struct sigaction action = { .sa_handler = on_fault };

	tap = fdopen(fcntl(1, F_DUPFD, FIRST_FD - 2), "w");
	if (!tap)
		exit(4);
	setvbuf(tap, NULL, _IOLBF, 1 << 16);
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	setrlimit(RLIMIT_CPU, &processor);
	setrlimit(RLIMIT_CORE, &none);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	action.sa_handler = on_alarm;
	sigaction(SIGALRM, &action, NULL);
	fputs("TAP version 13\n", tap);
	fprintf(tap, "1..%d\n", TESTS);
}

static int begin(int number)
{
	now = &calls[number];
	now->kind = RUNNING;
	alarm(BLOCK_SECONDS);
	return 1;
}

static void finish(void)
{
	alarm(0);
	show(now);
}

static __thread sigjmp_buf landing;
static __thread volatile sig_atomic_t accessing;

static void on_fault(int number)
{
	static const char text[] = "Bail out! a fault outside of a load or store\n";

	if (accessing)
		siglongjmp(landing, number);
	if (write(FIRST_FD - 2, text, sizeof(text) - 1) < 0)
		_exit(2);
	_exit(1);
}

static long own_number(long fd)
{
	static int next = FIRST_FD;
	int command = fd >= 0 && fcntl(fd, F_GETFD) & FD_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD;
	long own = fd < 0 ? fd : fcntl(fd, command, __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED));

	if (fd >= 0)
		close(fd);
	return own;
}

__attribute__((unused)) static long long ret_fd(long fd)
{
	return ret(own_number(fd));
}

/* Mappings lie far apart, so that nothing but the scenario maps what stands behind one. */
static void *apart(void)
{
	static unsigned long next;

	return (void *)(0x100000000000UL + (__atomic_fetch_add(&next, 1, __ATOMIC_RELAXED) << 36));
}

__attribute__((unused)) static long long load(long address)
{
	volatile int byte = 0;
	int number = sigsetjmp(landing, 1);

	if (!number) {
		accessing = 1;
		byte = *(volatile unsigned char *)address;
	}
	accessing = 0;
	return number ? returned(SIGNAL_KIND, number) : returned(VALUE_KIND, byte);
}

__attribute__((unused)) static long long store(long address, int byte)
{
	int number = sigsetjmp(landing, 1);

	if (!number) {
		accessing = 1;
		*(volatile unsigned char *)address = byte;
	}
	accessing = 0;
	return number ? returned(SIGNAL_KIND, number) : returned(VALUE_KIND, 0);
}

/*
 * A guest of one instruction: real mode, DS:0 close below the byte, code in a memory slot of its own.
 * load: mov al, [offset]; out PORT, al; hlt     store: mov byte [offset], value; hlt
 */
#define PORT 0x10
#define CODE_ROOM 16

static pthread_mutex_t code_lock = PTHREAD_MUTEX_INITIALIZER;

static unsigned char *code_of(long vm)
{
	static struct { long vm; unsigned char *code; } known[16];
	struct kvm_userspace_memory_region region = { .slot = CODE_SLOT, .guest_phys_addr = CODE_GPA, .memory_size = 4096 };
	unsigned char *code = NULL;

	pthread_mutex_lock(&code_lock);
	for (int i = 0; i < 16 && !code; i++) {
		if (known[i].code && known[i].vm != vm)
			continue;
		if (!known[i].code) {
			code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
			region.userspace_addr = (unsigned long)code;
			if (code == MAP_FAILED || ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region))
				break;
			known[i].vm = vm;
			known[i].code = code;
		}
		code = known[i].code;
	}
	pthread_mutex_unlock(&code_lock);
	return code == MAP_FAILED ? NULL : code;
}

#define MEMORY_FAULT 39

/* -1, or what KVM_RUN set errno to when it left the guest. */
static int enter(long vcpu, struct kvm_run *run, int room, unsigned long gpa)
{
	struct kvm_regs registers = { .rip = room, .rflags = 2 };
	struct kvm_sregs segments;

	if (ioctl(vcpu, KVM_GET_SREGS, &segments))
		return -1;
	segments.cs.base = CODE_GPA;
	segments.cs.selector = CODE_GPA >> 4;
	segments.ds.base = gpa & ~15UL;
	segments.ds.selector = gpa >> 4;
	if (ioctl(vcpu, KVM_SET_SREGS, &segments) || ioctl(vcpu, KVM_SET_REGS, &registers))
		return -1;
	run->immediate_exit = 0;
	run->exit_reason = 0;
	if (!ioctl(vcpu, KVM_RUN, 0))
		return 0;
	/* KVM_EXIT_MEMORY_FAULT comes with an error. */
	return run->exit_reason == MEMORY_FAULT && (errno == EFAULT || errno == EHWPOISON) ? errno : -1;
}

static void memory_fields(struct call *call, const struct kvm_run *run, int error)
{
	unsigned long long fault[3];

	if (run->exit_reason == KVM_EXIT_MMIO) {
		call->field[0] = (struct field){ "phys_addr", run->mmio.phys_addr };
		call->field[1] = (struct field){ "len", run->mmio.len };
		call->field[2] = (struct field){ "is_write", run->mmio.is_write };
		if (run->mmio.is_write)
			call->field[3] = (struct field){ "data", run->mmio.data[0] };
	} else if (run->exit_reason == MEMORY_FAULT) { /* flags, gpa, size; older headers lack the member */
		memcpy(fault, &run->mmio, sizeof(fault));
		call->field[0] = (struct field){ "flags", fault[0] };
		call->field[1] = (struct field){ "gpa", fault[1] };
		call->field[2] = (struct field){ "size", fault[2] };
		call->field[3] = (struct field){ "errno", error };
	}
}

/* byte: -1 loads, -2 halts, else stores. Each actor has its own room for code. */
static long long guest(long vm, long vcpu, int actor, unsigned long gpa, int byte)
{
	int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), room = actor * CODE_ROOM, error;
	struct kvm_run *run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	unsigned char *code;

	if (run == MAP_FAILED)
		return ret(-1);
	code = code_of(vm);
	if (!code) {
		munmap(run, size);
		return leave_out("there is no room for the guest's code"), UNSET;
	}
	if (byte == -1)
		memcpy(code + room, (unsigned char[]){ 0xa0, gpa & 15, 0, 0xe6, PORT, 0xf4 }, 6);
	else
		memcpy(code + room, (unsigned char[]){ 0xc6, 0x06, gpa & 15, 0, byte, 0xf4 }, 6);
	if (byte == -2)
		code[room] = 0xf4;
	error = enter(vcpu, run, room, gpa);
	if (error == -1) {
		ret(-1);
	} else if (byte == -1 && run->exit_reason == KVM_EXIT_IO && run->io.port == PORT) {
		now->value = *((unsigned char *)run + run->io.data_offset);
		now->kind = VALUE_KIND;
	} else if (byte >= 0 && run->exit_reason == KVM_EXIT_HLT) {
		now->value = 0;
		now->kind = VALUE_KIND;
	} else {
		memory_fields(now, run, error);
		now->value = run->exit_reason;
		now->kind = EXIT_KIND;
	}
	/* KVM finishes the instruction that left the guest, and does not start another. */
	run->immediate_exit = 1;
	ioctl(vcpu, KVM_RUN, 0);
	munmap(run, size);
	if (now->kind != ERRNO_KIND && now->kind != SKIPPED_KIND)
		returned(now->kind, now->value);
	return now->kind == ERRNO_KIND ? -now->value : now->value;
}

int main(void)
{
	int device;

	set_up();
	if ((device = open("/dev/kvm", O_RDWR | O_CLOEXEC)) >= 0)
		kvm = fcntl(device, F_DUPFD, FIRST_FD - 1);
	close(device);

	/* line 29: ram = memfd_create("guest-ram", 0) */
	if (begin(0))
		ram = ret_fd(memfd_create("guest-ram", 0));
	/* line 30: ftruncate(ram, 16K) = 0 */
	if (begin(1) && have(ram))
		ret(ftruncate(ram, 16384));
	/* line 31: map = mmap(NULL, 16K, PROT_READ|PROT_WRITE, MAP_SHARED, ram, 0) */
	if (begin(2) && have(ram))
		map = ret((long)mmap(apart(), 16384, PROT_READ | PROT_WRITE, MAP_SHARED, ram, 0));
	/* line 32: vm = KVM_CREATE_VM(KVM_X86_DEFAULT_VM) */
	if (begin(3) && have(kvm))
		vm = ret_fd(ioctl(kvm, KVM_CREATE_VM, KVM_X86_DEFAULT_VM));
	/* line 33: vcpu0 = KVM_CREATE_VCPU(vm, 0) */
	if (begin(4) && have(vm))
		vcpu0 = ret_fd(ioctl(vm, KVM_CREATE_VCPU, 0));
	else
		lost(&vm);
	/* line 34: KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0, memory_size=16K, userspace_addr=map) = 0 */
	if (begin(5) && have(vm) && have(map))
		ret(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &(struct kvm_userspace_memory_region){ .slot = 0, .flags = 0, .guest_phys_addr = 0, .memory_size = 16384, .userspace_addr = map }));
	else
		lost(&ram, &map, &vm, &vcpu0);
	/* line 36: store(map, 0x1000, 0x41) */
	if (begin(6) && have(map))
		store(map + 0x1000, 65 & 0xff);
	else
		lost(&ram, &map, &vm, &vcpu0);
	/* line 37: vcpu0: load(0x1000) = 65 */
	if (begin(7) && have(vcpu0))
		guest(vm, vcpu0, 1, 0x1000, -1);
	else
		lost(&ram, &map, &vm, &vcpu0);
	/* line 38: vcpu0: store(0x1001, 0x42) */
	if (begin(8) && have(vcpu0))
		guest(vm, vcpu0, 1, 0x1001, 66 & 0xff);
	else
		lost(&ram, &map, &vm, &vcpu0);
	/* line 39: load(map, 0x1001) = 66 */
	if (begin(9) && have(map))
		load(map + 0x1001);
	else
		lost(&ram, &map, &vm, &vcpu0);
	/* line 40: vcpu0: load(0x10000) = exit KVM_EXIT_MMIO */
	if (begin(10) && have(vcpu0))
		guest(vm, vcpu0, 1, 0x10000, -1);
	else
		lost(&ram, &map, &vm, &vcpu0);

	return end();
}
