// The page and the saved file in a real browser: what a person sees, by mouse and by keys, and what a
// hostile name can do there (nothing).
import { writeFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createLogger } from '../lib/logger.ts';
import { createMetricRegistry } from '../lib/metrics.ts';
import type { Stage } from '../lib/stage.ts';
import type { Report } from './api.ts';
import { buildFlameGraph, type FlameGraph } from './flamegraph.ts';
import { startQuery } from './main.ts';
import { flameGraphHtml } from './render/html.ts';
import { flameGraphSvg } from './render/svg.ts';
import { hasBrowser, openBrowser } from './testing-browser.ts';
import { FixtureLake, sampleRow, stackId, stackRow } from './testing-lake.ts';
import { seededRandom } from './testing-random.ts';
import type { WeightedStacks } from './weighted-stacks.ts';

const hostile = '"><img src=x onerror=alert(1)></title></script><script>alert(2)</script>';
const range = 'from=2026-11-24T10:00:00Z&to=2026-11-24T10:01:00Z';

describe.skipIf(!hasBrowser)('in a browser', () => {
  let lake: FixtureLake;
  let stage: Stage;
  let url: string;
  let browser: Browser;
  let page: Page;
  let complaints: string[];
  let reports: Report[];

  beforeAll(async () => {
    lake = await FixtureLake.make();
    const app = { process_executable_name: 'app', host_name: 'node-1', service_name: 'checkout' };
    const evil = { process_executable_name: hostile, host_name: hostile, service_name: hostile };
    const times = [1, 2, 3, 4, 5, 6].map((second) => `2026-11-24T10:00:0${second}Z`);
    await lake.publish({
      seq: 1,
      position: 1,
      stacks: [
        stackRow(stackId(1), [{ function: 'vfs_read', type: 'kernel', mapping: 'vmlinux' }, 'work', 'main']),
        stackRow(stackId(2), [{ mapping: '/usr/lib/libfoo.so', address: '0x1234' }, 'main']),
        stackRow(stackId(3), [{ function: hostile, file: hostile, mapping: `/tmp/${hostile}`, type: hostile }]),
      ],
      samples: [
        ...times.slice(0, 4).map((time) => sampleRow(time, stackId(1), app)),
        sampleRow(times[4]!, stackId(2), app),
        sampleRow(times[5]!, stackId(3), evil),
        sampleRow(times[5]!, stackId(9), {
          sample_type: 'lost',
          sample_unit: 'count',
          value: 3,
          count: 3,
          attributes: { 'flamelake.lost.reason': 'ring_full' },
        }),
      ],
    });
    const logger = createLogger({ name: 'query', level: 'error', format: 'text', write: (line) => complaints.push(line) });
    stage = await startQuery(
      { store: lake.url, listen: '127.0.0.1:0', reports: () => reports, metricsText: async () => '' },
      { logger, meter: createMetricRegistry().meter },
    );
    url = /http:\S+/.exec(stage.status().text)![0];
    browser = await openBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await stage?.stop();
    await lake?.remove();
  });

  beforeEach(async () => {
    complaints = [];
    reports = [{ name: 'agent', ready: true, text: 'samples' }];
    page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('dialog', (dialog) => {
      complaints.push(`dialog ${dialog.message()}`);
      void dialog.dismiss();
    });
  });
  afterEach(async () => {
    await page.close();
    expect(complaints).toEqual([]);
  });

  const shown = async (id: string) => (await page.locator(`#${id}`).textContent())?.trim();
  async function open(query = range): Promise<void> {
    await page.goto(`${url}/?${query}`);
    await page.locator('#total:not(:empty)').waitFor();
  }

  test('shows what was measured, and by whom', async () => {
    await open();
    expect(await shown('total')).toBe('300 ms CPU time in 6 samples');
    expect((await page.locator('#top tr').allInnerTexts()).map((row) => row.replaceAll('\t', ' '))).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^vfs_read kernel\s+66\.7 %\s+66\.7 %$/),
        expect.stringMatching(/^libfoo\.so \[no symbols\]\s+16\.7 %\s+16\.7 %$/),
      ]),
    );
    expect(await page.locator('#host option').allInnerTexts()).toEqual(['all', 'node-1  (5)', `${hostile}  (1)`]);
    expect(await shown('lost')).toBe('3 lost: ring_full 3');
    expect(await shown('stages')).toBe('agent');
    expect(await shown('legend')).toMatch(/kernel\s*native\s*no symbols/);
  });

  test('a choice narrows, stands in the address, and goes back', async () => {
    await open();
    await page.selectOption('#host', 'node-1');
    await page.getByText('250 ms CPU time in 5 samples').waitFor();
    expect(new URL(page.url()).searchParams.get('host')).toBe('node-1');
    await page.selectOption('#host', '');
    await page.selectOption('#type', 'lost');
    await page.getByText('3 lost samples', { exact: true }).waitFor();
    await page.goBack();
    await page.goBack();
    await page.getByText('250 ms CPU time in 5 samples').waitFor();
    expect(await page.locator('#host').inputValue()).toBe('node-1');
    await page.goBack();
    await page.getByText('300 ms CPU time in 6 samples').waitFor();
  });

  test('the hostile process can be chosen, hovered and zoomed like any other', async () => {
    await open();
    await page.selectOption('#process', hostile);
    await page.getByText('50.0 ms CPU time in 1 samples').waitFor();
    const box = (await page.locator('.flame-canvas').boundingBox())!;
    await page.mouse.move(box.x + 100, box.y + box.height - 50);
    await page.locator('.flame-tip').waitFor();
    const tip = await page.locator('.flame-tip').textContent();
    expect(tip).toContain(hostile);
    expect(tip).toContain('mapping');
    await page.mouse.click(box.x + 100, box.y + box.height - 50);
    expect(await shown('path')).toContain(hostile);
    expect(await page.locator('img').count()).toBe(1);
  });

  test('zoom by mouse is kept in the address; a reload and a refresh stay there', async () => {
    await open();
    const box = (await page.locator('.flame-canvas').boundingBox())!;
    // Root row, then groups: the hostile one (1 of 6) stands left of app.
    await page.mouse.click(box.x + box.width / 2, box.y + box.height - 50);
    expect(await shown('path')).toBe('app › main');
    expect(new URL(page.url()).searchParams.get('zoom')).toBe('app;main');
    await page.reload();
    await page.locator('#total:not(:empty)').waitFor();
    expect(await shown('path')).toBe('app › main');
    await page.locator('#reset').click();
    expect(await shown('path')).toBe('');
  });

  test('keys alone: search, walk, zoom, out', async () => {
    await open();
    await page.keyboard.press('/');
    await page.keyboard.type('vfs');
    expect(await shown('found')).toBe('66.7 % found');
    await page.locator('.flame-canvas').focus();
    for (const key of ['ArrowUp', 'ArrowUp', 'ArrowUp']) await page.keyboard.press(key);
    expect(await page.locator('.flame-live').textContent()).toMatch(/^work: share 66\.7 %/);
    await page.keyboard.press('ArrowLeft');
    expect(await page.locator('.flame-live').textContent()).toMatch(/^libfoo\.so\+0x1234: share 16\.7 %/);
    await page.keyboard.press('Enter');
    expect(await shown('path')).toBe('app › main › libfoo.so+0x1234');
    await page.keyboard.press('Escape');
    expect(await shown('path')).toBe('');
    await page.locator('#top tr').first().focus();
    await page.keyboard.press('Enter');
    expect(await page.locator('#search').inputValue()).toBe('"vfs_read"');
    await page.keyboard.press('ArrowDown');
    expect(await page.evaluate('document.activeElement.rowIndex')).toBe(2);
  });

  test('the table by total and by process', async () => {
    await open();
    await page.locator('[data-sort=total]').click();
    expect(await page.locator('#top tr').first().textContent()).toMatch(/^main/);
    await page.locator('#by-process').check();
    await page.locator('#top tr small', { hasText: 'app' }).first().waitFor();
  });

  test('where nothing is shown, what is missing stands there', async () => {
    reports = [{ name: 'agent', ready: false, text: `missing CAP_BPF: ${hostile}` }];
    await open('from=2026-11-20&to=2026-11-21');
    expect(await shown('empty')).toContain('No samples in this time range');
    expect(await shown('empty')).toContain(`agent: missing CAP_BPF: ${hostile}`);
    expect(await shown('rate')).toBe('no samples');
  });

  test('a wrong time is said, and the page stays', async () => {
    await open();
    complaints = [];
    await page.fill('#from', 'yesterday');
    await page.locator('#span button').click();
    await page.getByText('from: "yesterday" is no time').waitFor();
    await page.getByRole('button', { name: '5 min', exact: true }).click();
    await page.locator('#banner[hidden]').waitFor({ state: 'attached' });
    expect(complaints.filter((line) => !line.includes('400 (Bad Request)'))).toEqual([]);
    complaints = [];
  });

  test('what is saved opens by itself, with zoom and search', async () => {
    await open();
    const href = (await page.locator('#save-html').getAttribute('href'))!;
    const response = await fetch(url + href);
    const file = lake.path('saved.html');
    await writeFile(file, await response.text());
    await page.goto(pathToFileURL(file).href);
    expect(await page.locator('h1').textContent()).toContain('cpu: 0.30 s in 6 samples');
    await page.fill('#search', 'vfs');
    expect(await shown('found')).toBe('66.7 % found');
    const box = (await page.locator('.flame-canvas').boundingBox())!;
    await page.mouse.click(box.x + box.width / 2, box.y + box.height - 50);
    expect(await shown('path')).toBe('app › main');
  });

  test('a page with tokens asks for one, once, and puts it nowhere', async () => {
    const token = 'the-token-of-this-page-alone';
    const tokenFile = lake.path('tokens');
    await writeFile(tokenFile, `${token}\n`);
    const logger = createLogger({ name: 'query', level: 'error', format: 'text', write: (line) => complaints.push(line) });
    const locked = await startQuery(
      { store: lake.url, listen: '127.0.0.1:0', door: { tokenFile }, reports: () => reports, metricsText: async () => '' },
      { logger, meter: createMetricRegistry().meter },
    );
    const own = /http:\S+/.exec(locked.status().text)![0];
    await page.goto(`${own}/?${range}`);
    await page.locator('#sign-in').waitFor();
    await page.fill('#token', 'some-other-token-than-that');
    await page.keyboard.press('Enter');
    await page.getByText('That is not a token of this page.').waitFor();
    await page.fill('#token', token);
    await page.keyboard.press('Enter');
    await page.locator('#top tr').first().waitFor();
    expect(await page.locator('#sign-in').isVisible()).toBe(false);
    await page.reload();
    await page.locator('#top tr').first().waitFor();
    expect(await page.locator('#sign-in').isVisible()).toBe(false);
    expect(page.url()).not.toContain(token);
    expect(await page.evaluate('document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)')).toBe('{}{}');
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page
        .locator('#save summary')
        .click()
        .then(() => page.click('#save-collapsed')),
    ]);
    expect(await download.failure()).toBeNull();
    // The browser tells of each answer that was a refusal.
    complaints = complaints.filter((line) => !/status of 401/.test(line));
    await locked.stop();
  });

  test('50,000 frames with hostile names', async () => {
    const graph = bigGraph();
    expect(graph.nodes.frame.length).toBeGreaterThan(50_000);
    const file = lake.path('big.html');
    await writeFile(file, flameGraphHtml(graph));
    await page.goto(pathToFileURL(file).href);
    await page.locator('.flame-canvas').focus();
    for (let step = 0; step < 20; step++) await page.keyboard.press('ArrowUp');
    expect(await page.locator('.flame-live').textContent()).toMatch(/share/);
    await page.keyboard.press('Enter');
    expect(await shown('path')).toContain('›');
    await page.fill('#search', 'alert');
    expect(await shown('found')).toMatch(/ % found$/);
    await writeFile(lake.path('big.svg'), flameGraphSvg(graph));
    await page.goto(pathToFileURL(lake.path('big.svg')).href);
    expect(await page.locator('rect').count()).toBeGreaterThan(1000);
  });
});

