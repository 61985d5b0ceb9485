// vm.memfd_noexec as the scenario's `machine` block has it, for the program alone.

import type { Block } from "./block.ts";

export const NOEXEC: Block = {
  name: "noexec",
  needs: ["report"],
  text: `
#include <sys/prctl.h>
#include <sys/wait.h>

/* The setting belongs to the pid namespace: a new one gets the scenario's value, and nothing outside of it changes. */
static int noexec_in_child(int file, int value)
{
	char digit = '0' + value;
	int status = 0;
	pid_t child = unshare(CLONE_NEWPID) ? -1 : fork();

	if (child > 0) {
		waitpid(child, &status, 0);
		if (WIFSIGNALED(status))
			raise(WTERMSIG(status));
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
	}
	if (child == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return child == 0 && pwrite(file, &digit, 1, 0) == 1;
}

static int noexec_is(int value)
{
	char text[16] = "";
	int file = open("/proc/sys/vm/memfd_noexec", O_RDWR | O_CLOEXEC), good;

	if (file < 0)
		file = open("/proc/sys/vm/memfd_noexec", O_RDONLY | O_CLOEXEC);
	good = file >= 0 && pread(file, text, sizeof(text) - 1, 0) > 0 && (atoi(text) == value || noexec_in_child(file, value));
	close(file);
	for (int i = 0; !good && i < CALLS; i++) {
		snprintf((char *)calls[i].data, sizeof(calls[i].data), "vm.memfd_noexec cannot be set to %d here", value);
		calls[i].kind = SKIPPED_KIND;
	}
	return good;
}`,
};
