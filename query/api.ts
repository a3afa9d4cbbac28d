// What the HTTP API answers: parameters checked, one question each, one answer. Without sockets, so
// that it can be asked directly; http.ts carries it.
import { parseTime } from '../lib/duration.ts';
import { PipelineError } from '../lib/errors.ts';
import { defaultType, type Filter } from './filter.ts';
import type { FlameGraph } from './flamegraph.ts';
import { limits } from './limits.ts';
import type { Query } from './query.ts';
import { flameGraphCollapsed } from './render/collapsed.ts';
import { flameGraphHtml, standalonePolicy } from './render/html.ts';
import { flameGraphSvg } from './render/svg.ts';
import { groupings } from './weighted-stacks.ts';

export interface Report {
  readonly name: string;
  readonly ready: boolean;
  readonly text: string;
}

export interface ApiRequest {
  readonly method: 'GET' | 'POST';
  /** Behind /api/v1/. */
  readonly path: string;
  readonly parameters: URLSearchParams;
  /** Of a POST. */
  readonly contentType: string;
  readonly body: string;
  readonly signal: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface ApiContext {
  readonly query: Query;
  readonly reports: () => readonly Report[];
  readonly nowMillis: () => number;
}

type Route = (context: ApiContext, request: ApiRequest) => Promise<Answer>;

const routes: Readonly<Record<string, { readonly methods: readonly string[]; readonly run: Route }>> = {
  flamegraph: { methods: ['GET'], run: flamegraph },
  top: { methods: ['GET'], run: top },
  labels: { methods: ['GET'], run: labels },
  overview: { methods: ['GET'], run: overview },
  status: { methods: ['GET'], run: status },
  sql: { methods: ['GET', 'POST'], run: sql },
};

export const apiPaths = Object.keys(routes);

export function answerApi(context: ApiContext, request: ApiRequest): Promise<Answer> {
  const route = Object.hasOwn(routes, request.path) ? routes[request.path]! : undefined;
  if (!route)
    return Promise.resolve(
      json(404, { error: `/api/v1/${request.path.slice(0, 80)} is not there; ${apiPaths.map((name) => `/api/v1/${name}`).join(', ')} are`, code: 'usage' }),
    );
  if (!route.methods.includes(request.method)) {
    return Promise.resolve({
      ...json(405, { error: `${request.method} is not taken here, ${route.methods.join(' and ')} is`, code: 'usage' }),
      headers: { allow: route.methods.join(', ') },
    });
  }
  return route.run(context, request);
}

export function json(code: number, value: unknown): Answer {
  return { status: code, contentType: 'application/json; charset=utf-8', body: `${JSON.stringify(value)}\n` };
}

const filterNames = ['from', 'to', 'service', 'process', 'host', 'type'] as const;

async function flamegraph(context: ApiContext, { parameters, signal }: ApiRequest): Promise<Answer> {
  onlyKnown(parameters, [...filterNames, 'group', 'format', 'nodes', 'download']);
  const filter = readFilter(parameters, context.nowMillis());
  const format = oneOf(parameters, 'format', ['json', 'html', 'svg', 'collapsed'], 'json');
  const groupBy = oneOf(parameters, 'group', groupings, 'process');
  const nodesMax = whole(parameters, 'nodes', 10, limits.nodesMax, limits.nodesDefault);
  const graph = await context.query.flamegraph(filter, { groupBy, nodesMax, signal });
  const answer = renderGraph(graph, format);
  if (!parameters.has('download')) return answer;
  const stamp = new Date(filter.fromMillis).toISOString().slice(0, 19).replace(/[-:]/g, '');
  const ending = format === 'collapsed' ? 'txt' : format;
  const name = `flamelake-${graph.type.replace(/[^a-z0-9_]/gi, '_').slice(0, 40)}-${stamp}.${ending}`;
  return { ...answer, headers: { ...answer.headers, 'content-disposition': `attachment; filename="${name}"` } };
}

function renderGraph(graph: FlameGraph, format: 'json' | 'html' | 'svg' | 'collapsed'): Answer {
  switch (format) {
    case 'json':
      return json(200, graph);
    case 'html':
      return {
        status: 200,
        contentType: 'text/html; charset=utf-8',
        body: flameGraphHtml(graph),
        headers: { 'content-security-policy': `${standalonePolicy()}; frame-ancestors 'none'` },
      };
    case 'svg':
      return { status: 200, contentType: 'image/svg+xml; charset=utf-8', body: flameGraphSvg(graph) };
    case 'collapsed':
      return { status: 200, contentType: 'text/plain; charset=utf-8', body: flameGraphCollapsed(graph) };
    default:
      return format satisfies never;
  }
}

async function top(context: ApiContext, { parameters, signal }: ApiRequest): Promise<Answer> {
  onlyKnown(parameters, [...filterNames, 'limit', 'by']);
  const filter = readFilter(parameters, context.nowMillis());
  const limit = whole(parameters, 'limit', 1, limits.topMax, limits.topDefault);
  const byProcess = oneOf(parameters, 'by', ['function', 'process'], 'function') === 'process';
  return json(200, await context.query.top(filter, limit, { byProcess, signal }));
}

/** What the page asks: graph, top, labels and activity of one moment, with the reports of the stages. */
async function overview(context: ApiContext, { parameters, signal }: ApiRequest): Promise<Answer> {
  onlyKnown(parameters, [...filterNames, 'group', 'nodes', 'limit', 'by']);
  const filter = readFilter(parameters, context.nowMillis());
  const groupBy = oneOf(parameters, 'group', groupings, 'process');
  const nodesMax = whole(parameters, 'nodes', 10, limits.nodesMax, limits.nodesDefault);
  const limit = whole(parameters, 'limit', 1, limits.topMax, limits.topDefault);
  const byProcess = oneOf(parameters, 'by', ['function', 'process'], 'function') === 'process';
  return json(200, { ...(await context.query.overview(filter, limit, { groupBy, nodesMax, byProcess, signal })), reports: context.reports() });
}

async function labels(context: ApiContext, { parameters, signal }: ApiRequest): Promise<Answer> {
  onlyKnown(parameters, filterNames);
  return json(200, await context.query.labels(readFilter(parameters, context.nowMillis()), { signal }));
}

async function status(context: ApiContext, { parameters, signal }: ApiRequest): Promise<Answer> {
  onlyKnown(parameters, ['from', 'to']);
  const { fromMillis, toMillis } = readFilter(parameters, context.nowMillis());
  return json(200, { reports: context.reports(), activity: await context.query.activity({ fromMillis, toMillis }, { signal }) });
}

async function sql(context: ApiContext, request: ApiRequest): Promise<Answer> {
  const parameters = request.method === 'POST' ? bodyParameters(request) : request.parameters;
  if (request.method === 'POST') onlyKnown(request.parameters, []);
  onlyKnown(parameters, ['q', 'from', 'to', 'rows']);
  const text = parameters.get('q');
  if (text === null || text.trim() === '') throw new PipelineError('usage', 'q is missing: the SQL to run');
  const now = context.nowMillis();
  const rowsMax = whole(parameters, 'rows', 1, limits.rowsMax, limits.rowsDefault);
  const result = await context.query.sql(text, {
    rowsMax,
    signal: request.signal,
    fromMillis: parameters.has('from') ? readTime(parameters, 'from', now, '') : undefined,
    toMillis: parameters.has('to') ? readTime(parameters, 'to', now, '') : undefined,
  });
  return json(200, result);
}

/** The type is asked for so that a form of another site cannot send it without a preflight. */
function bodyParameters({ contentType, body }: ApiRequest): URLSearchParams {
  if (!/^application\/json\s*(;|$)/i.test(contentType))
    throw new PipelineError('usage', `content-type is ${JSON.stringify(contentType.slice(0, 80))}, expected application/json`);
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    throw new PipelineError('usage', 'the body is not JSON; expected {"q": "SELECT …"}');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new PipelineError('usage', 'the body is not a JSON object; expected {"q": "SELECT …"}');
  const entries = Object.entries(value).map(([name, entry]): [string, string] => {
    if (typeof entry !== 'string' && typeof entry !== 'number')
      throw new PipelineError('usage', `${JSON.stringify(name.slice(0, 80))} is neither text nor a number`);
    return [name, String(entry)];
  });
  return new URLSearchParams(entries);
}

/** A misspelled parameter would otherwise be an unfiltered answer. */
function onlyKnown(parameters: URLSearchParams, known: readonly string[]): void {
  for (const name of parameters.keys()) {
    if (!known.includes(name))
      throw new PipelineError(
        'usage',
        `${JSON.stringify(name.slice(0, 80))} is no parameter here; ${known.length === 0 ? 'none is' : `${known.join(', ')} are`} taken`,
      );
    if (parameters.getAll(name).length > 1) throw new PipelineError('usage', `${name} is given more than once`);
  }
}

const defaultFrom = '-15m';

function readFilter(parameters: URLSearchParams, nowMillis: number): Filter {
  const given = (name: string) => parameters.get(name) || undefined;
  return {
    fromMillis: readTime(parameters, 'from', nowMillis, defaultFrom),
    toMillis: readTime(parameters, 'to', nowMillis, 'now'),
    service: given('service'),
    process: given('process'),
    host: given('host'),
    type: given('type') ?? defaultType,
  };
}

/** RFC 3339, -15m, now, or milliseconds since 1970. */
function readTime(parameters: URLSearchParams, name: string, nowMillis: number, otherwise: string): number {
  const text = parameters.get(name) || otherwise;
  if (/^\d{10,15}$/.test(text)) return Number(text);
  try {
    return parseTime(text, nowMillis);
  } catch (error) {
    if (error instanceof PipelineError) throw new PipelineError('usage', `${name}: ${error.message.slice(0, 300)}`);
    throw error;
  }
}

function oneOf<T extends string>(parameters: URLSearchParams, name: string, allowed: readonly T[], otherwise: T): T {
  const text = parameters.get(name) || otherwise;
  const found = allowed.find((value) => value === text);
  if (found === undefined) throw new PipelineError('usage', `${name} is ${JSON.stringify(text.slice(0, 80))}; ${allowed.join(', ')} are allowed`);
  return found;
}

function whole(parameters: URLSearchParams, name: string, least: number, most: number, otherwise: number): number {
  const text = parameters.get(name);
  if (text === null || text === '') return otherwise;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most))
    throw new PipelineError('usage', `${name} is ${JSON.stringify(text.slice(0, 80))}; a whole number from ${least} to ${most} is allowed`);
  return value;
}
