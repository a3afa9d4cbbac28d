// The page: what is chosen stands in the address, so that a link shows the same to somebody else.
// It asks the same API that anybody can ask (query/api.ts).
import { FlameView } from './flame.mjs';
import { askToken } from './sign-in.mjs';
import { formatCount, formatSeconds, formatShare, formatValue, measureName } from './words.mjs';

/** @typedef {import('./flame.mjs').Graph} Graph */
/** @typedef {{name: string, ready: boolean, text: string}} Report */
/** @typedef {{name: string, file: string | null, mapping: string | null, type: string | null, named: boolean, process?: string, self: number, total: number, selfSamples: number, totalSamples: number}} TopRow */
/** @typedef {{type: string, unit: string, total: number, samples: number, rows: TopRow[], more: number}} Top */
/** @typedef {{value: string, samples: number}} Label */
/** @typedef {{hosts: Label[], services: Label[], processes: Label[], types: Label[]}} Labels */
/** @typedef {{newestMillis: number | null, samples: number, samplesPerSecond: number, hosts: number, lost: {reason: string, count: number}[]}} Activity */
/** @typedef {{reports: Report[], activity: Activity}} Status */

const defaults = {
  from: '-15m',
  to: 'now',
  type: 'cpu',
  host: '',
  service: '',
  process: '',
  group: 'process',
  search: '',
  zoom: '',
  turn: '',
  sort: 'self',
  by: '',
  live: '1',
};
const choices = /** @type {const} */ (['type', 'host', 'service', 'process']);
const refreshMillis = 10_000;
/** A long range changes slowly and costs more to read. */
const slowRefreshMillis = 60_000;
/** A page that is left open must not be what one sees in it: at most a twentieth of the time is work. */
const restFactor = 20;
const topRows = 200;
/** What is lighter is far below a pixel until one zooms in deeply, and stands there as a note. */
const nodesMax = 30_000;

const state = { ...defaults, ...fromAddress() };
let asked = 0;
let answerMillis = 0;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
/** @type {Top | null} */
let top = null;

/** @template {HTMLElement} T @param {string} id @returns {T} */
const byId = (id) => /** @type {T} */ (document.getElementById(id));
const view = new FlameView(byId('flame'), {
  onZoom: (path) => {
    set({ zoom: path }, false);
    showPath();
  },
});

function fromAddress() {
  const known = [...new URLSearchParams(location.search)].filter(([name]) => name in defaults);
  return /** @type {Partial<typeof defaults>} */ (Object.fromEntries(known));
}

/** @param {Partial<typeof defaults>} change @param {boolean} step whether going back undoes it */
function set(change, step) {
  Object.assign(state, change);
  const given = Object.entries(state).filter(([name, value]) => value !== defaults[/** @type {keyof typeof defaults} */ (name)]);
  const address = given.length === 0 ? location.pathname : `?${new URLSearchParams(given)}`;
  history[step ? 'pushState' : 'replaceState'](null, '', address);
}

/** @param {Partial<typeof defaults>} change */
function choose(change) {
  set(change, true);
  showChoices();
  load();
}

/** @param {Record<string, string>} [more] */
function parameters(more = {}) {
  const given = { from: state.from, to: state.to, type: state.type, host: state.host, service: state.service, process: state.process, ...more };
  return new URLSearchParams(Object.entries(given).filter(([, value]) => value !== ''));
}

/** @param {string} path @param {URLSearchParams} query */
async function ask(path, query) {
  const response = await fetch(`/api/v1/${path}?${query}`, { headers: { accept: 'application/json' } });
  const body = await response.json().catch(() => ({ error: `${path} answered ${response.status}` }));
  if (response.status === 401) askToken(load);
  if (!response.ok) throw new Error(body.error ?? `${path} answered ${response.status}`);
  return body;
}

async function load() {
  clearTimeout(timer);
  const turn = ++asked;
  document.body.setAttribute('aria-busy', 'true');
  try {
    const started = performance.now();
    const now = await ask(
      'overview',
      parameters({ group: state.group, nodes: String(nodesMax), limit: String(topRows), ...(state.by ? { by: 'process' } : {}) }),
    );
    answerMillis = performance.now() - started;
    if (turn !== asked) return;
    show(now.graph, now.top, now.labels, now);
    banner('');
  } catch (error) {
    if (turn === asked) banner(error instanceof Error ? error.message : String(error));
  }
  document.body.removeAttribute('aria-busy');
  if (turn === asked) again();
}

