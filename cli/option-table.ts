// Every option there is, once: parsing, `--help`, docs/configuration.md and error lines are made from
// this table. The flag is the name with dashes; the YAML key is spelled like the flag; the environment
// variable is FLAMELAKE_ and the name in capitals, or OpenTelemetry's own where it has one.
import { logLevels } from '../lib/logger.ts';
import type { ValueType } from './value-types.ts';
import * as kind from './value-types.ts';

export const commandNames = ['up', 'agent', 'sql', 'top', 'flamegraph', 'lake check', 'lake stats', 'doctor'] as const;
export type CommandName = (typeof commandNames)[number];

export interface OptionSpec<T> {
  readonly type: ValueType<T>;
  /** As a user would write it; null where leaving it out has a meaning of its own, said in `help`. */
  readonly default: string | null;
  /** Asked in this order; empty values count as not set. Absent: FLAMELAKE_<NAME>. */
  readonly env?: readonly string[];
  readonly help: string;
  readonly commands: readonly CommandName[];
  /** Not a YAML key: it says where the file is. */
  readonly notInFile?: boolean;
}

type Given<T> = OptionSpec<T> & { readonly default: string };
type Open<T> = OptionSpec<T> & { readonly default: null };

function option<T>(spec: Given<T>): Given<T>;
function option<T>(spec: Open<T>): Open<T>;
function option<T>(spec: OptionSpec<T>): OptionSpec<T> {
  return spec;
}

const KiB = 2 ** 10;
const MiB = 2 ** 20;
const GiB = 2 ** 30;

const queries = ['sql', 'top', 'flamegraph'] as const;
const filtered = ['top', 'flamegraph'] as const;
const lake = ['lake check', 'lake stats'] as const;
const health = ['up', 'agent'] as const;

/** OTLP's exporter variables: the one for profiles goes before the one for all signals. */
const otlpEnv = (name: string) => [`OTEL_EXPORTER_OTLP_PROFILES_${name}`, `OTEL_EXPORTER_OTLP_${name}`];

const otlpMetricsEnv = (name: string) => [`OTEL_EXPORTER_OTLP_METRICS_${name}`, `OTEL_EXPORTER_OTLP_${name}`];

