// What the processor's core makes of counted messages, compared in full, without log, lake or engine: a
// difference that shows here is the processor's.
import { expect, test } from 'vitest';
import { KnownStacks } from '../../processor/known-stacks.ts';
import { prepareMessage } from '../../processor/prepared-message.ts';
import { appendRows, noCounts, type ShardOutput } from '../../processor/rows-from-profiles.ts';
import { profilesFromJson } from '../../receiver/json.ts';
import { RowsBuilder } from '../../schemas/rows/builder.ts';
import { nullInt32, nullInt64, type RowsMessage, resourceStringColumns } from '../../schemas/rows/message.ts';
import type { Row } from '../e2e/flamelake.ts';
import { differences, type LakeRows } from '../e2e/lake-rows.ts';
import { type CountedMessage, countedLoad, reencode, shapes } from './messages.ts';

const nowMillis = Date.now();
const wireBody = (message: CountedMessage): Uint8Array => (message.contentType === 'application/json' ? profilesFromJson(message.body) : message.body);

function process(messages: readonly CountedMessage[]): RowsMessage {
  const builder = new RowsBuilder({ logId: 'log', topic: 'otlp_profiles', partition: 0, shard: 0, routing: 1 });
  const output: ShardOutput = { shard: 0, builder, added: new Set(), sent: [] };
  const known = new KnownStacks(1000);
  for (const [offset, message] of messages.entries()) {
    const target = { shards: 1, output: () => output, known, nameOf: () => null };
    appendRows(prepareMessage(wireBody(message)), { offset, appendTimeMillis: nowMillis }, target, noCounts());
  }
  return builder.build(-1, messages.length - 1);
}

/** A row message in the text form of the engines' rows. */
function textRows(message: RowsMessage): LakeRows {
  const text = (index: number) => (index === 0 ? null : message.strings[index]!);
  const integer = (value: bigint | number, none: bigint | number) => (value === none ? null : String(value));
  const map = (index: number) =>
    index === 0
      ? null
      : message.maps[index]!.map(([key, value]) => [message.strings[key]!, message.strings[value]!]).sort(([left], [right]) =>
          Buffer.compare(Buffer.from(left!), Buffer.from(right!)),
        );
  const { samples, resources, stacks } = message;
  const sampleRow = (index: number): Row => {
    const resource = samples.resource[index]!;
    const [traceId, spanId, source] = message.links[samples.link[index]!]!;
    const [type, unit] = message.types[samples.type[index]!]!;
    return {
      date: new Date(Number(samples.time[index]! / 1000n)).toISOString().slice(0, 10),
      stack_id: message.stackIds[samples.stack[index]!]!,
      time: String(samples.time[index]),
      duration_ns: integer(samples.durationNanos[index]!, nullInt64),
      sample_type: text(type),
      sample_unit: text(unit),
      value: String(samples.value[index]),
      count: String(samples.count[index]),
      weight: String(samples.weight[index]),
      trace_id: text(traceId),
      span_id: text(spanId),
      link_source: text(source),
      ...Object.fromEntries(resourceStringColumns.map((column) => [column, text(resources.strings[column][resource]!)])),
      process_pid: integer(resources.processPid[resource]!, nullInt64),
      thread_id: integer(samples.threadId[index]!, nullInt64),
      thread_name: text(samples.threadName[index]!),
      cpu_logical_number: integer(samples.cpuLogicalNumber[index]!, nullInt32),
      profile_id: text(samples.profileId[index]!),
      scope_name: text(samples.scopeName[index]!),
      resource_attributes: map(resources.attributes[resource]!),
      attributes: map(samples.attributes[index]!),
    };
  };
  const stackRow = (index: number): Row => {
    const { frames } = stacks;
    const rows = Array.from({ length: stacks.frameStart[index + 1]! - stacks.frameStart[index]! }, (_, position) => {
      const at = stacks.frame[stacks.frameStart[index]! + position]!;
      return {
        function: text(frames.function[at]!),
        system_name: text(frames.systemName[at]!),
        file: text(frames.file[at]!),
        line: integer(frames.line[at]!, 0n),
        column: integer(frames.column[at]!, 0n),
        inlined: frames.inlined[at] === 1,
        type: text(frames.type[at]!),
        mapping: text(frames.mapping[at]!),
        build_id: text(frames.buildId[at]!),
        address: frames.address[at] === 0n ? null : `0x${frames.address[at]!.toString(16)}`,
      };
    });
    return {
      date: new Date(stacks.date[index]! * 86_400_000).toISOString().slice(0, 10),
      stack_id: message.stackIds[stacks.id[index]!]!,
      service_name: text(stacks.serviceName[index]!),
      frames: rows,
      leaf_function: rows[0]?.function ?? null,
      root_function: rows.at(-1)?.function ?? null,
      depth: String(rows.length),
      cut: text(stacks.cut[index]!),
      unresolved: String(rows.filter((frame) => frame.function === null).length),
    };
  };
  return {
    samples: Array.from({ length: samples.length }, (_, index) => sampleRow(index)),
    stacks: Array.from({ length: stacks.length }, (_, index) => stackRow(index)),
  };
}

test.each([1, 2, 3])('every shape becomes the rows that were expected, seed %i', (seed) => {
  const messages = [...countedLoad({ seed, nowMillis }, 2 * shapes.length)];
  expect(
    differences(
      textRows(process(messages)),
      messages.flatMap((message) => message.rows),
    ),
  ).toEqual([]);
});

test('the same content has the same digests in every shape, other content others', () => {
  const messages = [...countedLoad({ seed: 9, nowMillis }, 3)];
  const digestsOf = (message: CountedMessage) => prepareMessage(wireBody(message)).profiles.map((profile) => profile.digest);
  for (const message of messages) {
    for (const shape of shapes) expect(digestsOf(reencode(message, shape)), shape.name).toEqual(digestsOf(message));
  }
  const all = messages.flatMap(digestsOf);
  expect(new Set(all).size).toBe(all.length);
});
