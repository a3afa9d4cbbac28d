// Every C function that the agent calls, with its prototype: a wrong one crashes the process, so all
// stand in this file and nowhere else. libbpf is loaded when it is first asked for, so that a host
// without it gets one line and not a stack trace.
import koffi from 'koffi';
import { PipelineError } from '../../lib/errors.ts';
import { lastErrno } from '../../lib/libc.ts';

export type Pointer = unknown;

const libc = koffi.load(null);

export const errno = (): string => lastErrno();

/** long syscall(long number, …), as perf_event_open takes it. */
export const perfEventOpenCall = libc.func('long syscall(long number, void *attr, int pid, int cpu, int group, unsigned long flags)') as (
  number: number,
  attr: Uint8Array,
  pid: number,
  cpu: number,
  group: number,
  flags: number,
) => number;
export const ioctl = libc.func('int ioctl(int fd, unsigned long request, long argument)') as (fd: number, request: number, argument: number) => number;
export const mmap = libc.func('void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset)') as (
  address: null,
  length: number,
  protection: number,
  flags: number,
  fd: number,
  offset: number,
) => Pointer;
export const munmap = libc.func('int munmap(void *address, size_t length)') as (address: Pointer, length: number) => number;
export const clockGettime = libc.func('int clock_gettime(int clock, _Out_ void *time)') as (clock: number, time: Uint8Array) => number;
export const sysconf = libc.func('long sysconf(int name)') as (name: number) => number;

export const protectionRead = 1;
export const protectionWrite = 2;
export const mapShared = 1;
export const sysconfPageSize = 30;

/** The mapped memory as an ArrayBuffer; valid until munmap. */
export const viewOf = (pointer: Pointer, bytes: number): ArrayBuffer => koffi.view(pointer, bytes) as ArrayBuffer;
/** mmap's MAP_FAILED is (void *)-1. */
export const isMapFailed = (pointer: Pointer): boolean =>
  pointer === null || BigInt.asUintN(64, BigInt(koffi.address(pointer as never))) === 0xffffffffffffffffn;

export interface Libbpf {
  versionMajor(): number;
  setPrint(callback: null): Pointer;
  possibleCpus(): number;
  openFile(path: string, options: null): Pointer;
  load(object: Pointer): number;
  close(object: Pointer): void;
  findMap(object: Pointer, name: string): Pointer;
  setMaxEntries(map: Pointer, entries: number): number;
  mapFd(map: Pointer): number;
  findProgram(object: Pointer, name: string): Pointer;
  programFd(program: Pointer): number;
  setLogBuffer(program: Pointer, buffer: Uint8Array, bytes: number): number;
  lookup(map: number, key: Uint8Array, value: Uint8Array): number;
  update(map: number, key: Uint8Array, value: Uint8Array, flags: number): number;
}

let loaded: Libbpf | null = null;

export function libbpf(): Libbpf {
  loaded ??= bindLibbpf();
  return loaded;
}

function bindLibbpf(): Libbpf {
  let library: ReturnType<typeof koffi.load>;
  try {
    library = koffi.load('libbpf.so.1');
  } catch (cause) {
    throw new PipelineError(
      'rights_missing',
      'libbpf.so.1 (libbpf 1.0 or newer) was not found; install it: apt-get install libbpf1, dnf install libbpf, apk add libbpf or pacman -S libbpf',
      { cause },
    );
  }
  return {
    versionMajor: library.func('unsigned int libbpf_major_version(void)'),
    setPrint: library.func('void *libbpf_set_print(void *callback)'),
    possibleCpus: library.func('int libbpf_num_possible_cpus(void)'),
    openFile: library.func('void *bpf_object__open_file(const char *path, const void *options)'),
    load: library.func('int bpf_object__load(void *object)'),
    close: library.func('void bpf_object__close(void *object)'),
    findMap: library.func('void *bpf_object__find_map_by_name(const void *object, const char *name)'),
    setMaxEntries: library.func('int bpf_map__set_max_entries(void *map, uint32_t entries)'),
    mapFd: library.func('int bpf_map__fd(const void *map)'),
    findProgram: library.func('void *bpf_object__find_program_by_name(const void *object, const char *name)'),
    programFd: library.func('int bpf_program__fd(const void *program)'),
    setLogBuffer: library.func('int bpf_program__set_log_buf(void *program, void *buffer, size_t bytes)'),
    lookup: library.func('int bpf_map_lookup_elem(int fd, const void *key, _Out_ void *value)'),
    update: library.func('int bpf_map_update_elem(int fd, const void *key, const void *value, uint64_t flags)'),
  } as unknown as Libbpf;
}