export const optionTable = {
  data: option({
    type: kind.path('DIR', 'a directory on a local disk'),
    default: './data',
    help: 'Directory of the log, the lake and everything else that is kept.',
    commands: ['up', ...queries, ...lake, 'doctor'],
  }),
  listen: option({
    type: kind.listenAddress,
    default: '127.0.0.1:4040',
    help: 'Where the page, the API, /healthz, /readyz and /metrics are.',
    commands: ['up', 'doctor'],
  }),
  otlpGrpc: option({ type: kind.listenAddress, default: '127.0.0.1:4317', help: 'Where OTLP/gRPC is received.', commands: ['up', 'doctor'] }),
  otlpHttp: option({ type: kind.listenAddress, default: '127.0.0.1:4318', help: 'Where OTLP/HTTP is received.', commands: ['up', 'doctor'] }),
  tlsCertFile: option({
    type: kind.path('FILE', 'a PEM file'),
    default: null,
    help: 'Certificate, with its chain, of page, API and OTLP listeners; with it they speak TLS alone. Read again when it changes, like all files below.',
    commands: ['up'],
  }),
  tlsKeyFile: option({ type: kind.path('FILE', 'a PEM file'), default: null, help: 'Private key of tls-cert-file.', commands: ['up'] }),
  otlpClientCaFile: option({
    type: kind.path('FILE', 'a PEM file'),
    default: null,
    help: 'OTLP is received only from clients with a certificate of one of these CAs (mTLS).',
    commands: ['up'],
  }),
  otlpTokenFile: option({
    type: kind.path('FILE', 'a file with one token a line'),
    default: null,
    help: 'OTLP is received only with one of these tokens, as "authorization: Bearer TOKEN". Several, so that a new one can be handed out before the old one ends.',
    commands: ['up'],
  }),
  apiClientCaFile: option({
    type: kind.path('FILE', 'a PEM file'),
    default: null,
    help: 'Page and API answer only clients with a certificate of one of these CAs (mTLS).',
    commands: ['up'],
  }),
  apiTokenFile: option({
    type: kind.path('FILE', 'a file with one token a line'),
    default: null,
    help: 'API and /metrics answer only with one of these tokens, as "authorization: Bearer TOKEN"; the page asks a person for it.',
    commands: ['up'],
  }),
  insecure: option({
    type: kind.onOff,
    default: 'false',
    help: 'Listen beyond the loopback without TLS and credentials: whoever reaches the port may read and write.',
    commands: ['up'],
  }),
  otlpMessageBytes: option({
    type: kind.bytes(64 * KiB, 64 * MiB),
    default: '64MiB',
    help: 'Largest OTLP message that is received, before and after decompression.',
    commands: ['up'],
  }),
  logBytes: option({
    type: kind.bytes(GiB, 1024 * GiB),
    default: '4GiB',
    help: 'Disk that the log between the stages may take. At three quarters of it senders are told to wait (503 with Retry-After) until what is there has been published.',
    commands: ['up'],
  }),
  diskReserve: option({
    type: kind.bytes(64 * MiB, 1024 * GiB),
    default: '512MiB',
    help: 'Room that is kept free on the disk of the data directory: with less of it senders are told to wait, and what was taken is published early.',
    commands: ['up'],
  }),
  noAgent: option({ type: kind.onOff, default: 'false', help: 'Do not profile this host; receive from others only.', commands: ['up'] }),
  rate: option({
    type: kind.wholeNumber('HZ', 1, 1000, 'samples a second on each CPU'),
    default: '20',
    help: 'Samples a second on each CPU.',
    commands: ['up', 'agent'],
  }),
  publishInterval: option({
    type: kind.duration({ min: '1s', max: '1h' }),
    default: '15m',
    help: 'How long rows are gathered before they become a public file of the lake. In the first hour of a lake it grows up to this.',
    commands: ['up'],
  }),
  publishBytes: option({
    type: kind.bytes(MiB, GiB),
    default: '128MB',
    help: 'A public file is made earlier when this much has been gathered, as it lies in the log.',
    commands: ['up'],
  }),
  publishRows: option({
    type: kind.wholeNumber('N', 1000, 100_000_000, 'rows'),
    default: '4000000',
    help: 'A public file is made earlier when this many rows have been gathered.',
    commands: ['up'],
  }),
  retainAge: option({
    type: kind.durationOr('forever', { min: '1d', max: '36500d' }),
    default: '30d',
    help: 'Dates of the lake older than this are deleted, oldest first. At least 9d, since samples may come up to 7 days late; forever keeps all.',
    commands: ['up'],
  }),
  retainBytes: option({
    type: kind.bytes(100 * MiB, 2 ** 50),
    default: null,
    help: 'While the files of the lake take more than this, its oldest date is deleted; never the newest one. Left out: only retain-age counts.',
    commands: ['up'],
  }),
  hotInterval: option({
    type: kind.duration({ min: '500ms', max: '1m' }),
    default: '3s',
    help: 'How often new rows become visible to queries.',
    commands: ['up'],
  }),
  endpoint: option({
    type: kind.endpointUrl,
    default: null,
    env: otlpEnv('ENDPOINT'),
    help: 'Collector or OTLP backend that profiles are sent to. Left out: http://localhost:4317, or port 4318 with protocol http/protobuf.',
    commands: ['agent'],
  }),
  protocol: option({
    type: kind.oneOf('NAME', ['grpc', 'http/protobuf']),
    default: null,
    env: otlpEnv('PROTOCOL'),
    help: 'OTLP transport. Left out: grpc, or http/protobuf where the endpoint has port 4318 or a path.',
    commands: ['agent'],
  }),
  headers: option({
    type: kind.pairs({ secret: true, name: /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, what: 'headers' }),
    default: null,
    env: otlpEnv('HEADERS'),
    help: 'Headers of every OTLP request, for credentials.',
    commands: ['agent'],
  }),
  endpointTokenFile: option({
    type: kind.path('FILE', 'a file with a token in its first line'),
    default: null,
    help: 'Token that is sent with every OTLP request, as "authorization: Bearer TOKEN". Read again for each, so that a new one needs no restart.',
    commands: ['agent'],
  }),
  compression: option({
    type: kind.oneOf('NAME', ['none', 'gzip', 'zstd']),
    default: 'gzip',
    env: otlpEnv('COMPRESSION'),
    help: 'Compression of OTLP requests; zstd with http/protobuf only.',
    commands: ['agent'],
  }),
  timeout: option({
    type: kind.duration({ min: '1ms', max: '10m', bareMillis: true }),
    default: '10s',
    env: otlpEnv('TIMEOUT'),
    help: 'How long one OTLP request may take.',
    commands: ['agent'],
  }),
  certificate: option({
    type: kind.path('FILE', 'a PEM file'),
    default: null,
    env: otlpEnv('CERTIFICATE'),
    help: "Certificates that the endpoint's is checked against. Left out: those of the system.",
    commands: ['agent'],
  }),
  clientCertificate: option({
    type: kind.path('FILE', 'a PEM file'),
    default: null,
    env: otlpEnv('CLIENT_CERTIFICATE'),
    help: 'Certificate that the agent shows (mTLS), together with client-key.',
    commands: ['agent'],
  }),
  clientKey: option({
    type: kind.path('FILE', 'a PEM file'),
    default: null,
    env: otlpEnv('CLIENT_KEY'),
    help: 'Private key of client-certificate.',
    commands: ['agent'],
  }),
  resourceAttributes: option({
    type: kind.pairs({ secret: false, name: /^[\x21-\x7e]+$/, what: 'attributes' }),
    default: null,
    env: ['OTEL_RESOURCE_ATTRIBUTES'],
    help: 'Resource attributes of everything that this agent sends, such as deployment.environment.name=prod. What is known of a process itself goes before.',
    commands: ['up', 'agent'],
  }),
  metricsExporter: option({
    type: kind.oneOf('NAME', ['none', 'otlp', 'prometheus']),
    default: null,
    env: ['OTEL_METRICS_EXPORTER'],
    help: "Whether the command's own metrics are pushed: otlp does, none and prometheus do not; /metrics has them always. Left out: pushed where metrics-endpoint is given (for agent: by its own variable or flag, since OTEL_EXPORTER_OTLP_ENDPOINT is where its profiles go).",
    commands: health,
  }),
  sdkDisabled: option({
    type: kind.trueOrElse,
    default: 'false',
    env: ['OTEL_SDK_DISABLED'],
    help: "No metrics are pushed, whatever else is asked for. Profiles are this command's work and go on.",
    commands: health,
  }),
  metricsServiceName: option({
    type: kind.text('NAME'),
    default: null,
    env: ['OTEL_SERVICE_NAME'],
    help: "service.name of the command's own metrics, before that of resource-attributes. Left out: flamelake. What is profiled keeps its own names.",
    commands: health,
  }),
  metricsTemporality: option({
    type: kind.oneOfAnyCase('NAME', ['cumulative', 'delta', 'lowmemory']),
    default: 'cumulative',
    env: ['OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE'],
    help: 'Metrics are pushed cumulative, so that a push that was lost costs nothing; where another is preferred, a line at the start says so.',
    commands: health,
  }),
  metricsEndpoint: option({
    type: kind.endpointUrl,
    default: null,
    env: otlpMetricsEnv('ENDPOINT'),
    help: 'Collector or OTLP backend that metrics are pushed to. Left out: http://localhost:4317, or port 4318 with metrics-protocol http/protobuf.',
    commands: health,
  }),
  metricsProtocol: option({
    type: kind.oneOf('NAME', ['grpc', 'http/protobuf']),
    default: null,
    env: otlpMetricsEnv('PROTOCOL'),
    help: 'OTLP transport of metrics. Left out: grpc, or http/protobuf where the endpoint has port 4318 or a path.',
    commands: health,
  }),
  metricsHeaders: option({
    type: kind.pairs({ secret: true, name: /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, what: 'headers' }),
    default: null,
    env: otlpMetricsEnv('HEADERS'),
    help: 'Headers of every request with metrics, for credentials.',
    commands: health,
  }),
  metricsCompression: option({
    type: kind.oneOf('NAME', ['none', 'gzip', 'zstd']),
    default: 'gzip',
    env: otlpMetricsEnv('COMPRESSION'),
    help: 'Compression of metrics; zstd with http/protobuf only.',
    commands: health,
  }),
  metricsTimeout: option({
    type: kind.duration({ min: '1ms', max: '10m', bareMillis: true }),
    default: '10s',
    env: otlpMetricsEnv('TIMEOUT'),
    help: 'How long one request with metrics may take.',
    commands: health,
  }),
  metricsCertificate: option({
    type: kind.path('FILE', 'a PEM file'),
    default: null,
    env: otlpMetricsEnv('CERTIFICATE'),
    help: "Certificates that the endpoint's is checked against. Left out: those of the system.",
    commands: health,
  }),
  metricsClientCertificate: option({
    type: kind.path('FILE', 'a PEM file'),
    default: null,
    env: otlpMetricsEnv('CLIENT_CERTIFICATE'),
    help: 'Certificate that is shown to the endpoint (mTLS), together with metrics-client-key.',
    commands: health,
  }),
  metricsClientKey: option({
    type: kind.path('FILE', 'a PEM file'),
    default: null,
    env: otlpMetricsEnv('CLIENT_KEY'),
    help: 'Private key of metrics-client-certificate.',
    commands: health,
  }),
  metricsInterval: option({
    type: kind.duration({ min: '1s', max: '1h', bareMillis: true }),
    default: '1m',
    env: ['OTEL_METRIC_EXPORT_INTERVAL'],
    help: 'How often metrics are pushed.',
    commands: health,
  }),
  from: option({ type: kind.moment, default: null, help: 'Start of the time range. Left out: -15m; for sql, all that is there.', commands: queries }),
  to: option({ type: kind.moment, default: null, help: 'End of the time range, exclusive. Left out: now.', commands: queries }),
  service: option({ type: kind.text('NAME'), default: null, help: 'Only this service (service_name).', commands: filtered }),
  process: option({ type: kind.text('NAME'), default: null, help: 'Only this process: executable name, or pid where it is a number.', commands: filtered }),
  host: option({ type: kind.text('NAME'), default: null, help: 'Only this host (host_name, or host_id).', commands: filtered }),
  type: option({ type: kind.text('NAME'), default: 'cpu', help: 'Sample type, such as cpu.', commands: filtered }),
  byProcess: option({ type: kind.onOff, default: 'false', help: 'One row for each function and process.', commands: ['top'] }),
  groupBy: option({
    type: kind.oneOf('NAME', ['process', 'service', 'host', 'none']),
    default: 'process',
    help: 'What stands between the root and the stacks.',
    commands: ['flamegraph'],
  }),
  limit: option({
    type: kind.wholeNumber('N', 1, 1_000_000, 'rows'),
    default: null,
    help: 'Rows shown. Left out: 30 for top, 1000 for sql, 1000000 for sql --json.',
    commands: ['sql', 'top'],
  }),
  format: option({ type: kind.oneOf('NAME', ['html', 'svg', 'collapsed', 'json']), default: 'html', help: 'What is written.', commands: ['flamegraph'] }),
  output: option({ type: kind.path('FILE', 'a file name'), default: null, help: 'File to write to. Left out: standard output.', commands: ['flamegraph'] }),
  json: option({
    type: kind.onOff,
    default: 'false',
    help: 'Print JSON for programs instead of text for people.',
    commands: ['sql', 'top', 'flamegraph', ...lake, 'doctor'],
  }),
  config: option({
    type: kind.path('FILE', 'a YAML file'),
    default: null,
    help: 'YAML file with any of these options; flags and environment go before it.',
    commands: commandNames,
    notInFile: true,
  }),
  logLevel: option({ type: kind.oneOf('LEVEL', logLevels), default: 'info', help: 'What is logged, on standard error.', commands: ['up', 'agent'] }),
  logFormat: option({ type: kind.oneOf('NAME', ['text', 'json']), default: 'text', help: 'Log lines for people or for programs.', commands: ['up', 'agent'] }),
};

export type OptionName = keyof typeof optionTable;
export type OptionValues = {
  readonly [K in OptionName]: (typeof optionTable)[K] extends Given<infer T> ? T : (typeof optionTable)[K] extends Open<infer T> ? T | undefined : never;
};

export const optionNames = Object.keys(optionTable) as OptionName[];
export const optionSpec = (name: OptionName): OptionSpec<unknown> => optionTable[name];

/** publishInterval -> publish-interval: the flag without its dashes, and the YAML key. */
export const flagName = (name: OptionName): string => name.replace(/[A-Z]/g, (capital) => `-${capital.toLowerCase()}`);

export function envNames(name: OptionName): readonly string[] {
  return optionSpec(name).env ?? [`FLAMELAKE_${flagName(name).replaceAll('-', '_').toUpperCase()}`];
}

export const optionsOf = (command: CommandName): OptionName[] => optionNames.filter((name) => optionSpec(name).commands.includes(command));
