// Progress of long work, on one line of a terminal that is written over; nothing where nobody looks.

export interface Progress {
  show(text: string): void;
  clear(): void;
}

const intervalMillis = 100;

export function createProgress(stream: NodeJS.WriteStream = process.stderr): Progress {
  if (!stream.isTTY) return { show: () => {}, clear: () => {} };
  let lastMillis = 0;
  let shown = false;
  return {
    show(text) {
      const now = performance.now();
      if (now - lastMillis < intervalMillis) return;
      lastMillis = now;
      shown = true;
      stream.write(`\r\u001b[K${text}`);
    },
    clear() {
      if (shown) stream.write('\r\u001b[K');
    },
  };
}
