// The flame graph as a widget on a canvas: zoom, search, tooltip, keyboard. It knows nothing of where
// its data comes from; the page and the standalone file both use it. Only what is at least half a
// pixel wide in the part that is scrolled to is drawn, so 50,000 frames cost what is seen of them.
// All texts are set as text, never as HTML: names come from any process on any host.
import { frameColor, kindNames } from './palette.mjs';
import { formatCount, formatShare, formatValue, shareError } from './words.mjs';

/**
 * @typedef {object} Graph query/flamegraph.ts FlameGraph
 * @property {string} type
 * @property {string} unit
 * @property {number} total
 * @property {number} samples
 * @property {string[]} strings
 * @property {{label: number[], role: string[], type: number[], mapping: number[], file: number[], named: number[], inlined: number[]}} frames
 * @property {{frame: number[], parent: number[], value: number[], self: number[], samples: number[]}} nodes
 */

/** @typedef {{depth: Int32Array, end: Int32Array, start: Float64Array, depthMax: number}} Layout */

const rowHeight = 20;
const narrowest = 0.5;
const textPadding = 5;
const narrowestText = 24;

export class FlameView {
  #graph = emptyGraph;
  #layout = layoutOf(emptyGraph);
  #zoomed = 0;
  #selected = -1;
  #hovered = -1;
  #search = '';
  /** @type {Uint8Array} by frame */
  #matches = new Uint8Array(0);
  /** @type {'flame' | 'icicle'} */
  #orientation = 'flame';
  #drawAsked = false;
  /** How far the view is from the bottom; a flame keeps it when its panel changes its height. */
  #bottom = 0;
  /** Height of the view when it was laid out last. */
  #view = 0;
  #scroller;
  #space;
  #canvas;
  #tip;
  #live;
  /** @type {(text: string) => void} */
  #onZoom;

