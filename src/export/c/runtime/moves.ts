// What the calls need that look at files and pages, that move data between descriptors, and that limit the process.

import type { Block } from "./block.ts";

export const FIELDS: Block = {
  name: "fields",
  needs: ["report"],
  text: `
/* One field of struct stat or struct statfs. */
#define STAT_FIELD(fd, field) ({ struct stat st_of; long result_of = fstat(fd, &st_of); result_of < 0 ? ret(-1) : ret((long long)st_of.field); })
#define STATFS_FIELD(fd, field) ({ struct statfs fs_of; long result_of = fstatfs(fd, &fs_of); result_of < 0 ? ret(-1) : ret((long long)fs_of.field); })`,
};

export const INCORE: Block = {
  name: "incore",
  needs: ["report"],
  text: `
/* A digit for each page that mincore tells of. */
static long long ret_pages(void *address, size_t length)
{
	unsigned char there[DATA_MAX] = { 0 };
	size_t pages = length / 4096 + (length % 4096 != 0);

	if (mincore(address, length, there) < 0)
		return ret(-1);
	for (size_t page = 0; page < pages && page < DATA_MAX; page++)
		now->data[page] = '0' + (there[page] & 1);
	now->size = pages;
	return returned(TEXT_KIND, 0);
}`,
};

export const SOFT_LIMITS: Block = {
  name: "softlimits",
  needs: ["report"],
  text: `
/* The hard limit stays as it is; a write behind RLIMIT_FSIZE fails in place of ending the program. */
static long long soft_limit(int resource, unsigned long long limit)
{
	struct rlimit both;

	signal(SIGXFSZ, SIG_IGN);
	if (getrlimit(resource, &both) < 0)
		return ret(-1);
	both.rlim_cur = limit;
	return ret(setrlimit(resource, &both));
}`,
};

export const PIPES: Block = {
  name: "pipes",
  needs: ["descriptors"],
  text: `
/* The name is the read end; the write end stays open, too. */
static long long ret_pipe(int flags)
{
	int ends[2];

	return pipe2(ends, flags) < 0 ? ret(-1) : ret_fd(ends[0]);
}`,
};
