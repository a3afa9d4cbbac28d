// Which Flamelake this is: the package's version, from a clone (cli/) and from the package (dist/cli/).
import { existsSync, readFileSync } from 'node:fs';

export function readVersion(): string {
  for (const up of ['../package.json', '../../package.json']) {
    const file = new URL(up, import.meta.url);
    if (existsSync(file)) return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
  }
  return 'unknown';
}
