// Row messages as the columns of both tables, for the local files that stand in for hot objects. The tables
// of all messages are put behind one another, so a text may be in a dictionary once for each message.

import { isDeltaExact } from '../lib/parquet/delta.ts';
import type { GrowingBytes } from '../lib/parquet/growing-bytes.ts';
import { ListSlots, mapColumns } from '../lib/parquet/nested.ts';
import { type Column, type FixedWords, ints, longs, optionalTexts, optionalWords, required, tableTexts } from '../lib/parquet/values.ts';
import type { RowRange } from '../schemas/hot/codec.ts';
import { frameColumns, sampleColumns } from '../schemas/lake/columns.ts';
import { dateName } from '../schemas/lake/paths.ts';
import { nullInt32, type ResourceStringColumn, type RowsMessage, resourceStringColumns } from '../schemas/rows/message.ts';

/** A message, where it stood in flamelake.rows, and which of its rows count. */
export interface HotPart {
  readonly message: RowsMessage;
  readonly offset: number;
  readonly rows: readonly RowRange[];
}

const nullLong = [0, 0x8000_0000] as const;
const nullInt = [nullInt32 >>> 0] as const;

/** How far the tables of the messages before it push a message's indexes up. */
interface Bases {
  readonly strings: number;
  readonly stackIds: number;
  readonly maps: number;
  readonly frames: number;
}

export class HotRows {
  readonly rows: number;
  readonly stacks: number;
  readonly #parts: readonly HotPart[];
  readonly #bases: readonly Bases[];
  readonly #shard: number;
  readonly #strings: readonly string[];

