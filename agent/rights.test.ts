import { expect, test } from 'vitest';
import { checkRights, isKernelNewEnough, parseCapabilities, requireRights } from './rights.ts';

test('the effective capabilities', () => {
  expect(parseCapabilities('Name:\tx\nCapInh:\t0000000000000000\nCapEff:\t000001ffffffffff\nCapBnd:\t0\n')).toBe(0x1ffffffffffn);
  expect(parseCapabilities('')).toBe(0n);
});

test('versions of kernels', () => {
  expect(['5.11.0', '5.15.0-91-generic', '6.1.0', '10.0'].map(isKernelNewEnough)).toEqual([true, true, true, true]);
  expect(['5.10.209', '4.18.0-513.el8', 'x'].map(isKernelNewEnough)).toEqual([false, false, false]);
});

test('what is missing is said with what grants it, in one line', () => {
  const { ok, missing, limited } = checkRights();
  expect(ok).toBe(missing.length === 0);
  for (const { what, grant } of [...missing, ...limited]) expect(`${what}; ${grant}`).toMatch(/^[^\n]+; [^\n]+$/);
  if (ok) requireRights();
  else expect(() => requireRights()).toThrow(expect.objectContaining({ code: 'rights_missing', message: expect.not.stringContaining('\n') }));
});
