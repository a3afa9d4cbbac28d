import { expect, test } from 'vitest';
import { parseCommand } from './options.ts';
import { stageOptions } from './stage-options.ts';

const MiB = 2 ** 20;

async function optionsOf(stage: 'receiver' | 'processor' | 'exporter', args: readonly string[]) {
  const { values } = await parseCommand('up', args, {});
  return stageOptions[stage](values, '/data', () => ({}));
}

test('every stage that writes to the log is held to the same bounds of it', async () => {
  for (const stage of ['receiver', 'processor', 'exporter'] as const) {
    expect(await optionsOf(stage, ['--log-bytes', '2GiB', '--disk-reserve', '100MiB'])).toMatchObject({
      log: 'file:///data/log',
      logBytesMax: 2048 * MiB,
      diskReserveBytes: 100 * MiB,
    });
    expect(await optionsOf(stage, [])).toMatchObject({ logBytesMax: 4096 * MiB, diskReserveBytes: 512 * MiB });
  }
});

test('a small log is published before it is full', async () => {
  expect(await optionsOf('exporter', [])).toMatchObject({ publishBytes: 128_000_000 });
  expect(await optionsOf('exporter', ['--log-bytes', '1GiB', '--publish-bytes', '256MiB'])).toMatchObject({ publishBytes: 128 * MiB });
});
