// Several processes in one file: they share what the file declares, do what they are told over a socket each, and pass descriptors over it.

import { assert } from "../../../base/assert.ts";
import type { Block } from "./block.ts";

export const PROCESSES: Block = {
  name: "processes",
  needs: ["turnstile"],
  text: `
/*
 * The processes share the table of calls, the names and the gates; each has its own descriptors and its own memory. A name holds a number or an address
 * that no process uses twice, so that it means the same thing in each, or nothing. A process does what its socket says: a body to run in a new thread,
 * or a descriptor to take.
 */
struct order {
	void (*body)(void);
	int actor;
	long number;
};

#define CHANNEL_FD 900
extern char __data_start[], _end[];
static int channel[PROCESSES][2], taken, done[ACTORS];
static pid_t children[PROCESSES];
static __thread int me;

static void share(void)
{
	char *from = (char *)((unsigned long)__data_start & ~4095UL);
	size_t size = (((unsigned long)_end + 4095) & ~4095UL) - (unsigned long)from;
	char *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t mutex;
	pthread_condattr_t condition;

	if (shared == MAP_FAILED)
		exit(4);
	memcpy(shared, from, size);
	if (mremap(shared, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, from) == MAP_FAILED)
		exit(4);
	pthread_mutexattr_init(&mutex);
	pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&gate, &mutex);
	pthread_condattr_init(&condition);
	pthread_condattr_setpshared(&condition, PTHREAD_PROCESS_SHARED);
	pthread_cond_init(&moved, &condition);
	for (int i = 0; i < 2 * PROCESSES; i += 2) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
			exit(4);
		for (int end = 0; end < 2; end++) {
			channel[i / 2][end] = fcntl(pair[end], F_DUPFD, CHANNEL_FD);
			close(pair[end]);
		}
	}
}

static void *run_order(void *argument)
{
	struct order own = *(struct order *)argument;
	sigset_t none;

	me = own.number;
	self = own.actor;
	free(argument);
	sigemptyset(&none);
	pthread_sigmask(SIG_SETMASK, &none, NULL);
	own.body();
	pthread_mutex_lock(&gate);
	done[own.actor] = 1;
	pthread_cond_broadcast(&moved);
	pthread_mutex_unlock(&gate);
	return NULL;
}

static void take(struct msghdr *message, long number)
{
	struct cmsghdr *control = CMSG_FIRSTHDR(message);
	int fd;

	memcpy(&fd, CMSG_DATA(control), sizeof(fd));
	if (fd != number) {
		dup2(fd, number);
		close(fd);
	}
	pthread_mutex_lock(&gate);
	taken++;
	pthread_cond_broadcast(&moved);
	pthread_mutex_unlock(&gate);
}

/* Ends with the process: the main one ends the others, or they see that it is gone. */
static void *obey(void *argument)
{
	struct timeval second = { 1, 0 };
	pid_t first = children[0];

	me = (long)argument;
	setsockopt(channel[me][0], SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
	for (;;) {
		union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control;
		struct order *order = malloc(sizeof(*order));
		struct iovec data = { order, sizeof(*order) };
		struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
		pthread_t thread;

		if (!order)
			exit(4);
		if (recvmsg(channel[me][0], &message, 0) != sizeof(*order)) {
			free(order);
			if (kill(first, 0))
				_exit(4);
		} else if (order->body) {
			order->number = me;
			if (pthread_create(&thread, NULL, run_order, order))
				exit(4);
			pthread_detach(thread);
		} else {
			take(&message, order->number);
			free(order);
		}
	}
	return NULL;
}

static int waits(const int *counter, int count)
{
	struct timespec end;
	int late_now = 0;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += BLOCK_SECONDS + 1;
	pthread_mutex_lock(&gate);
	while (*counter < count && !late_now)
		late_now = pthread_cond_timedwait(&moved, &gate, &end) == ETIMEDOUT;
	pthread_mutex_unlock(&gate);
	return !late_now;
}

/* Called once by the main process, before it has threads. */
static void start(void)
{
	sigset_t all, before;
	pthread_t thread;

	share();
	children[0] = getpid();
	for (int i = 1; i < PROCESSES; i++)
		if (!FORKED(i) && !(children[i] = fork()))
			obey((void *)(long)i);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&thread, NULL, obey, NULL))
		exit(4);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static int finish_all(int status)
{
	for (int i = 1; i < PROCESSES; i++)
		if (children[i] > 0)
			kill(children[i], SIGKILL);
	return status;
}

static void tell(int process, int actor, void (*body)(void))
{
	struct order order = { body, actor, 0 };

	done[actor] = 0;
	if (send(channel[process][1], &order, sizeof(order), 0) != sizeof(order))
		exit(4);
}

/* One statement of another process. Its thread that does not end is blocked, and so is the scenario. */
__attribute__((unused)) static void in_process(int process, int actor, void (*body)(void))
{
	tell(process, actor, body);
	if (!waits(&done[actor], 1))
		_exit(finish_all(shown < CALLS ? end() : failed ? 1 : 0));
}

__attribute__((unused)) static void *run_elsewhere(void *argument)
{
	const struct thread *thread = argument;

	tell(thread->process, thread->actor, thread->body);
	waits(&done[thread->actor], 1);
	return NULL;
}

__attribute__((unused)) static long long fork_process(int child)
{
	pid_t pid = fork();

	if (pid == 0)
		obey((void *)(long)child);
	children[child] = pid;
	return ret(pid);
}

__attribute__((unused)) static long long send_fd(long fd, int process)
{
	union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control = { 0 };
	struct order order = { NULL, 0, fd };
	struct iovec data = { &order, sizeof(order) };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	int number = fd, before = taken;

	*CMSG_FIRSTHDR(&message) = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &number, sizeof(number));
	if (sendmsg(channel[process][1], &message, 0) != sizeof(order))
		return ret(-1);
	if (!waits(&taken, before + 1))
		return leave_out("the other process did not take it"), UNSET;
	return returned(VALUE_KIND, 0);
}`,
};

/** `together` starts the threads of other processes, too. */
export const withProcesses = (text: string): string =>
  CHANGES.reduce((whole, [alone, several]) => {
    assert(whole.includes(alone), `the threads of a file begin otherwise: ${alone}`);
    return whole.replace(alone, several);
  }, text);

/** What stands in a file of one process, and what in one of several. */
const CHANGES: readonly (readonly [alone: string, several: string])[] = [
  ["struct thread {\n\tint actor;", "struct thread {\n\tint process, actor;"],
  ["static void together(", "static void *run_elsewhere(void *argument);\n\n__attribute__((unused)) static void together("],
  [
    "pthread_create(&threads[i].id, NULL, run_thread, &threads[i])",
    "pthread_create(&threads[i].id, NULL, threads[i].process ? run_elsewhere : run_thread, &threads[i])",
  ],
];
