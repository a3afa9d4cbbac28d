// What a process allows itself: memory that the kernel refuses beyond a bound, whatever code asks for it.
import { readFileSync, writeFileSync } from 'node:fs';
import { PipelineError } from './errors.ts';
import { lastErrno, setrlimit } from './libc.ts';

const RLIMIT_DATA = 2;
const RLIMIT_CORE = 4;

/**
 * From now on this process gets at most `bytes` more of private memory. RLIMIT_DATA counts what may be
 * written (heaps, stacks of threads), not what is only reserved, of which V8 takes 10 GB: so the bound is
 * one on memory that can become resident. Beyond it malloc and mmap answer ENOMEM in this process alone.
 * Children inherit it.
 */
export function limitOwnMemory(bytes: number): void {
  const bound = BigInt(ownDataBytes()) + BigInt(bytes);
  const limit = (resource: number, value: bigint) => setrlimit(resource, new BigUint64Array([value, value]));
  if (limit(RLIMIT_DATA, bound) !== 0)
    throw new PipelineError('rights_missing', `setrlimit(RLIMIT_DATA) answers ${lastErrno()}; allow the call in the seccomp profile`);
  // What ends for want of memory says nothing more in a core file of a gigabyte.
  limit(RLIMIT_CORE, 0n);
}

/** Private memory that may be written: what RLIMIT_DATA counts. */
export function ownDataBytes(): number {
  return 1024 * Number(/^VmData:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? 0);
}

/** Where the host itself runs out of memory, this process is to go first: others hold data, it holds a question. */
export function beFirstToGo(): void {
  try {
    writeFileSync('/proc/self/oom_score_adj', '1000');
  } catch {
    // A /proc that can't be written: the kernel then chooses by size.
  }
}
