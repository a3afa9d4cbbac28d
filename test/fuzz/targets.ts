// Every target, in the order in which they run.
import type { Target } from './target.ts';
import { bodies } from './targets/bodies.ts';
import { options, tokens, yaml } from './targets/config.ts';
import { elf } from './targets/elf.ts';
import { json } from './targets/json.ts';
import { digests, folds, records, rowMessages, settings } from './targets/lake.ts';
import { rowsFromProfiles, walk } from './targets/otlp.ts';
import { sockets } from './targets/sockets.ts';

export const targets: readonly Target[] = [
  walk,
  rowsFromProfiles,
  json,
  sockets,
  bodies,
  yaml,
  options,
  tokens,
  rowMessages,
  records,
  folds,
  digests,
  settings,
  elf,
];
