// Which addresses are this host's own, and what must be there before others may be listened to.
import { isIP } from 'node:net';
import { PipelineError } from '../errors.ts';

/** `host` without port and brackets. Other names are not looked up: what they mean may change. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[|\]$/g, '');
  return name === 'localhost' || name.endsWith('.localhost') || name === '::1' || (isIP(name) === 4 && name.startsWith('127.'));
}

/** The host of `host:port`, `[::1]:port`, or of a header without port. */
export const hostOf = (address: string): string => address.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');

/** Whether an Origin header names the site that is asked. `null` (a file, a sandbox) does not. */
export function isOwnOrigin(origin: string, hostHeader: string): boolean {
  return URL.parse(origin)?.host === hostHeader.toLowerCase();
}

export interface Lock {
  readonly hasTls: boolean;
  /** Tokens or client certificates. */
  readonly hasCredentials: boolean;
}

/** The options that would mend it, by the names that a user writes. */
export interface LockOptions {
  readonly listen: string;
  readonly credentials: string;
}

/** Throws where anybody on the network could come in. */
export function requireLock(address: string, lock: Lock, options: LockOptions): void {
  if (isLoopback(hostOf(address)) || (lock.hasTls && lock.hasCredentials)) return;
  const missing = [...(lock.hasTls ? [] : ['--tls-cert-file and --tls-key-file']), ...(lock.hasCredentials ? [] : [options.credentials])];
  throw new PipelineError(
    'config_invalid',
    `${options.listen} ${address} is reached from other hosts; give ${missing.join(', and ')}, or listen on 127.0.0.1, or say --insecure`,
  );
}
