// A flame graph as an SVG picture, root at the bottom. What is narrower than a fifth of a pixel is left
// to the space of its parent; titles show on hover.
import type { FlameGraph } from '../flamegraph.ts';
import { frameColor } from '../web/palette.mjs';
import { escapeMarkup } from './escape.ts';
import { graphTitle } from './title.ts';

const width = 1200;
const rowHeight = 17;
const margin = 10;
const headHeight = 34;
/** Mean width of a letter at 11 px; a label is cut to what fits by it. */
const letterWidth = 6.1;
const narrowest = 0.2;

export function flameGraphSvg(graph: FlameGraph): string {
  const boxes = layOut(graph);
  const deepest = boxes.reduce((depth, box) => Math.max(depth, box.depth), 0);
  const height = headHeight + (deepest + 1) * rowHeight + margin;
  const title = escapeMarkup(graphTitle(graph));
  const parts = boxes.map((box) => boxMarkup(graph, box, height - margin - (box.depth + 1) * rowHeight));
  return `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="ui-sans-serif, system-ui, sans-serif" font-size="11">
<title>${title}</title>
<rect width="100%" height="100%" fill="#fff"/>
<text x="${width / 2}" y="22" text-anchor="middle" font-size="14" fill="#1c2027">${title}</text>
${parts.join('\n')}
</svg>
`;
}

interface Box {
  readonly node: number;
  readonly depth: number;
  readonly x: number;
  readonly width: number;
}

function layOut({ nodes, total }: FlameGraph): Box[] {
  const scale = total > 0 ? (width - 2 * margin) / total : 0;
  const next: number[] = [];
  const depths: number[] = [];
  const boxes: Box[] = [];
  for (let node = 0; node < nodes.frame.length; node++) {
    const parent = nodes.parent[node]!;
    const value = nodes.value[node]! * scale;
    const x = parent < 0 ? margin : next[parent]!;
    if (parent >= 0) next[parent] = x + value;
    next[node] = x;
    const depth = parent < 0 ? 0 : depths[parent]! + 1;
    depths[node] = depth;
    if (value >= narrowest || parent < 0) boxes.push({ node, depth, x, width: parent < 0 && scale === 0 ? width - 2 * margin : value });
  }
  return boxes;
}

function boxMarkup(graph: FlameGraph, box: Box, y: number): string {
  const { frames, nodes, strings, total, unit } = graph;
  const frame = nodes.frame[box.node]!;
  const label = strings[frames.label[frame]!]!;
  const color = frameColor(strings[frames.type[frame]!]!, label, frames.named[frame] === 1, frames.role[frame]!);
  const value = nodes.value[box.node]!;
  const amount = unit === 'nanoseconds' ? `${(value / 1e9).toFixed(3)} s` : `${value} ${unit}`;
  const share = total > 0 ? ((100 * value) / total).toFixed(2) : '0';
  const where = [strings[frames.mapping[frame]!]!, strings[frames.file[frame]!]!].filter((text) => text !== '');
  const title = [label, `${share} %, ${amount}, ${nodes.samples[box.node]} samples`, ...where].map(escapeMarkup).join('\n');
  const letters = Math.floor((box.width - 6) / letterWidth);
  const shown = label.length <= letters ? label : letters > 2 ? `${label.slice(0, letters - 1)}…` : '';
  const text = shown === '' ? '' : `<text x="${(box.x + 3).toFixed(1)}" y="${(y + 12).toFixed(1)}" fill="#1d1710">${escapeMarkup(shown)}</text>`;
  return `<g><title>${title}</title><rect x="${box.x.toFixed(2)}" y="${y}" width="${Math.max(box.width - 0.4, narrowest).toFixed(2)}" height="${rowHeight - 1}" rx="1" fill="${color}"/>${text}</g>`;
}
