// What the attributes of a message's samples say: a column of the row, a column of the resource, or an
// entry of the MAP. Each entry of the attribute table is looked at once.
import { linkSourceAttribute } from '../schemas/otlp/attributes.ts';
import { nullInt32, nullInt64 } from '../schemas/rows/message.ts';
import { type AttributeValue, valueText } from './attribute-values.ts';
import type { MessageAttributes } from './message-attributes.ts';
import { integerOf, isSubstitute, type Overrides, pidAttribute, resourceColumnOf } from './resources.ts';

/** Filled for one sample after the other. */
export interface SampleFacts {
  threadId: bigint;
  threadName: string;
  cpuLogicalNumber: number;
  linkSource: string;
  /** Columns of the resource that the sample says itself. */
  overrides: Overrides[number][];
  /** Attribute table indices of what has no column. */
  others: number[];
}

type Meaning =
  | { readonly column: 'thread.id'; readonly value: bigint }
  | { readonly column: 'cpu.logical_number'; readonly value: number }
  | { readonly column: 'thread.name' | 'link source'; readonly value: string }
  | { readonly column: 'resource'; readonly override: Overrides[number] }
  | { readonly column: 'none' }
  | { readonly column: 'map'; readonly key: string; readonly value: string };

const nothing: Meaning = { column: 'none' };

export class SampleAttributes {
  readonly #table: MessageAttributes;
  readonly #meanings: (Meaning | undefined)[] = [];

  constructor(table: MessageAttributes) {
    this.#table = table;
  }

  /** Adds what the listed attributes say to the facts; later ones win. */
  apply(facts: SampleFacts, indices: Uint32Array, start: number, end: number): void {
    for (let at = start; at < end; at++) {
      const index = indices[at]!;
      const meaning = this.meaning(index);
      switch (meaning.column) {
        case 'thread.id':
          facts.threadId = meaning.value;
          break;
        case 'thread.name':
          facts.threadName = meaning.value;
          break;
        case 'cpu.logical_number':
          facts.cpuLogicalNumber = meaning.value;
          break;
        case 'link source':
          facts.linkSource = meaning.value;
          break;
        case 'resource':
          facts.overrides.push(meaning.override);
          break;
        case 'map':
          facts.others.push(index);
          break;
        case 'none':
          break;
        default:
          throw new Error(`unknown meaning ${JSON.stringify(meaning satisfies never)}`);
      }
    }
  }

  /** Key and text of an attribute that `apply` called one of the others. */
  entry(index: number): readonly [string, string] {
    const meaning = this.meaning(index);
    if (meaning.column !== 'map') throw new Error(`attribute ${index} is no entry of a MAP`);
    return [meaning.key, meaning.value];
  }

  meaning(index: number): Meaning {
    const known = this.#meanings[index];
    if (known) return known;
    const meaning = index === 0 ? nothing : meaningOf(this.#table.key(index), this.#table.value(index));
    this.#meanings[index] = meaning;
    return meaning;
  }
}

function meaningOf(key: string, value: AttributeValue): Meaning {
  const text = valueText(value);
  const integer = key === 'thread.id' || key === 'cpu.logical_number' || key === pidAttribute ? integerOf(value) : null;
  if (integer !== null) {
    if (key === 'thread.id') return { column: 'thread.id', value: integer };
    if (key === pidAttribute) return { column: 'resource', override: [pidAttribute, integer] };
    if (integer >= 0n && integer < 2n ** 31n) return { column: 'cpu.logical_number', value: Number(integer) };
  }
  if (key === 'thread.name') return { column: 'thread.name', value: text };
  if (key === linkSourceAttribute && typeof value === 'string') return { column: 'link source', value };
  const column = isSubstitute(key) ? null : resourceColumnOf(key);
  // '' says nothing: the resource's own value stays.
  if (column !== null) return text === '' ? nothing : { column: 'resource', override: [column, text] };
  return { column: 'map', key, value: text };
}

export function noFacts(): SampleFacts {
  return { threadId: nullInt64, threadName: '', cpuLogicalNumber: nullInt32, linkSource: '', overrides: [], others: [] };
}
