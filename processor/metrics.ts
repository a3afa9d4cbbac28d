// What the processor counts. Losses have a reason.
import type { Meter } from '@opentelemetry/api';
import { instrumentsOf, type MetricTable } from '../lib/metric-table.ts';
import type { RowCounts } from './rows-from-profiles.ts';
import type { SymbolCounts } from './symbols.ts';

export interface Lag {
  readonly partition: number;
  /** Messages that lie in the partition and are not yet rows. */
  readonly messages: number;
  /** How long the oldest of them has been waiting, at most. */
  readonly seconds: number;
}

export interface ProcessorMetrics {
  read(messages: number, bytes: number): void;
  rows(counts: Readonly<RowCounts>): void;
  sent(messages: number, bytes: number): void;
  dead(reason: string): void;
  /** Letters that had to make room for newer ones. */
  readonly deadRemoved: (letters: number) => void;
  /** Messages that retention took before they were read. */
  overtaken(messages: number): void;
  cpu(micros: number): void;
  symbols(counts: Readonly<SymbolCounts>): void;
  observeLag(read: () => Promise<readonly Lag[]>): void;
}

export const processorMetrics = {
  'flamelake.processor.messages': { kind: 'counter', unit: '{message}', description: 'Messages read from otlp_profiles' },
  'flamelake.processor.bytes': { kind: 'counter', unit: 'By', description: 'Bytes of the messages read' },
  'flamelake.processor.samples': { kind: 'counter', unit: '{sample}', description: 'Samples decoded' },
  'flamelake.processor.rows': { kind: 'counter', unit: '{row}', description: 'Rows sent to the shards' },
  'flamelake.processor.stacks': { kind: 'counter', unit: '{stack}', description: 'Stacks sent to the shards' },
  'flamelake.processor.row_messages': { kind: 'counter', unit: '{message}', description: 'Messages sent to flamelake.rows' },
  'flamelake.processor.row_bytes': { kind: 'counter', unit: 'By', description: 'Bytes of the messages sent to flamelake.rows' },
  'flamelake.processor.dead_letters': {
    kind: 'counter',
    unit: '{message}',
    description: 'Messages that could not be taken, kept in flamelake.dead, by reason: the code of the error',
    attributes: { reason: ['message_malformed', 'message_too_large', 'message_version', 'message_crashes'] },
    alert: 'any increase: a sender writes what nobody can read, or this version has a fault; the log line has the reason',
  },
  'flamelake.processor.dead_letters_removed': {
    kind: 'counter',
    unit: '{message}',
    description: 'Dead letters removed for newer ones, by reason',
    attributes: { reason: ['space'] },
    alert: 'any increase: what could not be read is now lost for good',
  },
  'flamelake.processor.dropped': {
    kind: 'counter',
    unit: '{sample}',
    description: 'Samples that could not become rows, by reason',
    attributes: { reason: ['no_event'] },
  },
  'flamelake.processor.lost': {
    kind: 'counter',
    unit: '{message}',
    description: 'Messages of otlp_profiles that were gone before they were read, by reason',
    attributes: { reason: ['retention'] },
    alert: 'any increase: samples are lost for good; the lake has a row of type lost for the range',
  },
  'flamelake.processor.times_replaced': {
    kind: 'counter',
    unit: '{row}',
    description: 'Rows whose time was too far off and became the log append time',
    alert: 'any increase: a host has a wrong clock; attributes of the rows say which',
  },
  'flamelake.processor.cpu_time': {
    kind: 'counter',
    unit: 'us',
    description: 'CPU time of decoding messages and making rows; by samples: the cost of one',
  },
  'flamelake.processor.symbol_lookups': {
    kind: 'counter',
    unit: '{frame}',
    description: 'Native frames that came without a name, by outcome',
    attributes: { outcome: ['named', 'no_symbol', 'no_file'] },
  },
  'flamelake.processor.lag': {
    kind: 'gauge',
    unit: '{message}',
    description: 'Messages in otlp_profiles that are not yet rows, by partition: end of the log less the position',
    attributes: { partition: 'number of the partition' },
  },
  'flamelake.processor.lag.age': {
    kind: 'gauge',
    unit: 's',
    description: 'How long the oldest of those messages has been waiting, at most; 0 where there is none',
    attributes: { partition: 'number of the partition' },
    alert: 'above 30 s for 5 minutes: the processor is too slow or stands still',
  },
} as const satisfies MetricTable;

export function createProcessorMetrics(meter: Meter): ProcessorMetrics {
  const { counter, observable } = instrumentsOf(meter, processorMetrics);
  const messages = counter('flamelake.processor.messages');
  const bytesRead = counter('flamelake.processor.bytes');
  const samples = counter('flamelake.processor.samples');
  const rows = counter('flamelake.processor.rows');
  const stacks = counter('flamelake.processor.stacks');
  const rowMessages = counter('flamelake.processor.row_messages');
  const rowBytes = counter('flamelake.processor.row_bytes');
  const dead = counter('flamelake.processor.dead_letters');
  const deadRemoved = counter('flamelake.processor.dead_letters_removed');
  const dropped = counter('flamelake.processor.dropped');
  const lost = counter('flamelake.processor.lost');
  const replaced = counter('flamelake.processor.times_replaced');
  const cpu = counter('flamelake.processor.cpu_time');
  const lookups = counter('flamelake.processor.symbol_lookups');
  const lag = observable('flamelake.processor.lag');
  const lagAge = observable('flamelake.processor.lag.age');
  let named: SymbolCounts = { named: 0, withoutSymbol: 0, withoutFile: 0 };
  return {
    read: (count, bytes) => {
      messages.add(count);
      bytesRead.add(bytes);
    },
    rows: (counts) => {
      samples.add(counts.samples);
      rows.add(counts.rows);
      stacks.add(counts.stacks);
      replaced.add(counts.timesReplaced);
      if (counts.samplesEmpty > 0) dropped.add(counts.samplesEmpty, { reason: 'no_event' });
    },
    sent: (count, bytes) => {
      rowMessages.add(count);
      rowBytes.add(bytes);
    },
    dead: (reason) => dead.add(1, { reason }),
    deadRemoved: (letters) => deadRemoved.add(letters, { reason: 'space' }),
    overtaken: (count) => lost.add(count, { reason: 'retention' }),
    cpu: (micros) => cpu.add(micros),
    symbols: (counts) => {
      lookups.add(counts.named - named.named, { outcome: 'named' });
      lookups.add(counts.withoutSymbol - named.withoutSymbol, { outcome: 'no_symbol' });
      lookups.add(counts.withoutFile - named.withoutFile, { outcome: 'no_file' });
      named = { ...counts };
    },
    observeLag: (read) => {
      meter.addBatchObservableCallback(
        async (result) => {
          for (const { partition, messages: behind, seconds } of await read()) {
            result.observe(lag, behind, { partition });
            result.observe(lagAge, seconds, { partition });
          }
        },
        [lag, lagAge],
      );
    },
  };
}
