import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { PipelineError } from '../../lib/errors.ts';
import { RowsBuilder } from './builder.ts';
import { decodeRows, encodeRows } from './codec.ts';
import { nullInt32, nullInt64, type RowsMessage } from './message.ts';

const source = { logId: 'log-1', topic: 'otlp_profiles', partition: 3, shard: 0, routing: 1 };
const idA = 'a'.repeat(32);
const idB = '0123456789abcdef0123456789abcdef';

function sampleMessage(): RowsMessage {
  const builder = new RowsBuilder(source);
  const attributes = builder.map([
    ['http.route', '/größe'],
    ['b', '2'],
    ['b', '3'],
  ]);
  const resource = builder.addResource({ strings: { service_name: 'shop', host_id: 'h1' }, processPid: 42n, attributes });
  const type = builder.type('cpu', 'nanoseconds');
  builder.beginSegment(7, 1_790_000_000_123);
  builder.beginProfile(idA);
  const link = builder.link('1'.repeat(32), '2'.repeat(16), 'otlp');
  builder.addSample({
    time: 1_790_000_000_123_456n,
    value: 50_000_000n,
    count: 1n,
    type,
    stack: builder.stackId(idA),
    resource,
    link,
    threadId: 43n,
    cpuLogicalNumber: 5,
  });
  builder.addSample({ time: -1n, value: -(2n ** 62n), count: 0n, type, stack: builder.stackId(idB), resource, durationNanos: 5n, weight: 0.25, attributes });
  builder.endProfile();
  builder.addStack({ id: idA, date: 20_717, serviceName: 'shop', cut: 'read_fault' }, [
    { function: 'memcpy', mapping: '/lib/libc.so.6', buildId: 'abcd', address: 2n ** 64n - 1n, type: 'native', inlined: true },
    { function: 'main', file: 'main.c', line: 12n, column: 3n },
  ]);
  builder.endSegment();
  builder.beginSegment(9, 1_790_000_000_200);
  builder.addStack({ id: idB, date: 0 }, []);
  builder.endSegment();
  return builder.build(6, 12);
}

/** Plain values, so that a view over a buffer equals an array made by hand. */
const plain = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? `${part}n` : ArrayBuffer.isView(part) ? Array.from(part as Uint32Array, String) : part)),
  );

/** The same message as version 1 wrote it. */
const versionOne = [
  'RkxSVwEAAACyAwAAAAAAACi1L/1gsgJtDACmlEQ5QOU2a9f6fVnllCwDJpgOcOklNmCjqgYWNlEnIYFuWy9taSZ9Fmv0zTve1wsrF0DhCzqSHlPbWCJTNwAkADoADNZPf5hyDZEPqfOy',
  'cgbh8OrNn0sKTGbasgXgLOeUr+54BJiRcMmewM5s7Dw74zDGTk/oDPT/ARP8A55f4A/4Nyn/yW/yk/wjf/mLv/1N/8ff8W/8of/hb/hBfxesYCrcRqjwosYORcWiEk+ijkxd8QpJEnWh',
  'TU3TrIlRKTmRIqj5WwmPcPAvKPwG1ofDQfNTSjt/wQdjZz3TFcNSaMk7qjhdu12gVz/Qqx+3aTXjuuO1aZ4VaZ4VdSAeWcGQcPu6j7SpaipxtRNDS16L0ciBd+vGPCAAA6LZOuiEgaZA',
  'HDsSnOx6IiJWksM1QDfxdk+npQ6mQ9cym2W+NXWXC5PdLlx4wHqz24IEZALgrnk4EZLdAgHbb/ZieoRg/Waud/GIfzZjHZHvAZe4wy8EzyQB0BHqeD4uM2IYZHyDHYtbjLZTaOOB3K1j',
  'wpUD',
].join('');

