// Reads the sampler's ring buffer through shared memory: no system call and no copy for an event. The
// kernel maps the data twice in a row, so that an event that wraps still lies in one piece.
import { PipelineError } from '../../lib/errors.ts';
import { errno, isMapFailed, mapShared, mmap, munmap, protectionRead, protectionWrite, sysconf, sysconfPageSize, viewOf } from './native.ts';

/** Gets each event's bytes, valid during the call only. */
export type OnEvent = (bytes: Uint8Array, view: DataView, at: number, length: number) => void;

export interface RingMemory {
  /** Position up to which we have read; the kernel reads it. */
  readonly consumer: BigUint64Array;
  /** Position up to which the kernel has written. */
  readonly producer: BigUint64Array;
  /** The data twice: 2 x ringBytes. */
  readonly data: ArrayBuffer;
  /** Where the data starts in `data`. */
  readonly dataOffset: number;
  readonly ringBytes: number;
}

export interface Ring {
  /** Hands over the events that are complete, for as long as `mayGoOn` says so before each; returns how many. */
  drain(onEvent: OnEvent, mayGoOn?: () => boolean): number;
  /** Bytes written and not yet read. */
  pending(): number;
  close(): void;
}

// linux/bpf.h: BPF_RINGBUF_BUSY_BIT, BPF_RINGBUF_DISCARD_BIT, BPF_RINGBUF_HDR_SZ.
const busyBit = 0x8000_0000;
const discardBit = 0x4000_0000;
const headerBytes = 8;

export function openRing(fd: number, ringBytes: number): Ring {
  const pageBytes = sysconf(sysconfPageSize);
  const consumer = mapped(null, pageBytes, protectionRead | protectionWrite, fd, 0);
  const producer = mapped(null, pageBytes + 2 * ringBytes, protectionRead, fd, pageBytes);
  const producerMemory = viewOf(producer, pageBytes + 2 * ringBytes);
  const memory: RingMemory = {
    consumer: new BigUint64Array(viewOf(consumer, pageBytes), 0, 1),
    producer: new BigUint64Array(producerMemory, 0, 1),
    data: producerMemory,
    dataOffset: pageBytes,
    ringBytes,
  };
  return {
    drain: (onEvent, mayGoOn) => drainRing(memory, onEvent, mayGoOn),
    pending: () => Number(Atomics.load(memory.producer, 0) - Atomics.load(memory.consumer, 0)),
    close() {
      munmap(consumer, pageBytes);
      munmap(producer, pageBytes + 2 * ringBytes);
    },
  };
}

const always = (): boolean => true;

/** The loop alone, on any memory, so that tests can run it. */
export function drainRing(memory: RingMemory, onEvent: OnEvent, mayGoOn: () => boolean = always): number {
  const { consumer, producer, data, dataOffset, ringBytes } = memory;
  const headers = new Uint32Array(data, dataOffset, (2 * ringBytes) / 4);
  const bytes = new Uint8Array(data, dataOffset, 2 * ringBytes);
  const view = new DataView(data, dataOffset, 2 * ringBytes);
  let position = Number(Atomics.load(consumer, 0));
  let events = 0;
  // What is written meanwhile is taken by the next drain: a busy host must not hold us here.
  const end = Number(Atomics.load(producer, 0));
  while (position < end && mayGoOn()) {
    const at = position % ringBytes;
    const header = Atomics.load(headers, at / 4);
    if ((header & busyBit) !== 0) break;
    const length = header & ~(busyBit | discardBit);
    if (length > ringBytes - headerBytes || at + headerBytes + length > 2 * ringBytes) {
      throw new PipelineError(
        'bpf_layout',
        `the ring has an event of ${length} bytes, expected at most ${ringBytes - headerBytes}; the memory is not a ring of this size`,
      );
    }
    if ((header & discardBit) === 0) {
      onEvent(bytes, view, at + headerBytes, length);
      events++;
    }
    position += (headerBytes + length + 7) & ~7;
    // Given back one by one: a full ring takes new events as soon as it can.
    Atomics.store(consumer, 0, BigInt(position));
  }
  return events;
}

function mapped(address: null, length: number, protection: number, fd: number, offset: number): unknown {
  const pointer = mmap(address, length, protection, mapShared, fd, offset);
  if (isMapFailed(pointer)) throw new PipelineError('bpf_attach', `the ring buffer could not be mapped (${errno()})`);
  return pointer;
}
