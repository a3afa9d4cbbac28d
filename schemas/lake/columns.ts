// The lake's public tables, column by column: names, Parquet types, order. docs/lake.md describes
// them to users; exporter writes them, query and `lake check` read them. Only added to between
// versions.

export const schemaVersion = 1;
/** Key in each file's key-value metadata. */
export const schemaVersionKey = 'flamelake.schema_version';

export const columnTypes = ['timestamp', 'int64', 'int32', 'double', 'string', 'map', 'frames'] as const;
export type ColumnType = (typeof columnTypes)[number];

export interface Column {
  readonly name: string;
  readonly type: ColumnType;
  readonly nullable: boolean;
}

const required = (name: string, type: ColumnType): Column => ({ name, type, nullable: false });
const optional = (name: string, type: ColumnType): Column => ({ name, type, nullable: true });

export const sampleColumns = [
  required('time', 'timestamp'),
  optional('duration_ns', 'int64'),
  required('sample_type', 'string'),
  required('sample_unit', 'string'),
  required('value', 'int64'),
  required('count', 'int64'),
  required('weight', 'double'),
  required('stack_id', 'string'),
  optional('trace_id', 'string'),
  optional('span_id', 'string'),
  optional('link_source', 'string'),
  required('service_name', 'string'),
  optional('service_namespace', 'string'),
  optional('service_instance_id', 'string'),
  optional('service_version', 'string'),
  optional('deployment_environment_name', 'string'),
  optional('host_id', 'string'),
  optional('host_name', 'string'),
  optional('container_id', 'string'),
  optional('container_name', 'string'),
  optional('k8s_namespace_name', 'string'),
  optional('k8s_pod_name', 'string'),
  optional('k8s_container_name', 'string'),
  optional('k8s_node_name', 'string'),
  optional('k8s_deployment_name', 'string'),
  optional('nomad_job_name', 'string'),
  optional('nomad_task_name', 'string'),
  optional('systemd_unit', 'string'),
  optional('process_pid', 'int64'),
  optional('thread_id', 'int64'),
  optional('cpu_logical_number', 'int32'),
  optional('process_executable_name', 'string'),
  optional('process_executable_path', 'string'),
  optional('thread_name', 'string'),
  optional('profile_id', 'string'),
  optional('scope_name', 'string'),
  optional('resource_attributes', 'map'),
  optional('attributes', 'map'),
] as const satisfies readonly Column[];

export const stackColumns = [
  required('stack_id', 'string'),
  optional('service_name', 'string'),
  required('frames', 'frames'),
  optional('leaf_function', 'string'),
  optional('root_function', 'string'),
  required('depth', 'int32'),
  optional('cut', 'string'),
  required('unresolved', 'int32'),
] as const satisfies readonly Column[];

/** Fields of one frame in `frames` LIST(STRUCT), in order. `address` is `0x…` text. */
export const frameColumns = [
  optional('function', 'string'),
  optional('system_name', 'string'),
  optional('file', 'string'),
  optional('line', 'int64'),
  optional('column', 'int64'),
  { name: 'inlined', type: 'boolean', nullable: false },
  optional('type', 'string'),
  optional('mapping', 'string'),
  optional('build_id', 'string'),
  optional('address', 'string'),
] as const;

/** Columns that only hot files have, beside the public ones: where the row came from. */
export const hotColumns = [required('_shard', 'int32'), required('_offset', 'int64')] as const satisfies readonly Column[];
/** Hot stacks also carry their date (hot files are not partitioned by date). */
export const hotStackDateColumn = required('_date', 'string');
