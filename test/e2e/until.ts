// Waiting for a condition, with a bound: the only way in which these tests wait.

/** Thrown by a probe: it will never be true, so don't wait. */
export class Hopeless extends Error {}

const betweenTriesMillis = 100;

export async function until<T>(
  what: string,
  timeoutMillis: number,
  probe: () => T | null | undefined | false | Promise<T | null | undefined | false>,
): Promise<T> {
  const deadline = performance.now() + timeoutMillis;
  let last: unknown;
  for (;;) {
    try {
      const value = await probe();
      if (value !== null && value !== undefined && value !== false) return value;
      last = value;
    } catch (error) {
      if (error instanceof Hopeless) throw error;
      last = error;
    }
    if (performance.now() > deadline) throw new Error(`${what}: not within ${timeoutMillis} ms; last: ${last instanceof Error ? last.message : String(last)}`);
    await new Promise((resolve) => setTimeout(resolve, betweenTriesMillis));
  }
}
