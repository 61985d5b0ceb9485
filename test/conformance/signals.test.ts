// What the model says of a signal with a handler, on this kernel: no schedule of calls can place it, so these are programs of their own. A signal ends an
// allocation in a guest_memfd and KVM_RUN with EINTR though its handler has SA_RESTART, and an allocation on a memfd not at all.

import assert from "node:assert/strict";
import { test } from "node:test";
import { noKvm, noRun, skipped, withBuilt } from "../export/support.ts";
import { report } from "../model/support.ts";
import { atLeast } from "./machine.ts";

const PROGRAM = String.raw`
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

struct create_guest_memfd { __u64 size, flags, reserved[6]; };
#define CREATE_GUEST_MEMFD _IOWR(KVMIO, 0xd4, struct create_guest_memfd)
#define SIZE (64L << 20)

static volatile int came;
static pthread_t runner;

static void on_signal(int number)
{
	(void)number;
	came++;
}

/* How often of eight times the allocation ends early, and how often it ends after the signal came in the middle of it. */
static void allocations(const char *name, int fd, int mode)
{
	int early = 0, whole = 0;

	for (int i = 0; i < 8; i++) {
		struct itimerval soon = { { 0, 0 }, { 0, 200 } };
		int result;

		came = 0;
		setitimer(ITIMER_REAL, &soon, NULL);
		result = fallocate(fd, mode, 0, SIZE);
		early += result == -1 && errno == EINTR;
		whole += result == 0 && came;
		while (!came)
			;
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SIZE);
	}
	printf("%s early=%d whole=%d\n", name, early, whole);
}

static void *kick(void *argument)
{
	(void)argument;
	usleep(50000);
	pthread_kill(runner, SIGALRM);
	return NULL;
}

/* A guest that jumps to itself. */
static void run(int kvm, int vm)
{
	int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0), size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), result;
	struct kvm_run *run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	unsigned char *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region region = { .guest_phys_addr = 0x1000, .memory_size = 4096, .userspace_addr = (unsigned long)code };
	struct kvm_regs registers = { .rflags = 2 };
	struct kvm_sregs segments;
	pthread_t kicker;

	memcpy(code, (unsigned char[]){ 0xeb, 0xfe }, 2);
	if (run == MAP_FAILED || ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) || ioctl(vcpu, KVM_GET_SREGS, &segments))
		return;
	segments.cs.base = 0x1000;
	segments.cs.selector = 0x100;
	if (ioctl(vcpu, KVM_SET_SREGS, &segments) || ioctl(vcpu, KVM_SET_REGS, &registers))
		return;
	runner = pthread_self();
	pthread_create(&kicker, NULL, kick, NULL);
	result = ioctl(vcpu, KVM_RUN, 0);
	printf("run result=%d interrupted=%d exit=%u\n", result, errno == EINTR, run->exit_reason);
	pthread_join(kicker, NULL);
}

int main(void)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct create_guest_memfd creation = { .size = SIZE };
	int kvm = open("/dev/kvm", O_RDWR), vm = ioctl(kvm, KVM_CREATE_VM, 0);

	sigaction(SIGALRM, &action, NULL);
	allocations("memfd", memfd_create("x", 0), 0);
	allocations("guest_memfd", ioctl(vm, CREATE_GUEST_MEMFD, &creation), FALLOC_FL_KEEP_SIZE);
	run(kvm, vm);
	return 0;
}
`;

const KVM_EXIT_INTR = 10;

test("a signal ends what the model says that it ends", async (context) => {
  if (skipped(context, noRun() ?? noKvm() ?? (atLeast(6, 18) ? undefined : "the row 6.18 is compared with 6.18 and later"))) return;
  await withBuilt([PROGRAM], ({ messages, run }) => {
    assert.equal(messages, "");
    const { output, status } = run(0);
    assert.equal(status, 0, output);
    const [, early] = /^memfd early=(\d+)/m.exec(output) ?? [];
    const [, interrupted] = /^guest_memfd early=(\d+)/m.exec(output) ?? [];
    assert.equal(early, "0", output);
    // A machine that is fast or busy may be through before the timer is heard, but not always.
    assert.ok(Number(interrupted) > 0, output);
    assert.match(output, new RegExp(`^run result=-1 interrupted=1 exit=${KVM_EXIT_INTR}$`, "m"));
  });
  const { verdict, remarks } = report(`scenario "the same in the model" {
    kernel 6.18
    vm = KVM_CREATE_VM(0)
    gm = KVM_CREATE_GUEST_MEMFD(vm, size=8K, flags=0)
    mem = memfd_create("x", 0)
    timer: signal(vmm)
    fallocate(mem, 0, 0, 8K) = 0
    timer: signal(vmm)
    fallocate(gm, FALLOC_FL_KEEP_SIZE, 0, 8K) = -EINTR
    vcpu0 = KVM_CREATE_VCPU(vm, 0)
    map = mmap(NULL, 4K, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0)
    KVM_SET_USER_MEMORY_REGION(vm, slot=0, flags=0, guest_phys_addr=0, memory_size=4K, userspace_addr=map) = 0
    timer: signal(vcpu0)
    vcpu0: load(0) = -EINTR
  }`);
  assert.deepEqual([verdict, ...remarks.map(({ message }) => message)], ["pass"]);
});
