/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The few kernel types that the programs read, with only the fields they read. CO-RE finds the real
 * offsets when the object is loaded, so no vmlinux.h of any one kernel is needed to build.
 */
#ifndef FLAMELAKE_KERNEL_H
#define FLAMELAKE_KERNEL_H

#include <linux/types.h>
#include <linux/bpf.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct mm_struct {
	/* Set by execve at its very end, from the executable's headers; 0 before. */
	unsigned long start_code;
	unsigned long end_code;
	/* Where execve put the arguments: random for each image, unless that is turned off. */
	unsigned long start_stack;
};

struct task_struct {
	struct task_struct *group_leader;
	struct mm_struct *mm;
	unsigned int flags;
	unsigned int in_execve : 1;
	/* Since 5.5; start time in CLOCK_BOOTTIME, what /proc/PID/stat field 22 is made from. */
	__u64 start_boottime;
};

/*
 * Two architectures, one object: the loader keeps the branch whose field exists. Only types that
 * every kernel has: for one that it misses libbpf searches all modules, which takes CAP_SYS_ADMIN.
 */
struct pt_regs___x86_64 {
	unsigned long bp;
};

struct pt_regs___arm64 {
	__u64 regs[31];
};

#pragma clang attribute pop

/* include/linux/sched.h: a thread of the kernel's own; the same bit since long before 5.10. */
#define PF_KTHREAD 0x00200000

#endif
