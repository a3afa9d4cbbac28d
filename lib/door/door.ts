// The lock of one listener: TLS from a certificate and a key, client certificates against a CA, bearer
// tokens; each where its file is named. All of them are read again when they change.
import { createSecureContext, type SecureContextOptions, type Server, type TlsOptions } from 'node:tls';
import { PipelineError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { followKeyFiles, type KeyFiles } from './key-files.ts';
import { bearerToken, isAmong, parseTokens } from './tokens.ts';

/** Named after the Collector's `tls` settings. */
export interface DoorFiles {
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
  readonly clientCaFile?: string | undefined;
  readonly tokenFile?: string | undefined;
}

export interface Door {
  /** For createServer; null = without TLS. */
  readonly tls: TlsOptions | null;
  /** Whether a request must show a token. */
  readonly asksToken: boolean;
  /** Whether the Authorization header is good enough; always, where no token is asked for. */
  admits(authorization: string | undefined): boolean;
  /** Those that hold now. */
  tokens(): readonly string[];
  /** Gives the server every new certificate. */
  attach(server: Server): void;
  close(): void;
}

/** A client that opens a connection and says nothing must not hold it for Node's two minutes. */
const handshakeMillisMax = 10_000;

export function openDoor(files: DoorFiles, logger: Logger, rereadMillis?: number): Door {
  let tokens: readonly string[] = [];
  let context: SecureContextOptions | null = null;
  const servers = new Set<Server>();
  const following: KeyFiles[] = [];
  const { certFile, keyFile, clientCaFile, tokenFile } = files;
  if (certFile !== undefined && keyFile !== undefined) {
    const names = [certFile, keyFile, ...(clientCaFile === undefined ? [] : [clientCaFile])];
    const use = (contents: Buffer[]): void => {
      const next = contextOf(names, contents);
      for (const server of servers) server.setSecureContext(next);
      context = next;
    };
    following.push(followKeyFiles(names, use, logger, rereadMillis));
  }
  if (tokenFile !== undefined) {
    const use = ([content]: Buffer[]): void => {
      tokens = parseTokens(content!.toString('utf8'), tokenFile);
    };
    following.push(followKeyFiles([tokenFile], use, logger, rereadMillis));
  }
  return {
    get tls() {
      if (context === null) return null;
      return { ...context, requestCert: clientCaFile !== undefined, rejectUnauthorized: clientCaFile !== undefined, handshakeTimeout: handshakeMillisMax };
    },
    asksToken: tokenFile !== undefined,
    admits: (authorization) => tokenFile === undefined || isAmong(bearerToken(authorization) ?? '', tokens),
    tokens: () => tokens,
    attach: (server) => void servers.add(server),
    close: () => {
      for (const each of following) each.close();
      servers.clear();
    },
  };
}

/** Throws where the files don't fit each other: a key of another certificate, no PEM. */
function contextOf(names: readonly string[], [cert, key, ca]: Buffer[]): SecureContextOptions {
  const options: SecureContextOptions = { cert: cert!, key: key!, ...(ca === undefined ? {} : { ca }), minVersion: 'TLSv1.2' };
  if (ca?.includes('-----BEGIN CERTIFICATE-----') === false) throw unusable(names[2]!, 'no certificate in PEM');
  try {
    createSecureContext(options);
  } catch (cause) {
    throw unusable(names.join(', '), (cause as NodeJS.ErrnoException).code ?? 'an unknown problem', cause);
  }
  return options;
}

const unusable = (names: string, found: string, cause?: unknown): PipelineError =>
  new PipelineError(
    'config_invalid',
    `TLS: found ${found} in ${names}; expected a PEM certificate with its chain, its unencrypted key, and certificates of CAs`,
    { cause },
  );
