// Clients of the pipeline: profiles whose values are unique, in messages of any grouping, sent again when
// the answer was lost, alone or together with others, to any partition.
import { ProfilesWriter, type SampleEntry } from '../../schemas/otlp/writer.ts';
import type { Random } from '../otlp/random.ts';

export interface ModelSample {
  /** Unique; the row's value. */
  readonly id: bigint;
  readonly timeMillis: number;
  /** Frames, leaf first. The leaf names the stack. */
  readonly frames: readonly string[];
}

/** What a digest is of. */
export interface ModelProfile {
  readonly service: string;
  readonly samples: readonly ModelSample[];
  /** Where copies of it lie in the input. */
  readonly copies: Copy[];
  /** The log answered for one of them. */
  isAcknowledged: boolean;
  /** Whether no client sends it (again) any more. */
  isSettled: boolean;
  readonly firstSentMillis: number;
}

export interface Copy {
  readonly logId: string;
  readonly partition: number;
  readonly offset: number;
}

export interface ProfileShape {
  readonly services: number;
  readonly stacks: number;
  /** Share of profiles of earlier days. */
  readonly oldShare: number;
  readonly service?: number;
}

export function makeProfile(random: Random, nowMillis: number, shape: ProfileShape, nextId: () => bigint): ModelProfile {
  const service = shape.service ?? random.below(shape.services);
  const ago = random.chance(shape.oldShare) ? random.pick([1, 2, 6]) * 86_400_000 : 0;
  const samples = Array.from({ length: random.between(1, 3) }, (): ModelSample => {
    const stack = random.below(shape.stacks);
    return { id: nextId(), timeMillis: nowMillis - ago - random.below(5_000), frames: [`f${stack}`, 'main'] };
  });
  return { service: `service-${service}`, samples, copies: [], isAcknowledged: false, isSettled: false, firstSentMillis: nowMillis };
}

/** Bytes of one message: the dictionary's order depends on what lies beside a profile, its digest does not. */
export function encodeMessage(profiles: readonly ModelProfile[]): Uint8Array {
  const writer = new ProfilesWriter('');
  for (const { service, samples } of profiles) {
    const entries = samples.map((sample): SampleEntry => {
      const locations = sample.frames.map((name) => writer.location(0, 0n, [{ function: writer.function(name, '', ''), line: 1n, column: 0n }], []));
      const time = BigInt(sample.timeMillis) * 1_000_000n;
      return { stack: writer.stack(locations), attributes: [], link: 0, values: [sample.id], timestampsNanos: [time] };
    });
    const timeNanos = BigInt(samples[0]!.timeMillis) * 1_000_000n;
    const header = { sampleType: ['cpu', 'nanoseconds'] as const, period: null, timeNanos, durationNanos: 0n };
    writer.addResource([['service.name', service]], { name: 'model', version: '1' }, [{ header, samples: entries }]);
  }
  return writer.finish();
}
