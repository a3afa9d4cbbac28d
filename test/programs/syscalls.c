/* SPDX-License-Identifier: Apache-2.0
 * Spends nearly all of its time in the kernel: reads zeros in large pieces, from one function.
 *
 * usage: syscalls SECONDS   prints {"readNanos": ns, "userNanos": ns, "systemNanos": ns} */
#include "clock.h"

#include <fcntl.h>
#include <unistd.h>

static char buffer[4 << 20];

__attribute__((noinline)) int read_zeros(int zero, uint64_t wanted)
{
	uint64_t start = cpu_nanos();

	while (cpu_nanos() - start < wanted)
		if (read(zero, buffer, sizeof(buffer)) != (ssize_t)sizeof(buffer))
			return 1;
	return 0;
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 1;
	int zero = open("/dev/zero", O_RDONLY);
	uint64_t start = cpu_nanos();
	int failed = read_zeros(zero, (uint64_t)(seconds * 1e9));

	printf("{\"readNanos\": %llu, ", (unsigned long long)(cpu_nanos() - start));
	print_usage();
	printf("}\n");
	return failed;
}
