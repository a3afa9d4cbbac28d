// What both ways of sending give: one attempt for one encoded batch, and what OTLP says of the answer.
import { closeWire, enter, enterSpan, lastInt64, leave, malformed, more, openWire, position, readBytes, readTag, readVarint64, skip } from '../../lib/wire.ts';

export type SendResult =
  /** Taken; `rejected` profiles of it were not, and must not be sent again. */
  | { readonly kind: 'accepted'; readonly rejected: number; readonly message: string }
  /** May be sent again, not before `afterMillis` where the endpoint said so. `isUntaken`: it is known that nothing of it was taken. */
  | { readonly kind: 'retry'; readonly afterMillis: number | null; readonly message: string; readonly isUntaken?: true }
  /** Must not be sent again. */
  | { readonly kind: 'refused'; readonly message: string };

export interface Transport {
  /** For messages to people. */
  readonly endpoint: string;
  send(body: Uint8Array, signal: AbortSignal): Promise<SendResult>;
  close(): void;
}

export interface TransportOptions {
  readonly endpoint: string;
  readonly compression: 'gzip' | 'zstd' | 'none';
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMillis: number;
  readonly userAgent: string;
  /** A bearer token, asked for at each attempt; absent: none is sent. */
  readonly token?: BearerToken | undefined;
  readonly tls: { readonly ca: Buffer | null; readonly certificate: Buffer | null; readonly key: Buffer | null };
  /** Profiles where it is left out. */
  readonly signal?: OtlpSignal;
}

export interface BearerToken {
  /** Where a person puts it, for messages. */
  readonly place: string;
  /** Throws one line where it can't be read. */
  read(): string;
}

/**
 * The endpoint does not know this sender, whatever it sends. OTLP calls that final, but the batch is good,
 * nothing of it was looked at, and somebody will mend the credentials: it is kept as long as there is room.
 */
export function turnedAway(found: string, { token }: Pick<TransportOptions, 'token'>): SendResult {
  const place = token?.place ?? 'the headers, or the client certificate';
  return { kind: 'retry', afterMillis: null, isUntaken: true, message: `${found}; mend ${place}, what is not sent is kept` };
}

/** As headers; or why there can't be an attempt now. */
export function authorizationOf({ token }: TransportOptions): { readonly headers: Readonly<Record<string, string>> } | { readonly missing: SendResult } {
  try {
    return { headers: token === undefined ? {} : { authorization: `Bearer ${token.read()}` } };
  } catch (error) {
    return { missing: { kind: 'retry', afterMillis: null, isUntaken: true, message: plain((error as Error).message) } };
  }
}

/** What is different between OTLP's signals on the way: the whole rest of both transports is the same. */
export type OtlpSignal = 'profiles' | 'metrics';
export const signals: Readonly<Record<OtlpSignal, { readonly grpcMethod: string; readonly headers: Readonly<Record<string, string>> }>> = {
  profiles: {
    grpcMethod: '/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export',
    headers: { 'otlp-profiles-development-version': '1' },
  },
  metrics: { grpcMethod: '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export', headers: {} },
};

const messageCharactersMax = 300;

/** Text of others in our log lines: one line, with an end. */
export function plain(text: string): string {
  return text
    .replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ')
    .trim()
    .slice(0, messageCharactersMax);
}

/**
 * ExportProfilesServiceResponse { partial_success = 1 { rejected_profiles = 1, error_message = 2 } }, and
 * the same with data points for metrics.
 * An answer that can't be read is an accepted one: the transport's status says that it was taken.
 */
export function readAnswer(body: Uint8Array): SendResult {
  let rejected = 0;
  let message = '';
  try {
    openWire(body);
    while (more()) {
      const tag = readTag();
      if (tag !== 0x0a) {
        skip(tag);
        continue;
      }
      const outer = enter();
      while (more()) {
        const inner = readTag();
        if (inner === 0x08) {
          readVarint64();
          rejected = Number(lastInt64());
        } else if (inner === 0x12) {
          const start = readBytes();
          message = Buffer.from(body.subarray(start, position())).toString('utf8');
        } else skip(inner);
      }
      leave(outer);
    }
  } catch {
    return { kind: 'accepted', rejected: 0, message: '' };
  } finally {
    closeWire();
  }
  return { kind: 'accepted', rejected: Math.max(0, rejected), message: plain(message) };
}

/**
 * google.rpc.Status { details = 3: Any { type_url = 1, value = 2 } } with a RetryInfo { retry_delay = 1 }:
 * milliseconds to wait, or null where the endpoint says nothing.
 */
export function readRetryDelay(status: Uint8Array): number | null {
  try {
    openWire(status);
    return findRetryInfo(status);
  } catch {
    return null;
  } finally {
    closeWire();
  }
}

const retryInfoType = 'google.rpc.RetryInfo';

function findRetryInfo(status: Uint8Array): number | null {
  while (more()) {
    const tag = readTag();
    if (tag !== 0x1a) {
      skip(tag);
      continue;
    }
    const outer = enter();
    let type = '';
    let valueStart = -1;
    let valueEnd = -1;
    while (more()) {
      const inner = readTag();
      if (inner === 0x0a) {
        const start = readBytes();
        type = Buffer.from(status.subarray(start, position())).toString('latin1');
      } else if (inner === 0x12) {
        valueStart = readBytes();
        valueEnd = position();
      } else skip(inner);
    }
    leave(outer);
    if (type.endsWith(retryInfoType)) return valueStart < 0 ? null : readDelay(valueStart, valueEnd - valueStart);
  }
  return null;
}

/** Duration { seconds = 1, nanos = 2 } inside field 1. */
function readDelay(start: number, length: number): number {
  enterSpan(start, length);
  let millis = 0;
  while (more()) {
    const tag = readTag();
    if (tag !== 0x0a) {
      skip(tag);
      continue;
    }
    const outer = enter();
    while (more()) {
      const inner = readTag();
      if (inner !== 0x08 && inner !== 0x10) throw malformed(`field ${inner >>> 3}`, 'a duration');
      readVarint64();
      millis += inner === 0x08 ? Number(lastInt64()) * 1000 : Number(lastInt64()) / 1e6;
    }
    leave(outer);
  }
  return Math.max(0, millis);
}
