// Directories as the URLs that lib/log and lib/store open.
import path from 'node:path';
import { pathToFileURL } from 'node:url';

export const dataUrl = (dir: string): string => pathToFileURL(path.resolve(dir)).href;
