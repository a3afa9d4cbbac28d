// From what a user says of an OTLP endpoint to the transport that speaks to it. Only the client that is
// used is loaded: a gRPC client is 60 files.
import { readFileSync } from 'node:fs';
import { PipelineError } from '../../lib/errors.ts';
import type { BearerToken, OtlpSignal, Transport } from './transport.ts';

export interface EndpointOptions {
  /** gRPC: scheme, host and port. HTTP: the whole URL, the signal's path included. */
  readonly endpoint: string;
  readonly protocol: 'grpc' | 'http/protobuf';
  /** gRPC knows gzip and none. */
  readonly compression: 'gzip' | 'zstd' | 'none';
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMillis: number;
  readonly certificateFile?: string | undefined;
  readonly clientCertificateFile?: string | undefined;
  readonly clientKeyFile?: string | undefined;
  /** Its first line that is not a comment goes with every request, and is read again for each. */
  readonly tokenFile?: string | undefined;
}

export async function openTransport(options: EndpointOptions & { readonly userAgent: string; readonly signal?: OtlpSignal }): Promise<Transport> {
  if (!URL.canParse(options.endpoint))
    throw new PipelineError('config_invalid', `endpoint: found ${JSON.stringify(options.endpoint)}, expected a URL like http://127.0.0.1:4317`);
  const tls = { ca: readKeyFile(options.certificateFile), certificate: readKeyFile(options.clientCertificateFile), key: readKeyFile(options.clientKeyFile) };
  const token = tokenOf(options.tokenFile);
  token?.read();
  if (options.protocol === 'grpc') return (await import('./grpc.ts')).openGrpc({ ...options, tls, token });
  return (await import('./http.ts')).openHttp({ ...options, tls, token });
}

/** As the receiver's token file is written: empty lines and those that begin with # are passed over. */
function tokenOf(file: string | undefined): BearerToken | undefined {
  if (file === undefined || file === '') return undefined;
  const fail = (found: string): PipelineError =>
    new PipelineError('config_invalid', `endpoint-token-file ${file}: ${found}; expected a line with the token that the endpoint asks for`);
  return {
    place: `the token in ${file}`,
    read() {
      let text: string;
      try {
        text = readFileSync(file, 'utf8');
      } catch (cause) {
        throw fail(`can't be read (${(cause as NodeJS.ErrnoException).code})`);
      }
      const lines = text.split('\n').map((line) => line.trim());
      const token = lines.find((line) => line !== '' && !line.startsWith('#'));
      if (token === undefined) throw fail('found no token');
      if (!/^[\x21-\x7e]+$/.test(token)) throw fail('found a character that a token may not have');
      return token;
    },
  };
}

function readKeyFile(path: string | undefined): Buffer | null {
  if (path === undefined || path === '') return null;
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new PipelineError('config_invalid', `${path} can't be read (${(cause as NodeJS.ErrnoException).code}); expected a PEM file`, { cause });
  }
}
