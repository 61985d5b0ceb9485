// What user space can see of the state that a condition asks about.

import type { Block } from "./block.ts";

export const QUERIES: Block = {
  name: "queries",
  needs: ["report"],
  text: `
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
}`,
};
