/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the kernel half and the agent share. This file is the only source of the layout:
 * scripts/bpf-layout.ts reads it back from the object's BTF and writes agent/bpf/layout.gen.ts.
 * Only fixed-width fields, explicit padding, the variable part last; shared constants are enums,
 * because macros leave no trace in BTF.
 */
#ifndef FLAMELAKE_SAMPLE_H
#define FLAMELAKE_SAMPLE_H

enum sample_limits {
	/* perf's own default for kernel.perf_event_max_stack; deeper stacks are cut and say so. */
	KERNEL_FRAMES_MAX = 127,
	USER_FRAMES_MAX = 127,
	COMM_BYTES = 16,
	BUILD_ID_BYTES = 20,
	TRACE_ID_BYTES = 16,
	SPAN_ID_BYTES = 8,
};

enum event_kind {
	EVENT_STACK = 1,
	EVENT_SAMPLE = 2,
};

enum sample_kind {
	SAMPLE_ON_CPU = 1,
};

/* The kernel's own numbers for struct bpf_stack_build_id. */
enum user_frame_status {
	FRAME_EMPTY = 0,
	FRAME_BUILD_ID = 1,
	FRAME_IP = 2,
};

/* Bits of stack_event.cut: why a stack does not reach its root. */
enum stack_cut {
	CUT_KERNEL_DEPTH = 1,
	CUT_USER_DEPTH = 2,
	CUT_KERNEL_UNREADABLE = 4,
	CUT_USER_UNREADABLE = 8,
	/* The chain of frame pointers ends elsewhere than at the 0 that the ABI puts there. */
	CUT_FRAME_POINTER = 16,
	/* In execve: registers of the program that was, memory perhaps already of the next. */
	CUT_EXEC = 32,
	/* Ending: it has let go of its memory, and of its user stack with it. */
	CUT_EXIT = 64,
};

enum sample_flags {
	/* A thread of the kernel's own. (Without memory may also be a process that is ending.) */
	FLAG_KERNEL_THREAD = 1,
};

/*
 * Per-CPU counters, read by the agent. Every tick is either idle, a sample or one of the losses.
 * Numbers are not reused.
 */
enum counter {
	COUNTER_TICKS = 0,
	COUNTER_IDLE = 1,
	COUNTER_SAMPLES = 2,
	LOSS_RING_FULL = 3,
	LOSS_SCRATCH_MISSING = 4,
	COUNTER_STACKS = 5,
	/* Not a loss: the stack is sent again with its next sample. */
	COUNTER_SEEN_FULL = 6,
	COUNTERS = 7,
};

/* As the kernel fills it for BPF_F_USER_BUILD_ID (struct bpf_stack_build_id). */
struct user_frame {
	__s32 status;
	__u8 build_id[BUILD_ID_BYTES];
	/* FRAME_BUILD_ID: offset in the file. FRAME_IP: instruction address in the process. */
	__u64 offset_or_ip;
};

/*
 * A stack, before the first sample that names it in an epoch. Behind it lie kernel_frames addresses
 * (u64), then user_frames struct user_frame; leaf first.
 */
struct stack_event {
	__u32 kind;
	__u32 tgid;
	__u64 start_time;
	__u64 image;
	__u64 stack_id;
	__u16 kernel_frames;
	__u16 user_frames;
	__u16 cut;
	__u16 _pad;
};

struct sample_event {
	__u32 kind;
	__u32 cpu;
	/* CLOCK_BOOTTIME, nanoseconds; goes on in suspend, which therefore moves no sample. */
	__u64 time;
	__u64 stack_id;
	/* Start of the process (its first thread), nanoseconds since boot: tells a reused pid. */
	__u64 start_time;
	/* What the process has executed, by image_of(); 0 = not known, in execve and at its end. */
	__u64 image;
	/* In the unit of sample_kind; on-CPU: 1 tick. */
	__u64 value;
	__u32 tgid;
	__u32 tid;
	__u32 sample_kind;
	__u32 flags;
	__u8 comm[COMM_BYTES];
	/* All zero = no context. */
	__u8 trace_id[TRACE_ID_BYTES];
	__u8 span_id[SPAN_ID_BYTES];
};

/* What the agent tells the programs while they run. */
struct control {
	/* Advanced with each batch; a stack is sent once an epoch, for a batch needs no older. */
	__u32 epoch;
	__u32 _pad;
	/* Random for each agent: nobody can make a stack of his own pass for that of another. */
	__u64 hash_seed;
};

_Static_assert(sizeof(struct user_frame) == 32, "struct bpf_stack_build_id is 32 bytes");
_Static_assert(sizeof(struct stack_event) == 40, "stack_event header");
_Static_assert(sizeof(struct sample_event) == 104, "sample_event");
_Static_assert(sizeof(struct control) == 16, "control");

#endif
