// What both transports do with their server: bind it to `host:port`, with an error that says what to
// do, and stop it so that what is in work is finished.
import type { AddressInfo, Server } from 'node:net';
import { PipelineError } from '../lib/errors.ts';
import { stopMillisMax } from './limits.ts';

export interface Listener {
  /** Resolves with the address in use: the port is another where 0 was asked for. */
  listen(address: string): Promise<string>;
  /** Open ones. */
  connections(): number;
  /** Takes nothing new, finishes what is in work. */
  stop(): Promise<void>;
}

/** What this listener is, in messages and with the option that moves it. */
export interface ListenerName {
  readonly what: string;
  readonly option: string;
}

export function listenOn(server: Server, address: string, name: ListenerName): Promise<string> {
  const { host, port } = parseAddress(address, name);
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException): void => reject(listenError(error, address, name));
    server.once('error', fail);
    server.listen({ host, port }, () => {
      server.off('error', fail);
      const { address: bound, port: boundPort, family } = server.address() as AddressInfo;
      resolve(family === 'IPv6' ? `[${bound}]:${boundPort}` : `${bound}:${boundPort}`);
    });
  });
}

function parseAddress(address: string, name: ListenerName): { host: string; port: number } {
  const [, six, four, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(address) ?? [];
  const host = six ?? four;
  const port = Number(digits);
  if (host === undefined || port > 65_535) {
    throw new PipelineError('config_invalid', `${name.option} ${JSON.stringify(address)}: expected host:port, such as 127.0.0.1:4317 or [::1]:4317`);
  }
  return { host, port };
}

function listenError(error: NodeJS.ErrnoException, address: string, name: ListenerName): PipelineError {
  switch (error.code) {
    case 'EADDRINUSE':
      return new PipelineError(
        'port_in_use',
        `${name.what}: ${address} is in use by another program; stop that one or choose another address with ${name.option}`,
        {
          cause: error,
        },
      );
    case 'EACCES':
      return new PipelineError('rights_missing', `${name.what}: no right to listen on ${address}; choose a port above 1023 with ${name.option}`, {
        cause: error,
      });
    default:
      return new PipelineError('config_invalid', `${name.option} ${address}: ${error.code ?? error.message}; choose an address of this host`, { cause: error });
  }
}

export interface Connections {
  /** Ends those that have nothing in work, now or as soon as they are done. */
  askToEnd(): void;
  end(): void;
}

/** Resolves when the last connection is closed; those that do not finish in time are ended. */
export function stopServer(server: Server, connections: Connections): Promise<void> {
  if (!server.listening) return Promise.resolve();
  return new Promise((resolve) => {
    const late = setTimeout(() => connections.end(), stopMillisMax);
    server.close(() => {
      clearTimeout(late);
      resolve();
    });
    connections.askToEnd();
  });
}
