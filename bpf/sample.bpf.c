// SPDX-License-Identifier: GPL-2.0
/*
 * The sampler: one perf event per CPU on the software clock runs on_cpu_sample, which writes down
 * who is on the CPU and through which calls. Stacks go out once an epoch, samples name them by id.
 * The way on: agent/bpf/ring.ts.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "sample.h"

/* Keeps the types below in BTF, where the layout generator looks for them. */
const enum event_kind *_keep_event_kind __attribute__((unused));
const enum sample_kind *_keep_sample_kind __attribute__((unused));
const enum sample_limits *_keep_sample_limits __attribute__((unused));
const enum user_frame_status *_keep_user_frame_status __attribute__((unused));
const enum stack_cut *_keep_stack_cut __attribute__((unused));
const enum sample_flags *_keep_sample_flags __attribute__((unused));
const enum counter *_keep_counter __attribute__((unused));
const struct sample_event *_keep_sample_event __attribute__((unused));
const struct stack_event *_keep_stack_event __attribute__((unused));
const struct user_frame *_keep_user_frame __attribute__((unused));

enum {
	USER_WORDS = sizeof(struct user_frame) / sizeof(__u64),
	FRAME_WORDS_MAX = KERNEL_FRAMES_MAX + USER_FRAMES_MAX * USER_WORDS,
};

struct stack_scratch {
	struct stack_event head;
	__u64 frames[FRAME_WORDS_MAX];
};

/* One stack at a time per CPU: 5 kB do not fit on the 512-byte BPF stack. Never full. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct stack_scratch);
} scratch SEC(".maps");

/*
 * Stack id -> epoch in which it was sent. The agent sets the size before load, by CPUs and rate
 * (agent/limits.ts). When it is full the least recently used entry goes, which costs one repeated
 * stack and loses nothing.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u32);
} seen SEC(".maps");

/* Events to the agent, which sets the size before load (agent/limits.ts); full = LOSS_RING_FULL. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

/* enum counter -> count. Never full. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

/* One entry, written by the agent. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct control);
} control SEC(".maps");

static __always_inline void count(__u32 counter)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &counter);

	if (value)
		(*value)++;
}

static __always_inline __u64 frame_pointer_of_current(void)
{
	void *regs;

	if (!bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs))
		return 0;
	regs = (void *)bpf_task_pt_regs((void *)bpf_get_current_task_btf());
	if (bpf_core_field_exists(struct pt_regs___x86_64, bp))
		return BPF_CORE_READ((struct pt_regs___x86_64 *)regs, bp);
	if (bpf_core_field_exists(struct pt_regs___arm64, regs))
		return BPF_CORE_READ((struct pt_regs___arm64 *)regs, regs[29]);
	return 0;
}

/*
 * Whether the chain of frame pointers ends at 0, as both ABIs make it in the first function of a
 * process or thread. The stack helper stops in silence wherever a frame pointer leads nowhere.
 * A global function, as hash_stack is: the verifier walks each loop once, not once per path to it.
 */
__noinline int chain_is_cut(__u32 frames)
{
	__u64 frame = frame_pointer_of_current(), next;

	for (__u32 i = 0; i < USER_FRAMES_MAX; i++) {
		/* 0 at once: a first function itself, or far more often a register in other use. */
		if (frame == 0)
			return i == 0;
		if (i > frames || (frame & 7) != 0)
			return 1;
		if (bpf_probe_read_user(&next, sizeof(next), (void *)frame) != 0)
			return 1;
		/* Callers lie above their callees. */
		if (next != 0 && next <= frame)
			return 1;
		frame = next;
	}
	return 1;
}

/* The interface that a table unwinder fills too: frames, leaf first, and why they end. */
static __always_inline __u32 unwind_user(void *ctx, __u64 *into, __u16 *cut)
{
	long bytes = bpf_get_stack(ctx, into, USER_FRAMES_MAX * sizeof(struct user_frame),
				   BPF_F_USER_STACK | BPF_F_USER_BUILD_ID);
	__u32 frames;

	if (bytes < 0) {
		*cut |= CUT_USER_UNREADABLE;
		return 0;
	}
	/* 0 = it never was in user mode: the kernel's helpers in a process (io_uring, vhost). */
	frames = (__u32)bytes / sizeof(struct user_frame);
	if (frames == 0)
		return 0;
	if (frames >= USER_FRAMES_MAX) {
		*cut |= CUT_USER_DEPTH;
		return USER_FRAMES_MAX;
	}
	if (chain_is_cut(frames))
		*cut |= CUT_FRAME_POINTER;
	return frames;
}

static __always_inline __u32 unwind_kernel(void *ctx, __u64 *into, __u16 *cut)
{
	long bytes = bpf_get_stack(ctx, into, KERNEL_FRAMES_MAX * sizeof(__u64), 0);
	__u32 frames;

	if (bytes < 0) {
		*cut |= CUT_KERNEL_UNREADABLE;
		return 0;
	}
	/* 0 = the interrupt came in user mode. */
	frames = (__u32)bytes / sizeof(__u64);
	if (frames >= KERNEL_FRAMES_MAX) {
		*cut |= CUT_KERNEL_DEPTH;
		return KERNEL_FRAMES_MAX;
	}
	return frames;
}

/*
 * Tells one execve of a process from the next. /proc/PID/stat has the same three numbers, and
 * agent/proc/stat.ts computes the same from them, so that what is read there is never taken for
 * what ran before or after. 0 = not known.
 */
