/* SPDX-License-Identifier: Apache-2.0
 * Works in one function, whose name the compiler is told (-DSPIN=name), for as many seconds of CPU time as
 * asked. Then it may fork and do the same again in both processes, or become another program.
 *
 * usage: spin SECONDS [fork | exec PROGRAM ARGUMENT...]
 * prints {"pid": pid, "start": ns, "end": ns}, Unix time, for each process and image */
#include "clock.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SPIN
#define SPIN spin_here
#endif

static uint64_t sink = 1;

__attribute__((noinline)) void SPIN(uint64_t wanted)
{
	uint64_t start = cpu_nanos();

	KEEP_FRAME();
	while (cpu_nanos() - start < wanted)
		for (int i = 0; i < 1000; i++)
			sink = churn(sink, 1000);
}

static void spin_and_tell(uint64_t wanted)
{
	unsigned long long start = nanos(CLOCK_REALTIME);

	SPIN(wanted);
	printf("{\"pid\": %d, \"start\": %llu, \"end\": %llu}\n", getpid(), start, (unsigned long long)nanos(CLOCK_REALTIME));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	uint64_t wanted = argc > 1 ? (uint64_t)(atof(argv[1]) * 1e9) : 0;

	spin_and_tell(wanted);
	if (argc > 2 && strcmp(argv[2], "fork") == 0) {
		pid_t child = fork();

		spin_and_tell(wanted);
		return child != 0 && waitpid(child, NULL, 0) != child;
	}
	if (argc > 3 && strcmp(argv[2], "exec") == 0) {
		execv(argv[3], argv + 3);
		return 1;
	}
	return 0;
}
