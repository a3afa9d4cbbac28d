// Workers and child processes are named by file, not imported, so the compiler does not turn their
// `.ts` into `.js`. In a clone our modules end in .ts, in the package in .js; siblings end alike.

/** URL of a module beside (or relative to) the asking one, named without its ending. */
export function moduleUrl(name: string, importMetaUrl: string): URL {
  return new URL(name + (importMetaUrl.endsWith('.ts') ? '.ts' : '.js'), importMetaUrl);
}
