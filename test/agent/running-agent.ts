// `flamelake agent` as a user starts it, sending to an endpoint that keeps what it gets.
import { launcher, startCommand } from '../e2e/flamelake.ts';
import { httpSink, type Sink } from '../e2e/sink.ts';
import { Hopeless, until } from '../e2e/until.ts';

const startMillis = 20_000;
const stopMillis = 15_000;
/** A batch is at most 6 s old when it is sent. */
const batchMillis = 20_000;

export interface RunningAgent {
  readonly pid: number;
  readonly sink: Sink;
  output(): string;
  messages(): readonly Uint8Array[];
  /** All that was sampled until now has arrived. */
  settle(): Promise<void>;
  stop(): Promise<void>;
  kill(): Promise<void>;
}

export async function startAgent(flags: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Promise<RunningAgent> {
  const sink = await httpSink();
  const { child, output, exited } = startCommand(
    launcher,
    ['agent', '--endpoint', sink.url, '--protocol', 'http/protobuf', '--compression', 'none', ...flags],
    {
      env,
    },
  );
  const waitFor = (what: string, millis: number, probe: () => boolean) =>
    until(what, millis, () => {
      if (exited()) throw new Hopeless(`the agent ended: ${output()}`);
      return probe();
    });
  await waitFor('its start', startMillis, () => output().includes('samples every process'));
  return {
    pid: child.pid!,
    sink,
    output,
    messages: () => sink.received.map(({ body }) => body),
    async settle() {
      // The batch at hand, which may have been cut before this moment, and the next.
      const count = sink.received.length;
      await waitFor('two more messages', batchMillis, () => sink.received.length >= count + 2);
    },
    async stop() {
      child.kill('SIGTERM');
      const end = await until('its end', stopMillis, exited);
      await sink.close();
      if (end.code !== 0) throw new Error(`the agent ended with ${end.code ?? end.signal}: ${output()}`);
    },
    async kill() {
      process.kill(-child.pid!, 'SIGKILL');
      await until('its end', stopMillis, exited);
      await sink.close();
    },
  };
}
