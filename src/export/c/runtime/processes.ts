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
static int channel[PROCESSES][2], taken, done[ACTORS], leaving[PROCESSES], gone[PROCESSES];
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
	for (int i = 1; i < PROCESSES; i++) {
		pid_t pid = FORKED(i) ? 0 : fork();

		if (!pid && !FORKED(i))
			obey((void *)(long)i);
		children[i] = pid;
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&thread, NULL, obey, NULL))
		exit(4);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static int finish_all(int status)
{
	for (int i = 1; i < PROCESSES; i++)
		if (children[i] > 0 && !gone[i])
			kill(children[i], SIGKILL);
	return status;
}

/* A descriptor of the process is ready when its last thread has let go of everything, whoever its parent is. */
static int has_ended(int process)
{
	struct pollfd ready = { .fd = syscall(SYS_pidfd_open, children[process], 0), .events = POLLIN };
	int answer = poll(&ready, 1, 1000 * BLOCK_SECONDS);

	close(ready.fd);
	return answer > 0;
}

/* The process says what it is about to do; that it has done it is seen by the main one. */
static void leave(void)
{
	alarm(0);
	pthread_mutex_lock(&gate);
	leaving[me] = now - calls + 1;
	done[self] = 1;
	pthread_cond_broadcast(&moved);
	pthread_mutex_unlock(&gate);
}

__attribute__((unused)) static long long exit_process(int status)
{
	leave();
	syscall(SYS_exit_group, status);
	return UNSET;
}

/* In the main process, when a statement of another one is over: it may have been its last. */
static void bury(int process, int actor)
{
	struct call *last = &calls[leaving[process] - 1];

	if (!leaving[process] || gone[process])
		return;
	last->kind = has_ended(process) ? VALUE_KIND : BLOCKED_KIND;
	gone[process] = 1;
	self = actor;
	now = last;
	finish();
}

__attribute__((unused)) static long long kill_process(int process)
{
	if (process == me) {
		leave();
		raise(SIGKILL);
	}
	errno = ESRCH;
	if (children[process] <= 0)
		return ret(-1);
	if (!gone[process] && (kill(children[process], SIGKILL) || !has_ended(process)))
		return ret(-1);
	gone[process] = 1;
	return ret(0);
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
	if (gone[process] || !children[process])
		return;
	tell(process, actor, body);
	if (!waits(&done[actor], 1))
		_exit(finish_all(shown < CALLS ? end() : failed ? 1 : 0));
	bury(process, actor);
}

__attribute__((unused)) static void *run_elsewhere(void *argument)
{
	const struct thread *thread = argument;

	if (gone[thread->process] || !children[thread->process])
		return NULL;
	tell(thread->process, thread->actor, thread->body);
	if (waits(&done[thread->actor], 1))
		bury(thread->process, thread->actor);
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

	errno = EPIPE;
	if (gone[process] && fcntl(number, F_GETFD) >= 0)
		return ret(-1);
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
  ["\t\talarm(0);\n\t\tshow(now);\n", "\t\talarm(0);\n\t\twhile (shown <= now - calls)\n\t\t\tshow(&calls[shown]);\n"],
  ["static void together(", "static void *run_elsewhere(void *argument);\n\n__attribute__((unused)) static void together("],
  [
    "pthread_create(&threads[i].id, NULL, run_thread, &threads[i])",
    "pthread_create(&threads[i].id, NULL, threads[i].process ? run_elsewhere : run_thread, &threads[i])",
  ],
];
