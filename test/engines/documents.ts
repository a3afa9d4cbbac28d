// What read_lake.py prints, and the schemas that the engines must see: docs/lake.md in their words.
import type { Row } from '../e2e/flamelake.ts';

export interface EngineTable {
  readonly schema: Readonly<Record<string, string>>;
  readonly rows: readonly Row[];
  /** Filters that found another number of rows than a full scan has. */
  readonly lookups: readonly { readonly column: string; readonly value: string; readonly scanned: number; readonly found: number }[];
}

export interface EngineDocument {
  readonly engine: string;
  readonly version: string;
  readonly samples: EngineTable;
  readonly stacks: EngineTable;
  readonly files: readonly {
    readonly name: string;
    readonly rows: number;
    readonly rowGroups: readonly number[];
    readonly codecs: readonly string[];
    readonly metadata: Readonly<Record<string, string>>;
    readonly schema: Readonly<Record<string, { readonly type: string; readonly nullable: boolean }>>;
  }[];
}

type Kind = 'timestamp' | 'bigint' | 'integer' | 'double' | 'text' | 'map';

const sampleKinds: Readonly<Record<string, Kind>> = {
  time: 'timestamp',
  duration_ns: 'bigint',
  sample_type: 'text',
  sample_unit: 'text',
  value: 'bigint',
  count: 'bigint',
  weight: 'double',
  stack_id: 'text',
  trace_id: 'text',
  span_id: 'text',
  link_source: 'text',
  service_name: 'text',
  service_namespace: 'text',
  service_instance_id: 'text',
  service_version: 'text',
  deployment_environment_name: 'text',
  host_id: 'text',
  host_name: 'text',
  container_id: 'text',
  container_name: 'text',
  k8s_namespace_name: 'text',
  k8s_pod_name: 'text',
  k8s_container_name: 'text',
  k8s_node_name: 'text',
  k8s_deployment_name: 'text',
  nomad_job_name: 'text',
  nomad_task_name: 'text',
  systemd_unit: 'text',
  process_pid: 'bigint',
  thread_id: 'bigint',
  cpu_logical_number: 'integer',
  process_executable_name: 'text',
  process_executable_path: 'text',
  thread_name: 'text',
  profile_id: 'text',
  scope_name: 'text',
  resource_attributes: 'map',
  attributes: 'map',
  date: 'text',
  shard: 'text',
};

const names: Readonly<Record<'pyarrow' | 'duckdb', Readonly<Record<Kind, string>>>> = {
  pyarrow: {
    timestamp: 'timestamp[us, tz=UTC]',
    bigint: 'int64',
    integer: 'int32',
    double: 'double',
    text: 'string',
    map: 'map<string, string>',
  },
  duckdb: { timestamp: 'TIMESTAMP WITH TIME ZONE', bigint: 'BIGINT', integer: 'INTEGER', double: 'DOUBLE', text: 'VARCHAR', map: 'MAP(VARCHAR, VARCHAR)' },
};

const inWordsOf = (engine: 'pyarrow' | 'duckdb') => Object.fromEntries(Object.entries(sampleKinds).map(([column, kind]) => [column, names[engine][kind]]));

export const sampleSchemas = { pyarrow: inWordsOf('pyarrow'), duckdb: inWordsOf('duckdb') };

const arrowFrame =
  'function: string, system_name: string, file: string, line: int64, column: int64, inlined: bool not null, type: string, mapping: string, build_id: string, address: string';
const duckFrame =
  '"function" VARCHAR, system_name VARCHAR, file VARCHAR, line BIGINT, "column" BIGINT, inlined BOOLEAN, "type" VARCHAR, "mapping" VARCHAR, build_id VARCHAR, address VARCHAR';

export const stackSchemas = {
  pyarrow: {
    stack_id: 'string',
    service_name: 'string',
    frames: `list<element: struct<${arrowFrame}> not null>`,
    leaf_function: 'string',
    root_function: 'string',
    depth: 'int32',
    cut: 'string',
    unresolved: 'int32',
    date: 'string',
    shard: 'string',
  },
  duckdb: {
    stack_id: 'VARCHAR',
    service_name: 'VARCHAR',
    frames: `STRUCT(${duckFrame})[]`,
    leaf_function: 'VARCHAR',
    root_function: 'VARCHAR',
    depth: 'INTEGER',
    cut: 'VARCHAR',
    unresolved: 'INTEGER',
    date: 'VARCHAR',
    shard: 'VARCHAR',
  },
};
