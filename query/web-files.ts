// The files of query/web, read once. In a clone they lie in web/ beside this module, in the package
// beside its compiled form.
import { readFileSync } from 'node:fs';

const names = {
  '/': ['page.html', 'text/html; charset=utf-8'],
  '/page.mjs': ['page.mjs', 'text/javascript; charset=utf-8'],
  '/flame.mjs': ['flame.mjs', 'text/javascript; charset=utf-8'],
  '/palette.mjs': ['palette.mjs', 'text/javascript; charset=utf-8'],
  '/sign-in.mjs': ['sign-in.mjs', 'text/javascript; charset=utf-8'],
  '/words.mjs': ['words.mjs', 'text/javascript; charset=utf-8'],
  '/page.css': ['page.css', 'text/css; charset=utf-8'],
  '/flame.css': ['flame.css', 'text/css; charset=utf-8'],
  '/icon.svg': ['icon.svg', 'image/svg+xml'],
} as const;

export interface WebFile {
  readonly body: Buffer;
  readonly contentType: string;
}

export function webFile(name: string): string {
  return readFileSync(new URL(`./web/${name}`, import.meta.url), 'utf8');
}

/** By path of the URL. */
export function loadWebFiles(): ReadonlyMap<string, WebFile> {
  return new Map(Object.entries(names).map(([url, [name, contentType]]) => [url, { body: Buffer.from(webFile(name)), contentType }]));
}
