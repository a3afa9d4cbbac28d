/* SPDX-License-Identifier: Apache-2.0
 * What the programs share: clocks, and work that the compiler can neither drop nor merge. */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

static inline uint64_t nanos(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* CPU time of this thread, as the scheduler counts it. */
static inline uint64_t cpu_nanos(void)
{
	return nanos(CLOCK_THREAD_CPUTIME_ID);
}

/* One unit of work that depends on all before it; about a nanosecond a round. */
static inline __attribute__((always_inline)) uint64_t churn(uint64_t seed, uint64_t rounds)
{
	for (uint64_t i = 0; i < rounds; i++)
		seed = seed * 6364136223846793005u + (i | 1);
	return seed;
}

/* gcc gives a function that calls nothing no frame, whatever -fno-omit-frame-pointer says, and a stack
 * that is followed by frame pointers then lacks its caller. Asking for the frame's address makes one. */
#define KEEP_FRAME() __asm__ volatile("" : : "r"(__builtin_frame_address(0)))

static inline void print_usage(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	printf("\"userNanos\": %lld, \"systemNanos\": %lld",
	       (long long)usage.ru_utime.tv_sec * 1000000000 + (long long)usage.ru_utime.tv_usec * 1000,
	       (long long)usage.ru_stime.tv_sec * 1000000000 + (long long)usage.ru_stime.tv_usec * 1000);
}
