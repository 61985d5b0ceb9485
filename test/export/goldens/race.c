/*
 * Scenario "two steps of one thread are not one", under v8.
 *
 * Build and run:  cc -Wall -Wextra -O1 -pthread -o scenario scenario.c && ./scenario
 * It prints TAP. Exit status: 0 passed, 1 failed, 4 skipped. x86-64 Linux only; KVM needs /dev/kvm.
 *
 * The threads follow this schedule call by call (the run that answers the scenario's first question):
 *   a15 b c b
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
#ifndef MAP_SHARED
#define MAP_SHARED 0x1
#endif
#ifndef PROT_READ
#define PROT_READ 0x1
#endif
#ifndef PROT_WRITE
#define PROT_WRITE 0x2
#endif

#define CALLS 9
#define TESTS 2
enum { ACTOR_0_vmm, ACTOR_1_reader, ACTOR_2_writer, ACTORS };

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
	[0] = { .title = "line 9: memfd_create(\"ram\", 0)" },
	[1] = { .title = "line 10: ftruncate(ram, 16K)", WANT(VALUE(0)) },
	[2] = { .title = "line 45: mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_SHARED, ram, 0)" },
	[3] = { .title = "line 46: store(map, 0, 1)" },
	[4] = { .title = "line 52: reader: load(map, 0)" },
	[5] = { .title = "line 52: reader: load(map, 0)" },
	[6] = { .title = "line 53: writer: store(map, 0, 2)" },
	[7] = { .title = "line 55: exists result(x) == 1 && result(y) == 2" },
	[8] = { .title = "line 56: never result(x) == 2 && result(y) == 1", WANT(HOLDS) },
};

/* The names of the scenario. */
static long ram = UNSET;
static long map = UNSET;
static long x = UNSET;
static long y = UNSET;

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

/*
 * The threads follow the schedule call by call: a call waits until those that return before it starts have returned. Calls whose
 * steps interleave in the schedule wait for one another at their gates and then run at the same time.
 */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static int together_now, came[ACTORS], left[ACTORS], late;
static __thread int self;

static int begin(int number)
{
	now = &calls[number];
	if (!together_now) {
		now->kind = RUNNING;
		alarm(BLOCK_SECONDS);
		return 1;
	}
	pthread_mutex_lock(&gate);
	now->kind = RUNNING;
	came[self]++;
	pthread_cond_broadcast(&moved);
	pthread_mutex_unlock(&gate);
	return 1;
}

static void finish(void)
{
	if (!together_now) {
		alarm(0);
		show(now);
		return;
	}
	pthread_mutex_lock(&gate);
	left[self]++;
	pthread_cond_broadcast(&moved);
	pthread_mutex_unlock(&gate);
}

/* Gives up after a second: where the kernel does not follow the schedule, the threads go on as they come. */
static int wait_until(const int *counter, int count)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 1;
	pthread_mutex_lock(&gate);
	while (*counter < count && !late)
		if (pthread_cond_timedwait(&moved, &gate, &end) == ETIMEDOUT)
			late = 1;
	pthread_mutex_unlock(&gate);
	return 1;
}

/* after(WRITER, 2): two calls of this actor have returned. meet(WRITER, 2): its second call is at its gate. */
__attribute__((unused)) static int after(int actor, int count)
{
	return wait_until(&left[actor], count);
}

__attribute__((unused)) static int meet(int actor, int count)
{
	return wait_until(&came[actor], count);
}

struct thread {
	int actor;
	void (*body)(void);
	pthread_t id;
};

static void *run_thread(void *argument)
{
	const struct thread *thread = argument;

	self = thread->actor;
	thread->body();
	return NULL;
}

