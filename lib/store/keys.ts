// Keys: what is allowed in them, and their order.
import { PipelineError } from '../errors.ts';
import { keyBytesMax, keyPartBytesMax } from './limits.ts';

/** Throws key_invalid unless the key means the same on a directory and on S3, and stays inside. */
export function checkKey(key: string): void {
  const wrong = fault(key);
  if (wrong !== null) throw new PipelineError('key_invalid', `key ${JSON.stringify(key.slice(0, 200))}: ${wrong}`);
}

/** A prefix may end anywhere, also in the middle of a part; '' is everything. */
export function checkPrefix(prefix: string): void {
  const wrong = prefix === '' ? null : fault(prefix.endsWith('/') ? `${prefix}x` : prefix);
  if (wrong !== null) throw new PipelineError('key_invalid', `prefix ${JSON.stringify(prefix.slice(0, 200))}: ${wrong}`);
}

function fault(key: string): string | null {
  if (Buffer.byteLength(key) > keyBytesMax) return `longer than ${keyBytesMax} bytes`;
  if (!key.isWellFormed() || /[\u0000-\u001f\u007f]/.test(key)) return 'control characters and broken Unicode are not allowed';
  const parts = key.split('/');
  if (parts.includes('')) return "it must be relative, without empty parts ('//', '/' at an end)";
  if (parts.some((part) => part.startsWith('.'))) return "no part may begin with '.'";
  if (parts.some((part) => Buffer.byteLength(part) > keyPartBytesMax)) return `a part is longer than ${keyPartBytesMax} bytes`;
  if (parts[0] === 'tmp') return 'tmp/ belongs to the store itself';
  return null;
}

/** Order by UTF-8 bytes, as S3 lists; UTF-16 order differs where a surrogate meets U+E000..U+FFFF. */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index++) {
    const left = a.charCodeAt(index);
    const right = b.charCodeAt(index);
    if (left === right) continue;
    return rank(left) - rank(right);
  }
  return a.length - b.length;
}

/** Surrogates stand for code points above U+FFFF. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
