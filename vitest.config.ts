// Two groups. `unit`: the tests beside the code, files side by side. `whole`: test/, where real
// processes, ports and BPF programs share one machine, so one file at a time and after the others.
import { availableParallelism } from 'node:os';
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
          // Against hangs alone: two busy CPUs make a second of work ten.
          testTimeout: 90_000,
          hookTimeout: 90_000,
          // On two CPUs too: most of these wait for disks and processes, not for a CPU.
          maxWorkers: Math.max(2, availableParallelism() - 1),
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'whole',
          include: ['test/**/*.test.ts'],
          exclude: notOurs,
          testTimeout: 240_000,
          hookTimeout: 240_000,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
