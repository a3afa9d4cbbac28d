// Durations (250ms, 3s, 15m, 24h, 7d, 1h30m) and times (RFC 3339, -15m, now) as people write them.
import { PipelineError } from './errors.ts';

const unitMillis: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const duration = /^(?:\d{1,12}(?:\.\d{1,6})?(?:ms|s|m|h|d))+$/;
const durationPart = /(\d+(?:\.\d+)?)(ms|s|m|h|d)/g;

/** Whole milliseconds; throws `usage` where the text is no duration. */
export function parseDuration(text: string): number {
  const millis = durationMillis(text.trim());
  if (millis !== null) return millis;
  throw new PipelineError('usage', `${JSON.stringify(text)} is no duration; a number with ms, s, m, h or d is allowed, for example 15m or 1h30m`);
}

function durationMillis(text: string): number | null {
  if (!duration.test(text)) return null;
  let millis = 0;
  for (const [, digits, unit] of text.matchAll(durationPart)) millis += Number(digits) * unitMillis[unit!]!;
  const whole = Math.round(millis);
  return Number.isSafeInteger(whole) ? whole : null;
}

// RFC 3339 with its whole date and zone; a date alone means its first moment in UTC.
const rfc3339 = /^(\d{4})-(\d{2})-(\d{2})(?:[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.\d{1,9})?(?:[Zz]|[+-]([01]\d|2[0-3]):[0-5]\d))?$/;

/** Milliseconds since the Unix epoch; throws `usage` where the text is no time. */
export function parseTime(text: string, nowMillis: number): number {
  const trimmed = text.trim();
  if (trimmed === 'now') return nowMillis;
  const past = trimmed.startsWith('-') ? durationMillis(trimmed.slice(1)) : null;
  if (past !== null) return nowMillis - past;
  const millis = rfc3339Millis(trimmed);
  if (millis !== null) return millis;
  throw new PipelineError('usage', `${JSON.stringify(text)} is no time; RFC 3339 (2026-11-24T08:00:00Z), a date, -15m or now is allowed`);
}

function rfc3339Millis(text: string): number | null {
  const [, year, month, day, hour = '0', minute = '0', second = '0'] = rfc3339.exec(text) ?? [];
  if (year === undefined) return null;
  // Date.parse takes 31 February for 3 March and refuses a leap second, which RFC 3339 allows.
  const monthDays = new Date(Date.UTC(Number(year), Number(month), 0)).getUTCDate();
  if (Number(month) < 1 || Number(month) > 12 || Number(day) < 1 || Number(day) > monthDays) return null;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60) return null;
  const leap = Number(second) === 60;
  const iso = text
    .toUpperCase()
    .replace(' ', 'T')
    .replace(/:60(?=[.Z+-])/, ':59');
  const millis = Date.parse(iso);
  return Number.isNaN(millis) ? null : millis + (leap ? 1000 : 0);
}
