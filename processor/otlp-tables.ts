// An OTLP profiles message as columns: what the reader fills and rows are made from. Strings and
// attribute values stay bytes until somebody asks.
import type { SampleLayout } from '../schemas/otlp/layout.ts';

/** Start and end in the message's bytes. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Rows that have a list each: row i's entries are [start[i], start[i + 1]) of the list. */
export type ListStarts = Uint32Array;

export interface Dictionary {
  readonly strings: { readonly length: number; readonly start: Uint32Array; readonly end: Uint32Array };
  readonly mappings: {
    readonly length: number;
    /** memory_start, memory_limit, file_offset as halves: [low, high] of each in turn, six numbers a mapping. */
    readonly addresses: Uint32Array;
    readonly filename: Uint32Array;
    readonly attributeStart: ListStarts;
    readonly attributes: Uint32Array;
  };
  readonly locations: {
    readonly length: number;
    readonly mapping: Uint32Array;
    /** Halves. */
    readonly address: Uint32Array;
    readonly lineStart: ListStarts;
    readonly attributeStart: ListStarts;
    readonly attributes: Uint32Array;
  };
  readonly lines: {
    readonly function: Uint32Array;
    /** Halves, as all 64-bit columns here. */
    readonly line: Uint32Array;
    readonly column: Uint32Array;
  };
  readonly functions: {
    readonly length: number;
    readonly name: Uint32Array;
    readonly systemName: Uint32Array;
    readonly filename: Uint32Array;
    readonly startLine: Uint32Array;
  };
  readonly links: {
    readonly length: number;
    readonly traceStart: Uint32Array;
    readonly traceEnd: Uint32Array;
    readonly spanStart: Uint32Array;
    readonly spanEnd: Uint32Array;
  };
  readonly attributes: {
    readonly length: number;
    readonly key: Uint32Array;
    readonly unit: Uint32Array;
    /** The AnyValue's bytes; empty where there is none. */
    readonly valueStart: Uint32Array;
    readonly valueEnd: Uint32Array;
  };
  readonly stacks: { readonly length: number; readonly start: ListStarts; readonly locations: Uint32Array };
}

export interface ScopeRecord {
  readonly name: string;
  readonly version: string;
  /** Each a KeyValue. */
  readonly attributes: readonly Span[];
}

export interface ProfileRecord {
  readonly resource: readonly Span[];
  /** Index of its ResourceProfiles and of its ScopeProfiles in the whole message. */
  readonly resourceIndex: number;
  readonly scopeIndex: number;
  readonly scope: ScopeRecord;
  /** String indices. */
  readonly sampleType: number;
  readonly sampleUnit: number;
  readonly periodType: number;
  readonly periodUnit: number;
  readonly period: bigint;
  readonly timeNanos: bigint;
  readonly durationNanos: bigint;
  readonly profileId: Span;
  readonly attributes: Uint32Array;
  readonly sampleStart: number;
  readonly sampleEnd: number;
}

export interface SampleTable {
  readonly length: number;
  readonly stack: Uint32Array;
  readonly link: Uint32Array;
  readonly attributeStart: ListStarts;
  readonly attributes: Uint32Array;
  readonly valueStart: ListStarts;
  readonly values: BigInt64Array;
  readonly timestampStart: ListStarts;
  /** Halves. */
  readonly timestamps: Uint32Array;
}

export interface OtlpProfiles {
  readonly bytes: Uint8Array;
  readonly layout: SampleLayout;
  readonly dictionary: Dictionary;
  readonly profiles: readonly ProfileRecord[];
  readonly samples: SampleTable;
}
