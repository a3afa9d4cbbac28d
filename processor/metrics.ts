// What the processor counts. Losses have a reason.
import type { Meter } from '@opentelemetry/api';
import type { RowCounts } from './rows-from-profiles.ts';
import type { SymbolCounts } from './symbols.ts';

export interface Lag {
  readonly partition: number;
  /** Messages that lie in the partition and are not yet rows. */
  readonly messages: number;
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
  observeLag(read: () => readonly Lag[]): void;
}

export function createProcessorMetrics(meter: Meter): ProcessorMetrics {
  const counter = (name: string, unit: string, description: string) => meter.createCounter(`flamelake.processor.${name}`, { unit, description });
  const messages = counter('messages', '{message}', 'Messages read from otlp_profiles');
  const bytesRead = counter('bytes', 'By', 'Bytes of the messages read');
  const samples = counter('samples', '{sample}', 'Samples decoded');
  const rows = counter('rows', '{row}', 'Rows sent to the shards');
  const stacks = counter('stacks', '{stack}', 'Stacks sent to the shards');
  const rowMessages = counter('row_messages', '{message}', 'Messages sent to flamelake.rows');
  const rowBytes = counter('row_bytes', 'By', 'Bytes of the messages sent to flamelake.rows');
  const dead = counter('dead_letters', '{message}', 'Messages that could not be taken, kept in flamelake.dead, by reason');
  const deadRemoved = counter('dead_letters_removed', '{message}', 'Dead letters removed for newer ones, by reason');
  const dropped = counter('dropped', '{sample}', 'Samples that could not become rows, by reason');
  const lost = counter('lost', '{message}', 'Messages of otlp_profiles that were gone before they were read, by reason');
  const replaced = counter('times_replaced', '{row}', 'Rows whose time was too far off and became the log append time');
  const cpu = counter('cpu_time', 'us', 'CPU time of decoding messages and making rows; by samples: the cost of one');
  const lookups = counter('symbol_lookups', '{frame}', 'Native frames that came without a name, by outcome');
  const lag = meter.createObservableGauge('flamelake.processor.lag', {
    unit: '{message}',
    description: 'Messages in otlp_profiles that are not yet rows, by partition',
  });
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
      lag.addCallback((result) => {
        for (const { partition, messages: behind } of read()) result.observe(behind, { partition });
      });
    },
  };
}