describe('row messages on the wire', () => {
  test('of version 1 are read: a log that an upgrade finds holds them', () => {
    expect(plain(decodeRows(Buffer.from(versionOne, 'base64')))).toEqual(plain(sampleMessage()));
  });

  test('come back as they were built', () => {
    const message = sampleMessage();
    const decoded = decodeRows(encodeRows(message));
    expect(plain(decoded)).toEqual(plain(message));
    expect(decoded.samples.time).toEqual(BigInt64Array.of(1_790_000_000_123_456n, -1n));
    expect(decoded.samples.durationNanos).toEqual(BigInt64Array.of(nullInt64, 5n));
    expect(decoded.samples.cpuLogicalNumber).toEqual(Int32Array.of(5, nullInt32));
    expect(decoded.stacks.frames.address[0]).toBe(2n ** 64n - 1n);
    const map = decoded.maps[decoded.samples.attributes[1]!]!;
    expect(map.map(([key, value]) => [decoded.strings[key], decoded.strings[value]])).toEqual([
      ['b', '3'],
      ['http.route', '/größe'],
    ]);
    expect(decoded.segments.map((segment) => [segment.offset, segment.rowEnd, segment.stackEnd, segment.profiles.length])).toEqual([
      [7, 2, 1, 1],
      [9, 2, 2, 0],
    ]);
  });

  test('keep an empty range, which still moves the high water', () => {
    const decoded = decodeRows(encodeRows(new RowsBuilder(source).build(-1, 0)));
    expect([decoded.from, decoded.to, decoded.samples.length, decoded.segments.length]).toEqual([-1, 0, 0, 0]);
  });

  test('grow over many capacities without losing a row', () => {
    const builder = new RowsBuilder(source);
    const [type, resource] = [builder.type('cpu', 'nanoseconds'), builder.addResource({ strings: { service_name: 's' } })];
    builder.beginSegment(0, 1);
    builder.beginProfile(idA);
    for (let row = 0; row < 5000; row++) {
      const id = row.toString(16).padStart(32, '0');
      builder.addSample({ time: BigInt(row), value: 1n, count: 1n, type, stack: builder.stackId(id), resource });
      builder.addStack({ id, date: 1 }, [{ function: `f${row}` }, { function: 'main' }]);
    }
    builder.endProfile();
    builder.endSegment();
    const { samples, stacks, strings, stackIds } = decodeRows(encodeRows(builder.build(-1, 0)));
    expect([samples.length, stacks.length, stacks.frames.length]).toEqual([5000, 5000, 10_000]);
    for (let row = 0; row < 5000; row++) {
      expect(samples.time[row]).toBe(BigInt(row));
      expect(strings[stacks.frames.function[stacks.frame[stacks.frameStart[row]!]!]!]).toBe(`f${row}`);
      expect(stackIds[samples.stack[row]!]).toBe(row.toString(16).padStart(32, '0'));
    }
  });

  test('decode from an unaligned place', () => {
    const bytes = encodeRows(sampleMessage());
    const shifted = new Uint8Array(bytes.length + 3).subarray(3);
    shifted.set(bytes);
    expect(plain(decodeRows(shifted))).toEqual(plain(sampleMessage()));
  });

  test('of a newer version are refused with what to do', () => {
    const bytes = Buffer.from(encodeRows(sampleMessage()));
    bytes.writeUInt32LE(3, 4);
    expect(() => decodeRows(bytes)).toThrow(expect.objectContaining({ code: 'message_version', message: expect.stringMatching(/version 3 was found.*newer/) }));
  });

  test('with a wrong index anywhere are malformed', () => {
    const bytes = encodeRows(sampleMessage());
    const payload = zstdDecompressSync(bytes.subarray(16));
    let refused = 0;
    // Any aligned word set to a huge number is an index, a count or an end out of its table, or plain data.
    for (let at = 0; at + 4 <= payload.length; at += 4) {
      const broken = Buffer.from(payload);
      broken.writeUInt32LE(0xfffffff0, at);
      try {
        decodeRows(Buffer.concat([bytes.subarray(0, 16), zstdCompressSync(broken)]));
      } catch (error) {
        expect(error).toBeInstanceOf(PipelineError);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(60);
  });

  test.each([
    ['type', (message: RowsMessage) => message.samples.type],
    ['stack', (message: RowsMessage) => message.samples.stack],
    ['link', (message: RowsMessage) => message.samples.link],
    ['resource', (message: RowsMessage) => message.samples.resource],
    ['attributes', (message: RowsMessage) => message.samples.attributes],
    ['scope name', (message: RowsMessage) => message.samples.scopeName],
    ['thread name', (message: RowsMessage) => message.samples.threadName],
    ['stack id', (message: RowsMessage) => message.stacks.id],
    ['frame of a stack', (message: RowsMessage) => message.stacks.frame],
    ['frame function', (message: RowsMessage) => message.stacks.frames.function],
    ['frame build id', (message: RowsMessage) => message.stacks.frames.buildId],
    ['resource attributes', (message: RowsMessage) => message.resources.attributes],
    ['service name', (message: RowsMessage) => message.resources.strings.service_name],
  ])('check the %s column', (_, column) => {
    const message = sampleMessage();
    column(message)[0] = 1000;
    expect(() => decodeRows(encodeRows(message))).toThrow(expect.objectContaining({ code: 'message_malformed' }));
  });

  test('do not let a bomb past its own length', () => {
    const bytes = Buffer.from(encodeRows(sampleMessage()));
    const bomb = Buffer.concat([bytes.subarray(0, 16), zstdCompressSync(Buffer.alloc(64 << 20))]);
    expect(() => decodeRows(bomb)).toThrow(expect.objectContaining({ code: 'message_malformed' }));
  });
});
