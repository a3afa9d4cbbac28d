// Which module runs which stage, and what its process answers beyond the common contract. Each is
// loaded in its own process only.
import type { Stage, StageHost } from '../lib/stage.ts';
import type { StageAddresses, StageName } from './stage-messages.ts';

export interface StartedStage {
  readonly stage: Stage;
  readonly addresses: StageAddresses;
}

export type Starter = (options: unknown, host: StageHost) => Promise<StartedStage>;

const nowhere: StageAddresses = {};

export const starters: Record<StageName, () => Promise<Starter>> = {
  receiver: async () => {
    const { startReceiver } = await import('../receiver/main.ts');
    return async (options, host) => {
      const stage = await startReceiver(options as Parameters<typeof startReceiver>[0], host);
      const { grpcAddress: grpc, httpAddress: http, ownAddress: own } = stage;
      return { stage, addresses: { ...(grpc && { grpc }), ...(http && { http }), ...(own && { own }) } };
    };
  },
  processor: async () => {
    const { startProcessor } = await import('../processor/main.ts');
    return async (options, host) => ({ stage: await startProcessor(options as Parameters<typeof startProcessor>[0], host), addresses: nowhere });
  },
  exporter: async () => {
    const { startExporter } = await import('../exporter/main.ts');
    return async (options, host) => ({ stage: await startExporter(options as Parameters<typeof startExporter>[0], host), addresses: nowhere });
  },
  query: async () => {
    const { startQuery } = await import('../query/main.ts');
    return async (options, host) => ({ stage: await startQuery(options as Parameters<typeof startQuery>[0], host), addresses: nowhere });
  },
  agent: async () => {
    const { startAgent } = await import('../agent/main.ts');
    return async (options, host) => ({ stage: await startAgent(options as Parameters<typeof startAgent>[0], host), addresses: nowhere });
  },
};
