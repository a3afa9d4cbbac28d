// Targets that fail, for the test of whoever watches: at seed 7 they throw, crash or hang.
import type { Target } from '../target.ts';

const failAt = 7;

function broken(name: string, fail: () => void): Target {
  return {
    name: `broken-${name}`,
    shortRuns: 10,
    weight: 1,
    oneSided: true,
    open: async () => {
      let seed = 0;
      return {
        make: () => Buffer.from([++seed]),
        feed: () => {
          if (seed === failAt) fail();
          return 'taken';
        },
      };
    },
  };
}

export const brokenTargets: readonly Target[] = [
  broken('throws', () => {
    throw new TypeError('undefined is no length');
  }),
  broken('crashes', () => process.abort()),
  broken('hangs', () => {
    for (;;);
  }),
];
