// Names that attack, and the shapes that other tools read.
import { describe, expect, test } from 'vitest';
import { buildFlameGraph, type FlameGraph } from '../flamegraph.ts';
import { frameLabel } from '../frame-label.ts';
import type { WeightedStacks } from '../weighted-stacks.ts';
import { flameGraphCollapsed } from './collapsed.ts';
import { flameGraphHtml } from './html.ts';
import { flameGraphSvg } from './svg.ts';

const hostile = [
  '</script><script>alert(1)</script>',
  '<!--<script>',
  '"><img src=x onerror=alert(1)>',
  "' onload='x",
  ']]>',
  'a;b\nc',
  '\u0000\ud800\u2028',
  '&amp;',
  '__proto__',
];

/** One stack: the names root first, in process `process`. */
function graphOf(names: readonly string[], process = 'app'): FlameGraph {
  const nulls = names.map(() => null);
  const stacks: WeightedStacks = {
    type: 'cpu',
    unit: 'nanoseconds',
    frames: { length: names.length, function: names, file: nulls, mapping: names, type: names, inlined: names.map(() => false), address: nulls },
    stacks: { length: 1, start: Int32Array.of(0, names.length), frame: Int32Array.from(names.keys()).reverse(), cut: [null] },
    groups: [process],
    rows: { length: 1, stack: Int32Array.of(0), group: Int32Array.of(0), value: Float64Array.of(50e6), samples: Float64Array.of(1) },
    omitted: { stacks: 0, value: 0, samples: 0 },
  };
  return buildFlameGraph(stacks, { fromMillis: 0, toMillis: 60_000, groupedBy: 'process', nodesMax: 100_000 });
}

describe('HTML', () => {
  test('data of hostile processes cannot leave its script element, and comes back as it was', () => {
    const graph = graphOf(hostile, hostile[0]);
    const html = flameGraphHtml(graph);
    const data = /<script type="application\/json" id="graph">([\s\S]*?)<\/script>/.exec(html)![1]!;
    expect(data).not.toContain('<');
    expect(JSON.parse(data)).toEqual(JSON.parse(JSON.stringify(graph)));
    expect(html.match(/<script/g)).toHaveLength(2);
    expect(html.match(/<\/script>/g)).toHaveLength(2);
    expect(html).not.toContain('<img');
  });

  test('the type stands in the title, so it is made harmless too', () => {
    const html = flameGraphHtml({ ...graphOf(['main']), type: hostile[0]!, unit: hostile[2]! });
    expect(html).not.toContain('<img');
    expect(html.match(/<script/g)).toHaveLength(2);
  });

  test('nothing is loaded from elsewhere', () => {
    const html = flameGraphHtml(graphOf(['main']));
    expect(html).not.toMatch(/(src|href)=/);
    expect(html).not.toMatch(/^import /m);
    expect(html).toMatch(/default-src 'none'; script-src 'sha256-[^']+'; style-src 'sha256-[^']+'/);
  });
});

describe('SVG', () => {
  test('is well-formed whatever the names, and shows them as they are', () => {
    const svg = flameGraphSvg(graphOf(hostile, hostile[2]));
    // Everything that opens a tag is one of ours.
    expect(
      [...svg.matchAll(/<\/?([^\s>/]+)/g)].map(([, name]) => name).filter((name) => !['?xml', 'svg', 'title', 'rect', 'text', 'g'].includes(name!)),
    ).toEqual([]);
    expect(svg).toContain('&lt;/script&gt;&lt;script&gt;alert(1)');
    expect(svg).not.toMatch(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/);
    expect(svg.isWellFormed()).toBe(true);
    const attributes = [...svg.matchAll(/<[^>]+>/g)].flatMap(([tag]) => [...tag.matchAll(/\s([\w:-]+)=/g)].map(([, name]) => name));
    expect(attributes.filter((name) => name!.startsWith('on') || name === 'href')).toEqual([]);
  });

  test('an empty graph is a picture too', () => {
    expect(flameGraphSvg({ ...graphOf([]), total: 0 })).toContain('<rect');
  });
});

describe('collapsed text', () => {
  test('one line a stack, root first, nothing in a name that would part it', () => {
    expect(flameGraphCollapsed(graphOf(['main', 'a;b\nc', 'leaf']))).toBe('app;main;a:b\ufffdc;leaf 50000000\n');
    expect(flameGraphCollapsed(graphOf(hostile)).split('\n')).toHaveLength(2);
  });
});

describe('labels', () => {
  const label = (frame: { function?: string; mapping?: string; address?: string }) =>
    frameLabel(
      {
        length: 1,
        function: [frame.function ?? null],
        file: [null],
        mapping: [frame.mapping ?? null],
        type: ['native'],
        inlined: [false],
        address: [frame.address ?? null],
      },
      0,
    );

  test('a frame without a name says where it is, never what it might be', () => {
    expect(label({ function: 'f', mapping: '/lib/libfoo.so', address: '0x1234' })).toBe('f');
    expect(label({ mapping: '/lib/libfoo.so', address: '0x1234' })).toBe('libfoo.so+0x1234');
    expect(label({ mapping: '/lib/libfoo.so' })).toBe('libfoo.so [no symbol]');
    expect(label({ address: '0xffffffff81000000' })).toBe('0xffffffff81000000');
    expect(label({})).toBe('[unknown]');
  });
});