  constructor(parts: readonly HotPart[], shard: number) {
    this.#parts = parts;
    this.#shard = shard;
    this.rows = parts.reduce((sum, { rows }) => sum + countRows(rows), 0);
    this.stacks = parts.reduce((sum, { message }) => sum + message.stacks.length, 0);
    this.#strings = parts.flatMap(({ message }) => message.strings);
    const end = { strings: 0, stackIds: 0, maps: 0, frames: 0 };
    this.#bases = parts.map(({ message }) => {
      const base = { ...end };
      end.strings += message.strings.length;
      end.stackIds += message.stackIds.length;
      end.maps += message.maps.length;
      end.frames += message.stacks.frames.length;
      return base;
    });
  }

  /** Columns of `samples`, in the order of schemas/lake/columns.ts, and where each row came from. */
  *samples(): Generator<Column> {
    const { rows } = this;
    const maps = this.#maps();
    const resourceTexts = new Set<string>(resourceStringColumns);
    for (const { name, nullable } of sampleColumns) {
      if (resourceTexts.has(name)) {
        yield this.#text(name, nullable, ({ resources, samples }) => through(resources.strings[name as ResourceStringColumn], samples.resource));
        continue;
      }
      switch (name) {
        case 'time':
          yield this.#time();
          break;
        case 'duration_ns':
          yield optionalWords(
            name,
            this.#longs(({ samples }) => samples.durationNanos),
            nullLong,
          );
          break;
        case 'value':
        case 'count':
          yield required(
            name,
            rows,
            this.#longs(({ samples }) => samples[name]),
          );
          break;
        case 'weight':
          yield required(name, rows, this.#weights());
          break;
        case 'stack_id':
          yield required(name, rows, tableTexts(this.#stackIdCodes(), this.#stackIds()));
          break;
        case 'process_pid':
          yield optionalWords(
            name,
            this.#longs(({ resources, samples }) => longsThrough(resources.processPid, samples.resource)),
            nullLong,
          );
          break;
        case 'thread_id':
          yield optionalWords(
            name,
            this.#longs(({ samples }) => samples.threadId),
            nullLong,
          );
          break;
        case 'cpu_logical_number':
          yield optionalWords(name, this.#cpus(), nullInt);
          break;
        case 'resource_attributes':
          yield* mapColumns(
            name,
            this.#codes('maps', ({ resources, samples }) => through(resources.attributes, samples.resource)),
            maps,
          );
          break;
        case 'attributes':
          yield* mapColumns(
            name,
            this.#codes('maps', ({ samples }) => samples.attributes),
            maps,
          );
          break;
        default:
          yield this.#text(name, nullable, sampleTexts[name]!);
      }
    }
    yield required('_shard', rows, ints(new Int32Array(rows).fill(this.#shard)));
    yield required('_offset', rows, longs(this.#offsets(({ rows: ranges }) => countRows(ranges), rows)));
  }

  /** Columns of `stacks`, likewise. All stacks of a message count. */
  *stackRows(): Generator<Column> {
    const length = this.stacks;
    const list = this.#frameSlots();
    const fields = this.#frameFields();
    yield required(
      'stack_id',
      length,
      tableTexts(
        this.#stackCodes('stackIds', ({ stacks }) => stacks.id),
        this.#stackIds(),
      ),
    );
    yield this.#stackText('service_name', ({ stacks }) => stacks.serviceName);
    for (const { name } of frameColumns) yield frameColumn(list, name, fields, this.#strings);
    yield this.#stackText('leaf_function', (message) => endFunctions(message, 'leaf'));
    yield this.#stackText('root_function', (message) => endFunctions(message, 'root'));
    yield required(
      'depth',
      length,
      this.#stackInts(({ stacks }) => stacks.id.map((_, stack) => stacks.frameStart[stack + 1]! - stacks.frameStart[stack]!)),
    );
    yield this.#stackText('cut', ({ stacks }) => stacks.cut);
    yield required('unresolved', length, this.#stackInts(unresolvedFrames));
    yield required('_shard', length, ints(new Int32Array(length).fill(this.#shard)));
    yield required('_offset', length, longs(this.#offsets(({ message }) => message.stacks.length, length)));
    const dates = this.#parts.flatMap(({ message }) => [...message.stacks.date]);
    const names = [...new Set(dates)];
    const codes = Uint32Array.from(dates, (date) => names.indexOf(date));
    yield required('_date', length, tableTexts(codes, names.map(dateName)));
  }

  #time(): Column {
    const words = this.#longs(({ samples }) => samples.time);
    const values = Float64Array.from({ length: this.rows }, (_, row) => (words.words[2 * row + 1]! | 0) * 0x1_0000_0000 + words.words[2 * row]!);
    return required('time', this.rows, isDeltaExact(values) ? { kind: 'deltas', values } : words);
  }

  #text(name: string, nullable: boolean, of: (message: RowsMessage) => Uint32Array): Column {
    const texts = tableTexts(this.#codes('strings', of), this.#strings);
    return nullable ? optionalTexts(name, texts) : required(name, this.rows, texts);
  }

  /** A table's numbers of the rows that count; 0 stays 0, which stands for none. */
  #codes(base: 'strings' | 'maps', of: (message: RowsMessage) => Uint32Array): Uint32Array {
    const codes = new Uint32Array(this.rows);
    let at = 0;
    for (const [index, { message, rows }] of this.#parts.entries()) {
      const column = of(message);
      const up = this.#bases[index]![base];
      for (const { start, end } of rows) for (let row = start; row < end; row++) codes[at++] = column[row] === 0 ? 0 : column[row]! + up;
    }
    return codes;
  }

  #stackIdCodes(): Uint32Array {
    const codes = new Uint32Array(this.rows);
    let at = 0;
    for (const [index, { message, rows }] of this.#parts.entries()) {
      const up = this.#bases[index]!.stackIds;
      for (const { start, end } of rows) for (let row = start; row < end; row++) codes[at++] = message.samples.stack[row]! + up;
    }
    return codes;
  }

  #stackIds(): readonly string[] {
    return this.#parts.flatMap(({ message }) => message.stackIds);
  }

  #maps() {
    return this.#parts.flatMap(({ message: { maps, strings } }) =>
      maps.map((map) => map.map(([key, value]) => ({ key: strings[key]!, value: strings[value]! }))),
    );
  }

  #longs(of: (message: RowsMessage) => BigInt64Array): FixedWords {
    const values = new BigInt64Array(this.rows);
    this.#copy((message, start, end, at) => values.set(of(message).subarray(start, end), at));
    return longs(values);
  }

  #weights(): FixedWords {
    const values = new Float64Array(this.rows);
    this.#copy(({ samples }, start, end, at) => values.set(samples.weight.subarray(start, end), at));
    return { kind: 'words', type: 'DOUBLE', words: new Uint32Array(values.buffer) };
  }

  #cpus(): FixedWords {
    const values = new Int32Array(this.rows);
    this.#copy(({ samples }, start, end, at) => values.set(samples.cpuLogicalNumber.subarray(start, end), at));
    return ints(values);
  }

  #copy(take: (message: RowsMessage, start: number, end: number, at: number) => void): void {
    let at = 0;
    for (const { message, rows } of this.#parts) {
      for (const { start, end } of rows) {
        take(message, start, end, at);
        at += end - start;
      }
    }
  }

  #offsets(countOf: (part: HotPart) => number, length: number): BigInt64Array {
    const offsets = new BigInt64Array(length);
    let at = 0;
    for (const part of this.#parts) {
      const end = at + countOf(part);
      offsets.fill(BigInt(part.offset), at, end);
      at = end;
    }
    return offsets;
  }

  #stackText(name: string, of: (message: RowsMessage) => Uint32Array): Column {
    return optionalTexts(name, tableTexts(this.#stackCodes('strings', of), this.#strings));
  }

  #stackCodes(base: 'strings' | 'stackIds', of: (message: RowsMessage) => Uint32Array): Uint32Array {
    return this.#concat(
      ({ stacks }) => stacks.length,
      of,
      (index) => this.#bases[index]![base],
      base === 'strings',
    );
  }

  #stackInts(of: (message: RowsMessage) => Uint32Array): FixedWords {
    const values = this.#concat(
      ({ stacks }) => stacks.length,
      of,
      () => 0,
      true,
    );
    return ints(new Int32Array(values.buffer));
  }

  /** Columns of a table of all messages behind one another, each pushed up by its base; with `zero`, 0 stays. */
  #concat(
    lengthOf: (message: RowsMessage) => number,
    of: (message: RowsMessage) => ArrayLike<number>,
    baseOf: (index: number) => number,
    zero: boolean,
  ): Uint32Array {
    const all = new Uint32Array(this.#parts.reduce((sum, { message }) => sum + lengthOf(message), 0));
    let at = 0;
    for (const [index, { message }] of this.#parts.entries()) {
      const column = of(message);
      const up = baseOf(index);
      for (let row = 0; row < column.length; row++) all[at++] = zero && column[row] === 0 ? 0 : column[row]! + up;
    }
    return all;
  }

  #frameSlots(): ListSlots {
    const frames = this.#concat(
      ({ stacks }) => stacks.frame.length,
      ({ stacks }) => stacks.frame,
      (index) => this.#bases[index]!.frames,
      false,
    );
    const starts = new Uint32Array(this.stacks + 1);
    let stack = 0;
    for (const { message } of this.#parts) {
      const { frameStart, length } = message.stacks;
      for (let row = 0; row < length; row++, stack++) starts[stack + 1] = starts[stack]! + frameStart[row + 1]! - frameStart[row]!;
    }
    return new ListSlots(
      this.stacks,
      frames.length,
      this.#parts.reduce((sum, { message }) => sum + message.stacks.frames.length, 0),
      (row) => starts[row + 1]! - starts[row]!,
      (row, position) => frames[starts[row]! + position]!,
    );
  }

  #frameFields(): FrameFields {
    const concat = (of: (message: RowsMessage) => ArrayLike<number>, isText: boolean) =>
      this.#concat(
        ({ stacks }) => stacks.frames.length,
        of,
        (index) => (isText ? this.#bases[index]!.strings : 0),
        true,
      );
    const texts = Object.fromEntries(Object.entries(frameTexts).map(([name, field]) => [name, concat(({ stacks }) => stacks.frames[field], true)]));
    const wide = <T extends BigInt64Array | BigUint64Array>(of: (message: RowsMessage) => T) => this.#parts.flatMap(({ message }) => [...of(message)]);
    return {
      texts,
      line: wide(({ stacks }) => stacks.frames.line),
      column: wide(({ stacks }) => stacks.frames.column),
      address: wide(({ stacks }) => stacks.frames.address),
      inlined: concat(({ stacks }) => stacks.frames.inlined, false),
    };
  }
}

