// A logger and a meter for tests that look at what is stored.
import type { Logger } from '../../lib/logger.ts';

export function quietLogger(write: (line: string) => void): Logger {
  const at = (level: string) => (message: string, fields?: unknown) => write(`${level} ${message} ${fields === undefined ? '' : JSON.stringify(fields)}`);
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug'), named: () => quietLogger(write) };
}

const noInstrument = { add: () => {}, record: () => {}, addCallback: () => {} };
// biome-ignore lint/suspicious/noExplicitAny: the part of the OpenTelemetry Meter that stages ask for
export const noMeter: any = {
  createCounter: () => noInstrument,
  createHistogram: () => noInstrument,
  createObservableGauge: () => noInstrument,
  createObservableCounter: () => noInstrument,
  createUpDownCounter: () => noInstrument,
  createObservableUpDownCounter: () => noInstrument,
  addBatchObservableCallback: () => {},
};
