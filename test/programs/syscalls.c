/* SPDX-License-Identifier: Apache-2.0
 * Spends nearly all of its time in the kernel: reads zeros in large pieces, from one function.
 *
 * usage: syscalls SECONDS   prints {"readNanos": ns, "userNanos": ns, "systemNanos": ns} */
#include "clock.h"

#include <fcntl.h>

static char buffer[4 << 20];

/* The call itself, not libc's wrapper: that one keeps no frame pointer, and the frame of its caller
 * would be missing from every stack that is followed by frame pointers. */
static inline __attribute__((always_inline)) long read_directly(long file, void *into, unsigned long bytes)
{
#if defined(__x86_64__)
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "a"(0), "D"(file), "S"(into), "d"(bytes) : "rcx", "r11", "memory");
	return result;
#elif defined(__aarch64__)
	register long x0 __asm__("x0") = file;
	register void *x1 __asm__("x1") = into;
	register unsigned long x2 __asm__("x2") = bytes;
	register long x8 __asm__("x8") = 63;

	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x8) : "memory");
	return x0;
#else
#error "no direct read for this processor"
#endif
}

__attribute__((noinline)) int read_zeros(int zero, uint64_t wanted)
{
	uint64_t start = cpu_nanos();

	while (cpu_nanos() - start < wanted)
		if (read_directly(zero, buffer, sizeof(buffer)) != (long)sizeof(buffer))
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