interface FrameFields {
  readonly texts: Readonly<Record<string, Uint32Array>>;
  readonly line: readonly bigint[];
  readonly column: readonly bigint[];
  readonly address: readonly bigint[];
  readonly inlined: Uint32Array;
}

const frameTexts = { function: 'function', system_name: 'systemName', file: 'file', type: 'type', mapping: 'mapping', build_id: 'buildId' } as const;

/** Elements are frames of all messages; a long or address of 0 is NULL, and its code is its frame + 1. */
function frameColumn(list: ListSlots, name: string, fields: FrameFields, strings: readonly string[]): Column {
  const path = ['frames', 'list', 'element', name];
  switch (name) {
    case 'line':
    case 'column': {
      const values = fields[name];
      const words = (codes: Uint32Array) => longs(BigInt64Array.from(codes, (code) => values[code - 1]!));
      return list.optional(path, (frame) => (values[frame] === 0n ? 0 : frame + 1), words);
    }
    case 'address': {
      const values = fields.address;
      const put = (code: number, out: GrowingBytes) => out.text(`0x${values[code - 1]!.toString(16)}`);
      return list.optional(
        path,
        (frame) => (values[frame] === 0n ? 0 : frame + 1),
        (codes) => ({ kind: 'texts', codes, codesMax: values.length + 1, put }),
      );
    }
    case 'inlined':
      return list.required(
        path,
        (frame) => fields.inlined[frame]!,
        (values) => ({ kind: 'booleans', values }),
      );
    default: {
      const codes = fields.texts[name]!;
      return list.optional(
        path,
        (frame) => codes[frame]!,
        (present) => tableTexts(present, strings),
      );
    }
  }
}

