// What `flamelake agent` says to an endpoint that is not ours: messages that keep every rule of the
// protocol, on both transports, repeated as the protocol asks when they are refused. Needs root.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import { afterAll, describe, expect, test } from 'vitest';
import { ProfilesDataSchema } from '../../schemas/otlp/gen/opentelemetry/proto/profiles/v1development/profiles_pb.ts';
import { findPython, runPython } from '../engines/python.ts';
import { profcheck } from '../profcheck/profcheck.ts';
import { buildProgram, runProgram } from '../programs/programs.ts';
import { isRoot, killStarted, launcher, startCommand, temporaryFolder } from './flamelake.ts';
import { grpcSink, httpSink, type Sink } from './sink.ts';
import { Hopeless, until } from './until.ts';

const python = findPython();
const folder = temporaryFolder('agent');
afterAll(async () => {
  await killStarted();
  folder.remove();
});

/** The group's own tool, where somebody has built it; ours holds the same rules. */
const groupsTool = process.env.FLAMELAKE_PROFCHECK;
const batchMillis = 12_000;

const ways: readonly { name: string; sink: () => Promise<Sink>; env: NodeJS.ProcessEnv; encoding: RegExp }[] = [
  { name: 'gRPC', sink: grpcSink, env: {}, encoding: /gzip|identity|unknown/ },
  { name: 'HTTP, gzip', sink: httpSink, env: { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf', OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip' }, encoding: /^gzip$/ },
  { name: 'HTTP, zstd', sink: httpSink, env: { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf', OTEL_EXPORTER_OTLP_COMPRESSION: 'zstd' }, encoding: /^zstd$/ },
];

describe.skipIf(!isRoot)('flamelake agent', () => {
  // Side by side: most of their time is waiting for the next batch.
  test.concurrent.each(ways)('over $name: every message is well-made, and repeated when it was refused', async ({ name, sink: open, env, encoding }) => {
    const sink = await open();
    const named = name.toLowerCase().replace(/\W+/g, '-');
    const program = buildProgram('shares', folder.path, named);
    const agent = startCommand(launcher, ['agent', '--endpoint', sink.url, '--rate', '100'], { env });
    try {
      const run = runProgram(program, ['6']);
      await until('two messages', batchMillis * 2, () => sink.received.length >= 2 || failed(agent));
      sink.refuseNext(1);
      await until('a refused message', batchMillis, () => sink.refused.length === 1 || failed(agent));
      await run.result;
      const refused = sink.refused[0]!;
      await until('the same bytes again', batchMillis, () => sink.received.some(({ body }) => Buffer.compare(body, refused.body) === 0) || failed(agent));
      const last = sink.received.length;
      await until('a message after all that', batchMillis, () => sink.received.length > last || failed(agent));
    } finally {
      agent.child.kill('SIGTERM');
    }
    const end = await until('its end', 15_000, agent.exited);
    expect(end, agent.output()).toEqual({ code: 0, signal: null });
    await sink.close();
    for (const [index, { body, encoding: used, headers }] of sink.received.entries()) {
      expect(profcheck(fromBinary(ProfilesDataSchema, body)), `message ${index}`).toEqual([]);
      expect(used).toMatch(encoding);
      expect(headers['otlp-profiles-development-version'] ?? '1').toBe('1');
      checkByGroupsTool(body, `${named}-${index}`);
    }
    if (python !== null) expectSeenElsewhere(sink, named);
  });
});

function failed(agent: ReturnType<typeof startCommand>): false {
  if (agent.exited()) throw new Hopeless(`the agent ended: ${agent.output()}`);
  return false;
}

function checkByGroupsTool(body: Uint8Array, name: string): void {
  if (groupsTool === undefined) return;
  const path = join(folder.path, `${name}.otlp`);
  writeFileSync(path, body);
  execFileSync(groupsTool, ['-check-dupes', path], { stdio: 'pipe' });
}

interface Summary {
  readonly resources: readonly {
    readonly attributes: Readonly<Record<string, unknown>>;
    readonly profiles: readonly {
      readonly scope: string;
      readonly type: readonly string[];
      readonly samples: number;
      readonly events: number;
      readonly functions: readonly string[];
    }[];
  }[];
}

/** By the OpenTelemetry project's own classes: one resource for a process, its samples with times. */
function expectSeenElsewhere(sink: Sink, executable: string): void {
  const frames = sink.received.map(({ body }) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(body.length);
    return Buffer.concat([length, body]);
  });
  const summaries = runPython(python!, 'read_otlp.py', [], Buffer.concat(frames)) as Summary[];
  const resources = summaries.flatMap((summary) => summary.resources).filter((resource) => resource.attributes['process.executable.name'] === executable);
  expect(resources.length, executable).toBeGreaterThan(0);
  expect(new Set(resources.map((resource) => resource.attributes['process.pid'])).size).toBe(1);
  const profiles = resources.flatMap((resource) => resource.profiles);
  expect(new Set(profiles.map((profile) => profile.scope))).toEqual(new Set(['flamelake.agent']));
  const events = profiles.filter((profile) => profile.type.join('/') === 'samples/count').reduce((sum, profile) => sum + profile.events, 0);
  // Six CPU seconds at 100 a second, the first moments before the agent was ready perhaps not among them.
  expect(events).toBeGreaterThan(300);
  for (const summary of summaries) {
    // An exec in between makes another process of it, with another executable.
    const identities = summary.resources.map(({ attributes }) => JSON.stringify(Object.entries(attributes).sort()));
    expect(new Set(identities).size, 'one resource for a process').toBe(identities.length);
    const pids = summary.resources.map(({ attributes }) =>
      JSON.stringify([attributes['process.pid'], attributes['process.executable.path'], attributes['process.executable.name']]),
    );
    expect(pids.toSorted(), 'one resource for a process').toEqual([...new Set(pids)].sort());
  }
}
