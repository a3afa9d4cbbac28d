// Wakes readers in other processes: after a commit one byte is written over in `wake/<name>`, and
// whoever watches the folder hears of it from the kernel. No polling while nothing happens; a wake-up
// that is lost costs a reader pollMillis, never a record.
import { closeSync, constants, type FSWatcher, mkdirSync, openSync, watch, writeSync } from 'node:fs';
import path from 'node:path';

const byte = new Uint8Array(1);

export class WakeFiles {
  readonly #directory: string;
  readonly #files = new Map<string, number>();
  #watcher: FSWatcher | null = null;

  constructor(logDirectory: string, onWake: (name: string) => void, onBlind: () => void) {
    this.#directory = path.join(logDirectory, 'wake');
    mkdirSync(this.#directory, { recursive: true });
    try {
      this.#watcher = watch(this.#directory, { persistent: false }, (_event, name) => {
        if (name !== null) onWake(name);
      });
      this.#watcher.on('error', () => {
        this.#watcher?.close();
        onBlind();
      });
    } catch {
      // The user's inotify instances are used up (fs.inotify.max_user_instances).
      onBlind();
    }
  }

  /** Tells the readers in other processes. Fails silently (disk full): they look by themselves a little later. */
  wake(name: string): void {
    try {
      writeSync(this.#fileOf(name), byte, 0, 1, 0);
    } catch {}
  }

  close(): void {
    this.#watcher?.close();
    for (const file of this.#files.values()) closeSync(file);
    this.#files.clear();
  }

  #fileOf(name: string): number {
    let file = this.#files.get(name);
    if (file === undefined) {
      file = openSync(path.join(this.#directory, name), constants.O_WRONLY | constants.O_CREAT);
      this.#files.set(name, file);
    }
    return file;
  }
}
