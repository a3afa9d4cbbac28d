// OTLP in JSON: refused, or protobuf that the walk and the generated code both read.
import { fromBinary, toJson } from '@bufbuild/protobuf';
import { profilesFromJson } from '../../../receiver/json.ts';
import { ProfilesDataSchema } from '../../../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { below, type Random, someData } from '../../../schemas/otlp/testing-data.ts';
import { type Json, mutateBytes, mutateJson } from '../mutate.ts';
import { refusedOr, type Target } from '../target.ts';
import { feedWalk } from './otlp.ts';

function someJson(random: Random): Uint8Array {
  let tree = hexIds(toJson(ProfilesDataSchema, someData(random, { resources: 1, profilesPerScope: 2, samplesPerProfile: 2, attributesBy: 'plain' })) as Json);
  for (let changes = below(random, 3); changes > 0; changes--) tree = mutateJson(tree, random);
  const text = Buffer.from(JSON.stringify(tree));
  return below(random, 4) === 0 ? mutateBytes(text, random) : text;
}

/** Trace and span ids as OTLP has them; the generated code writes base64. */
function hexIds(value: Json): Json {
  return JSON.parse(JSON.stringify(value), (key, content) =>
    (key === 'traceId' || key === 'spanId') && typeof content === 'string' ? Buffer.from(content, 'base64').toString('hex') : content,
  ) as Json;
}

export const json: Target = {
  name: 'otlp-json',
  shortRuns: 300,
  weight: 1000,
  open: async () => ({
    make: someJson,
    feed: (input) => {
      const bytes = refusedOr(() => profilesFromJson(input))?.value;
      if (bytes === undefined) return 'refused';
      fromBinary(ProfilesDataSchema, bytes);
      return feedWalk(bytes);
    },
  }),
};