/** A random tree as deep as real stacks get. */
function bigGraph(): FlameGraph {
  const random = seededRandom(11);
  const names = Array.from({ length: 3000 }, (_, index) => (index % 50 === 0 ? `${hostile}${index}` : `function_${index}`));
  const nulls = names.map(() => null);
  const frame: number[] = [];
  const start = [0];
  for (let stack = 0; stack < 2200; stack++) {
    const path = Array.from({ length: 10 + random.below(50) }, (_, depth) => (depth < 12 ? random.below(2) + depth * 2 : random.below(names.length)));
    frame.push(...path.reverse());
    start.push(frame.length);
  }
  const length = start.length - 1;
  const stacks: WeightedStacks = {
    type: 'cpu',
    unit: 'nanoseconds',
    frames: {
      length: names.length,
      function: names,
      file: nulls,
      mapping: nulls,
      type: names.map(() => random.pick(['kernel', 'native', 'jvm'])),
      inlined: names.map(() => false),
      address: nulls,
    },
    stacks: { length, start: Int32Array.from(start), frame: Int32Array.from(frame), cut: new Array(length).fill(null) },
    groups: ['app'],
    rows: {
      length,
      stack: Int32Array.from({ length }, (_, index) => index),
      group: new Int32Array(length),
      value: new Float64Array(length).fill(50e6),
      samples: new Float64Array(length).fill(1),
    },
    omitted: { stacks: 0, value: 0, samples: 0 },
  };
  return buildFlameGraph(stacks, { fromMillis: 0, toMillis: 60_000, groupedBy: 'process', nodesMax: 200_000 });
}