function again() {
  clearTimeout(timer);
  if (state.live !== '1' || state.to !== 'now') return;
  const wait = /^-\d{1,2}m$/.test(state.from) ? refreshMillis : slowRefreshMillis;
  timer = setTimeout(() => (document.hidden ? again() : load()), Math.max(wait, restFactor * answerMillis));
}

/** @param {Graph} graph @param {Top} list @param {Labels} labels @param {Status} now */
function show(graph, list, labels, now) {
  top = list;
  const first = !view.zoomPath();
  view.setGraph(graph);
  if (first && state.zoom) view.zoomToPath(state.zoom);
  showTotal(graph);
  showPath();
  showLegend();
  showSearch();
  showTop();
  showLabels(labels);
  showStatus(now);
  showEmpty(graph, now, labels);
}

/** @param {Graph} graph */
function showTotal(graph) {
  const measured = `${formatValue(graph.total, graph.unit)} ${graph.unit === 'nanoseconds' ? measureName(graph.type, graph.unit) : measureName(graph.type, 'count')}`;
  byId('total').textContent = graph.type === 'lost' ? measured : `${measured} in ${formatCount(graph.samples)} samples`;
  document.title = `${measured} — Flamelake`;
}

function showPath() {
  const path = view.zoomPath();
  byId('path').textContent = path.replaceAll(';', ' › ');
  byId('reset').hidden = path === '';
}

function showLegend() {
  const entries = view.legend().map(({ kind, color }) => {
    const entry = make('span', kind);
    const box = make('i', '');
    box.style.background = color;
    entry.prepend(box);
    return entry;
  });
  byId('legend').replaceChildren(...entries);
}

function showSearch() {
  const found = view.setSearch(state.search);
  const text = found === null || !top ? '' : found.value === 0 ? 'not found' : `${formatShare(found.value, top.total)} found`;
  byId('found').textContent = text;
}

function showTop() {
  if (!top) return;
  const { rows, total, unit, more } = top;
  const sorted = [...rows].sort((a, b) => (state.sort === 'name' ? (a.name < b.name ? -1 : 1) : state.sort === 'total' ? b.total - a.total : b.self - a.self));
  const made = sorted.map((row) => topRow(row, total, unit));
  if (more > 0) made.push(lastRow(`${formatCount(more)} more functions`));
  const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.row : undefined;
  byId('top').replaceChildren(...made);
  if (focused !== undefined) made.find((row) => row.dataset.row === focused)?.focus({ preventScroll: true });
  for (const button of document.querySelectorAll('[data-sort]')) {
    const mine = button instanceof HTMLElement && button.dataset.sort === state.sort;
    button.closest('th')?.setAttribute('aria-sort', mine ? (state.sort === 'name' ? 'ascending' : 'descending') : 'none');
  }
}

/** @param {TopRow} row @param {number} total @param {string} unit */
function topRow(row, total, unit) {
  const tr = document.createElement('tr');
  tr.tabIndex = 0;
  tr.dataset.row = `${row.name};${row.process ?? ''};${row.mapping ?? ''}`;
  if (!row.named) tr.className = 'note';
  const exact = `"${row.name}"`;
  tr.setAttribute('aria-selected', String(state.search === exact));
  const name = make('td', row.name);
  const where = row.process ?? (row.type === 'kernel' ? 'kernel' : baseName(row.mapping ?? ''));
  if (where && row.named) name.append(' ', make('small', where));
  name.title = [row.name, row.process && `process ${row.process}`, row.mapping, row.file].filter(Boolean).join('\n');
  tr.append(name, share(row.self, total, unit, '--bar-self'), share(row.total, total, unit, '--bar-total'));
  const pick = () => {
    set({ search: state.search === exact ? '' : exact }, false);
    /** @type {HTMLInputElement} */ (byId('search')).value = state.search;
    showSearch();
    showTop();
  };
  tr.addEventListener('click', pick);
  tr.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      pick();
    }
    const next = event.key === 'ArrowDown' ? tr.nextElementSibling : event.key === 'ArrowUp' ? tr.previousElementSibling : null;
    if (next instanceof HTMLElement) {
      event.preventDefault();
      next.focus();
    }
  });
  return tr;
}

