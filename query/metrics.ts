// What the query stage counts: answers, how long they took, what waits.
import type { Meter } from '@opentelemetry/api';
import { instrumentsOf, type MetricTable } from '../lib/metric-table.ts';
import type { Gate } from './gate.ts';

const route = 'path of the API, without parameters';

export const queryMetrics = {
  'flamelake.query.answers': {
    kind: 'counter',
    unit: '{answer}',
    description: 'HTTP answers by route and status',
    attributes: { route, status: 'HTTP status' },
    alert: 'a rate of status 5xx above 0 for 5 minutes: the lake cannot be read, or more is asked than there is room for',
  },
  'flamelake.query.duration': { kind: 'histogram', unit: 's', description: 'Time to an HTTP answer by route', attributes: { route } },
  'flamelake.query.running': { kind: 'gauge', unit: '{query}', description: 'Questions being worked on and waiting' },
} as const satisfies MetricTable;

export interface QueryMetrics {
  answered(route: string, status: number, millis: number): void;
}

export function createQueryMetrics(meter: Meter, gates: readonly Gate[]): QueryMetrics {
  const { counter, histogram, observe } = instrumentsOf(meter, queryMetrics);
  const answers = counter('flamelake.query.answers');
  const duration = histogram('flamelake.query.duration');
  observe('flamelake.query.running', (result) => result.observe(gates.reduce((sum, { running, waiting }) => sum + running + waiting, 0)));
  return {
    answered(answeredRoute, status, millis) {
      answers.add(1, { route: answeredRoute, status });
      duration.record(millis / 1000, { route: answeredRoute });
    },
  };
}
