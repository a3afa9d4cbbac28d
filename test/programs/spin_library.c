/* SPDX-License-Identifier: Apache-2.0
 * A library that works: one function, whose name the compiler is told (-DSPIN=name), and that can be found
 * by the name spin_library too. */
#include "clock.h"

static uint64_t sink = 1;

__attribute__((noinline)) void SPIN(uint64_t wanted)
{
	uint64_t start = cpu_nanos();

	KEEP_FRAME();
	while (cpu_nanos() - start < wanted)
		for (int i = 0; i < 1000; i++)
			sink = churn(sink, 1000);
}

void (*spin_library)(uint64_t) = SPIN;
