// What each stage of `flamelake up` is given: the command's options and the places under --data.
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { apiDoor, isOtlpLocked, otlpDoor } from './door-options.ts';
import { dataUrl } from './lake-url.ts';
import type { OptionValues } from './option-table.ts';
import type { StageAddresses, StageName } from './stage-messages.ts';
import { readVersion } from './version.ts';

/** Of the agent to the receiver next door; told over IPC, so that it stands in no list of processes. */
const ownToken = randomBytes(32).toString('hex');

type AddressesOf = (stage: StageName) => StageAddresses;

export const stageOptions: Record<StageName, (values: OptionValues, dir: string, addressesOf: AddressesOf) => object> = {
  // Started again it takes the ports it had: with port 0 they would be others, and its clients lost.
  receiver: (values, dir, addressesOf) => ({
    grpcListen: addressesOf('receiver').grpc ?? values.otlpGrpc,
    httpListen: addressesOf('receiver').http ?? values.otlpHttp,
    door: otlpDoor(values),
    ...(isOtlpLocked(values) ? { own: { listen: addressesOf('receiver').own ?? '127.0.0.1:0', token: ownToken } } : {}),
    messageBytesMax: values.otlpMessageBytes,
    ...logOptions(values, dir),
  }),
  processor: (values, dir) => ({ ...logOptions(values, dir), store: dataUrl(dir), symbols: true }),
  exporter: (values, dir) => ({
    ...logOptions(values, dir),
    store: dataUrl(dir),
    indexDir: path.join(dir, 'index'),
    publishIntervalMillis: values.publishInterval,
    // Rows leave the log when they are published: a small log must not wait for more than it can hold.
    publishBytes: Math.min(values.publishBytes, values.logBytes / 8),
    publishRowsMax: values.publishRows,
    hotIntervalMillis: values.hotInterval,
    retainMillis: values.retainAge,
    retainBytes: values.retainBytes ?? null,
  }),
  query: (values, dir) => ({ store: dataUrl(dir), listen: values.listen, door: apiDoor(values) }),
  agent: (values, _dir, addressesOf) => ({
    rateHz: values.rate,
    endpoint: `http://${localAddress(addressesOf('receiver').own ?? addressesOf('receiver').grpc ?? values.otlpGrpc)}`,
    protocol: 'grpc',
    // To the process next door: compressing would only cost CPU.
    compression: 'none',
    headers: isOtlpLocked(values) ? { authorization: `Bearer ${ownToken}` } : {},
    timeoutMillis: 10_000,
    batchMillis: 5_000,
    resourceAttributes: values.resourceAttributes ?? {},
    version: readVersion(),
  }),
};

/** The same bounds for all stages that write to it; each keeps its own share of them. */
const logOptions = ({ logBytes, diskReserve }: OptionValues, dir: string) => ({
  log: dataUrl(path.join(dir, 'log')),
  logBytesMax: logBytes,
  diskReserveBytes: diskReserve,
});

/** Listening on every interface is listening on loopback too. */
function localAddress(address: string): string {
  return address.replace(/^0\.0\.0\.0:/, '127.0.0.1:').replace(/^\[::\]:/, '[::1]:');
}
