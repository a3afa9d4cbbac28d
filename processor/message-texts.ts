// The string table of one message: entries become JavaScript strings when they are first asked for,
// and once; what is only hashed never does.
import type { ByteSink } from '../lib/byte-sink.ts';
import { malformed } from '../lib/wire.ts';
import type { OtlpProfiles } from './otlp-tables.ts';

export class MessageTexts {
  readonly bytes: Buffer;
  readonly #strings: OtlpProfiles['dictionary']['strings'];
  readonly #functions: OtlpProfiles['dictionary']['functions'];
  readonly #known: (string | undefined)[] = [];

  constructor({ bytes, dictionary }: OtlpProfiles) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#strings = dictionary.strings;
    this.#functions = dictionary.functions;
  }

  /** Index 0 is '' also where there is no table. References inside attribute values are first checked here. */
  text(index: number): string {
    if (index === 0) return '';
    const { length, start, end } = this.#strings;
    if (index < 0 || index >= length) throw malformed(`string reference ${index}`, `an index below ${length}`);
    this.#known[index] ??= this.slice(start[index]!, end[index]!);
    return this.#known[index];
  }

  /** Of an index that was checked. */
  isEmpty(index: number): boolean {
    return index === 0 || this.#strings.start[index] === this.#strings.end[index];
  }

  /** Index of a function's name: one of which only the linker's name is known is called by it. */
  ofFunction(called: number): number {
    if (called === 0) return 0;
    const { name, systemName } = this.#functions;
    return this.isEmpty(name[called]!) ? systemName[called]! : name[called]!;
  }

  /** Appends the text of an index that was checked, as sink.text(text(index)) would. */
  put(sink: ByteSink, index: number): void {
    if (index === 0) sink.uint32(0);
    else if (!sink.asciiSpan(this.bytes, this.#strings.start[index]!, this.#strings.end[index]!)) sink.text(this.text(index));
  }

  slice(start: number, end: number): string {
    return this.bytes.toString('utf8', start, end);
  }
}
