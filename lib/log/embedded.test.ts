import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Log } from './log.ts';
import { openLog } from './open.ts';
import { logSuite } from './suite.ts';

logSuite('the embedded log', async () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'flamelake-log-'));
  const url = pathToFileURL(directory).href;
  const opened: Log[] = [];
  const open = async () => {
    const log = await openLog(url);
    opened.push(log);
    return log;
  };
  const closeAll = () => Promise.all(opened.splice(0).map((log) => log.close()));
  return {
    log: await open(),
    reopen: async () => {
      await closeAll();
      return open();
    },
    second: open,
    dropTopic: async (name) => {
      await closeAll();
      rmSync(path.join(directory, 'topics', `${name}.db`));
      return open();
    },
    cleanup: async () => {
      await closeAll();
      rmSync(directory, { recursive: true });
    },
  };
});
