/* SPDX-License-Identifier: Apache-2.0
 * Burns 3 ms of CPU time in each 10 ms, woken by an absolute timer at multiples of 10 ms: in step with
 * anything else that runs on such a timer, as a sampler must not be.
 *
 * usage: absolute_timer SECONDS   prints {"burnNanos": ns, "wallNanos": ns, ...} */
#include "clock.h"

static const uint64_t period = 10000000, busy = 3000000;
static uint64_t sink = 1;

__attribute__((noinline)) void burn_in_step(uint64_t wanted)
{
	uint64_t start = cpu_nanos();

	while (cpu_nanos() - start < wanted)
		sink = churn(sink, 20000);
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 1;
	uint64_t start = nanos(CLOCK_MONOTONIC);
	uint64_t end = start + (uint64_t)(seconds * 1e9);
	uint64_t next = (start / period + 1) * period;
	uint64_t burnt = 0;

	for (; next < end; next += period) {
		struct timespec until = {.tv_sec = (time_t)(next / 1000000000u), .tv_nsec = (long)(next % 1000000000u)};
		uint64_t before;

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		before = cpu_nanos();
		burn_in_step(busy);
		burnt += cpu_nanos() - before;
	}
	printf("{\"burnNanos\": %llu, \"wallNanos\": %llu, ", (unsigned long long)burnt,
	       (unsigned long long)(nanos(CLOCK_MONOTONIC) - start));
	print_usage();
	printf("}\n");
	return sink == 0;
}
