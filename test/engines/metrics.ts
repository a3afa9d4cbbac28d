// What read_metrics.py prints of OTLP metrics.
import { runPython } from './python.ts';

export interface MetricsResource {
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly scopes: readonly (readonly [name: string, version: string])[];
  readonly metrics: Readonly<Record<string, ReadMetric>>;
}

export interface ReadMetric {
  readonly unit: string;
  readonly description: string;
  readonly kind: string;
  readonly temporality: string | null;
  readonly monotonic: boolean | null;
  readonly points: readonly {
    readonly attributes: Readonly<Record<string, unknown>>;
    readonly value: unknown;
    readonly start: string;
    readonly time: string;
  }[];
}

/** Of each message its resources. */
export function readMetrics(python: string, bodies: readonly Uint8Array[]): MetricsResource[][] {
  const frames = bodies.flatMap((body) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(body.length);
    return [length, body];
  });
  return runPython(python, 'read_metrics.py', [], Buffer.concat(frames)) as MetricsResource[][];
}
