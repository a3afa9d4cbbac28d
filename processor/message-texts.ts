// The string table of one message: entries become JavaScript strings when they are first asked for,
// and once.
import { malformed } from '../lib/wire.ts';
import type { OtlpProfiles } from './otlp-tables.ts';

export class MessageTexts {
  readonly bytes: Buffer;
  readonly #strings: OtlpProfiles['dictionary']['strings'];
  readonly #known: (string | undefined)[] = [];

  constructor({ bytes, dictionary }: OtlpProfiles) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#strings = dictionary.strings;
  }

  /** Index 0 is '' also where there is no table. References inside attribute values are first checked here. */
  text(index: number): string {
    if (index === 0) return '';
    const { length, start, end } = this.#strings;
    if (index < 0 || index >= length) throw malformed(`string reference ${index}`, `an index below ${length}`);
    this.#known[index] ??= this.slice(start[index]!, end[index]!);
    return this.#known[index];
  }

  slice(start: number, end: number): string {
    return this.bytes.toString('utf8', start, end);
  }
}
