// DuckDB's values as JSON without loss: integers beyond 2^53 become strings, times RFC 3339 with
// microseconds, maps and structs objects, bytes hex.
import {
  DuckDBArrayValue,
  DuckDBBlobValue,
  DuckDBDateValue,
  DuckDBDecimalValue,
  DuckDBListValue,
  DuckDBMapValue,
  DuckDBStructValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  DuckDBUnionValue,
  type DuckDBValue,
} from '@duckdb/node-api';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

export function toJson(value: DuckDBValue): Json {
  if (value === null || value === undefined) return null;
  switch (typeof value) {
    case 'boolean':
    case 'string':
      return value;
    case 'number':
      return Number.isFinite(value) ? value : String(value);
    case 'bigint':
      return safeInteger(value);
    default:
      return objectToJson(value);
  }
}

function objectToJson(value: Exclude<DuckDBValue, null | boolean | string | number | bigint>): Json {
  if (value instanceof DuckDBTimestampTZValue || value instanceof DuckDBTimestampValue) return isoMicros(value);
  if (value instanceof DuckDBDateValue) return value.toString();
  if (value instanceof DuckDBListValue || value instanceof DuckDBArrayValue) return value.items.map(toJson);
  if (value instanceof DuckDBStructValue) return object(Object.entries(value.entries).map(([key, entry]) => [key, toJson(entry)]));
  if (value instanceof DuckDBMapValue) return object(value.entries.map(({ key, value: entry }) => [String(toJson(key)), toJson(entry)]));
  if (value instanceof DuckDBDecimalValue) return safeDecimal(value);
  if (value instanceof DuckDBBlobValue) return Buffer.from(value.bytes).toString('hex');
  if (value instanceof DuckDBUnionValue) return toJson(value.value);
  return String(value);
}

export const safeInteger = (value: bigint): number | string =>
  value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value.toString();

/** Keys come from elsewhere; fromEntries makes '__proto__' a plain key. */
const object = (entries: readonly (readonly [string, Json])[]): Json => Object.fromEntries(entries);

/** A double holds 15 decimal digits. */
function safeDecimal(value: DuckDBDecimalValue): number | string {
  const text = value.toString();
  return text.replace(/\D/g, '').length <= 15 ? Number(text) : text;
}

function isoMicros(value: DuckDBTimestampTZValue | DuckDBTimestampValue): string {
  const micros = value.micros;
  const millis = micros >= 0n ? micros / 1000n : -((-micros + 999n) / 1000n);
  // DuckDB's own infinities and years beyond JavaScript's dates keep DuckDB's spelling.
  if (millis > 8_640_000_000_000_000n || millis < -8_640_000_000_000_000n) return value.toString();
  const rest = Number(micros - millis * 1000n);
  const iso = new Date(Number(millis)).toISOString();
  return rest === 0 ? iso : iso.replace('Z', `${String(rest).padStart(3, '0')}Z`);
}
