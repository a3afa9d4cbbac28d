// What the tests of the embedded log share: a directory of their own, and other processes on it.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import type { Log } from './log.ts';
import { type OpenLogOptions, openLog } from './open.ts';

export class LogPlace {
  readonly directory = mkdtempSync(path.join(tmpdir(), 'flamelake-log-'));
  readonly url = pathToFileURL(this.directory).href;
  readonly #logs: Log[] = [];
  readonly #children: ChildProcess[] = [];

  async open(bytesMax?: number, more: OpenLogOptions = {}): Promise<Log> {
    const log = await openLog(this.url, bytesMax === undefined ? more : { ...more, bytesMax });
    this.#logs.push(log);
    return log;
  }

  async closeAll(): Promise<void> {
    await Promise.all(this.#logs.splice(0).map((log) => log.close()));
  }

  topicFile(name: string): string {
    return path.join(this.directory, 'topics', `${name}.db`);
  }

  get membersFile(): string {
    return path.join(this.directory, 'members.db');
  }

  /** Runs `script` in a process of its own, with `log` (opened here), `say(text)` (one line out) and `onAsk(answer)`. */
  child(script: string): LogChild {
    const child = spawn(process.execPath, ['--input-type=module', '-e', `${prelude(this.url)}\n${script}`], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#children.push(child);
    return new LogChild(child);
  }

  async cleanup(): Promise<void> {
    for (const child of this.#children) child.kill('SIGKILL');
    await this.closeAll();
    rmSync(this.directory, { recursive: true });
  }
}

const prelude = (url: string) => `
  import { writeSync } from 'node:fs';
  const { openLog } = await import(${JSON.stringify(new URL('./open.ts', import.meta.url).href)});
  const log = await openLog(${JSON.stringify(url)});
  const say = (text) => writeSync(1, text + '\\n');
  const onAsk = (answer) => process.stdin.on('data', () => say(answer()));`;

export class LogChild {
  readonly process: ChildProcess;
  readonly lines: AsyncIterator<string>;

  constructor(child: ChildProcess) {
    this.process = child;
    this.lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  }

  /** The next line it says; undefined when it has ended. */
  async next(): Promise<string | undefined> {
    const { done, value } = await this.lines.next();
    return done ? undefined : value;
  }

  /** Sends it one line; what it says next is the answer. */
  async ask(question: string): Promise<string | undefined> {
    this.process.stdin!.write(`${question}\n`);
    return this.next();
  }

  /** SIGKILL; the lines it had said before are still to be read. */
  async kill(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const exited = once(this.process, 'exit');
    this.process.kill('SIGKILL');
    await exited;
  }
}
