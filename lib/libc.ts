// The C library that Node itself runs on, through koffi: glibc and musl alike, since the symbols are
// taken from the running process and not from a file with a name.
import koffi from 'koffi';

const process_ = koffi.load(null);

/** int flock(int fd, int operation) */
export const flock = process_.func('int flock(int fd, int operation)') as (fd: number, operation: number) => number;
/** int prctl(int option, …): on Linux, variadic integers are passed as fixed ones. */
export const prctl = process_.func('int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)') as (
  option: number,
  a: number,
  b: number,
  c: number,
  d: number,
) => number;

/** int setrlimit(int resource, const struct rlimit *limits): soft and hard, 64 bits each. */
export const setrlimit = process_.func('int setrlimit(int resource, void *limits)') as (resource: number, limits: BigUint64Array) => number;

/** int malloc_trim(size_t pad): free memory goes back to the system; glibc alone has it, and alone needs it. */
export const mallocTrim: (padBytes: number) => number =
  optional(() => process_.func('int malloc_trim(size_t pad)') as (padBytes: number) => number) ?? (() => 0);

/** void _exit(int status): no handlers, no destructors, no waiting for threads. */
export const exitAtOnce = process_.func('void _exit(int status)') as (status: number) => void;

function optional<T>(find: () => T): T | null {
  try {
    return find();
  } catch {
    return null;
  }
}

/** errno of the last call, by name. */
export function lastErrno(): string {
  const number = koffi.errno();
  return Object.entries(koffi.os.errno).find(([, value]) => value === number)?.[0] ?? `errno ${number}`;
}
