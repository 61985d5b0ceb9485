// When a call begins and ends: one after the other, or in threads that follow a schedule; and what a fault means.

import type { Block } from "./block.ts";

export const SEQUENTIAL: Block = {
  name: "sequential",
  needs: ["report"],
  text: `
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
}`,
};

export const TURNSTILE: Block = {
  name: "turnstile",
  needs: ["report"],
  text: String.raw`
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
}`,
};

export const FAULTS: Block = {
  name: "faults",
  needs: ["report"],
  text: String.raw`
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
}`,
};

export const NO_FAULTS: Block = {
  name: "nofaults",
  needs: ["report"],
  text: String.raw`
static void on_fault(int number)
{
	static const char text[] = "Bail out! a fault that the scenario does not ask for\n";

	_exit(write(FIRST_FD - 2, text, sizeof(text) - 1) < 0 ? 2 : number ? 1 : 0);
}`,
};
