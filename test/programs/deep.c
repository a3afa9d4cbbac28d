/* SPDX-License-Identifier: Apache-2.0
 * Calls itself as deep as asked and works at the bottom, for as many seconds of CPU time as asked.
 *
 * usage: deep DEPTH SECONDS   prints {"userNanos": ns, "systemNanos": ns} */
#include "clock.h"

static uint64_t sink = 1;

__attribute__((noinline)) void bottom(uint64_t wanted)
{
	uint64_t start = cpu_nanos();

	KEEP_FRAME();
	while (cpu_nanos() - start < wanted)
		sink = churn(sink, 100000);
}

__attribute__((noinline)) void descend(int depth, uint64_t wanted)
{
	KEEP_FRAME();
	if (depth <= 1)
		bottom(wanted);
	else
		descend(depth - 1, wanted);
	sink++;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	descend(atoi(argv[1]), (uint64_t)(atof(argv[2]) * 1e9));
	printf("{");
	print_usage();
	printf("}\n");
	return 0;
}
