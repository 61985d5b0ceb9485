// The guest of one instruction, and what KVM has to have.

import type { Block } from "./block.ts";

export const CAPABILITIES: Block = {
  name: "capabilities",
  needs: ["report"],
  text: `
/* Skips the call where KVM lacks one of these bits of a capability. A VM that does not answer (EIO in another process) refuses the call too. */
static int capable(long kvm_or_vm, long capability, long bits, const char *name)
{
	long has = ioctl(kvm_or_vm, KVM_CHECK_EXTENSION, capability);

	return has < 0 || (has > 0 && (has & bits) == bits) || (bits == 0 && has > 0) || leave_out("this KVM lacks %s", name);
}`,
};

export const GUEST: Block = {
  name: "guest",
  needs: ["report"],
  text: `
/*
 * A guest of one instruction: real mode, DS:0 close below the byte, code in a memory slot of its own.
 * load: mov al, [offset]; out PORT, al; hlt     store: mov byte [offset], value; hlt
 */
#define PORT 0x10
#define CODE_ROOM 16

static pthread_mutex_t code_lock = PTHREAD_MUTEX_INITIALIZER;

static unsigned char *code_of(long vm)
{
	static struct { long vm; unsigned char *code; } known[16];
	struct kvm_userspace_memory_region region = { .slot = CODE_SLOT, .guest_phys_addr = CODE_GPA, .memory_size = 4096 };
	unsigned char *code = NULL;

	pthread_mutex_lock(&code_lock);
	for (int i = 0; i < 16 && !code; i++) {
		if (known[i].code && known[i].vm != vm)
			continue;
		if (!known[i].code) {
			code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
			region.userspace_addr = (unsigned long)code;
			if (code == MAP_FAILED || ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region))
				break;
			known[i].vm = vm;
			known[i].code = code;
		}
		code = known[i].code;
	}
	pthread_mutex_unlock(&code_lock);
	return code == MAP_FAILED ? NULL : code;
}

#define MEMORY_FAULT 39

/* -1, or what KVM_RUN set errno to when it left the guest. */
static int enter(long vcpu, struct kvm_run *run, int room, unsigned long gpa)
{
	struct kvm_regs registers = { .rip = room, .rflags = 2 };
	struct kvm_sregs segments;

	if (ioctl(vcpu, KVM_GET_SREGS, &segments))
		return -1;
	segments.cs.base = CODE_GPA;
	segments.cs.selector = CODE_GPA >> 4;
	segments.ds.base = gpa & ~15UL;
	segments.ds.selector = gpa >> 4;
	if (ioctl(vcpu, KVM_SET_SREGS, &segments) || ioctl(vcpu, KVM_SET_REGS, &registers))
		return -1;
	run->immediate_exit = 0;
	run->exit_reason = 0;
	if (!ioctl(vcpu, KVM_RUN, 0))
		return 0;
	/* KVM_EXIT_MEMORY_FAULT comes with an error. */
	return run->exit_reason == MEMORY_FAULT && (errno == EFAULT || errno == EHWPOISON) ? errno : -1;
}

static void memory_fields(struct call *call, const struct kvm_run *run, int error)
{
	unsigned long long fault[3];

	if (run->exit_reason == KVM_EXIT_MMIO) {
		call->field[0] = (struct field){ "phys_addr", run->mmio.phys_addr };
		call->field[1] = (struct field){ "len", run->mmio.len };
		call->field[2] = (struct field){ "is_write", run->mmio.is_write };
		if (run->mmio.is_write)
			call->field[3] = (struct field){ "data", run->mmio.data[0] };
	} else if (run->exit_reason == MEMORY_FAULT) { /* flags, gpa, size; older headers lack the member */
		memcpy(fault, &run->mmio, sizeof(fault));
		call->field[0] = (struct field){ "flags", fault[0] };
		call->field[1] = (struct field){ "gpa", fault[1] };
		call->field[2] = (struct field){ "size", fault[2] };
		call->field[3] = (struct field){ "errno", error };
	}
}

/* byte: -1 loads, -2 halts, else stores. Each actor has its own room for code. */
static long long guest(long vm, long vcpu, int actor, unsigned long gpa, int byte)
{
	int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), room = actor * CODE_ROOM, error;
	struct kvm_run *run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	unsigned char *code;

	if (run == MAP_FAILED)
		return ret(-1);
	code = code_of(vm);
	if (!code) {
		munmap(run, size);
		return leave_out("there is no room for the guest's code"), UNSET;
	}
	if (byte == -1)
		memcpy(code + room, (unsigned char[]){ 0xa0, gpa & 15, 0, 0xe6, PORT, 0xf4 }, 6);
	else
		memcpy(code + room, (unsigned char[]){ 0xc6, 0x06, gpa & 15, 0, byte, 0xf4 }, 6);
	if (byte == -2)
		code[room] = 0xf4;
	error = enter(vcpu, run, room, gpa);
	if (error == -1) {
		ret(-1);
	} else if (byte == -1 && run->exit_reason == KVM_EXIT_IO && run->io.port == PORT) {
		now->value = *((unsigned char *)run + run->io.data_offset);
		now->kind = VALUE_KIND;
	} else if (byte >= 0 && run->exit_reason == KVM_EXIT_HLT) {
		now->value = 0;
		now->kind = VALUE_KIND;
	} else {
		memory_fields(now, run, error);
		now->value = run->exit_reason;
		now->kind = EXIT_KIND;
	}
	/* KVM finishes the instruction that left the guest, and does not start another. */
	run->immediate_exit = 1;
	ioctl(vcpu, KVM_RUN, 0);
	munmap(run, size);
	if (now->kind != ERRNO_KIND && now->kind != SKIPPED_KIND)
		returned(now->kind, now->value);
	return now->kind == ERRNO_KIND ? -now->value : now->value;
}`,
};

export const CLOSING: Block = {
  name: "closing",
  needs: ["guest"],
  text: `
/* vCPUs go on without this descriptor: the code of the guest takes its slot before. */
static long long close_vm(long vm)
{
	code_of(vm);
	return ret(close(vm));
}`,
};
/** The same in a file in which no guest runs after all. */
export const PLAIN_CLOSING: Block = {
  name: "plainclosing",
  needs: ["report"],
  text: `
static long long close_vm(long vm)
{
	return ret(close(vm));
}`,
};
