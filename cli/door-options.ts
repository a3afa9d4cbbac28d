// Who may come in to `flamelake up`: which files lock which listener, and what of the options does not
// go together. Refused before anything is started.
import { type LockOptions, requireLock } from '../lib/door/address.ts';
import type { DoorFiles } from '../lib/door/door.ts';
import { PipelineError } from '../lib/errors.ts';
import { flagName, type OptionValues } from './option-table.ts';

export const otlpDoor = (values: OptionValues): DoorFiles => ({
  certFile: values.tlsCertFile,
  keyFile: values.tlsKeyFile,
  clientCaFile: values.otlpClientCaFile,
  tokenFile: values.otlpTokenFile,
});

export const apiDoor = (values: OptionValues): DoorFiles => ({
  certFile: values.tlsCertFile,
  keyFile: values.tlsKeyFile,
  clientCaFile: values.apiClientCaFile,
  tokenFile: values.apiTokenFile,
});

/** Whether the agent of the same command needs a listener of its own to come in. */
export const isOtlpLocked = (values: OptionValues): boolean => values.tlsCertFile !== undefined || values.otlpTokenFile !== undefined;

export function checkDoors(values: OptionValues): void {
  needs(values, 'tlsCertFile', 'tlsKeyFile');
  needs(values, 'tlsKeyFile', 'tlsCertFile');
  needs(values, 'otlpClientCaFile', 'tlsCertFile');
  needs(values, 'apiClientCaFile', 'tlsCertFile');
  if (values.insecure) return;
  const otlp = '--otlp-token-file or --otlp-client-ca-file';
  lock(values.otlpGrpc, otlpDoor(values), { listen: '--otlp-grpc', credentials: otlp });
  lock(values.otlpHttp, otlpDoor(values), { listen: '--otlp-http', credentials: otlp });
  lock(values.listen, apiDoor(values), { listen: '--listen', credentials: '--api-token-file or --api-client-ca-file' });
}

function lock(address: string, files: DoorFiles, options: LockOptions): void {
  requireLock(address, { hasTls: files.certFile !== undefined, hasCredentials: files.tokenFile !== undefined || files.clientCaFile !== undefined }, options);
}

type FileOption = 'tlsCertFile' | 'tlsKeyFile' | 'otlpClientCaFile' | 'apiClientCaFile';

function needs(values: OptionValues, given: FileOption, needed: FileOption): void {
  if (values[given] === undefined || values[needed] !== undefined) return;
  throw new PipelineError('config_invalid', `${flagName(given)} is given without ${flagName(needed)}; they go together`);
}
