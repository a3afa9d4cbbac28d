/* SPDX-License-Identifier: Apache-2.0
 * Loads each library (spin_library.c), works in it, and unloads it, so that the next may get its place.
 *
 * usage: load SECONDS LIBRARY...   prints {"pid": pid, "place": address, "start": ns, "end": ns} for each */
#define _GNU_SOURCE
#include "clock.h"

#include <dlfcn.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	for (int i = 2; i < argc; i++) {
		void *library = dlopen(argv[i], RTLD_NOW | RTLD_LOCAL);
		void (**spin)(uint64_t) = library ? dlsym(library, "spin_library") : NULL;
		unsigned long long start;
		Dl_info info;

		if (!spin || !dladdr((void *)spin, &info)) {
			fprintf(stderr, "%s\n", dlerror());
			return 1;
		}
		start = nanos(CLOCK_REALTIME);
		(*spin)((uint64_t)(atof(argv[1]) * 1e9));
		printf("{\"pid\": %d, \"place\": %llu, \"start\": %llu, \"end\": %llu}\n", getpid(),
		       (unsigned long long)(uintptr_t)info.dli_fbase, start, (unsigned long long)nanos(CLOCK_REALTIME));
		fflush(stdout);
		dlclose(library);
	}
	return 0;
}