/** @param {number} value @param {number} total @param {string} unit @param {string} bar */
function share(value, total, unit, bar) {
  const cell = make('td', formatShare(value, total));
  const width = total === 0 ? 0 : (100 * value) / total;
  cell.style.backgroundImage = `linear-gradient(var(${bar}), var(${bar}))`;
  cell.style.backgroundSize = `calc(${width / 100} * (100% - 18px)) 3px`;
  cell.title = formatValue(value, unit);
  return cell;
}

/** @param {string} text */
function lastRow(text) {
  const tr = document.createElement('tr');
  tr.className = 'note';
  const cell = /** @type {HTMLTableCellElement} */ (make('td', text));
  cell.colSpan = 3;
  tr.append(cell);
  return tr;
}

/** @param {Labels} labels */
function showLabels(labels) {
  const lists = { type: labels.types, host: labels.hosts, service: labels.services, process: labels.processes };
  for (const field of choices) {
    const select = /** @type {HTMLSelectElement} */ (byId(field));
    if (document.activeElement === select) continue;
    const options = lists[field].map(({ value, samples }) => option(value, `${value}  (${formatCount(samples)})`));
    if (field !== 'type') options.unshift(option('', 'all'));
    const chosen = state[field];
    if (!options.some(({ value }) => value === chosen)) options.push(option(chosen, chosen));
    select.replaceChildren(...options);
    select.value = chosen;
  }
}

/** @param {string} value @param {string} text */
function option(value, text) {
  const made = /** @type {HTMLOptionElement} */ (make('option', text));
  made.value = value;
  return made;
}

/** @param {Status} now */
function showStatus(now) {
  const stages = now.reports.map(({ name, ready, text }) => {
    const stage = make('span', name);
    stage.className = ready ? 'ready' : 'waits';
    stage.title = text;
    stage.prepend(make('i', ''));
    if (!ready) stage.append(make('small', text.length > 60 ? `${text.slice(0, 60)}…` : text));
    return stage;
  });
  byId('stages').replaceChildren(...stages);
  const { newestMillis, samples, samplesPerSecond, hosts, lost } = now.activity;
  byId('rate').textContent = newestMillis === null ? 'no samples' : `${samplesPerSecond.toFixed(1)} samples/s from ${hosts} ${hosts === 1 ? 'host' : 'hosts'}`;
  byId('fresh').textContent = newestMillis === null ? '' : `newest ${formatSeconds(Math.max(0, Math.round((Date.now() - newestMillis) / 1000)))} old`;
  const sum = lost.reduce((all, { count }) => all + count, 0);
  const element = byId('lost');
  element.textContent =
    sum === 0 ? 'nothing lost' : `${formatCount(sum)} lost: ${lost.map(({ reason, count }) => `${reason} ${formatCount(count)}`).join(', ')}`;
  element.className = sum > 0.01 * Math.max(1, samples) ? 'bad' : '';
}

/** What is missing, when there is nothing to show. @param {Graph} graph @param {Status} now @param {Labels} labels */
function showEmpty(graph, now, labels) {
  const empty = graph.samples === 0;
  byId('flame').hidden = empty;
  byId('empty').hidden = !empty;
  if (!empty) return;
  const filtered = choices.some((field) => state[field] !== defaults[field]);
  const waiting = now.reports.filter(({ ready }) => !ready);
  const head =
    now.activity.newestMillis === null
      ? 'No samples in this time range'
      : `No ${state.type} samples ${filtered ? 'under these filters' : 'in this time range'}`;
  const texts = waiting.map(({ name, text }) => `${name}: ${text}`);
  if (texts.length === 0) {
    if (now.activity.newestMillis === null)
      texts.push('Every stage is ready. A sample is seen here within 15 seconds; a host that sends nothing may be idle, or profiled from elsewhere.');
    else if (labels.types.length > 0) texts.push(`There are: ${labels.types.map(({ value }) => value).join(', ')}.`);
  }
  const buttons = make('div', '');
  if (filtered) buttons.append(button('Clear the filters', () => choose({ type: defaults.type, host: '', service: '', process: '' })));
  if (state.from !== '-24h') buttons.append(button('Show the last 24 hours', () => choose({ from: '-24h', to: 'now' })));
  byId('empty').replaceChildren(make('strong', head), make('p', texts.join('\n')), buttons);
}

