// Results, what the scenario allows, TAP lines and the end of the program. `CALLS`, `TESTS` and the table `calls` come from the scenario.

import { ERRNO } from "../../../base/errno.ts";
import type { Block } from "./block.ts";

const ERRNO_ROWS = Object.keys(ERRNO)
  .filter((name) => name !== "EHWPOISON")
  .map((name) => `\t\t{ ${name}, "${name}" },`)
  .join("\n");

export const RECORDS: Block = {
  name: "records",
  needs: [],
  text: `
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
};`,
};

export const REPORT: Block = {
  name: "report",
  needs: ["records"],
  text: String.raw`
static FILE *tap;
static int shown, tests_done, passed, failed, skipped;
static __thread struct call *now;

static const char *errno_name(int number)
{
	static const struct { int number; const char *name; } names[] = {
${ERRNO_ROWS}
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
}`,
};
