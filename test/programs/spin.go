// SPDX-License-Identifier: Apache-2.0

// Works in one function for as many seconds of CPU time as asked: on a busy host it takes longer, and is
// sampled as often.
//
// usage: spin SECONDS   prints {"pid": pid, "start": ns, "end": ns}, Unix time
package main

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

//go:noinline
func spinHere(wanted time.Duration) (sum uint64) {
	for start := cpuTime(); cpuTime()-start < wanted; {
		for i := uint64(0); i < 1_000_000; i++ {
			sum = sum*6364136223846793005 + (i | 1)
		}
	}
	return sum
}

func main() {
	seconds, _ := strconv.ParseFloat(os.Args[1], 64)
	start := time.Now()
	sum := spinHere(time.Duration(seconds * 1e9))
	fmt.Printf("{\"pid\": %d, \"start\": %d, \"end\": %d, \"sum\": %d}\n", os.Getpid(), start.UnixNano(), time.Now().UnixNano(), sum>>40)
}