/** @param {string} text @param {() => void} act */
function button(text, act) {
  const made = /** @type {HTMLButtonElement} */ (make('button', text));
  made.type = 'button';
  made.addEventListener('click', act);
  return made;
}

/** @param {string} text */
function banner(text) {
  byId('banner').hidden = text === '';
  byId('banner').textContent = text;
}

/** @param {string} tag @param {string} text */
function make(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

/** @param {string} path */
const baseName = (path) => path.slice(path.lastIndexOf('/') + 1);

function showChoices() {
  for (const chosen of document.querySelectorAll('#ranges button')) {
    if (chosen instanceof HTMLElement) chosen.setAttribute('aria-pressed', String(state.to === 'now' && chosen.dataset.from === state.from));
  }
  for (const id of ['from', 'to', 'search', 'group']) /** @type {HTMLInputElement} */ (byId(id)).value = state[/** @type {'from'} */ (id)];
  /** @type {HTMLInputElement} */ (byId('live')).checked = state.live === '1';
  /** @type {HTMLInputElement} */ (byId('by-process')).checked = state.by === '1';
  view.setOrientation(state.turn ? 'icicle' : 'flame');
  for (const [id, format] of [
    ['html', 'html'],
    ['svg', 'svg'],
    ['collapsed', 'collapsed'],
    ['json', 'json'],
  ]) {
    /** @type {HTMLAnchorElement} */ (byId(`save-${id}`)).href =
      `/api/v1/flamegraph?${parameters({ group: state.group, format: format ?? '', download: '1' })}`;
  }
}

function listen() {
  for (const chosen of document.querySelectorAll('#ranges button')) {
    chosen.addEventListener('click', () => choose({ from: chosen instanceof HTMLElement ? (chosen.dataset.from ?? defaults.from) : defaults.from, to: 'now' }));
  }
  byId('span').addEventListener('submit', (event) => {
    event.preventDefault();
    const [from, to] = ['from', 'to'].map((id) => /** @type {HTMLInputElement} */ (byId(id)).value.trim());
    choose({ from: from || defaults.from, to: to || defaults.to });
  });
  for (const field of [...choices, 'group']) {
    byId(field).addEventListener('change', (event) => choose({ [field]: /** @type {HTMLSelectElement} */ (event.target).value, zoom: '' }));
  }
  byId('search').addEventListener('input', (event) => {
    set({ search: /** @type {HTMLInputElement} */ (event.target).value }, false);
    showSearch();
    showTop();
  });
  byId('live').addEventListener('change', (event) => {
    set({ live: /** @type {HTMLInputElement} */ (event.target).checked ? '1' : '0' }, false);
    again();
  });
  byId('by-process').addEventListener('change', (event) => choose({ by: /** @type {HTMLInputElement} */ (event.target).checked ? '1' : '' }));
  byId('turn').addEventListener('click', () => {
    set({ turn: state.turn ? '' : '1' }, false);
    view.setOrientation(state.turn ? 'icicle' : 'flame');
  });
  byId('reset').addEventListener('click', () => view.zoom(0));
  for (const sort of document.querySelectorAll('[data-sort]')) {
    sort.addEventListener('click', () => {
      set({ sort: sort instanceof HTMLElement ? (sort.dataset.sort ?? 'self') : 'self' }, false);
      showTop();
    });
  }
  addEventListener('keydown', (event) => {
    if (event.key !== '/' || event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement) return;
    event.preventDefault();
    byId('search').focus();
  });
  addEventListener('popstate', () => {
    Object.assign(state, defaults, fromAddress());
    showChoices();
    view.zoomToPath(state.zoom);
    load();
  });
  addEventListener('click', (event) => {
    const menu = /** @type {HTMLDetailsElement} */ (byId('save'));
    if (menu.open && event.target instanceof Node && !menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && state.live === '1' && state.to === 'now') load();
  });
}

listen();
showChoices();
load();
