// Changes that get past the first checks of a reader: a few, small, and with bytes that mean something.
import { below, type Random } from '../../schemas/otlp/testing-data.ts';

const tellingBytes = Buffer.from([0, 1, 0x7f, 0x80, 0xff, 0xfe, 0x0a, 0x22, 0x2c, 0x3a, 0x5b, 0x7b]);

/** Flips, cuts, doubles, splices and inserts up to `changesMax` times; sometimes nothing. */
export function mutateBytes(bytes: Uint8Array, random: Random, changesMax = 4): Buffer {
  let changed = Buffer.from(bytes);
  for (let changes = below(random, changesMax + 1); changes > 0; changes--) changed = change(changed, random);
  return changed;
}

function change(bytes: Buffer<ArrayBuffer>, random: Random): Buffer<ArrayBuffer> {
  const at = below(random, bytes.length + 1);
  const length = below(random, 1 + below(random, 64));
  const telling = tellingBytes[below(random, tellingBytes.length)]!;
  switch (below(random, 8)) {
    case 0:
      return Buffer.from(bytes.subarray(0, at));
    case 1:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + length))]);
    case 2:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(below(random, at + 1))]);
    case 3:
      return Buffer.concat([bytes.subarray(0, at), Buffer.alloc(length, telling), bytes.subarray(at)]);
    case 4:
      if (bytes.length >= at + 4) bytes.writeUInt32LE([0, 1, 0x7fffffff, 0xffffffff, below(random, 2 ** 31)][below(random, 5)]!, at);
      return bytes;
    default:
      if (at < bytes.length) bytes[at] = below(random, 3) === 0 ? telling : below(random, 256);
      return bytes;
  }
}

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const oddValues: readonly Json[] = [
  null,
  true,
  0,
  -1,
  1.5,
  1e308,
  2 ** 53,
  -0,
  '',
  'text',
  '-1',
  '9223372036854775808',
  '\u0000',
  'zz',
  [],
  {},
  [null],
  [[]],
  [{}],
  { a: 1 },
  'x'.repeat(300),
];

/** Changes one value somewhere in a tree: another, none, one more, another name. */
export function mutateJson(value: Json, random: Random): Json {
  const children = Array.isArray(value) ? value.length : isObject(value) ? Object.keys(value).length : 0;
  if (children === 0 || below(random, 6) === 0) return oddValues[below(random, oddValues.length)]!;
  const at = below(random, children);
  if (Array.isArray(value)) {
    const odd = below(random, 8);
    if (odd === 0) return value.toSpliced(at, 1);
    if (odd === 1) return value.toSpliced(at, 0, value[at]!);
    return value.with(at, mutateJson(value[at]!, random));
  }
  const entries = Object.entries(value as { [key: string]: Json });
  const [key, content] = entries[at]!;
  const odd = below(random, 12);
  if (odd === 0) entries.splice(at, 1);
  else if (odd === 1) entries[at] = [oddNames[below(random, oddNames.length)]!, content];
  else entries[at] = [key, mutateJson(content, random)];
  return Object.fromEntries(entries);
}

const oddNames = ['', 'constructor', '__proto__', 'toString', 'a.b', 'ß', '0', 'values', 'value'];
const isObject = (value: Json): value is { [key: string]: Json } => typeof value === 'object' && value !== null;
