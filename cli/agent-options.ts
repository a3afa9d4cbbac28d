// From the options of `flamelake agent` to what the agent stage takes. Pure.
import type { AgentOptions } from '../agent/main.ts';
import type { OptionName, OptionValues } from './option-table.ts';
import { endpointOptions, type SignalRules } from './otlp-endpoint.ts';

/** A batch every five seconds keeps samples fresh (15 s to SQL) and its dictionary worth its bytes. */
export const batchMillis = 5000;

const profilesRules: SignalRules = {
  path: '/v1development/profiles',
  wholeUrlVariable: 'OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT',
  names: { endpoint: 'endpoint', protocol: 'protocol', compression: 'compression', certificate: 'client-certificate', key: 'client-key' },
};

export function agentOptions(values: OptionValues, given: ReadonlyMap<OptionName, string>, version: string): AgentOptions {
  const names = ['endpoint', 'compression', 'clientCertificate', 'clientKey'] as const;
  const asked = {
    endpoint: values.endpoint,
    protocol: values.protocol,
    compression: values.compression,
    headers: values.headers,
    timeoutMillis: values.timeout,
    certificateFile: values.certificate,
    clientCertificateFile: values.clientCertificate,
    clientKeyFile: values.clientKey,
    places: Object.fromEntries(names.flatMap((name) => (given.has(name) ? [[name, given.get(name)!]] : []))),
  };
  return {
    ...endpointOptions(asked, profilesRules),
    tokenFile: values.endpointTokenFile,
    rateHz: values.rate,
    batchMillis,
    resourceAttributes: values.resourceAttributes ?? {},
    version,
  };
}