static __always_inline __u64 image_of(struct mm_struct *mm)
{
	__u64 start_code = mm ? BPF_CORE_READ(mm, start_code) : 0;

	if (start_code == 0)
		return 0;
	return (BPF_CORE_READ(mm, start_stack) * 31 + start_code) * 31 +
	       BPF_CORE_READ(mm, end_code);
}

static __always_inline __u64 mix(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
	return hash ^ hash >> 29;
}

/* A stack belongs to one image: addresses without build id mean nothing in another. */
__noinline __u64 hash_stack(__u32 words, __u64 seed)
{
	__u64 hash = 0xcbf29ce484222325ULL ^ seed;
	__u32 zero = 0;
	struct stack_scratch *stack = bpf_map_lookup_elem(&scratch, &zero);

	if (!stack)
		return 0;
	hash = mix(hash, stack->head.tgid);
	hash = mix(hash, stack->head.start_time);
	hash = mix(hash, stack->head.image);
	hash = mix(hash, (__u64)stack->head.kernel_frames << 32 |
				 (__u64)stack->head.user_frames << 16 | stack->head.cut);
	for (__u32 i = 0; i < FRAME_WORDS_MAX; i++) {
		if (i >= words)
			break;
		hash = mix(hash, stack->frames[i]);
	}
	return hash;
}

/* 0 = the agent has the stack or gets it now. */
static __always_inline int send_stack(struct stack_scratch *stack, __u32 words, __u32 epoch)
{
	__u64 id = stack->head.stack_id;
	__u32 *sent = bpf_map_lookup_elem(&seen, &id);
	__u32 bytes;

	if (sent && *sent == epoch)
		return 0;
	if (words > FRAME_WORDS_MAX)
		words = FRAME_WORDS_MAX;
	bytes = sizeof(struct stack_event) + words * sizeof(__u64);
	if (bpf_ringbuf_output(&events, stack, bytes, BPF_RB_NO_WAKEUP) != 0)
		return -1;
	count(COUNTER_STACKS);
	if (bpf_map_update_elem(&seen, &id, &epoch, BPF_ANY) != 0)
		count(COUNTER_SEEN_FULL);
	return 0;
}

SEC("perf_event")
int on_cpu_sample(void *ctx)
{
	__u64 ids = bpf_get_current_pid_tgid();
	__u32 zero = 0, words;
	struct task_struct *task;
	struct stack_scratch *stack;
	struct sample_event *sample;
	struct control *settings;
	struct mm_struct *mm;
	__u64 start_time, image;
	__u16 cut = 0;
	int is_kernel_thread;

	count(COUNTER_TICKS);
	if (ids == 0) {
		count(COUNTER_IDLE);
		return 0;
	}
	stack = bpf_map_lookup_elem(&scratch, &zero);
	settings = bpf_map_lookup_elem(&control, &zero);
	if (!stack || !settings) {
		count(LOSS_SCRATCH_MISSING);
		return 0;
	}
	task = (struct task_struct *)bpf_get_current_task();
	is_kernel_thread = (BPF_CORE_READ(task, flags) & PF_KTHREAD) != 0;
	/* A kernel thread may borrow the memory of others. */
	mm = is_kernel_thread ? NULL : BPF_CORE_READ(task, mm);
	image = image_of(mm);
	start_time = BPF_CORE_READ(task, group_leader, start_boottime);

	stack->head.kind = EVENT_STACK;
	stack->head.tgid = ids >> 32;
	stack->head.start_time = start_time;
	stack->head.image = image;
	stack->head._pad = 0;
	words = unwind_kernel(ctx, stack->frames, &cut);
	stack->head.kernel_frames = words;
	stack->head.user_frames = 0;
	if (!is_kernel_thread && !mm) {
		cut |= CUT_EXIT;
	} else if (mm && BPF_CORE_READ_BITFIELD_PROBED(task, in_execve)) {
		cut |= CUT_EXEC;
	} else if (mm) {
		__u32 frames = unwind_user(ctx, &stack->frames[words], &cut);

		stack->head.user_frames = frames;
		words += frames * USER_WORDS;
	}
	stack->head.cut = cut;
	stack->head.stack_id = hash_stack(words, settings->hash_seed);
	if (send_stack(stack, words, settings->epoch) != 0) {
		count(LOSS_RING_FULL);
		return 0;
	}

	sample = bpf_ringbuf_reserve(&events, sizeof(*sample), 0);
	if (!sample) {
		count(LOSS_RING_FULL);
		return 0;
	}
	__builtin_memset(sample, 0, sizeof(*sample));
	sample->kind = EVENT_SAMPLE;
	sample->cpu = bpf_get_smp_processor_id();
	sample->time = bpf_ktime_get_boot_ns();
	sample->stack_id = stack->head.stack_id;
	sample->start_time = start_time;
	sample->image = image;
	sample->value = 1;
	sample->tgid = ids >> 32;
	sample->tid = (__u32)ids;
	sample->sample_kind = SAMPLE_ON_CPU;
	sample->flags = is_kernel_thread ? FLAG_KERNEL_THREAD : 0;
	bpf_get_current_comm(sample->comm, sizeof(sample->comm));
	bpf_ringbuf_submit(sample, BPF_RB_NO_WAKEUP);
	count(COUNTER_SAMPLES);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
