/* SPDX-License-Identifier: Apache-2.0
 * Three functions that get 60, 25 and 15 percent of the work, for as many seconds of CPU time as
 * asked, in short turns of irregular length. Says at its end what each really got by its own clock.
 *
 * usage: shares SECONDS   prints {"shareSixty": ns, ..., "userNanos": ns, "systemNanos": ns} */
#include "clock.h"

static uint64_t sink = 1;

/* Not static and not inlined: the symbol table must have them and each must have a frame. */
__attribute__((noinline)) void share_sixty(uint64_t rounds)
{
	KEEP_FRAME();
	sink = churn(sink, rounds);
}

__attribute__((noinline)) void share_twenty_five(uint64_t rounds)
{
	KEEP_FRAME();
	sink = churn(sink + 1, rounds);
}

__attribute__((noinline)) void share_fifteen(uint64_t rounds)
{
	KEEP_FRAME();
	sink = churn(sink + 2, rounds);
}

static uint64_t timed(void (*work)(uint64_t), uint64_t rounds)
{
	uint64_t start = cpu_nanos();

	work(rounds);
	return cpu_nanos() - start;
}

__attribute__((noinline)) void share_all(uint64_t wanted, uint64_t spent[3])
{
	uint64_t start = cpu_nanos();

	while (cpu_nanos() - start < wanted) {
		/* Half a millisecond to one and a half for all three: long beside the clock's cost, and never in
		 * step with a timer. */
		uint64_t unit = 5000 + (sink >> 32) % 10000;

		spent[0] += timed(share_sixty, 60 * unit);
		spent[1] += timed(share_twenty_five, 25 * unit);
		spent[2] += timed(share_fifteen, 15 * unit);
	}
}

int main(int argc, char **argv)
{
	uint64_t spent[3] = {0, 0, 0};
	double seconds = argc > 1 ? atof(argv[1]) : 1;

	share_all((uint64_t)(seconds * 1e9), spent);
	printf("{\"share_sixty\": %llu, \"share_twenty_five\": %llu, \"share_fifteen\": %llu, ", (unsigned long long)spent[0],
	       (unsigned long long)spent[1], (unsigned long long)spent[2]);
	print_usage();
	printf("}\n");
	return sink == 0;
}
