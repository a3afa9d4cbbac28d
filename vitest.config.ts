// Two groups. `unit`: the tests beside the code, files side by side. `whole`: test/, where real
// processes, ports and BPF programs share one machine, so one file at a time and after the others.
import { defineConfig } from 'vitest/config';

const notOurs = ['**/node_modules/**', 'dist/**', 'data/**', '.setup/**'];

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['**/*.test.ts'],
          exclude: [...notOurs, 'test/**'],
          testTimeout: 20_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'whole',
          include: ['test/**/*.test.ts'],
          exclude: notOurs,
          testTimeout: 180_000,
          hookTimeout: 180_000,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
