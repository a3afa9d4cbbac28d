// OTLP in, the log out. Takes profiles over gRPC and HTTP, checks that their bytes can be relied on and
// acknowledges what the log has made durable. Wiring only: grpc.ts and http.ts are the edges, ingest.ts
// is what both do, walk.ts what is checked.

import { type Door, type DoorFiles, openDoor } from '../lib/door/door.ts';
import { bearerToken, isAmong } from '../lib/door/tokens.ts';
import { mallocTrim } from '../lib/libc.ts';
import { headReserveBytesDefault, headResumeBytes, headShare, logBytesMaxDefault } from '../lib/log/limits.ts';
import type { Log } from '../lib/log/log.ts';
import { openLog } from '../lib/log/open.ts';
import type { Stage, StageHost, StageStatus, StartStage } from '../lib/stage.ts';
import { profilesTopic } from '../schemas/topics.ts';
import { createChecker } from './checker.ts';
import { createGrpcListener } from './grpc.ts';
import { createHttpListener, profilesPath } from './http.ts';
import { createInFlight } from './in-flight.ts';
import { createIngest } from './ingest.ts';
import { giveBackAfterMillis, headersMillisMax, inFlightBytesMax, largeDecodesMax } from './limits.ts';
import { watchLog } from './log-watch.ts';
import { createReceiverMetrics } from './metrics.ts';
import { createPermits } from './permits.ts';

export interface ReceiverOptions {
  /** host:port, or null for none. */
  readonly grpcListen: string | null;
  readonly httpListen: string | null;
  /** TLS and tokens of both. */
  readonly door?: DoorFiles;
  /** A gRPC listener on the loopback for the agent next door, which has no certificate: this token alone opens it. */
  readonly own?: { readonly listen: string; readonly token: string };
  /** Before and after decompression. */
  readonly messageBytesMax: number;
  /** For the headers of a request, where it is not the default. */
  readonly headersMillis?: number;
  /** URL for openLog. */
  readonly log: string;
  /** Bound of the whole embedded log on disk, where it is not the default. */
  readonly logBytesMax?: number;
  /** Room kept free on the log's disk, where it is not the default. */
  readonly diskReserveBytes?: number;
}

export interface Receiver extends Stage {
  /** Where it listens, with the real port where 0 was asked for. */
  readonly grpcAddress: string | null;
  readonly httpAddress: string | null;
  readonly ownAddress: string | null;
}

export const startReceiver = (async (options, host) => {
  const bytesMax = headShare(options.logBytesMax ?? logBytesMaxDefault);
  const log = await openLog(options.log, {
    bytesMax,
    diskReserveBytes: options.diskReserveBytes ?? headReserveBytesDefault,
    resumeBytes: headResumeBytes(bytesMax),
  });
  try {
    // One partition where nobody made the topic before; what is there stays as it is.
    await log.ensureTopic({ name: profilesTopic, partitions: 1 });
    return await serve(options, host, log);
  } catch (error) {
    await log.close();
    throw error;
  }
}) satisfies StartStage<ReceiverOptions>;

async function serve(options: ReceiverOptions, host: StageHost, log: Log): Promise<Receiver> {
  const inFlight = createInFlight(inFlightBytesMax(options.messageBytesMax), undefined, giveBackSoon());
  const metrics = createReceiverMetrics(host.meter, {
    inFlight,
    connections: (transport) => listeners[transport].connections() + (transport === 'grpc' ? own.connections() : 0),
    logUsage: () => log.usage(),
  });
  const checker = createChecker();
  const ingest = createIngest(log, checker, metrics, host.logger);
  const watch = watchLog(log);
  const door = openDoor(options.door ?? {}, host.logger);
  const transport = {
    messageBytesMax: options.messageBytesMax,
    headersMillis: options.headersMillis ?? headersMillisMax,
    door,
    ingest,
    inFlight,
    largeDecodes: createPermits(largeDecodesMax),
    metrics,
    logger: host.logger,
  };
  const listeners = { grpc: createGrpcListener(transport), http: createHttpListener(transport) };
  const own = createGrpcListener({ ...transport, door: ownDoor(options.own?.token ?? '') });
  const stopListeners = async (): Promise<void> => {
    door.close();
    await Promise.all([listeners.grpc.stop(), listeners.http.stop(), own.stop()]);
    await checker.close();
  };
  let stopping = false;
  try {
    const grpcAddress = options.grpcListen === null ? null : await listeners.grpc.listen(options.grpcListen);
    const httpAddress = options.httpListen === null ? null : await listeners.http.listen(options.httpListen);
    const ownAddress = options.own === undefined ? null : await own.listen(options.own.listen);
    const where = describe(grpcAddress, httpAddress, door);
    host.logger.debug(where);
    return {
      grpcAddress,
      httpAddress,
      ownAddress,
      status: () => (stopping ? { ready: false, text: 'stopping' } : statusOf(where, watch.refusing() ?? ingest.trouble())),
      stop: async () => {
        stopping = true;
        await stopListeners();
        watch.close();
        await log.close();
      },
    };
  } catch (error) {
    watch.close();
    await stopListeners();
    throw error;
  }
}

/** Free memory to the system, once what goes with the requests (streams, sockets) is gone too. */
function giveBackSoon(): () => void {
  let isDue = false;
  return () => {
    if (isDue) return;
    isDue = true;
    setTimeout(() => {
      isDue = false;
      mallocTrim(0);
    }, giveBackAfterMillis).unref();
  };
}

/** One token, made for this run of the command, and no TLS: it never leaves the host. */
const ownDoor = (token: string): Door => ({
  tls: null,
  asksToken: true,
  admits: (authorization) => token !== '' && isAmong(bearerToken(authorization) ?? '', [token]),
  tokens: () => [token],
  attach: () => {},
  close: () => {},
});

function describe(grpcAddress: string | null, httpAddress: string | null, door: Door): string {
  const scheme = door.tls === null ? 'http' : 'https';
  const places = [
    grpcAddress === null ? null : `OTLP/gRPC on ${grpcAddress}${door.tls === null ? '' : ' with TLS'}`,
    httpAddress === null ? null : `OTLP/HTTP on ${scheme}://${httpAddress}${profilesPath}`,
  ];
  return places.filter((place) => place !== null).join(', ') || 'listens nowhere';
}

/** With the log in trouble every sender is told to wait: not ready, whatever the ports say. */
function statusOf(where: string, trouble: string | null): StageStatus {
  return trouble === null ? { ready: true, text: where } : { ready: false, text: `${where}; waits for the log: ${trouble}` };
}
