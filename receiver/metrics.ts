// What the receiver counts about itself. The names of the sample counters are those of the Collector's
// OTLP receiver (otelcol_receiver_{accepted,refused}_profile_samples) behind our own prefix.
import type { Meter } from '@opentelemetry/api';
import { instrumentsOf, type MetricTable } from '../lib/metric-table.ts';
import type { Admission } from './admit.ts';
import type { InFlight } from './in-flight.ts';

export type Transport = 'grpc' | 'http';

export interface ReceiverMetrics {
  received(transport: Transport, bytes: number): void;
  accepted(transport: Transport, admission: Admission, forwardedBytes: number): void;
  /** `samples` where they were counted before the refusal. */
  refused(transport: Transport, reason: string, samples: number): void;
  /** The sender went away before its message was whole, or before it was written. */
  gone(transport: Transport): void;
  appended(seconds: number): void;
  connectionDropped(transport: Transport, reason: 'too_many' | 'tls' | 'silent' | 'flood'): void;
}

export interface Gauges {
  readonly inFlight: InFlight;
  connections(transport: Transport): number;
  /** Bytes on disk and their bound; null where the log does not know. */
  logUsage(): Promise<{ readonly bytes: number; readonly bytesMax: number } | null>;
}

const transports = ['grpc', 'http'] as const;
/** Counted from 0 on; whatever else keeps the log from taking a message comes under its error's code. */
const refusalReasons = [
  'malformed',
  'version',
  'too_large',
  'encoding',
  'content_type',
  'path',
  'method',
  'origin',
  'unauthenticated',
  'overloaded',
  'log_full',
  'log_unavailable',
  'internal',
] as const;

export const receiverMetrics = {
  'flamelake.receiver.requests': {
    kind: 'counter',
    unit: '{request}',
    description: 'Requests by transport and outcome',
    attributes: { transport: transports, outcome: ['accepted', 'partial', 'empty', 'refused', 'gone'] },
  },
  'flamelake.receiver.refused_requests': {
    kind: 'counter',
    unit: '{request}',
    description: 'Requests refused, by reason',
    attributes: { transport: transports, reason: refusalReasons },
    alert:
      'any increase of a reason but overloaded and log_full is a sender to mend; those two for 10 minutes: the host is too small, or what reads the log stands still',
  },
  'flamelake.receiver.accepted_profile_samples': {
    kind: 'counter',
    unit: '{sample}',
    description: 'Samples that the log has made durable',
    attributes: { transport: transports },
    alert: 'no increase for 10 minutes where senders should be there',
  },
  'flamelake.receiver.refused_profile_samples': {
    kind: 'counter',
    unit: '{sample}',
    description: 'Samples not taken, by reason; those of messages that cannot be read are not known and not in it',
    attributes: { transport: transports, reason: refusalReasons },
  },
  'flamelake.receiver.rejected_profiles': {
    kind: 'counter',
    unit: '{profile}',
    description: 'Profiles left out of an accepted message, by reason',
    attributes: { transport: transports, reason: ['malformed'] },
    alert: 'any increase: a sender writes profiles that break the protocol; the answer to it says which rule',
  },
  'flamelake.receiver.received_bytes': {
    kind: 'counter',
    unit: 'By',
    description: 'Request bytes as they came, compressed or not',
    attributes: { transport: transports },
  },
  'flamelake.receiver.forwarded_bytes': { kind: 'counter', unit: 'By', description: 'Bytes given to the log', attributes: { transport: transports } },
  'flamelake.receiver.append.duration': {
    kind: 'histogram',
    unit: 's',
    description: 'Time until the log has made a message durable',
    bounds: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    alert: '99th percentile above 1 s: the disk is slow to fsync',
  },
  'flamelake.receiver.dropped_connections': {
    kind: 'counter',
    unit: '{connection}',
    description: 'Connections closed at once, by reason',
    attributes: { transport: transports, reason: ['too_many', 'tls', 'silent', 'flood'] },
    alert: 'any increase of too_many: more senders than this receiver takes; of tls: a sender with a wrong certificate, or a stranger',
  },
  'flamelake.receiver.in_flight': { kind: 'gauge', unit: 'By', description: 'Memory that requests hold: their bodies, what is decoded of them, decoders' },
  'flamelake.receiver.connections': { kind: 'gauge', unit: '{connection}', description: 'Open connections', attributes: { transport: transports } },
  'flamelake.receiver.log.size': {
    kind: 'gauge',
    unit: 'By',
    description: 'The log on disk, all topics together',
    alert: 'above 70 % of flamelake.receiver.log.limit: what reads the log stands still or is too slow',
  },
  'flamelake.receiver.log.limit': { kind: 'gauge', unit: 'By', description: 'Size of the log at which the receiver tells senders to wait' },
} as const satisfies MetricTable;

export function createReceiverMetrics(meter: Meter, gauges: Gauges): ReceiverMetrics {
  const { counter, histogram } = instrumentsOf(meter, receiverMetrics);
  const requests = counter('flamelake.receiver.requests');
  const refused = counter('flamelake.receiver.refused_requests');
  const samples = counter('flamelake.receiver.accepted_profile_samples');
  const refusedSamples = counter('flamelake.receiver.refused_profile_samples');
  const rejected = counter('flamelake.receiver.rejected_profiles');
  const bytes = counter('flamelake.receiver.received_bytes');
  const forwarded = counter('flamelake.receiver.forwarded_bytes');
  const append = histogram('flamelake.receiver.append.duration');
  const dropped = counter('flamelake.receiver.dropped_connections');
  observeGauges(meter, gauges);
  return {
    received: (transport, count) => bytes.add(count, { transport }),
    accepted(transport, admission, forwardedBytes) {
      const outcome = admission.rejectedProfiles > 0 ? 'partial' : admission.forward === null ? 'empty' : 'accepted';
      requests.add(1, { transport, outcome });
      samples.add(admission.samples, { transport });
      if (admission.rejectedProfiles > 0) rejected.add(admission.rejectedProfiles, { transport, reason: 'malformed' });
      if (admission.rejectedSamples > 0) refusedSamples.add(admission.rejectedSamples, { transport, reason: 'malformed' });
      forwarded.add(forwardedBytes, { transport });
    },
    refused(transport, reason, sampleCount) {
      requests.add(1, { transport, outcome: 'refused' });
      refused.add(1, { transport, reason });
      if (sampleCount > 0) refusedSamples.add(sampleCount, { transport, reason });
    },
    gone: (transport) => requests.add(1, { transport, outcome: 'gone' }),
    appended: (seconds) => append.record(seconds),
    connectionDropped: (transport, reason) => dropped.add(1, { transport, reason }),
  };
}

function observeGauges(meter: Meter, { inFlight, connections, logUsage }: Gauges): void {
  const { observe, observable } = instrumentsOf(meter, receiverMetrics);
  observe('flamelake.receiver.in_flight', (result) => result.observe(inFlight.bytes));
  observe('flamelake.receiver.connections', (result) => {
    for (const transport of transports) result.observe(connections(transport), { transport });
  });
  const size = observable('flamelake.receiver.log.size');
  const limit = observable('flamelake.receiver.log.limit');
  meter.addBatchObservableCallback(
    async (result) => {
      const usage = await logUsage();
      if (usage === null) return;
      result.observe(size, usage.bytes);
      result.observe(limit, usage.bytesMax);
    },
    [size, limit],
  );
}
