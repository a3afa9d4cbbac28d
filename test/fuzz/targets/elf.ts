// Executables are anybody's: whatever the bytes say, the readers answer or throw elf_malformed.
import { readBuildIds } from '../../../lib/elf/build-id.ts';
import { fileOffsetToAddress, readElf } from '../../../lib/elf/elf.ts';
import { memorySource } from '../../../lib/elf/source.ts';
import { findSymbol, readFunctionSymbols, symbolName } from '../../../lib/elf/symbols.ts';
import { buildElf } from '../../../lib/elf/testing.ts';
import { isPipelineError } from '../../../lib/errors.ts';
import { below, type Random } from '../../../schemas/otlp/testing-data.ts';
import { mutateBytes } from '../mutate.ts';
import type { Target, Verdict } from '../target.ts';

function someElf(random: Random): Uint8Array {
  const notes = [{ name: 'GNU', type: 3, description: Buffer.alloc(20, 9) }];
  const symbols = Array.from({ length: 12 }, (_, index) => ({
    name: `f${index % 9}`,
    value: BigInt(0x1000 + 32 * below(random, 40)),
    size: BigInt(below(random, 3) * 40),
  }));
  const segments = [{ type: 1, flags: 5, offset: 0, address: 0x1000n, bytes: 0x1000 }];
  return mutateBytes(buildElf({ bits: below(random, 2) === 0 ? 64 : 32, notes, symbols, segments, text: { address: 0x1000n, bytes: 0x1000 } }), random);
}

function feedElf(input: Uint8Array, random: Random): Verdict {
  try {
    const file = readElf(memorySource(Buffer.from(input)));
    if (readBuildIds(file).htlhash.length !== 32) throw new Error('a build id of another length');
    fileOffsetToAddress(file, below(random, 0x3000));
    const table = readFunctionSymbols(file);
    for (let index = 1; index < table.starts.length; index++) {
      if (!(table.ends[index - 1]! <= table.starts[index]! && table.starts[index]! < table.ends[index]!)) throw new Error('ranges overlap');
    }
    const found = findSymbol(table, 0x1000 + below(random, 0x800));
    if (found >= 0 && symbolName(table, found) === '') throw new Error('a symbol without a name');
    return 'taken';
  } catch (error) {
    if (isPipelineError(error, 'elf_malformed')) return 'refused';
    throw error;
  }
}

export const elf: Target = { name: 'elf', shortRuns: 1500, weight: 8000, open: async () => ({ make: someElf, feed: feedElf }) };