/* Runs a parallel block, then shows its calls in the order of the text. A thread that does not end is blocked, and so is the scenario. */
static void together(struct thread *threads, int count, int last)
{
	struct timespec deadline;
	int blocked = 0;

	memset(came, 0, sizeof(came));
	memset(left, 0, sizeof(left));
	late = 0;
	together_now = 1;
	for (int i = 0; i < count; i++)
		if (pthread_create(&threads[i].id, NULL, run_thread, &threads[i]))
			exit(4);
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += BLOCK_SECONDS;
	for (int i = 0; i < count; i++)
		blocked |= pthread_timedjoin_np(threads[i].id, NULL, &deadline) != 0;
	together_now = 0;
	if (late)
		fputs("# the schedule could not be followed to its end\n", tap);
	while (shown <= last) {
		if (calls[shown].kind == RUNNING)
			calls[shown].kind = BLOCKED_KIND;
		show(&calls[shown]);
	}
	if (blocked)
		_exit(end());
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

/* Not everything that the model knows can be seen from user space; a condition over what cannot is skipped. */
static __thread const char *blind;

#define PAGE 4096L

__attribute__((unused)) static long long verdict(int holds)
{
	const char *reason = blind;

	blind = NULL;
	return reason ? leave_out("%s", reason) : returned(HELD_KIND, holds);
}

__attribute__((unused)) static long long answer(int number)
{
	if (calls[number].kind == ERRNO_KIND)
		return -calls[number].value;
	if (calls[number].kind != VALUE_KIND)
		blind = "a call that it asks about has no number as its answer";
	return calls[number].value;
}

__attribute__((unused)) static int answered(int number, const struct want *want)
{
	if (calls[number].kind <= RUNNING || calls[number].kind == SKIPPED_KIND)
		blind = "a call that it asks about did not run";
	return fits(&calls[number], want);
}

static struct stat status(long fd)
{
	struct stat result = { 0 };

	if (fd < 0 || fstat(fd, &result))
		blind = "the file is closed";
	return result;
}

__attribute__((unused)) static long long size_of(long fd)
{
	return status(fd).st_size;
}

__attribute__((unused)) static long long mode_of(long fd)
{
	return status(fd).st_mode & 07777;
}

__attribute__((unused)) static long long seals_of(long fd)
{
	int seals = fd < 0 ? -1 : fcntl(fd, F_GET_SEALS);

	if (seals < 0)
		blind = "the file has no seals that can be read";
	return seals;
}

/* st_blocks counts allocated pages of a memfd, but is always 0 for a guest_memfd, which has no file position either. */
static long long pages_of(long fd)
{
	struct stat result = status(fd);

	if (!blind && (lseek(fd, 0, SEEK_CUR) < 0 || result.st_blksize != PAGE))
		blind = "the kernel does not say which pages this file holds";
	return result.st_blocks * 512 / PAGE;
}

/* SEEK_DATA passes over pages that fallocate made and nobody touched: it can be trusted where it finds data, and where it finds all pages. */
__attribute__((unused)) static long long page_at(long fd, long long offset)
{
	long long pages = pages_of(fd), page = offset / PAGE * PAGE, seen = 0, here = 0, position;

	if (blind)
		return 0;
	position = lseek(fd, 0, SEEK_CUR);
	for (long long at = 0; seen <= pages && (at = lseek(fd, at, SEEK_DATA)) >= 0; at = at / PAGE * PAGE + PAGE) {
		seen++;
		here |= at / PAGE * PAGE == page;
	}
	lseek(fd, position, SEEK_SET);
	if (!here && seen != pages)
		blind = "the file has allocated pages that no system call shows one by one";
	return here;
}

__attribute__((unused)) static long long byte_at(long fd, long long offset)
{
	unsigned char byte = 0;

	if (fd < 0 || pread(fd, &byte, 1, offset) < 0)
		blind = "the file cannot be read";
	return byte;
}

/* 64-bit arithmetic that wraps. */
__attribute__((unused)) static long long add(long long a, long long b) { return (unsigned long long)a + b; }
__attribute__((unused)) static long long sub(long long a, long long b) { return (unsigned long long)a - b; }
__attribute__((unused)) static long long mul(long long a, long long b) { return (unsigned long long)a * b; }
__attribute__((unused)) static long long shl(long long a, long long b) { return (unsigned long long)a << (b & 63); }
__attribute__((unused)) static long long shr(long long a, long long b) { return a >> (b & 63); }

__attribute__((unused)) static long long divide(long long a, long long b, int rest)
{
	if (b == 0 || (b == -1 && a < -0x7fffffffffffffffLL)) {
		blind = "a division has no answer";
		return 0;
	}
	return rest ? a % b : a / b;
}

static void block_0_1_reader(void)
{
	/* line 52: reader: x = load(map, 0) @x */
	if (begin(4) && have(map))
		x = load(map);
	/* line 52: reader: y = load(map, 0) @y */
	if (begin(5) && after(ACTOR_2_writer, 1) && have(map))
		y = load(map);
}

static void block_0_2_writer(void)
{
	/* line 53: writer: store(map, 0, 2) */
	if (begin(6) && after(ACTOR_1_reader, 1) && have(map))
		store(map, 2 & 0xff);
}

int main(void)
{
	set_up();

	/* line 9: ram = memfd_create("ram", 0) */
	if (begin(0))
		ram = ret_fd(memfd_create("ram", 0));
	/* line 10: ftruncate(ram, 16K) = 0 */
	if (begin(1) && have(ram))
		ret(ftruncate(ram, 16384));
	/* line 45: map = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_SHARED, ram, 0) */
	if (begin(2) && have(ram))
		map = ret((long)mmap(apart(), 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ram, 0));
	/* line 46: store(map, 0, 1) */
	if (begin(3) && have(map))
		store(map, 1 & 0xff);

	/* parallel */
	together((struct thread[]){
		{ .actor = ACTOR_1_reader, .body = block_0_1_reader },
		{ .actor = ACTOR_2_writer, .body = block_0_2_writer },
	}, 2, 6);

	/* line 55: exists result(x) == 1 && result(y) == 2 */
	if (begin(7))
		verdict((answer(4) == 1) && (answer(5) == 2));
	/* line 56: never result(x) == 2 && result(y) == 1 */
	if (begin(8))
		verdict(!((answer(4) == 2) && (answer(5) == 1)));

	return end();
}
