// A row message: what the processor puts on flamelake.rows and the exporter reads. One message holds
// the rows of one shard from the source range (from, to] of one input partition, cut into segments,
// one per source offset, so that an exporter can drop what it has seen. Columns, not objects; the wire
// form and its version are in codec.ts.

/**
 * Bytes on the wire begin with this version; an exporter that meets a newer one stops with one clear line
 * and leaves it in the log. Another layout is another number: what is in a log outlives the upgrade.
 */
export const rowsMessageVersion = 2;

/** "No value" in integer columns (BigInt64): the smallest int64, which no source may use as a value of these columns. */
export const nullInt64 = -(2n ** 63n);
/** "No value" in cpuLogicalNumber. */
export const nullInt32 = -(2 ** 31);

/** Index into RowsMessage.strings. 0 = no value (NULL in the lake), always. */
export type StringIndex = number;
/** Index into RowsMessage.maps. 0 = no map (NULL). */
export type MapIndex = number;

/** Resource columns with a string value, in the lake's names. */
export const resourceStringColumns = [
  'service_name',
  'service_namespace',
  'service_instance_id',
  'service_version',
  'deployment_environment_name',
  'host_id',
  'host_name',
  'container_id',
  'container_name',
  'k8s_namespace_name',
  'k8s_pod_name',
  'k8s_container_name',
  'k8s_node_name',
  'k8s_deployment_name',
  'nomad_job_name',
  'nomad_task_name',
  'systemd_unit',
  'process_executable_name',
  'process_executable_path',
] as const;
export type ResourceStringColumn = (typeof resourceStringColumns)[number];

/** One row per distinct resource of the message. */
export interface ResourceColumns {
  readonly length: number;
  readonly strings: Readonly<Record<ResourceStringColumn, Uint32Array>>;
  /** process.pid; nullInt64 = none. */
  readonly processPid: BigInt64Array;
  /** resource_attributes: all that has no column. */
  readonly attributes: Uint32Array;
}

/** One row per sample row of the lake, in source order. */
export interface SampleColumns {
  readonly length: number;
  /** Microseconds since the Unix epoch, UTC, after the rule for times that are far off (docs/lake.md). */
  readonly time: BigInt64Array;
  /** duration_ns; nullInt64 = none. */
  readonly durationNanos: BigInt64Array;
  readonly value: BigInt64Array;
  readonly count: BigInt64Array;
  readonly weight: Float64Array;
  /** Index into RowsMessage.types. */
  readonly type: Uint32Array;
  /** Index into RowsMessage.stackIds. */
  readonly stack: Uint32Array;
  /** Index into RowsMessage.links; 0 = none. */
  readonly link: Uint32Array;
  /** Index into RowsMessage.resources. */
  readonly resource: Uint32Array;
  readonly scopeName: Uint32Array;
  /** profile_id as 32 hex; 0 = none. */
  readonly profileId: Uint32Array;
  /** nullInt64 = none. */
  readonly threadId: BigInt64Array;
  readonly threadName: Uint32Array;
  /** nullInt32 = none. */
  readonly cpuLogicalNumber: Int32Array;
  /** attributes: sample attributes that have no column. */
  readonly attributes: Uint32Array;
}

/** Stacks that the sender believes to be new for their date in this shard. */
export interface StackColumns {
  readonly length: number;
  /** Index into RowsMessage.stackIds. */
  readonly id: Uint32Array;
  /** The date under which it is stored, as days since 1970-01-01. */
  readonly date: Int32Array;
  readonly serviceName: Uint32Array;
  /** Why the stack does not reach its root; 0 = it does. */
  readonly cut: Uint32Array;
  /** Frames of stack i are frame[frameStart[i]] to frame[frameStart[i + 1] - 1], leaf first; length + 1 entries. */
  readonly frameStart: Uint32Array;
  /** Indices into `frames`. */
  readonly frame: Uint32Array;
  readonly frames: FrameColumns;
}

/** A table: stacks share most of their frames. An inlined call is a frame of its own before its caller. */
export interface FrameColumns {
  readonly length: number;
  /** Display name (demangled where that is known to be right); 0 = not known. */
  readonly function: Uint32Array;
  readonly systemName: Uint32Array;
  readonly file: Uint32Array;
  /** 0 = not known. */
  readonly line: BigInt64Array;
  readonly column: BigInt64Array;
  /** 1 = inlined into the next frame. */
  readonly inlined: Uint8Array;
  /** profile.frame.type: native, kernel, jvm, …; open list. */
  readonly type: Uint32Array;
  /** Mapping's file name. */
  readonly mapping: Uint32Array;
  /** Lower hex (gnu), else go's, else htlhash; 0 = none. */
  readonly buildId: Uint32Array;
  /** Address in the file (ELF virtual address); 0 = none. Written to the lake as `0x…` text. */
  readonly address: BigUint64Array;
}

/** One profile's rows in this shard; its digest covers the whole profile, whatever its shard. */
export interface ProfileRange {
  /** 32 lower hex digits, see schemas/lake/digest.ts. */
  readonly digest: string;
  readonly rowStart: number;
  readonly rowEnd: number;
}

/** What one source message gave to this shard. Ranges are contiguous and in order. */
export interface Segment {
  /** Offset in the source partition. */
  readonly offset: number;
  /** Log append time of the source message. */
  readonly appendTimeMillis: number;
  readonly rowStart: number;
  readonly rowEnd: number;
  readonly stackStart: number;
  readonly stackEnd: number;
  /** Cover [rowStart, rowEnd). */
  readonly profiles: readonly ProfileRange[];
}

export interface RowsMessage {
  /** Identity of the source positions: log id, topic and partition of the input. */
  readonly logId: string;
  readonly topic: string;
  readonly partition: number;
  /** Source range (from, to]: the last offset before it, and the last in it. -1 = from the beginning. */
  readonly from: number;
  readonly to: number;
  readonly shard: number;
  /** Version of the shard function, see schemas/lake/shard.ts. */
  readonly routing: number;
  /** strings[0] is '' and stands for no value. */
  readonly strings: readonly string[];
  /** maps[0] is empty and stands for no map; entries are [key, value] string indices, sorted by key. */
  readonly maps: readonly (readonly (readonly [StringIndex, StringIndex])[])[];
  /** sample_type, sample_unit. */
  readonly types: readonly (readonly [StringIndex, StringIndex])[];
  /** links[0] stands for none. trace_id 32 hex, span_id 16 hex, link_source. */
  readonly links: readonly (readonly [StringIndex, StringIndex, StringIndex])[];
  /** 16 each. */
  readonly stackIdBytes: Uint8Array;
  /** The same as 32 lower hex digits each. */
  readonly stackIds: readonly string[];
  readonly resources: ResourceColumns;
  readonly samples: SampleColumns;
  readonly stacks: StackColumns;
  readonly segments: readonly Segment[];
}