const sampleTexts: Readonly<Record<string, (message: RowsMessage) => Uint32Array>> = {
  sample_type: (message) => typeTexts(message, 0),
  sample_unit: (message) => typeTexts(message, 1),
  trace_id: (message) => linkTexts(message, 0),
  span_id: (message) => linkTexts(message, 1),
  link_source: (message) => linkTexts(message, 2),
  thread_name: ({ samples }) => samples.threadName,
  profile_id: ({ samples }) => samples.profileId,
  scope_name: ({ samples }) => samples.scopeName,
};

const typeTexts = ({ types, samples }: RowsMessage, part: 0 | 1) =>
  through(
    types.map((type) => type[part]),
    samples.type,
  );
const linkTexts = ({ links, samples }: RowsMessage, part: 0 | 1 | 2) =>
  through(
    links.map((link) => link[part]),
    samples.link,
  );

function through(table: ArrayLike<number>, of: Uint32Array): Uint32Array {
  const values = new Uint32Array(of.length);
  for (let row = 0; row < of.length; row++) values[row] = table[of[row]!]!;
  return values;
}

function longsThrough(table: BigInt64Array, of: Uint32Array): BigInt64Array {
  const values = new BigInt64Array(of.length);
  for (let row = 0; row < of.length; row++) values[row] = table[of[row]!]!;
  return values;
}

function countRows(ranges: readonly RowRange[]): number {
  return ranges.reduce((sum, { start, end }) => sum + end - start, 0);
}

function endFunctions({ stacks }: RowsMessage, end: 'leaf' | 'root'): Uint32Array {
  return stacks.id.map((_, stack) => {
    const [first, last] = [stacks.frameStart[stack]!, stacks.frameStart[stack + 1]! - 1];
    return last < first ? 0 : stacks.frames.function[stacks.frame[end === 'leaf' ? first : last]!]!;
  });
}

function unresolvedFrames({ stacks }: RowsMessage): Uint32Array {
  return stacks.id.map((_, stack) => {
    let count = 0;
    for (let at = stacks.frameStart[stack]!; at < stacks.frameStart[stack + 1]!; at++) if (stacks.frames.function[stacks.frame[at]!] === 0) count++;
    return count;
  });
}
