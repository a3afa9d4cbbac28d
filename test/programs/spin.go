// SPDX-License-Identifier: Apache-2.0

// Works in one function for as many seconds of wall time as asked.
//
// usage: spin SECONDS   prints {"pid": pid, "start": ns, "end": ns}, Unix time
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

//go:noinline
func spinHere(until time.Time) (sum uint64) {
	for time.Now().Before(until) {
		for i := uint64(0); i < 1_000_000; i++ {
			sum = sum*6364136223846793005 + (i | 1)
		}
	}
	return sum
}

func main() {
	seconds, _ := strconv.ParseFloat(os.Args[1], 64)
	start := time.Now()
	sum := spinHere(start.Add(time.Duration(seconds * 1e9)))
	fmt.Printf("{\"pid\": %d, \"start\": %d, \"end\": %d, \"sum\": %d}\n", os.Getpid(), start.UnixNano(), time.Now().UnixNano(), sum>>40)
}
