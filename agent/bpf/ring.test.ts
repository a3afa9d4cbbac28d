import { describe, expect, test } from 'vitest';
import { drainRing, type OnEvent, type RingMemory } from './ring.ts';

const ringBytes = 4096;

/** A ring in plain memory, written as the kernel does, wrapping included. */
class TestRing {
  readonly memory: RingMemory = {
    consumer: new BigUint64Array(1),
    producer: new BigUint64Array(1),
    data: new ArrayBuffer(64 + 2 * ringBytes),
    dataOffset: 64,
    ringBytes,
  };

  write(payload: Uint8Array, flags = 0, length = payload.length): void {
    const position = Number(this.memory.producer[0]!);
    const header = new Uint8Array(8);
    new DataView(header.buffer).setUint32(0, length + flags, true);
    for (const [index, byte] of [...header, ...payload].entries()) {
      const at = 64 + ((position + index) % ringBytes);
      // Both views of the same memory.
      new Uint8Array(this.memory.data)[at] = byte;
      new Uint8Array(this.memory.data)[at + ringBytes] = byte;
    }
    this.memory.producer[0] = BigInt(position + ((8 + payload.length + 7) & ~7));
  }

  drain(max = Number.POSITIVE_INFINITY): string[] {
    const texts: string[] = [];
    const onEvent: OnEvent = (bytes, view, at, length) => {
      expect(view.byteLength).toBe(2 * ringBytes);
      texts.push(Buffer.from(bytes.subarray(at, at + length)).toString('latin1'));
    };
    drainRing(this.memory, onEvent, () => texts.length < max);
    return texts;
  }
}

const busy = 0x8000_0000;
const discarded = 0x4000_0000;

describe('the ring', () => {
  test('events come in order, once, and around the end', () => {
    const ring = new TestRing();
    const expected: string[] = [];
    for (let index = 0; index < 500; index++) {
      const text = `${index}:${'x'.repeat(index % 97)}`;
      ring.write(Buffer.from(text));
      expected.push(text);
      if (index % 7 === 6) expect(ring.drain()).toEqual(expected.splice(0));
    }
    expect(ring.drain()).toEqual(expected);
    expect(ring.drain()).toEqual([]);
    expect(ring.memory.consumer[0]).toBe(ring.memory.producer[0]);
  });
  test('a drain that may not go on leaves the rest to the next', () => {
    const ring = new TestRing();
    for (const text of ['a', 'b', 'c']) ring.write(Buffer.from(text));
    expect(ring.drain(2)).toEqual(['a', 'b']);
    expect(ring.drain(0)).toEqual([]);
    expect(ring.drain()).toEqual(['c']);
  });
  test('a discarded event is passed over, an unfinished one stops the reader', () => {
    const ring = new TestRing();
    ring.write(Buffer.from('a'));
    ring.write(Buffer.from('gone'), discarded);
    ring.write(Buffer.from('b'));
    ring.write(Buffer.from('later'), busy);
    ring.write(Buffer.from('c'));
    expect(ring.drain()).toEqual(['a', 'b']);
    expect(ring.drain()).toEqual([]);
  });
  test('a length that can not be is an error, not a read beyond', () => {
    const ring = new TestRing();
    ring.write(Buffer.from('x'), 0, 0x3fff_ffff);
    expect(() => ring.drain()).toThrow(/expected at most 4088/);
  });
});
