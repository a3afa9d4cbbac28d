// What the receiver counts about itself. The names of the sample counters are those of the Collector's
// OTLP receiver (otelcol_receiver_{accepted,refused}_profile_samples) behind our own prefix.
import type { Meter } from '@opentelemetry/api';
import type { Admission } from './admit.ts';
import type { InFlight } from './in-flight.ts';

export type Transport = 'grpc' | 'http';

export interface ReceiverMetrics {
  received(transport: Transport, bytes: number): void;
  accepted(transport: Transport, admission: Admission): void;
  /** `samples` where they were counted before the refusal. */
  refused(transport: Transport, reason: string, samples: number): void;
  /** The sender went away before its message was whole, or before it was written. */
  gone(transport: Transport): void;
  appended(seconds: number): void;
  connectionDropped(transport: Transport): void;
}

export interface Gauges {
  readonly inFlight: InFlight;
  connections(transport: Transport): number;
}

export function createReceiverMetrics(meter: Meter, gauges: Gauges): ReceiverMetrics {
  const name = (rest: string): string => `flamelake.receiver.${rest}`;
  const requests = meter.createCounter(name('requests'), {
    unit: '{request}',
    description: 'Requests by transport and outcome: accepted, partial, empty, refused, gone',
  });
  const refused = meter.createCounter(name('refused_requests'), { unit: '{request}', description: 'Requests refused, by reason' });
  const samples = meter.createCounter(name('accepted_profile_samples'), { unit: '{sample}', description: 'Samples that the log has made durable' });
  const refusedSamples = meter.createCounter(name('refused_profile_samples'), {
    unit: '{sample}',
    description: 'Samples not taken, by reason; those of messages that cannot be read are not known and not in it',
  });
  const rejected = meter.createCounter(name('rejected_profiles'), { unit: '{profile}', description: 'Profiles left out of an accepted message, by reason' });
  const bytes = meter.createCounter(name('received_bytes'), { unit: 'By', description: 'Request bytes as they came, compressed or not' });
  const forwarded = meter.createCounter(name('forwarded_bytes'), { unit: 'By', description: 'Bytes given to the log' });
  const append = meter.createHistogram(name('append.duration'), {
    unit: 's',
    description: 'Time until the log has made a message durable',
    advice: { explicitBucketBoundaries: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] },
  });
  const dropped = meter.createCounter(name('dropped_connections'), { unit: '{connection}', description: 'Connections closed at once, by reason' });
  meter
    .createObservableGauge(name('in_flight'), { unit: 'By', description: 'Request bytes held in memory' })
    .addCallback((result) => result.observe(gauges.inFlight.bytes));
  meter.createObservableGauge(name('connections'), { unit: '{connection}', description: 'Open connections' }).addCallback((result) => {
    for (const transport of ['grpc', 'http'] as const) result.observe(gauges.connections(transport), { transport });
  });
  return {
    received: (transport, count) => bytes.add(count, { transport }),
    accepted(transport, admission) {
      const outcome = admission.rejectedProfiles > 0 ? 'partial' : admission.forward === null ? 'empty' : 'accepted';
      requests.add(1, { transport, outcome });
      samples.add(admission.samples, { transport });
      if (admission.rejectedProfiles > 0) rejected.add(admission.rejectedProfiles, { transport, reason: 'malformed' });
      if (admission.rejectedSamples > 0) refusedSamples.add(admission.rejectedSamples, { transport, reason: 'malformed' });
      forwarded.add(admission.forward?.byteLength ?? 0, { transport });
    },
    refused(transport, reason, sampleCount) {
      requests.add(1, { transport, outcome: 'refused' });
      refused.add(1, { transport, reason });
      if (sampleCount > 0) refusedSamples.add(sampleCount, { transport, reason });
    },
    gone: (transport) => requests.add(1, { transport, outcome: 'gone' }),
    appended: (seconds) => append.record(seconds),
    connectionDropped: (transport) => dropped.add(1, { transport, reason: 'too_many' }),
  };
}
