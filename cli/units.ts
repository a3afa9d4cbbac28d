// Values in the unit of their sample type, as people read them.
import { formatBytes } from '../lib/bytes.ts';
import { countText } from './output.ts';

export function valueText(value: number, unit: string): string {
  if (unit === 'nanoseconds') return secondsText(value / 1e9);
  if (unit === 'bytes') return formatBytes(value);
  return countText(Math.round(value));
}

function secondsText(seconds: number): string {
  if (seconds >= 3600) return `${(seconds / 3600).toFixed(2)} h`;
  if (seconds >= 100) return `${seconds.toFixed(0)} s`;
  return seconds >= 1 ? `${seconds.toFixed(2)} s` : `${(seconds * 1000).toFixed(1)} ms`;
}

export const percentText = (part: number, whole: number): string => (whole === 0 ? '' : `${((100 * part) / whole).toFixed(1)}%`);

export const rangeText = (fromMillis: number, toMillis: number): string => `${isoSeconds(fromMillis)} to ${isoSeconds(toMillis)}`;

const isoSeconds = (millis: number): string => `${new Date(millis).toISOString().slice(0, 19)}Z`;
