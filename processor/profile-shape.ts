// How the numbers of a profile are to be read: their type, and what one of them stands for.
import { lostSampleType } from '../schemas/otlp/attributes.ts';
import type { ProfileRecord } from './otlp-tables.ts';
import type { PreparedMessage } from './prepared-message.ts';

export interface Shape {
  readonly type: string;
  readonly unit: string;
  /** What one unit of a value, or one timestamp, stands for. */
  readonly scale: bigint;
  /** Values without timestamps are numbers of events. */
  readonly countsEvents: boolean;
  readonly timeLow: number;
  readonly timeHigh: number;
}

/**
 * Counts of samples whose period is CPU time become CPU time, so that sum(value) is it; but not where
 * the same scope gives cpu/nanoseconds itself (pprof's two views of the same samples), or each sample
 * would count twice.
 */
export function shapeOf(record: ProfileRecord, texts: PreparedMessage['texts'], givesCpuTime: boolean): Shape {
  const [type, unit] = [texts.text(record.sampleType) || 'unknown', texts.text(record.sampleUnit) || 'unknown'];
  const isCpuCount = isCpuTime(texts.text(record.periodType), texts.text(record.periodUnit)) && unit === 'count' && type !== lostSampleType[0];
  const converts = isCpuCount && record.period > 0n && !givesCpuTime;
  return {
    type: converts ? 'cpu' : type,
    unit: converts ? 'nanoseconds' : unit,
    scale: converts ? record.period : 1n,
    countsEvents: unit === 'count',
    timeLow: Number(record.timeNanos & 0xffffffffn),
    timeHigh: Number(record.timeNanos >> 32n),
  };
}

const isCpuTime = (type: string, unit: string): boolean => type === 'cpu' && unit === 'nanoseconds';

/** Scopes that give CPU time themselves, by scopeIndex. */
export function scopesWithCpuTime({ profiles, texts }: PreparedMessage): Set<number> {
  const found = profiles.filter(({ record }) => isCpuTime(texts.text(record.sampleType), texts.text(record.sampleUnit)));
  return new Set(found.map(({ record }) => record.scopeIndex));
}

const maxInt64 = 2n ** 63n - 1n;

/** Numbers that no column holds stay at its end, rather than turn into others. */
export function clampInt64(value: bigint): bigint {
  return value > maxInt64 ? maxInt64 : value < -maxInt64 ? -maxInt64 : value;
}

export function scaled(value: bigint, scale: bigint): bigint {
  return scale === 1n ? value : clampInt64(value * scale);
}
