// npm run test:faults -- [--faults N] [--seed N] [--json] [--only 'KIND;KIND'] [--keep]
// Exit code 1 where a sample is lost or doubled, or anything else is wrong.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { killStarted } from '../e2e/flamelake.ts';
import { type RunReport, runFaults } from './run.ts';

const { values } = parseArgs({
  options: {
    faults: { type: 'string', default: '50' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    json: { type: 'boolean', default: false },
    only: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
});
const faults = wholeNumber('--faults', values.faults);
const seed = wholeNumber('--seed', values.seed);
const folder = mkdtempSync(path.join(tmpdir(), 'flamelake-faults-'));
const say = (line: string) => process.stderr.write(`${line}\n`);

// The disk of a run must not stay mounted: it comes to its end after the fault that is under way.
const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stopping.abort());

say(`seed ${seed}, ${faults} faults, in ${folder}`);
try {
  const only = values.only?.split(';').map((name) => name.trim());
  const report = await runFaults({
    folder,
    seed,
    faults,
    keep: values.keep,
    signal: stopping.signal,
    onProgress: say,
    ...(only === undefined ? {} : { only }),
  });
  process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : text(report));
  process.exitCode = report.lost === 0 && report.doubled === 0 && report.wrong.length === 0 ? 0 : 1;
} finally {
  await killStarted();
  if (!values.keep) rmSync(folder, { recursive: true, force: true });
}

function wholeNumber(flag: string, value: string): number {
  if (/^\d{1,9}$/.test(value)) return Number(value);
  say(`${flag} is "${value}", expected a whole number`);
  process.exit(2);
}

function text(report: RunReport): string {
  const kinds = Object.entries(report.byKind).map(
    ([name, { faults: times, kills }]) => `  ${name.padEnd(40)} ${String(times).padStart(5)} faults ${String(kills).padStart(5)} kills`,
  );
  const { reader } = report;
  return [
    `seed ${report.seed}: ${report.faults} faults, ${report.kills} kills, ${report.starts} starts of flamelake up, ${report.seconds} s`,
    ...kinds,
    ...report.left.map((line) => `  left out: ${line}`),
    `acknowledged: ${report.acknowledgedMessages} messages with ${report.acknowledgedSamples} samples, in ${report.tries} tries; ${report.abandonedMessages} messages given up by their clients`,
    reader === null ? 'no reader meanwhile' : `a reader meanwhile: ${reader.listings} listings, ${reader.files} files, ${reader.rows} rows`,
    ...report.wrong.map((line) => `WRONG: ${line}`),
    `lost: ${report.lost} samples, doubled: ${report.doubled} samples`,
    '',
  ].join('\n');
}
