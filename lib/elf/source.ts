// Where the bytes of a file come from: an open file (file.ts), or memory. Readers of formats ask for
// ranges, so that a debug binary of a gigabyte costs a few reads.
import { PipelineError } from '../errors.ts';

export interface ByteSource {
  /** Size of the whole, fixed when it was opened. */
  readonly bytes: number;
  /** Bytes [offset, offset + length); throws `elf_malformed` where they do not lie inside the source. */
  read(offset: number, length: number): Uint8Array;
}

/** No table that a reader wants whole is larger; more is a broken or hostile header. */
export const readBytesMax = 1 << 30;

export function memorySource(memory: Uint8Array): ByteSource {
  return {
    bytes: memory.byteLength,
    read(offset, length) {
      checkRange(memory.byteLength, offset, length);
      return memory.subarray(offset, offset + length);
    },
  };
}

export function checkRange(bytes: number, offset: number, length: number): void {
  const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  if (!whole || offset > bytes || length > bytes - offset || length > readBytesMax) {
    throw new PipelineError('elf_malformed', `found ${length} bytes at ${offset} wanted, expected a range inside the ${bytes} bytes of the file`, {
      context: { offset, length, bytes },
    });
  }
}
