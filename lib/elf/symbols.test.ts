import { describe, expect, test } from 'vitest';
import { readElf } from './elf.ts';
import { memorySource } from './source.ts';
import { findSymbol, readFunctionSymbols, type SymbolTable, symbolName } from './symbols.ts';
import { buildElf, type TestElf, type TestSymbol } from './testing.ts';

const text = { address: 0x1000n, bytes: 0x1000 };
const tableOf = (symbols: readonly TestSymbol[], rest: TestElf = {}) => readFunctionSymbols(readElf(memorySource(buildElf({ text, symbols, ...rest }))));
const nameAt = (table: SymbolTable, address: number) => {
  const index = findSymbol(table, address);
  return index < 0 ? null : symbolName(table, index);
};

describe('a symbol names', () => {
  const table = tableOf([
    { name: 'second', value: 0x1100n, size: 0x20n },
    { name: 'first', value: 0x1000n, size: 0x80n },
    { name: 'data', value: 0x1090n, size: 0x10n, type: 1 },
    { name: 'elsewhere', value: 0x10a0n, size: 0x10n, section: 0 },
    { name: '', value: 0x10b0n, size: 0x10n },
    { name: 'resolver', value: 0x1200n, size: 0x10n, type: 10 },
  ]);
  test.each([
    [0xfff, null],
    [0x1000, 'first'],
    [0x107f, 'first'],
    [0x1080, null],
    [0x1095, null],
    [0x10a5, null],
    [0x10b5, null],
    [0x1100, 'second'],
    [0x111f, 'second'],
    [0x1120, null],
    [0x1205, 'resolver'],
    [2 ** 40, null],
  ])('at %i: %s', (address, name) => {
    expect(nameAt(table, address)).toBe(name);
  });
});

test('without a size reaches to the next symbol, and never out of its section', () => {
  const table = tableOf([
    { name: 'start', value: 0x1000n, size: 0n },
    { name: 'sized', value: 0x1040n, size: 0x10n },
    { name: 'last', value: 0x1f00n, size: 0n },
    { name: 'outside', value: 0x3000n, size: 0n },
  ]);
  expect([0x103f, 0x1045, 0x1050, 0x1fff, 0x2000, 0x3000].map((address) => nameAt(table, address))).toEqual(['start', 'sized', null, 'last', null, null]);
});

test('inside another one wins there, and the outer one goes on behind it', () => {
  const table = tableOf([
    { name: 'outer', value: 0x1000n, size: 0x100n },
    { name: 'inner', value: 0x1010n, size: 0x10n },
    { name: 'innermost', value: 0x1014n, size: 0x4n },
    { name: 'sticks_out', value: 0x10f0n, size: 0x40n },
    { name: 'same_start', value: 0x1000n, size: 0x4n },
  ]);
  const at = (address: number) => nameAt(table, address);
  expect([0x1002, 0x1008, 0x1012, 0x1015, 0x1019, 0x1020, 0x10ef, 0x10f0, 0x1110, 0x1130].map(at)).toEqual([
    'same_start',
    'outer',
    'inner',
    'innermost',
    'inner',
    'outer',
    'outer',
    'sticks_out',
    'sticks_out',
    null,
  ]);
});

test('of several for one range: global, then fewest underscores, then shortest, whatever their order', () => {
  const aliases: TestSymbol[] = [
    { name: 'a', value: 0x1000n, size: 8n, bind: 0 },
    { name: '__write', value: 0x1000n, size: 8n },
    { name: 'write', value: 0x1000n, size: 8n, bind: 2 },
    { name: 'write_alias', value: 0x1000n, size: 8n },
    { name: 'writf', value: 0x1000n, size: 8n },
    { name: 'unsized', value: 0x1000n, size: 0n },
  ];
  expect(nameAt(tableOf(aliases), 0x1004)).toBe('write');
  expect(nameAt(tableOf(aliases.toReversed()), 0x1004)).toBe('write');
  expect(tableOf(aliases).starts.length).toBe(1);
});

test('are taken from .dynsym where there is no .symtab, in 32 bits too, and without the mark of Thumb code', () => {
  const symbols = [{ name: 'f', value: 0x1001n, size: 4n }];
  expect(nameAt(tableOf(symbols, { symbolsIn: 'dynsym' }), 0x1002)).toBe('f');
  expect(nameAt(tableOf(symbols, { bits: 32, machine: 40 }), 0x1000)).toBe('f');
});

test('a file without any has none', () => {
  expect(tableOf([]).starts.length).toBe(0);
});
