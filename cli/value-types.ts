// The kinds of values that options have: how they are written, what is allowed, what they become.
// Flags, environment and file all hand over text; a parser gives undefined for what is not allowed.
import { formatBytes, parseBytes } from '../lib/bytes.ts';
import { parseDuration, parseTime } from '../lib/duration.ts';
import { isPipelineError } from '../lib/errors.ts';

export interface ValueType<T> {
  /** In `--help`, after the flag; empty for a flag without value. */
  readonly placeholder: string;
  /** For error lines and documentation: what is allowed. */
  readonly allowed: string;
  readonly parse: (text: string) => T | undefined;
  /** Its text is not repeated in error lines. */
  readonly secret?: boolean;
  /** Takes a YAML map of texts too. */
  readonly takesMap?: boolean;
}

export const text = (placeholder: string, allowed = 'any text'): ValueType<string> => ({
  placeholder,
  allowed,
  parse: (value) => (value === '' || value.includes('\0') ? undefined : value),
});

export const path = (placeholder: string, allowed: string): ValueType<string> => text(placeholder, allowed);

export const onOff: ValueType<boolean> = {
  placeholder: '',
  allowed: 'true or false',
  parse: (value) => ({ true: true, '1': true, false: false, '0': false })[value.toLowerCase()],
};

/** As OpenTelemetry has its switches: on where it says true, and off whatever else it says. */
export const trueOrElse: ValueType<boolean> = {
  placeholder: '',
  allowed: 'true; anything else is false',
  parse: (value) => value.toLowerCase() === 'true',
};

/** One of several words, written in any case. */
export function oneOfAnyCase<const T extends string>(placeholder: string, values: readonly T[]): ValueType<T> {
  return { ...oneOf(placeholder, values), parse: (value) => values.find((each) => each === value.toLowerCase()) };
}

export function oneOf<const T extends string>(placeholder: string, values: readonly T[]): ValueType<T> {
  return { placeholder, allowed: orList(values), parse: (value) => values.find((each) => each === value) };
}

export function wholeNumber(placeholder: string, min: number, max: number, unit: string): ValueType<number> {
  return {
    placeholder,
    allowed: `a whole number from ${min} to ${max}${unit === '' ? '' : ` (${unit})`}`,
    parse: (value) => within(/^\d{1,15}$/.test(value) ? Number(value) : Number.NaN, min, max),
  };
}

export function bytes(min: number, max: number): ValueType<number> {
  return {
    placeholder: 'SIZE',
    allowed: `a size from ${formatBytes(min)} to ${formatBytes(max)}, such as 128MB or 64MiB`,
    parse: (value) =>
      within(
        orUndefined(() => parseBytes(value)),
        min,
        max,
      ),
  };
}

export interface DurationRange {
  readonly min: string;
  readonly max: string;
  /** OpenTelemetry writes its timeouts as bare milliseconds. */
  readonly bareMillis?: boolean;
}

export function duration(range: DurationRange): ValueType<number> {
  const min = parseDuration(range.min);
  const max = parseDuration(range.max);
  return {
    placeholder: 'TIME',
    allowed: `a duration from ${range.min} to ${range.max}, such as 30s or 1h30m${range.bareMillis ? ', or a number of milliseconds' : ''}`,
    parse: (value) => within(range.bareMillis && /^\d{1,12}$/.test(value) ? Number(value) : orUndefined(() => parseDuration(value)), min, max),
  };
}

/** A duration, or the word that stands for none: null. */
export function durationOr(word: string, range: DurationRange): ValueType<number | null> {
  const base = duration(range);
  return { ...base, allowed: `${base.allowed}, or ${word}`, parse: (value) => (value === word ? null : base.parse(value)) };
}

/** A moment, as milliseconds since the Unix epoch; relative ones count from the start of the command. */
export const moment: ValueType<number> = {
  placeholder: 'TIME',
  allowed: 'RFC 3339 (2026-11-24T08:00:00Z), a date, a time ago (-15m) or now',
  parse: (value) => orUndefined(() => parseTime(value, commandStartMillis)),
};
const commandStartMillis = Date.now();

/** HOST:PORT to listen on; port 0 lets the system choose one. */
export const listenAddress: ValueType<string> = {
  placeholder: 'HOST:PORT',
  allowed: 'HOST:PORT, such as 127.0.0.1:4317, [::1]:4317 or 0.0.0.0:4317 (every interface)',
  parse(value) {
    const match = /^(\[[0-9a-fA-F:.%]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/.exec(value);
    return match && Number(match[2]) <= 65535 ? value : undefined;
  },
};

/** A URL of OTLP's exporter: http or https, no user in it (headers carry credentials). */
export const endpointUrl: ValueType<string> = {
  placeholder: 'URL',
  allowed: 'an http:// or https:// URL without user and query, such as http://localhost:4317',
  parse(value) {
    const url = URL.canParse(value) ? new URL(value) : null;
    const plain = url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '' && url.search === '' && url.hash === '';
    return plain ? value : undefined;
  },
};

export type Pairs = Readonly<Record<string, string>>;

/** key=value,key=value with percent-encoding, as OTEL_RESOURCE_ATTRIBUTES and OTEL_EXPORTER_OTLP_HEADERS have it. */
export function pairs(options: { secret: boolean; name: RegExp; what: string }): ValueType<Pairs> {
  return {
    placeholder: 'K=V,…',
    allowed: `${options.what} as key=value,key=value; special characters of a value as %XX`,
    secret: options.secret,
    takesMap: true,
    parse(value) {
      const found: Record<string, string> = {};
      for (const part of value.split(',')) {
        if (part.trim() === '') continue;
        const at = part.indexOf('=');
        const key = orUndefined(() => decodeURIComponent(part.slice(0, Math.max(at, 0)).trim()));
        const content = orUndefined(() => decodeURIComponent(part.slice(at + 1).trim()));
        if (key === undefined || content === undefined || !options.name.test(key)) return undefined;
        found[key] = content;
      }
      return found;
    },
  };
}

export function orList(values: readonly string[]): string {
  return values.length < 2 ? values.join('') : `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`;
}

function within(value: number | undefined, min: number, max: number): number | undefined {
  return value !== undefined && value >= min && value <= max ? value : undefined;
}

function orUndefined<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (isPipelineError(error, 'usage') || error instanceof URIError) return undefined;
    throw error;
  }
}
