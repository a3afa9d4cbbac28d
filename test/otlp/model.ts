// A profile message as a person would say it: no tables, no indices, no field numbers. From one model
// come both the bytes that are sent (tables.ts, encode.ts) and the rows that must then lie in the lake
// (expected.ts), by code that shares nothing with the pipeline.

/** null is an AnyValue without a value; bigint is int_value; number is double_value. */
export type Value = string | boolean | bigint | number | Uint8Array | null | readonly Value[] | ReadonlyMap<string, Value>;
export type Attributes = ReadonlyMap<string, Value>;

export interface MappingModel {
  readonly name: string;
  readonly start: bigint;
  readonly limit: bigint;
  readonly offset: bigint;
  readonly gnu?: string;
  readonly go?: string;
  readonly htlhash?: string;
}

export interface LineModel {
  readonly function: string;
  readonly systemName?: string;
  readonly file?: string;
  readonly startLine?: bigint;
  readonly line?: bigint;
  readonly column?: bigint;
}

export interface LocationModel {
  readonly mapping?: MappingModel;
  readonly address: bigint;
  /** Innermost call first; empty = not symbolized. */
  readonly lines: readonly LineModel[];
  readonly attributes: Attributes;
}

export interface LinkModel {
  readonly traceId: Uint8Array;
  readonly spanId: Uint8Array;
}

export interface SampleModel {
  /** Leaf first. */
  readonly stack: readonly LocationModel[];
  readonly attributes: Attributes;
  readonly link?: LinkModel;
  readonly values: readonly bigint[];
  readonly timestamps: readonly bigint[];
}

export type TypeModel = readonly [type: string, unit: string];

export interface ProfileModel {
  readonly type: TypeModel;
  readonly periodType?: TypeModel;
  readonly period: bigint;
  readonly timeNanos: bigint;
  readonly durationNanos: bigint;
  readonly profileId?: Uint8Array;
  readonly attributes: Attributes;
  readonly samples: readonly SampleModel[];
}

export interface ResourceModel {
  readonly attributes: Attributes;
  readonly scope?: { readonly name: string; readonly version: string };
  readonly profiles: readonly ProfileModel[];
}

export interface MessageModel {
  readonly resources: readonly ResourceModel[];
}
