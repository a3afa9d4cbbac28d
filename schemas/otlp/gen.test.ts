import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { ProfilesDataSchema } from './gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';

const root = join(import.meta.dirname, '../..');

function filesBelow(folder: string): Map<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  return new Map(names.sort().map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
}

test('the generated code is what the .proto files say (scripts/otlp-gen.sh makes it anew)', () => {
  const out = mkdtempSync(join(tmpdir(), 'otlp-gen-'));
  try {
    execFileSync(join(root, 'scripts/otlp-gen.sh'), [out], {
      env: { ...process.env, PATH: `${dirname(process.execPath)}:${process.env.PATH}` },
      stdio: 'pipe',
    });
    expect(filesBelow(out)).toEqual(filesBelow(join(root, 'schemas/otlp/gen')));
  } finally {
    rmSync(out, { recursive: true });
  }
});

test('the generated code round-trips a message', () => {
  const data = create(ProfilesDataSchema, {
    resourceProfiles: [{ scopeProfiles: [{ profiles: [{ samples: [{ stackIndex: 1, values: [5n], timestampsUnixNano: [7n] }] }] }] }],
    dictionary: { stringTable: ['', 'cpu'] },
  });
  const again = fromBinary(ProfilesDataSchema, toBinary(ProfilesDataSchema, data));
  expect(again).toEqual(data);
});
