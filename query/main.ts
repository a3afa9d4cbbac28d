// The query stage: opens the lake for reading, answers over HTTP, shows the page. Wiring only.
import { type DoorFiles, openDoor } from '../lib/door/door.ts';
import type { StartStage } from '../lib/stage.ts';
import type { Report } from './api.ts';
import { createGate } from './gate.ts';
import { parseListen, startHttp } from './http.ts';
import { limits } from './limits.ts';
import { createQueryMetrics } from './metrics.ts';
import { openQuery } from './query.ts';

export interface QueryOptions {
  /** URL of the store that holds the lake. */
  readonly store: string;
  /** host:port of the page, the API, health and metrics. */
  readonly listen: string;
  /** TLS and tokens of it. */
  readonly door?: DoorFiles;
  /** State of every stage, for /readyz and the page. */
  readonly reports: () => Report[];
  /** Prometheus text of every stage, for /metrics. */
  readonly metricsText: () => Promise<string>;
}

/** How long answers that are under way may take when the stage stops. */
const stopMillis = 2_000;

export const startQuery: StartStage<QueryOptions> = async (options, host) => {
  const listen = parseListen(options.listen);
  const door = openDoor(options.door ?? {}, host.logger);
  const query = await openQuery({ store: options.store, keepHot: true, logger: host.logger });
  const gate = createGate(limits.concurrentMax, limits.waitingMax);
  const sqlGate = createGate(limits.sqlConcurrentMax, limits.sqlWaitingMax);
  const metrics = createQueryMetrics(host.meter, [gate, sqlGate]);
  const { server, url } = await startHttp({
    listen,
    door,
    gate,
    sqlGate,
    api: { query, reports: options.reports, nowMillis: Date.now },
    metricsText: options.metricsText,
    logger: host.logger,
    answered: metrics.answered,
  });
  return {
    status: () => ({ ready: server.listening, text: `page and API on ${url}` }),
    stop: async () => {
      door.close();
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeIdleConnections();
      const late = setTimeout(() => server.closeAllConnections(), stopMillis);
      await closed;
      clearTimeout(late);
      await query.close();
    },
  };
};
