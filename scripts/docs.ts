// `npm run docs`: writes the pages that are made from code. A test fails while they are stale.
import { readFileSync, writeFileSync } from 'node:fs';
import { configurationPage } from '../cli/help.ts';
import { metricsPage } from '../cli/metrics-page.ts';
import { withErrorTable } from '../cli/operations-page.ts';

const page = (name: string): URL => new URL(`../docs/${name}.md`, import.meta.url);

writeFileSync(page('configuration'), configurationPage());
writeFileSync(page('metrics'), metricsPage());
writeFileSync(page('operations'), withErrorTable(readFileSync(page('operations'), 'utf8')));
