// The last line of `npm test`, from vitest's JSON report: test-summary.ts REPORT STATUS PASSED FAILED,
// with vitest's exit code and what the checks before it counted.
import { readFileSync } from 'node:fs';

interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly { readonly status: string }[] }[];
}

const [reportPath = '', status = '1', passedBefore = '0', failedBefore = '0'] = process.argv.slice(2);
let passed = Number(passedBefore);
let failed = Number(failedBefore);
let skipped = 0;

const report = readReport(reportPath);
if (report) {
  passed += report.numPassedTests;
  skipped += report.numPendingTests + report.numTodoTests;
  // A file that can't be loaded has no tests to fail, but has failed.
  const filesFailed = report.testResults.filter((file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed')).length;
  failed += report.numFailedTests + filesFailed;
}
// Errors outside any test, or a vitest that died: the exit code knows more than the report.
if (status !== '0' && failed === Number(failedBefore)) failed += 1;

process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`);
process.exitCode = failed === 0 ? 0 : 1;

function readReport(path: string): Report | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Report;
  } catch {
    return null;
  }
}
