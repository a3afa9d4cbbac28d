// What one message may hold: the receiver refuses all that the processor could not take, and what both
// take becomes rows that the log takes.
import { randomBytes } from 'node:crypto';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { describe, expect, test } from 'vitest';
import { isPipelineError } from '../../lib/errors.ts';
import { valueBytesMax } from '../../lib/log/limits.ts';
import type { LogRecord } from '../../lib/log/log.ts';
import { buildBatch, decode } from '../../processor/batch.ts';
import { KnownStacks } from '../../processor/known-stacks.ts';
import { messageBytesMaxDefault } from '../../receiver/limits.ts';
import { walkProfiles } from '../../receiver/walk.ts';
import { attributeEntriesMax, attributesMax, nestedBytesMax, observationsMax, samplesMax, stackEntriesMax } from '../../schemas/otlp/limits.ts';

type Write = (to: BinaryWriter) => void;

const part =
  (field: number, write: Write): Write =>
  (to) => {
    to.tag(field, WireType.LengthDelimited).fork();
    write(to);
    to.join();
  };
const all =
  (...parts: readonly Write[]): Write =>
  (to) => {
    for (const each of parts) each(to);
  };
const times =
  (count: number, write: (to: BinaryWriter, index: number) => void): Write =>
  (to) => {
    for (let index = 0; index < count; index++) write(to, index);
  };
const varint =
  (field: number, value: number): Write =>
  (to) =>
    void to.tag(field, WireType.Varint).uint32(value);
const packed = (field: number, count: number, put: (to: BinaryWriter) => void): Write => part(field, times(count, put));
/** A packed list of zeros, one byte each, or of eight-byte numbers. */
const raw =
  (field: number, bytes: Uint8Array): Write =>
  (to) =>
    void to.tag(field, WireType.LengthDelimited).bytes(bytes);
const zeros = (field: number, count: number): Write => raw(field, new Uint8Array(count));
const text =
  (field: number, value: string): Write =>
  (to) =>
    void to.tag(field, WireType.LengthDelimited).string(value);

/** The dictionary's tables by field number; entry 0 of each is there. */
const table = { locations: 2, functions: 3, strings: 5, attributes: 6, stacks: 7 } as const;
const entry = (field: number, write: Write = () => {}): Write => part(field, write);
const tables = (more: Write = () => {}): Write =>
  part(2, all(entry(1), entry(table.locations), entry(table.functions), entry(4), text(table.strings, ''), entry(table.attributes), entry(table.stacks), more));
const profile = (write: Write): Write => part(1, part(2, part(2, write)));
const sample = (write: Write = () => {}): Write => part(2, write);

function bytesOf(...parts: readonly Write[]): Uint8Array {
  const writer = new BinaryWriter();
  for (const each of parts) each(writer);
  return writer.finish();
}

const record = (value: Uint8Array): LogRecord => ({ offset: 0, appendTimeMillis: Date.now(), key: null, value, headers: {} });

/** What the receiver says to a message: null where it takes it. */
function refusal(value: Uint8Array): string | null {
  try {
    const { rejected } = walkProfiles(value);
    return rejected.length === 0 ? null : 'rejected';
  } catch (error) {
    if (isPipelineError(error)) return error.code;
    throw error;
  }
}

/** So many entries in lists of at most attributesMax. */
const lists = (count: number, write: (entries: number) => Write): Write =>
  times(Math.ceil(count / attributesMax), (to, index) => write(Math.min(attributesMax, count - index * attributesMax))(to));

const timestamps = (count: number) => bytesOf(tables(), profile(sample(zeros(5, 8 * count))));
const emptySamples = (count: number) => bytesOf(tables(), profile(times(count, (to) => sample()(to))));
/** With a value each, which tells the layout. */
const sampleAttributes = (count: number) => bytesOf(tables(), profile(lists(count, (entries) => sample(all(zeros(2, entries), zeros(4, 1))))));
const profileAttributes = (count: number) =>
  bytesOf(
    tables(),
    lists(count, (entries) => profile(zeros(11, entries))),
    profile(sample()),
  );
const locationAttributes = (count: number) => bytesOf(tables(lists(count, (entries) => entry(table.locations, zeros(4, entries)))), profile(sample()));
const inlinedLines = 1024;
const nestedText = 64 * 1024 - 8;
/** References to one text from a list in an attribute, each of 4 bytes. */
const nestedReferences = (count: number) =>
  bytesOf(
    tables(
      all(
        text(table.strings, 'x'.repeat(nestedText)),
        entry(
          table.attributes,
          part(
            2,
            part(
              5,
              times(count / (nestedText + 8), (to) => part(1, varint(8, 1))(to)),
            ),
          ),
        ),
      ),
    ),
    profile(sample(all(zeros(2, 1), zeros(4, 1)))),
  );
/** Stacks before the location that they use, which is so many frames. */
const inlinedFrames = (count: number) =>
  bytesOf(
    tables(
      all(
        entry(
          table.stacks,
          packed(1, count / inlinedLines, (to) => to.uint32(1)),
        ),
        entry(
          table.locations,
          times(inlinedLines, (to) => part(3, () => {})(to)),
        ),
      ),
    ),
    profile(sample(varint(1, 1))),
  );

