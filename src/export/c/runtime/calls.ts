// What the calls of a scenario need beside the system call itself: descriptors that are never used twice, data, loads and stores that may fault.

import type { Block } from "./block.ts";

export const DESCRIPTORS: Block = {
  name: "descriptors",
  needs: ["report"],
  text: `
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
}`,
};

export const REOPENING: Block = {
  name: "reopening",
  needs: ["descriptors"],
  text: `
/* The same inode once more, with an offset and an access mode of its own. */
static long long reopen(int fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return ret_fd(open(path, flags, 0600));
}`,
};

export const MAPPINGS: Block = {
  name: "mappings",
  needs: ["report"],
  text: `
/* Mappings lie far apart, so that nothing but the scenario maps what stands behind one. */
static void *apart(void)
{
	static unsigned long next;

	return (void *)(0x100000000000UL + (__atomic_fetch_add(&next, 1, __ATOMIC_RELAXED) << 36));
}`,
};

export const DATA: Block = {
  name: "data",
  needs: ["report"],
  text: `
/* A terminated string of count equal bytes. It is kept: the program is short. */
__attribute__((unused)) static char *fill(int byte, size_t count)
{
	char *bytes = malloc(count + 1);

	if (!bytes)
		exit(4);
	memset(bytes, byte, count);
	bytes[count] = 0;
	return bytes;
}

__attribute__((unused)) static char *join(char *first, size_t size, char *second, size_t more)
{
	char *bytes = fill(0, size + more);

	memcpy(bytes, first, size);
	memcpy(bytes + size, second, more);
	return bytes;
}`,
};

export const READS: Block = {
  name: "reads",
  needs: ["data"],
  text: `
static __thread char *buffer;

static char *room(long long count)
{
	return buffer = fill(0, count > 0 ? count : 1);
}

static long long ret_data(long long count, long long wanted)
{
	if (count > 0 && wanted <= DATA_MAX) {
		memcpy(now->data, buffer, count);
		now->size = count;
	} else if (wanted > DATA_MAX) {
		now->size = -1; /* too much to show and to compare */
	}
	return ret(count);
}`,
};

export const LINKS: Block = {
  name: "links",
  needs: ["report"],
  text: `
static long long ret_link(long fd)
{
	char path[64];
	ssize_t size;

	if (fcntl(fd, F_GETFD) < 0)
		return ret(-1);
	snprintf(path, sizeof(path), "/proc/self/fd/%ld", fd);
	size = readlink(path, (char *)now->data, sizeof(now->data));
	if (size < 0)
		return ret(-1);
	now->size = size;
	return returned(TEXT_KIND, 0);
}`,
};

export const ACCESSES: Block = {
  name: "accesses",
  needs: ["faults"],
  text: `
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
}`,
};
