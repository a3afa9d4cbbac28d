// The mappings of one message: names, build ids, and how an address under them becomes an address in
// the file.
//
// OTLP leaves open whose address Location.address is. Our agent and the opentelemetry-ebpf-profiler
// send the ELF address of the file (return addresses already moved into their call). Sources that come
// from pprof send the address in the process: it differs at each start (ASLR), so it is brought back to
// the file by the mapping: address - memory_start + file_offset, which is a file offset. Such a source is
// told by its addresses alone: by one inside [memory_start, memory_limit) of a mapping that does not
// start at its own file offset. The agent marks mappings where it, too, only knows file offsets.
import { addressKindAttribute, addressKindFileOffset, agentScopeName } from '../schemas/otlp/attributes.ts';
import type { AttributeValue } from './attribute-values.ts';
import type { MessageAttributes } from './message-attributes.ts';
import type { MessageTexts } from './message-texts.ts';
import type { OtlpProfiles } from './otlp-tables.ts';

export interface Mapping {
  readonly index: number;
  /** As sent: a path, a base name or a name like [vdso]. */
  readonly name: string;
  /** The build_id column: gnu, else go, else htlhash; '' = none. */
  readonly buildId: string;
  readonly gnu: string;
  readonly go: string;
  readonly htlhash: string;
  readonly memoryStart: bigint;
  readonly memoryLimit: bigint;
  readonly fileOffset: bigint;
  readonly isMarkedFileOffset: boolean;
}

const noMapping: Mapping = {
  index: 0,
  name: '',
  buildId: '',
  gnu: '',
  go: '',
  htlhash: '',
  memoryStart: 0n,
  memoryLimit: 0n,
  fileOffset: 0n,
  isMarkedFileOffset: false,
};

/** Scopes whose addresses are the file's, whatever their mappings look like. */
export function sendsElfAddresses(scopeName: string): boolean {
  return scopeName === agentScopeName || scopeName.endsWith('ebpf-profiler');
}

export class MessageMappings {
  readonly #message: OtlpProfiles;
  readonly #texts: MessageTexts;
  readonly #table: MessageAttributes;
  readonly #mappings: (Mapping | undefined)[] = [];

  constructor(message: OtlpProfiles, texts: MessageTexts, table: MessageAttributes) {
    this.#message = message;
    this.#texts = texts;
    this.#table = table;
  }

  get length(): number {
    return this.#message.dictionary.mappings.length;
  }

  mapping(index: number): Mapping {
    if (index === 0 || index >= this.length) return noMapping;
    this.#mappings[index] ??= this.#read(index);
    return this.#mappings[index];
  }

  #read(index: number): Mapping {
    const { addresses, filename, attributeStart, attributes } = this.#message.dictionary.mappings;
    const found = new Map<string, AttributeValue>();
    for (let at = attributeStart[index]!; at < attributeStart[index + 1]!; at++) {
      const entry = attributes[at]!;
      if (entry !== 0) found.set(this.#table.key(entry), this.#table.value(entry));
    }
    const text = (key: string) => {
      const value = found.get(key);
      return typeof value === 'string' ? value : '';
    };
    const gnu = text('process.executable.build_id.gnu').toLowerCase();
    const go = text('process.executable.build_id.go');
    // The second is what it was called before.
    const htlhash = (text('process.executable.build_id.htlhash') || text('process.executable.build_id.profiling')).toLowerCase();
    const number = (at: number) => (BigInt(addresses[6 * index + at + 1]!) << 32n) | BigInt(addresses[6 * index + at]!);
    return {
      index,
      name: this.#texts.text(filename[index]!),
      buildId: gnu || go || htlhash,
      gnu,
      go,
      htlhash,
      memoryStart: number(0),
      memoryLimit: number(2),
      fileOffset: number(4),
      isMarkedFileOffset: found.get(addressKindAttribute) === addressKindFileOffset,
    };
  }
}

export interface FileAddress {
  readonly low: number;
  readonly high: number;
  readonly isFileOffset: boolean;
}

/** Whether all addresses in it are the file's as they were sent. */
export function hasFileAddresses({ memoryStart, fileOffset, isMarkedFileOffset }: Mapping, areElfAddresses: boolean): boolean {
  return areElfAddresses || isMarkedFileOffset || memoryStart === fileOffset;
}

/** Where an address (as unsigned halves) lies in the file of its mapping. */
export function fileAddress(mapping: Mapping, low: number, high: number, areElfAddresses: boolean): FileAddress {
  const { memoryStart, memoryLimit, fileOffset, isMarkedFileOffset } = mapping;
  if (hasFileAddresses(mapping, areElfAddresses)) return { low, high, isFileOffset: isMarkedFileOffset };
  const address = (BigInt(high) << 32n) | BigInt(low);
  if (address < memoryStart || address >= memoryLimit) return { low, high, isFileOffset: false };
  const offset = BigInt.asUintN(64, address - memoryStart + fileOffset);
  return { low: Number(offset & 0xffffffffn), high: Number(offset >> 32n), isFileOffset: true };
}