describe('at its bound a message is taken by both, beyond it the receiver refuses it', () => {
  test.each<[string, (count: number) => Uint8Array, number, number]>([
    ['timestamps', timestamps, observationsMax, 1],
    ['samples without anything', emptySamples, samplesMax, 1],
    ['attributes of samples', sampleAttributes, attributeEntriesMax, 1],
    ['attributes of profiles', profileAttributes, attributeEntriesMax, 1],
    ['attributes of locations', locationAttributes, attributeEntriesMax, 1],
    ['texts that a list refers to', nestedReferences, nestedBytesMax, nestedText + 8],
    ['inlined frames', inlinedFrames, stackEntriesMax, inlinedLines],
  ])('%s', (_name, make, max, step) => {
    const most = make(max);
    expect(refusal(most)).toBe(null);
    expect(decode(record(most)).error).toBe(null);
    expect(refusal(make(max + step))).toBe('message_too_large');
  });
});

describe('rows of a message', () => {
  const bytesForByte = 1.5;
  const bytesForRow = 24;

  test('the largest message fits into the log', () => {
    expect(bytesForByte * messageBytesMaxDefault + bytesForRow * observationsMax).toBeLessThanOrEqual(valueBytesMax);
  });

  const bytes = 1 << 17;
  const now = Buffer.alloc(8);
  now.writeBigUInt64LE(BigInt(Date.now()) * 1_000_000n);
  /** A sample with one timestamp is one row. */
  const event = (write: Write = () => {}): Write => sample(all(write, raw(5, now)));
  const random64 = () => randomBytes(8).readBigUInt64LE();
  const shapes: [string, () => Uint8Array][] = [
    ['random timestamps', () => bytesOf(tables(), profile(sample(packed(5, bytes / 8, (to) => to.fixed64(random64())))))],
    ['random values', () => bytesOf(tables(), profile(sample(packed(4, bytes / 10, (to) => to.int64(BigInt.asIntN(64, random64()))))))],
    ['samples of one event', () => bytesOf(tables(), profile(times(bytes / 12, (to) => event()(to))))],
    [
      'one profile for each sample',
      () =>
        bytesOf(
          tables(),
          times(bytes / 16, (to) => profile(event())(to)),
        ),
    ],
    [
      'profiles with ids',
      () =>
        bytesOf(
          tables(),
          times(bytes / 32, (to) => profile(all(event(), (inner) => void inner.tag(7, WireType.LengthDelimited).bytes(randomBytes(16))))(to)),
        ),
    ],
    [
      'random addresses, a stack for each',
      () =>
        bytesOf(
          tables(
            times(bytes / 32, (to, index) =>
              all(
                entry(table.locations, (inner) => void inner.tag(2, WireType.Varint).uint64(random64())),
                entry(
                  table.stacks,
                  packed(1, 1, (list) => list.uint32(index + 1)),
                ),
              )(to),
            ),
          ),
          profile(times(bytes / 32, (to, index) => event(varint(1, index + 1))(to))),
        ),
    ],
    [
      'random stacks',
      () =>
        bytesOf(
          tables(
            all(
              times(127, (to, index) => entry(table.locations, varint(2, index + 1))(to)),
              times(bytes / 20, (to) =>
                entry(
                  table.stacks,
                  packed(1, 12, (list) => list.uint32(1 + (randomBytes(1)[0]! % 127))),
                )(to),
              ),
            ),
          ),
          profile(times(bytes / 20, (to, index) => event(varint(1, index + 1))(to))),
        ),
    ],
    [
      'names of random text',
      () =>
        bytesOf(
          tables(
            times(64, (to, index) =>
              all(
                text(table.strings, randomBytes(bytes / 64 / 2).toString('latin1')),
                entry(table.functions, varint(1, index + 1)),
                entry(table.locations, part(3, varint(1, index + 1))),
                entry(
                  table.stacks,
                  packed(1, 1, (list) => list.uint32(index + 1)),
                ),
              )(to),
            ),
          ),
          profile(times(64, (to, index) => event(varint(1, index + 1))(to))),
        ),
    ],
    [
      'attributes of control characters, nested',
      () =>
        bytesOf(
          tables(
            all(
              text(table.strings, 'key'),
              entry(
                table.attributes,
                all(
                  varint(1, 1),
                  part(
                    2,
                    part(
                      5,
                      times(64, (to) => part(1, text(1, String.fromCharCode(...randomBytes(bytes / 64).map((byte) => byte & 31))))(to)),
                    ),
                  ),
                ),
              ),
            ),
          ),
          profile(event(packed(2, 1, (to) => to.uint32(1)))),
        ),
    ],
    [
      'other attributes for each sample',
      () =>
        bytesOf(
          tables(
            all(
              text(table.strings, 'key'),
              times(256, (to, index) =>
                all(entry(table.attributes, all(varint(1, index + 2), part(2, text(1, String(index))))), text(table.strings, `k${index}`))(to),
              ),
            ),
          ),
          profile(times(bytes / 20, (to) => event(packed(2, 8, (list) => list.uint32(1 + (randomBytes(1)[0]! & 127))))(to))),
        ),
    ],
  ];

  test.each(shapes)('%s', (_name, make) => {
    const value = make();
    expect(refusal(value)).toBe(null);
    const decoded = decode(record(value));
    expect(decoded.error).toBe(null);
    const source = { logId: 'log', topic: 'otlp_profiles', partition: 0 };
    const sent = { others: -1, shards: new Map<number, number>() };
    const { messages, counts } = buildBatch([decoded], { source, shards: 1, sent, known: new KnownStacks(1024), nameOf: () => null });
    const rowBytes = messages.reduce((sum, message) => sum + message.value.byteLength, 0);
    expect(counts.rows).toBeGreaterThan(0);
    // For a message of the largest size with the most rows that is what the log takes.
    expect(rowBytes).toBeLessThan(bytesForByte * value.byteLength + bytesForRow * counts.rows);
  });
});
