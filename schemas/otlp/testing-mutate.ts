// For fuzz tests of whoever reads OTLP: changes one thing in a message. The change is made deep inside
// with the lengths around it kept right, so that it gets past the outer checks; or on the bytes as such.
import type { DescMessage } from '@bufbuild/protobuf';
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { below, type Random } from './testing-data.ts';

export function mutate(bytes: Uint8Array, desc: DescMessage, random: Random): Uint8Array {
  return random() < 0.75 ? mutateFields(bytes, desc, random) : mutateBytes(bytes, random);
}

interface Field {
  readonly number: number;
  readonly type: WireType;
  /** Tag and value. */
  readonly whole: Uint8Array;
  /** The content of a length-delimited one. */
  readonly content: Uint8Array | null;
}

function mutateFields(bytes: Uint8Array, desc: DescMessage, random: Random): Uint8Array {
  const fields = split(bytes);
  if (fields.length === 0) return someField(desc, random);
  const at = below(random, fields.length);
  const field = fields[at]!;
  const inner = desc.fields.find((candidate) => candidate.number === field.number)?.message;
  if (inner !== undefined && field.content !== null && random() < 0.85) {
    const changed = mutateFields(field.content, inner, random);
    return join(fields.with(at, { ...field, whole: new BinaryWriter().tag(field.number, WireType.LengthDelimited).bytes(changed).finish() }));
  }
  switch (below(random, 5)) {
    case 0:
      return join(fields.toSpliced(at, 1));
    case 1:
      return join(fields.toSpliced(below(random, fields.length + 1), 0, field));
    case 2:
      return join(fields.with(at, { ...field, whole: mutateBytes(field.whole, random) }));
    case 3:
      return join(fields.toSpliced(at, 0, { ...field, whole: someField(desc, random) }));
    default:
      return join(fields.with(at, { ...field, whole: someValue(field.number, random) }));
  }
}

function split(bytes: Uint8Array): Field[] {
  const reader = new BinaryReader(bytes);
  const fields: Field[] = [];
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const [number, type] = reader.tag();
    const content = type === WireType.LengthDelimited ? reader.bytes() : null;
    if (content === null) reader.skip(type, number);
    fields.push({ number, type, whole: bytes.subarray(start, reader.pos), content });
  }
  return fields;
}

const join = (fields: readonly Field[]): Uint8Array => new Uint8Array(Buffer.concat(fields.map((field) => field.whole)));

const someField = (desc: DescMessage, random: Random): Uint8Array => someValue(desc.fields[below(random, desc.fields.length)]?.number ?? 1, random);

function someValue(number: number, random: Random): Uint8Array {
  switch (below(random, 7)) {
    case 0:
      return new BinaryWriter().tag(number, WireType.Varint).uint32(below(random, 20)).finish();
    case 1:
      return new BinaryWriter()
        .tag(number, WireType.Varint)
        .int64(-BigInt(below(random, 20)))
        .finish();
    case 2:
      return new BinaryWriter()
        .tag(number, WireType.Bit64)
        .fixed64(BigInt(below(random, 2 ** 31)))
        .finish();
    case 3:
      return new BinaryWriter()
        .tag(number, WireType.Bit32)
        .fixed32(below(random, 2 ** 31))
        .finish();
    case 4:
      return new BinaryWriter().tag(number, WireType.LengthDelimited).string('text').finish();
    case 5:
      return new BinaryWriter()
        .tag(below(random, 2) === 0 ? number : 1 + below(random, 2000), WireType.LengthDelimited)
        .bytes(noise(random, 40))
        .finish();
    default:
      return new BinaryWriter().tag(number, WireType.LengthDelimited).bytes(new Uint8Array(0)).finish();
  }
}

const noise = (random: Random, most: number): Uint8Array => Uint8Array.from({ length: below(random, most) }, () => below(random, 256));

function mutateBytes(bytes: Uint8Array, random: Random): Uint8Array {
  const at = below(random, bytes.length + 1);
  const length = below(random, 12);
  switch (below(random, 5)) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      return concat(bytes.subarray(0, at), bytes.subarray(at + length));
    case 2:
      return concat(bytes.subarray(0, at), noise(random, 12), bytes.subarray(at));
    case 3: {
      const from = below(random, bytes.length + 1);
      return concat(bytes.subarray(0, at), bytes.subarray(from, from + length), bytes.subarray(at));
    }
    default: {
      const copy = bytes.slice();
      if (copy.length > 0) copy[below(random, copy.length)] = [0, 0x7f, 0x80, 0xff, below(random, 256)][below(random, 5)]!;
      return copy;
    }
  }
}

const concat = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
