// `npm run docs`: writes the pages that are made from code. A test fails while they are stale.
import { writeFileSync } from 'node:fs';
import { configurationPage } from '../cli/help.ts';

writeFileSync(new URL('../docs/configuration.md', import.meta.url), configurationPage());
