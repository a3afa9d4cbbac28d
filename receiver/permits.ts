// A few at a time, in order.
export interface Permits {
  /** Resolves with what gives it back, once it is one's turn. */
  take(): Promise<() => void>;
}

export function createPermits(max: number): Permits {
  let free = max;
  const waiting: (() => void)[] = [];
  const giveBack = (): void => {
    const next = waiting.shift();
    if (next === undefined) free++;
    else next();
  };
  return {
    async take() {
      if (free > 0) free--;
      else await new Promise<void>((resolve) => waiting.push(resolve));
      return giveBack;
    },
  };
}
