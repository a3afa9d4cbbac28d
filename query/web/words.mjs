// Numbers as people read them, for the page and the standalone file.

/**
 * @param {number} value
 * @param {string} unit sample_unit: nanoseconds, bytes, count, …
 */
export function formatValue(value, unit) {
  if (unit === 'nanoseconds') return formatSeconds(value / 1e9);
  if (unit === 'bytes') return formatBytes(value);
  return unit === 'count' ? formatCount(value) : `${formatCount(value)} ${unit}`;
}

/** @param {number} seconds */
export function formatSeconds(seconds) {
  const size = Math.abs(seconds);
  if (size === 0) return '0 s';
  if (size < 1e-3) return `${digits(seconds * 1e6)} µs`;
  if (size < 1) return `${digits(seconds * 1e3)} ms`;
  if (size < 600) return `${digits(seconds)} s`;
  if (size < 36_000) return `${digits(seconds / 60)} min`;
  return `${digits(seconds / 3600)} h`;
}

/** @param {number} bytes */
export function formatBytes(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let power = 0;
  let value = bytes;
  while (Math.abs(value) >= 1024 && power < units.length - 1) {
    value /= 1024;
    power++;
  }
  return `${power === 0 ? Math.round(value) : digits(value)} ${units[power]}`;
}

/** @param {number} value */
export function formatCount(value) {
  return Number.isInteger(value) ? value.toLocaleString('en') : digits(value);
}

/** Three digits that count. @param {number} value */
function digits(value) {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

/** @param {number} part @param {number} whole */
export function formatShare(part, whole) {
  if (whole === 0) return '0 %';
  const percent = (100 * part) / whole;
  return `${percent >= 99.95 || percent === 0 ? percent.toFixed(0) : percent >= 10 ? percent.toFixed(1) : percent.toFixed(2)} %`;
}

/**
 * Half width of the 95 % interval of a share that was estimated from samples, in points.
 * @param {number} samples that hit
 * @param {number} all
 */
export function shareError(samples, all) {
  if (all <= 0) return 0;
  // Agresti and Coull: holds for few hits too.
  const n = all + 4;
  const p = (samples + 2) / n;
  return 196 * Math.sqrt((p * (1 - p)) / n);
}

/** What a type counts, in a heading. @param {string} type @param {string} unit */
export function measureName(type, unit) {
  if (type === 'cpu') return 'CPU time';
  if (type === 'off_cpu') return 'time off CPU';
  if (type === 'lost') return 'lost samples';
  return unit === 'count' ? type : `${type} (${unit})`;
}
