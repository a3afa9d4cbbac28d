// Executables are anybody's: whatever the bytes say, the readers answer or throw elf_malformed.
import { expect, test } from 'vitest';
import { isPipelineError } from '../errors.ts';
import { readBuildIds } from './build-id.ts';
import { fileOffsetToAddress, readElf } from './elf.ts';
import { memorySource } from './source.ts';
import { findSymbol, readFunctionSymbols, symbolName } from './symbols.ts';
import { buildElf } from './testing.ts';

const runs = Number(process.env.FLAMELAKE_FUZZ_RUNS ?? 20_000);

test('mutated ELF files never crash the readers', () => {
  let state = 20_261_124;
  const random = (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const notes = [{ name: 'GNU', type: 3, description: Buffer.alloc(20, 9) }];
  const symbols = Array.from({ length: 12 }, (_, index) => ({ name: `f${index % 9}`, value: BigInt(0x1000 + 32 * random(40)), size: BigInt(random(3) * 40) }));
  const segments = [{ type: 1, flags: 5, offset: 0, address: 0x1000n, bytes: 0x1000 }];
  const originals = ([64, 32] as const).map((bits) => buildElf({ bits, notes, symbols, segments, text: { address: 0x1000n, bytes: 0x1000 } }));
  let read = 0;
  for (let run = 0; run < runs; run++) {
    const bytes = Buffer.from(originals[run % 2]!);
    for (let flips = 1 + random(4); flips > 0; flips--) bytes[random(bytes.length)] = [0, 0xff, 0x7f, random(256)][random(4)]!;
    try {
      const elf = readElf(memorySource(random(10) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes));
      expect(readBuildIds(elf).htlhash).toHaveLength(32);
      fileOffsetToAddress(elf, random(0x3000));
      const table = readFunctionSymbols(elf);
      for (let index = 1; index < table.starts.length; index++) {
        if (!(table.ends[index - 1]! <= table.starts[index]! && table.starts[index]! < table.ends[index]!)) throw new Error(`ranges overlap in run ${run}`);
      }
      const found = findSymbol(table, 0x1000 + random(0x800));
      if (found >= 0) expect(symbolName(table, found)).not.toBe('');
      read++;
    } catch (error) {
      if (!isPipelineError(error, 'elf_malformed')) throw error;
    }
  }
  expect(read).toBeGreaterThan(runs / 4);
});
