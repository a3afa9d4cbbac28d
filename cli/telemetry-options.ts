// Whether and where this command pushes metrics of its own. They go nowhere that nobody asked for: not
// to a default, not where only profiles are meant to go, and not to the command itself. Pure.
import type { EndpointOptions } from '../agent/send/open.ts';
import type { OptionName, OptionValues } from './option-table.ts';
import { endpointOptions, refused, type SignalRules } from './otlp-endpoint.ts';

/** Says where all signals go. For `flamelake agent` that is where its profiles go, and metrics need more than that. */
const generalVariable = 'OTEL_EXPORTER_OTLP_ENDPOINT';

const metricsRules: SignalRules = {
  path: '/v1/metrics',
  wholeUrlVariable: 'OTEL_EXPORTER_OTLP_METRICS_ENDPOINT',
  names: {
    endpoint: 'metrics-endpoint',
    protocol: 'metrics-protocol',
    compression: 'metrics-compression',
    certificate: 'metrics-client-certificate',
    key: 'metrics-client-key',
  },
};

export interface TelemetryOptions extends EndpointOptions {
  readonly intervalMillis: number;
  /** OTEL_RESOURCE_ATTRIBUTES, and in them the name of OTEL_SERVICE_NAME. */
  readonly resourceAttributes: Readonly<Record<string, string>>;
  /** What was asked for; cumulative is what is pushed. */
  readonly temporality: OptionValues['metricsTemporality'];
}

export interface TelemetryCommand {
  readonly name: 'up' | 'agent';
  /** host:port where it receives itself. */
  readonly ownAddresses: readonly string[];
}

/** null: nothing is pushed. */
export function telemetryOptions(values: OptionValues, given: ReadonlyMap<OptionName, string>, command: TelemetryCommand): TelemetryOptions | null {
  const { metricsExporter: exporter, metricsEndpoint: endpoint } = values;
  const place = given.get('metricsEndpoint');
  const isGeneral = place === generalVariable;
  const isAsked = exporter === 'otlp' || (exporter === undefined && endpoint !== undefined && (!isGeneral || command.name === 'up'));
  if (!isAsked || values.sdkDisabled) return null;
  const options = endpointOptions(askedEndpoint(values, given), metricsRules);
  if (command.ownAddresses.some((address) => isSamePlace(options.endpoint, address))) {
    // Meant for whoever sends profiles to us, from the same environment.
    if (isGeneral && exporter === undefined) return null;
    throw refused(
      place ?? given.get('metricsExporter'),
      `metrics would go to ${options.endpoint}, where this command itself receives profiles; name another with metrics-endpoint, or say metrics-exporter none`,
    );
  }
  const name = values.metricsServiceName;
  const resourceAttributes = { ...values.resourceAttributes, ...(name === undefined ? {} : { 'service.name': name }) };
  return { ...options, intervalMillis: values.metricsInterval, resourceAttributes, temporality: values.metricsTemporality };
}

function askedEndpoint(values: OptionValues, given: ReadonlyMap<OptionName, string>) {
  const places = {
    endpoint: 'metricsEndpoint',
    compression: 'metricsCompression',
    clientCertificate: 'metricsClientCertificate',
    clientKey: 'metricsClientKey',
  } as const;
  return {
    endpoint: values.metricsEndpoint,
    protocol: values.metricsProtocol,
    compression: values.metricsCompression,
    headers: values.metricsHeaders,
    timeoutMillis: values.metricsTimeout,
    certificateFile: values.metricsCertificate,
    clientCertificateFile: values.metricsClientCertificate,
    clientKeyFile: values.metricsClientKey,
    places: Object.fromEntries(Object.entries(places).flatMap(([name, option]) => (given.has(option) ? [[name, given.get(option)!]] : []))),
  };
}

const loopback = /^(localhost|127(\.\d+){3}|\[::1\]|\[::ffff:7f[0-9a-f:]+\])$/;

/** By the text of both: a listener on every interface, or on the loopback, is reached by the loopback's names. */
function isSamePlace(endpoint: string, address: string): boolean {
  const url = new URL(endpoint);
  const at = address.lastIndexOf(':');
  const [host, port] = [address.slice(0, at).toLowerCase(), address.slice(at + 1)];
  if (port === '0' || port !== (url.port || (url.protocol === 'https:' ? '443' : '80'))) return false;
  const isEverywhere = host === '0.0.0.0' || host === '[::]';
  return url.hostname === host || ((isEverywhere || loopback.test(host)) && loopback.test(url.hostname));
}