  /**
   * @param {HTMLElement} host
   * @param {{onZoom?: (path: string) => void}} [options]
   */
  constructor(host, options = {}) {
    this.#onZoom = options.onZoom ?? (() => {});
    this.#scroller = element('div', 'flame-scroll');
    this.#space = element('div', 'flame-space');
    this.#canvas = /** @type {HTMLCanvasElement} */ (element('canvas', 'flame-canvas'));
    this.#tip = element('div', 'flame-tip');
    this.#tip.hidden = true;
    this.#live = element('div', 'flame-live');
    this.#canvas.tabIndex = 0;
    this.#canvas.setAttribute('role', 'application');
    this.#canvas.setAttribute('aria-roledescription', 'flame graph');
    this.#canvas.setAttribute('aria-label', 'Flame graph. Arrow keys move, Enter zooms, Escape zooms out.');
    this.#live.setAttribute('aria-live', 'polite');
    this.#space.append(this.#canvas);
    this.#scroller.append(this.#space);
    host.append(this.#scroller, this.#tip, this.#live);
    this.#listen();
  }

  #listen() {
    const canvas = this.#canvas;
    canvas.addEventListener('mousemove', (event) => this.#hover(this.#nodeAt(event), event));
    canvas.addEventListener('mouseleave', () => this.#hover(-1));
    canvas.addEventListener('click', (event) => {
      const node = this.#nodeAt(event);
      if (node < 0) return;
      this.#selected = node;
      this.zoom(node);
    });
    canvas.addEventListener('dblclick', () => this.zoom(0));
    canvas.addEventListener('keydown', (event) => this.#onKey(event));
    canvas.addEventListener('blur', () => this.#hover(-1));
    this.#scroller.addEventListener('scroll', () => {
      // A panel that has just changed its height is about to be laid out anew, from where it was.
      if (this.#scroller.clientHeight === this.#view) this.#bottom = this.#scroller.scrollHeight - this.#scroller.scrollTop - this.#scroller.clientHeight;
      this.#ask();
    });
    new ResizeObserver(() => this.#resize()).observe(this.#scroller);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#ask());
  }

  /** A refresh keeps the zoom where the same path is still there. @param {Graph} graph */
  setGraph(graph) {
    const path = this.zoomPath();
    const stayed = this.#graph !== emptyGraph;
    this.#graph = graph;
    this.#layout = layoutOf(graph);
    this.#selected = -1;
    this.#hovered = -1;
    this.#tip.hidden = true;
    this.#zoomed = stayed ? this.#nodeOfPath(path) : 0;
    this.#match();
    this.#resize(!stayed);
  }

  /** @param {'flame' | 'icicle'} orientation */
  setOrientation(orientation) {
    this.#orientation = orientation;
    this.#resize(true);
  }

  /**
   * Frames whose name, file or mapping contains the text, whatever its case; `"text"` in quotes: whose name is the text.
   * @param {string} text
   * @returns {{value: number, samples: number} | null} what the found frames weigh, each stack once
   */
  setSearch(text) {
    this.#search = text.trim();
    const found = this.#match();
    this.#ask();
    return found;
  }

  /** @param {number} node */
  zoom(node) {
    this.#zoomed = node;
    this.#tip.hidden = true;
    this.#resize(true);
    this.#onZoom(this.zoomPath());
  }

  /** Labels from the root to the zoomed frame, joined by ';'. */
  zoomPath() {
    const labels = [];
    for (let node = this.#zoomed; node > 0; node = this.#graph.nodes.parent[node] ?? -1) labels.unshift(this.#label(node).replaceAll(';', ':'));
    return labels.join(';');
  }

  /** @param {string} path */
  zoomToPath(path) {
    this.#zoomed = this.#nodeOfPath(path);
    this.#resize(true);
  }

  /** Kinds of code in the graph, for a legend. @returns {{kind: string, color: string}[]} */
  legend() {
    const { frames, strings } = this.#graph;
    const there = new Set(frames.type.map((type) => strings[type]));
    const legend = kindNames.filter((kind) => there.has(kind)).map((kind) => ({ kind, color: frameColor(kind, '', true, 'frame') }));
    if (frames.named.some((named, frame) => !named && frames.role[frame] === 'frame'))
      legend.push({ kind: 'no symbols', color: frameColor('', '', false, 'frame') });
    if (frames.role.includes('cut')) legend.push({ kind: 'cut stack', color: frameColor('', '', true, 'cut') });
    return legend;
  }

  /** @param {string} path */
  #nodeOfPath(path) {
    if (path === '') return 0;
    const { nodes } = this.#graph;
    let node = 0;
    for (const label of path.split(';')) {
      const found = this.#children(node).find((child) => this.#label(child).replaceAll(';', ':') === label);
      if (found === undefined) return node;
      node = found;
    }
    return node < nodes.frame.length ? node : 0;
  }

  /** @param {number} node @returns {number[]} */
  #children(node) {
    const children = [];
    const end = this.#layout.end[node] ?? 0;
    for (let child = node + 1; child < end; child = this.#layout.end[child] ?? end) children.push(child);
    return children;
  }

  /** @param {number} node */
  #label(node) {
    const { frames, nodes, strings } = this.#graph;
    return strings[frames.label[nodes.frame[node] ?? 0] ?? 0] ?? '';
  }

  #match() {
    const { frames, nodes, strings } = this.#graph;
    this.#matches = new Uint8Array(frames.label.length);
    if (this.#search === '') return null;
    const exact = /^"(.*)"$/.exec(this.#search)?.[1];
    const wanted = this.#search.toLowerCase();
    for (let frame = 0; frame < frames.label.length; frame++) {
      if (frames.role[frame] === 'root') continue;
      const texts = [frames.label, frames.mapping, frames.file].map((column) => strings[column[frame] ?? 0] ?? '');
      const hit = exact === undefined ? texts.some((text) => text.toLowerCase().includes(wanted)) : texts[0] === exact;
      if (hit) this.#matches[frame] = 1;
    }
    let value = 0;
    let samples = 0;
    for (let node = 0; node < nodes.frame.length; ) {
      if (this.#matches[nodes.frame[node] ?? 0]) {
        value += nodes.value[node] ?? 0;
        samples += nodes.samples[node] ?? 0;
        node = this.#layout.end[node] ?? nodes.frame.length;
      } else node++;
    }
    return { value, samples };
  }

  #resize(toRoot = false) {
    const height = (this.#layoutDepth() + 1) * rowHeight;
    this.#space.style.height = `${Math.max(height, 1)}px`;
    const ratio = devicePixelRatio || 1;
    const width = this.#scroller.clientWidth;
    const view = this.#scroller.clientHeight;
    this.#view = view;
    this.#canvas.style.width = `${width}px`;
    this.#canvas.style.height = `${view}px`;
    this.#canvas.width = Math.max(1, Math.round(width * ratio));
    this.#canvas.height = Math.max(1, Math.round(view * ratio));
    // Roots stay where they are: at the bottom of a flame, at the top of an icicle.
    if (toRoot) this.#bottom = 0;
    if (this.#orientation === 'flame') this.#scroller.scrollTop = this.#scroller.scrollHeight - view - this.#bottom;
    else if (toRoot) this.#scroller.scrollTop = 0;
    this.#draw();
  }

  #layoutDepth() {
    return this.#zoomed === 0 ? this.#layout.depthMax : subtreeDepth(this.#layout, this.#zoomed);
  }

  #ask() {
    if (this.#drawAsked) return;
    this.#drawAsked = true;
    requestAnimationFrame(() => {
      this.#drawAsked = false;
      this.#draw();
    });
  }

  #draw() {
    const context = this.#canvas.getContext('2d');
    if (!context) return;
    const ratio = devicePixelRatio || 1;
    const width = this.#scroller.clientWidth;
    const view = this.#scroller.clientHeight;
    const style = getComputedStyle(this.#canvas);
    const paint = {
      context,
      width,
      view,
      ink: style.getPropertyValue('--flame-ink') || '#222',
      edge: style.getPropertyValue('--flame-edge') || '#fff',
      focus: style.getPropertyValue('--flame-focus') || '#06c',
    };
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, view);
    context.font = style.font;
    context.textBaseline = 'middle';
    this.#visit(width, (node, x, w, y) => this.#drawNode(paint, node, x, w, y));
    for (const node of [this.#hovered, this.#selected]) {
      const box = node < 0 ? null : this.#boxOf(node, width);
      if (!box) continue;
      context.strokeStyle = paint.focus;
      context.lineWidth = node === this.#selected ? 2 : 1;
      context.strokeRect(box.x + 0.5, box.y + 0.5, Math.max(1, box.w - 1), rowHeight - 2);
    }
  }

  /**
   * @param {{context: CanvasRenderingContext2D, width: number, ink: string, edge: string}} paint
   * @param {number} node @param {number} x @param {number} w @param {number} y
   */
  #drawNode(paint, node, x, w, y) {
    const { context } = paint;
    const { frames, nodes, strings } = this.#graph;
    const frame = nodes.frame[node] ?? 0;
    const role = frames.role[frame] ?? 'frame';
    const label = strings[frames.label[frame] ?? 0] ?? '';
    const above = this.#zoomed !== node && isAncestor(this.#layout, node, this.#zoomed);
    const searching = this.#search !== '';
    context.globalAlpha = above ? 0.6 : searching && !this.#matches[frame] ? 0.28 : 1;
    context.fillStyle =
      searching && this.#matches[frame] ? 'hsl(286 78% 70%)' : frameColor(strings[frames.type[frame] ?? 0] ?? '', label, frames.named[frame] === 1, role);
    const gap = w > 3 ? 1 : 0;
    context.fillRect(x, y, Math.max(w - gap, narrowest), rowHeight - 1);
    if (w >= narrowestText) {
      context.globalAlpha = above ? 0.9 : searching && !this.#matches[frame] ? 0.55 : 1;
      context.fillStyle = '#1d1710';
      const room = Math.min(w, paint.width - Math.max(x, 0)) - 2 * textPadding;
      context.fillText(shorten(context, label, room), Math.max(x, 0) + textPadding, y + (rowHeight - 1) / 2 + 0.5);
    }
    context.globalAlpha = 1;
  }

  /**
   * Calls back for every node that is seen, with its place in the canvas.
   * @param {number} width
   * @param {(node: number, x: number, w: number, y: number) => void} callback
   */
  #visit(width, callback) {
    const { nodes } = this.#graph;
    const { depth, end, start } = this.#layout;
    const zoomed = this.#zoomed;
    const rows = this.#rows();
    for (let node = nodes.parent[zoomed] ?? -1; node >= 0; node = nodes.parent[node] ?? -1) {
      const y = rows.top(depth[node] ?? 0);
      if (rows.seen(y)) callback(node, 0, width, y);
    }
    const value = nodes.value[zoomed] ?? 0;
    if (value <= 0) return;
    const scale = width / value;
    const left = start[zoomed] ?? 0;
    for (let node = zoomed; node < (end[zoomed] ?? 0); ) {
      const w = (nodes.value[node] ?? 0) * scale;
      if (w < narrowest) {
        node = end[node] ?? node + 1;
        continue;
      }
      const y = rows.top(depth[node] ?? 0);
      if (rows.seen(y)) callback(node, ((start[node] ?? 0) - left) * scale, w, y);
      node++;
    }
  }

  /**
   * Where rows stand in the canvas. The scroller is asked once, not for every node: after a change of
   * the page each answer would be a layout.
   */
  #rows() {
    const { scrollTop, clientHeight, scrollHeight } = this.#scroller;
    const base = this.#orientation === 'icicle' ? -scrollTop : Math.max(clientHeight, scrollHeight) - rowHeight - scrollTop;
    const step = this.#orientation === 'icicle' ? rowHeight : -rowHeight;
    return {
      /** Top of a row. @param {number} depth */
      top: (depth) => base + step * depth,
      /** @param {number} y */
      seen: (y) => y > -rowHeight && y < clientHeight,
      view: clientHeight,
    };
  }

  /** @param {number} wanted @param {number} width */
  #boxOf(wanted, width) {
    /** @type {{x: number, w: number, y: number} | null} */
    let box = null;
    this.#visit(width, (node, x, w, y) => {
      if (node === wanted) box = { x, w, y };
    });
    return /** @type {{x: number, w: number, y: number} | null} */ (box);
  }

  /** @param {MouseEvent} event */
  #nodeAt(event) {
    const bounds = this.#canvas.getBoundingClientRect();
    const left = event.clientX - bounds.left;
    const top = event.clientY - bounds.top;
    let found = -1;
    this.#visit(this.#scroller.clientWidth, (node, x, w, y) => {
      if (top >= y && top < y + rowHeight && left >= x && left < x + Math.max(w, 1)) found = node;
    });
    return found;
  }

  /** @param {number} node @param {MouseEvent} [event] */
  #hover(node, event) {
    if (node !== this.#hovered) {
      this.#hovered = node;
      this.#canvas.style.cursor = node < 0 ? 'default' : 'pointer';
      this.#ask();
    }
    if (node < 0) {
      this.#tip.hidden = true;
      return;
    }
    this.#fillTip(node);
    if (event) this.#placeTip(event.clientX, event.clientY);
  }

  /** @param {number} node */
  #fillTip(node) {
    const facts = this.facts(node);
    const name = element('div', 'flame-tip-name');
    name.textContent = facts.label;
    const list = element('dl', 'flame-tip-facts');
    for (const [term, text] of facts.rows) {
      const dt = element('dt');
      const dd = element('dd');
      dt.textContent = term;
      dd.textContent = text;
      list.append(dt, dd);
    }
    this.#tip.replaceChildren(name, list);
    this.#tip.hidden = false;
  }

  /** @param {number} x @param {number} y */
  #placeTip(x, y) {
    const { offsetWidth: width, offsetHeight: height } = this.#tip;
    const left = x + 14 + width > innerWidth ? Math.max(4, x - 14 - width) : x + 14;
    const top = y + 16 + height > innerHeight ? Math.max(4, y - 12 - height) : y + 16;
    this.#tip.style.left = `${left}px`;
    this.#tip.style.top = `${top}px`;
  }

  /**
   * What there is to say about a node.
   * @param {number} node
   * @returns {{label: string, rows: [string, string][]}}
   */
  facts(node) {
    const { frames, nodes, strings, total, samples, unit } = this.#graph;
    const frame = nodes.frame[node] ?? 0;
    const value = nodes.value[node] ?? 0;
    const self = nodes.self[node] ?? 0;
    const hits = nodes.samples[node] ?? 0;
    const text = (/** @type {number[]} */ column) => strings[column[frame] ?? 0] ?? '';
    /** @type {[string, string][]} */
    const rows = [
      ['share', `${formatShare(value, total)} ± ${shareError(hits, samples).toFixed(1)} of all`],
      [unit === 'nanoseconds' ? 'time' : 'amount', formatValue(value, unit)],
      ['self', `${formatValue(self, unit)} (${formatShare(self, total)})`],
      ['samples', formatCount(hits)],
    ];
    if (this.#zoomed !== 0 && node >= this.#zoomed && node < (this.#layout.end[this.#zoomed] ?? 0)) {
      rows.splice(1, 0, ['in view', formatShare(value, nodes.value[this.#zoomed] ?? 0)]);
    }
    const role = frames.role[frame] ?? 'frame';
    if (role === 'frame') {
      rows.push(['kind', `${text(frames.type) || 'not known'}${frames.inlined[frame] ? ', inlined' : ''}${frames.named[frame] ? '' : ', no symbol'}`]);
      if (text(frames.mapping)) rows.push(['mapping', text(frames.mapping)]);
      if (text(frames.file)) rows.push(['file', text(frames.file)]);
    } else if (role === 'cut') rows.push(['kind', 'what called this is not known: the stack was cut']);
    return { label: text(frames.label), rows };
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.#selected < 0 ? this.#zoomed : this.#selected;
    const up = this.#orientation === 'flame' ? 'ArrowUp' : 'ArrowDown';
    const down = this.#orientation === 'flame' ? 'ArrowDown' : 'ArrowUp';
    const parent = this.#graph.nodes.parent[at] ?? -1;
    /** @type {Record<string, () => void>} */
    const keys = {
      [up]: () => this.#select(heaviest(this.#graph, this.#children(at)) ?? at),
      [down]: () => this.#select(parent < 0 ? at : parent),
      ArrowRight: () => this.#select(this.#sibling(at, 1)),
      ArrowLeft: () => this.#select(this.#sibling(at, -1)),
      Enter: () => this.zoom(at),
      ' ': () => this.zoom(at),
      Escape: () => this.zoom(0),
      Backspace: () => this.zoom(Math.max(0, this.#graph.nodes.parent[this.#zoomed] ?? 0)),
      Home: () => this.#select(0),
    };
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  /** @param {number} node @param {number} step */
  #sibling(node, step) {
    const parent = this.#graph.nodes.parent[node] ?? -1;
    if (parent < 0) return node;
    const siblings = this.#children(parent);
    return siblings[siblings.indexOf(node) + step] ?? node;
  }

  /** @param {number} node */
  #select(node) {
    this.#selected = node;
    // Never out of sight: zoom out until it is inside.
    while (this.#zoomed !== 0 && !(node >= this.#zoomed && node < (this.#layout.end[this.#zoomed] ?? 0)) && !isAncestor(this.#layout, node, this.#zoomed)) {
      this.#zoomed = Math.max(0, this.#graph.nodes.parent[this.#zoomed] ?? 0);
    }
    const rows = this.#rows();
    const y = rows.top(this.#layout.depth[node] ?? 0);
    if (y < 0) this.#scroller.scrollTop += y;
    if (y + rowHeight > rows.view) this.#scroller.scrollTop += y + rowHeight - rows.view;
    const facts = this.facts(node);
    this.#live.textContent = `${facts.label}: ${facts.rows.map(([term, text]) => `${term} ${text}`).join(', ')}`;
    const box = this.#boxOf(node, this.#scroller.clientWidth);
    this.#fillTip(node);
    if (box) {
      const bounds = this.#canvas.getBoundingClientRect();
      this.#placeTip(bounds.left + Math.max(0, box.x) + Math.min(box.w, 120) / 2, bounds.top + box.y + rowHeight / 2);
    }
    this.#ask();
  }
}

/** @type {Graph} */
const emptyGraph = {
  type: 'cpu',
  unit: 'nanoseconds',
  total: 0,
  samples: 0,
  strings: ['', 'all'],
  frames: { label: [1], role: ['root'], type: [0], mapping: [0], file: [0], named: [1], inlined: [0] },
  nodes: { frame: [0], parent: [-1], value: [0], self: [0], samples: [0] },
};

/** Depth, end of the subtree and left edge of each node, in one pass over the preorder. @param {Graph} graph @returns {Layout} */
function layoutOf({ nodes }) {
  const length = nodes.frame.length;
  const depth = new Int32Array(length);
  const end = new Int32Array(length);
  const start = new Float64Array(length);
  const next = new Float64Array(length);
  let depthMax = 0;
  for (let node = 0; node < length; node++) {
    const parent = nodes.parent[node] ?? -1;
    if (parent >= 0) {
      depth[node] = (depth[parent] ?? 0) + 1;
      start[node] = next[parent] ?? 0;
      next[parent] = (next[parent] ?? 0) + (nodes.value[node] ?? 0);
    }
    next[node] = start[node] ?? 0;
    depthMax = Math.max(depthMax, depth[node] ?? 0);
  }
  for (let node = length - 1; node >= 0; node--) {
    end[node] = Math.max(end[node] ?? 0, node + 1);
    const parent = nodes.parent[node] ?? -1;
    if (parent >= 0) end[parent] = Math.max(end[parent] ?? 0, end[node] ?? 0);
  }
  return { depth, end, start, depthMax };
}

/** Deepest row under a node. @param {Layout} layout @param {number} node */
function subtreeDepth(layout, node) {
  let deepest = 0;
  for (let index = node; index < (layout.end[node] ?? 0); index++) deepest = Math.max(deepest, layout.depth[index] ?? 0);
  return deepest;
}

/** @param {Layout} layout @param {number} node @param {number} below */
function isAncestor(layout, node, below) {
  return node <= below && below < (layout.end[node] ?? 0);
}

/** @param {Graph} graph @param {number[]} nodes */
function heaviest(graph, nodes) {
  return nodes.toSorted((a, b) => (graph.nodes.value[b] ?? 0) - (graph.nodes.value[a] ?? 0))[0];
}

/** The longest beginning of the text that fits. @param {CanvasRenderingContext2D} context @param {string} text @param {number} room */
function shorten(context, text, room) {
  const shown = text.length > 400 ? text.slice(0, 400) : text;
  if (context.measureText(shown).width <= room) return shown;
  let low = 0;
  let high = shown.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (context.measureText(`${shown.slice(0, middle)}…`).width <= room) low = middle;
    else high = middle - 1;
  }
  return low === 0 ? '' : `${shown.slice(0, low)}…`;
}

/** @param {string} tag @param {string} [className] */
function element(tag, className) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  return made;
}
