// The page in a real browser: what it shows after its scripts ran, and what it looks like.
import { execFile } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const browsers = ['chromium', 'chromium-browser', 'google-chrome', 'chrome'] as const;
const browserMillis = 60_000;
/** How long the page's clock runs before it is looked at; timers and requests in it are waited for. */
const pageMillis = 8_000;

export function findBrowser(): string | null {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    for (const name of browsers) {
      try {
        accessSync(join(folder, name), constants.X_OK);
        return join(folder, name);
      } catch {
        // Not here.
      }
    }
  }
  return null;
}

/** The document as text after the page has drawn itself; a picture beside it where a path is given. */
export async function openPage(browser: string, url: string, picture?: string): Promise<string> {
  const profile = mkdtempSync(join(tmpdir(), 'flamelake-browser-'));
  const flags = [
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    `--user-data-dir=${profile}`,
    '--window-size=1440,900',
    `--virtual-time-budget=${pageMillis}`,
  ];
  const run = promisify(execFile);
  try {
    if (picture !== undefined) await run(browser, [...flags, `--screenshot=${picture}`, url], { timeout: browserMillis });
    const { stdout } = await run(browser, [...flags, '--dump-dom', url], { timeout: browserMillis, maxBuffer: 64 * 1024 * 1024 });
    return stdout;
  } finally {
    rmSync(profile, { recursive: true, force: true });
  }
}
