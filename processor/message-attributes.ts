// The attribute table of one message: keys and values, each decoded when it is first asked for, and once,
// whoever asks (digests, rows, stacks, mappings).
import { type AttributeValue, readAnyValue } from './attribute-values.ts';
import type { MessageTexts } from './message-texts.ts';
import type { OtlpProfiles } from './otlp-tables.ts';

export class MessageAttributes {
  readonly #table: OtlpProfiles['dictionary']['attributes'];
  readonly #texts: MessageTexts;
  readonly #values: (AttributeValue | undefined)[] = [];

  constructor({ dictionary }: OtlpProfiles, texts: MessageTexts) {
    this.#table = dictionary.attributes;
    this.#texts = texts;
  }

  key(index: number): string {
    return this.#texts.text(this.#table.key[index]!);
  }

  unit(index: number): string {
    return this.#texts.text(this.#table.unit[index]!);
  }

  value(index: number): AttributeValue {
    const known = this.#values[index];
    if (known !== undefined) return known;
    const value = readAnyValue(this.#texts, { start: this.#table.valueStart[index]!, end: this.#table.valueEnd[index]! });
    this.#values[index] = value;
    return value;
  }
}
