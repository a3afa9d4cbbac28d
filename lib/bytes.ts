// Sizes as people write them: 128MB (powers of 1000), 64MiB (powers of 1024), 4096.
import { PipelineError } from './errors.ts';

const factors: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/** Whole bytes; throws `usage` where the text is no size. */
export function parseBytes(text: string): number {
  const [, digits, unit] = /^(\d{1,15}(?:\.\d{1,9})?)\s?([a-z]{0,3})$/i.exec(text.trim()) ?? [];
  const factor = factors[unit?.toLowerCase() ?? 'none'];
  const bytes = digits === undefined || factor === undefined ? Number.NaN : Math.round(Number(digits) * factor);
  if (Number.isSafeInteger(bytes)) return bytes;
  throw new PipelineError('usage', `${JSON.stringify(text)} is no size; a number with B, KB, MB, GB, TB, KiB, MiB, GiB or TiB is allowed, for example 128MB`);
}

/** The largest unit of 1024 that leaves at least 1, with at most one decimal: 1536 -> 1.5KiB. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = Math.abs(bytes);
  let unit = 0;
  // 1023.95 would be shown as 1024.0.
  while (value >= 1023.95 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  const text = unit === 0 ? String(Math.round(value)) : value.toFixed(1).replace(/\.0$/, '');
  return `${bytes < 0 ? '-' : ''}${text}${units[unit]}`;
}
