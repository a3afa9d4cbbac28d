// Weighted stacks -> a flame graph: one tree, root first, as columns in preorder. Pure; what reads the
// lake is weighted-stacks.ts, what draws is render/ and web/.
import { cutLabel, foldedLabel, frameLabel, missingStackLabel, noFramesLabel, omittedLabel } from './frame-label.ts';
import type { Grouping, WeightedStacks } from './weighted-stacks.ts';

/**
 * `group` is the process (service, host) under which stacks stand; `cut` stands where a stack does not
 * reach its root, with the reason; `note` stands for what is not shown one by one.
 */
export const frameRoles = ['frame', 'root', 'group', 'cut', 'note'] as const;
export type FrameRole = (typeof frameRoles)[number];

export interface FlameGraph {
  readonly version: 1;
  readonly type: string;
  readonly unit: string;
  readonly fromMillis: number;
  readonly toMillis: number;
  readonly groupedBy: Grouping;
  /** Sum of value * weight in `unit`, and the number of samples it rests on. */
  readonly total: number;
  readonly samples: number;
  /** Index 0 is '' and stands for none. */
  readonly strings: readonly string[];
  readonly frames: {
    readonly label: readonly number[];
    readonly role: readonly FrameRole[];
    /** profile.frame.type: kernel, native, jvm, … */
    readonly type: readonly number[];
    readonly mapping: readonly number[];
    readonly file: readonly number[];
    /** 1 = has a name. */
    readonly named: readonly (0 | 1)[];
    readonly inlined: readonly (0 | 1)[];
  };
  /** Preorder; node 0 is the root, whose parent is -1. Siblings stand in the order of their labels, notes last. */
  readonly nodes: {
    readonly frame: readonly number[];
    readonly parent: readonly number[];
    readonly value: readonly number[];
    readonly self: readonly number[];
    readonly samples: readonly number[];
  };
  /** Nodes that were folded into notes because there were too many. */
  readonly folded: number;
}

export interface FlameGraphOptions {
  readonly fromMillis: number;
  readonly toMillis: number;
  readonly groupedBy: Grouping;
  readonly nodesMax: number;
}

export function buildFlameGraph(stacks: WeightedStacks, options: FlameGraphOptions): FlameGraph {
  const frames = new FrameColumns(stacks);
  const tree = addUp(stacks, frames, options.groupedBy);
  const { nodes, folded } = inPreorder(tree, frames, options.nodesMax);
  return {
    version: 1,
    type: stacks.type,
    unit: stacks.unit,
    fromMillis: options.fromMillis,
    toMillis: options.toMillis,
    groupedBy: options.groupedBy,
    total: tree.value[0]!,
    samples: tree.samples[0]!,
    ...frames.shown(nodes),
    folded,
  };
}

/** The frames of the stacks, followed by those that only a graph has (root, groups, cuts, notes). */
class FrameColumns {
  readonly label: string[] = [];
  readonly role: FrameRole[] = [];
  readonly #stacks: WeightedStacks;
  readonly #special = new Map<string, number>();

  constructor(stacks: WeightedStacks) {
    this.#stacks = stacks;
    for (let index = 0; index < stacks.frames.length; index++) {
      this.label.push(frameLabel(stacks.frames, index));
      this.role.push('frame');
    }
  }

  special(role: FrameRole, label: string): number {
    const key = `${role} ${label}`;
    let index = this.#special.get(key);
    if (index === undefined) {
      index = this.label.push(label) - 1;
      this.role.push(role);
      this.#special.set(key, index);
    }
    return index;
  }

  /** Only the frames that nodes use, numbered anew, their texts in one table. */
  shown(nodes: NodeColumns): Pick<FlameGraph, 'strings' | 'frames' | 'nodes'> {
    const strings = [''];
    const stringIndex = new Map([['', 0]]);
    const text = (value: string | null | undefined) => {
      const key = value ?? '';
      let index = stringIndex.get(key);
      if (index === undefined) {
        index = strings.push(key) - 1;
        stringIndex.set(key, index);
      }
      return index;
    };
    const source = this.#stacks.frames;
    const used = [...new Set(nodes.frame)];
    const numbers = new Map(used.map((frame, index) => [frame, index]));
    const frames = {
      label: used.map((frame) => text(this.label[frame])),
      role: used.map((frame) => this.role[frame]!),
      type: used.map((frame) => text(source.type[frame])),
      mapping: used.map((frame) => text(source.mapping[frame])),
      file: used.map((frame) => text(source.file[frame])),
      named: used.map((frame) => (this.role[frame] !== 'frame' || source.function[frame] ? 1 : 0) as 0 | 1),
      inlined: used.map((frame) => (source.inlined[frame] ? 1 : 0) as 0 | 1),
    };
    return { strings, frames, nodes: { ...nodes, frame: nodes.frame.map((frame) => numbers.get(frame)!) } };
  }
}

interface NodeColumns {
  readonly frame: number[];
  readonly parent: number[];
  readonly value: number[];
  readonly self: number[];
  readonly samples: number[];
}

const emptyNodes = (): NodeColumns => ({ frame: [], parent: [], value: [], self: [], samples: [] });

/** Most frame numbers that a (parent, frame) key has room for beside 12 M nodes below 2^53. */
const keyFactor = 2 ** 28;

function addUp(stacks: WeightedStacks, frames: FrameColumns, groupedBy: Grouping): NodeColumns {
  const tree = emptyNodes();
  const childOf = new Map<number, number>();
  const child = (parent: number, frame: number): number => {
    const key = (parent + 1) * keyFactor + frame;
    let node = childOf.get(key);
    if (node === undefined) {
      node = tree.frame.push(frame) - 1;
      tree.parent.push(parent);
      tree.value.push(0);
      tree.self.push(0);
      tree.samples.push(0);
      childOf.set(key, node);
    }
    return node;
  };
  const root = child(-1, frames.special('root', 'all'));
  const groups = stacks.groups.map((group) => (groupedBy === 'none' ? -1 : frames.special('group', group)));
  const cuts = stacks.stacks.cut.map((cut) => (cut === null ? -1 : frames.special('cut', cutLabel(cut))));
  const { rows } = stacks;

  for (let row = 0; row < rows.length; row++) {
    const value = rows.value[row]!;
    const samples = rows.samples[row]!;
    const visit = (node: number) => {
      tree.value[node]! += value;
      tree.samples[node]! += samples;
      return node;
    };
    let node = visit(root);
    const group = groups[rows.group[row]!]!;
    if (group >= 0) node = visit(child(node, group));
    const stack = rows.stack[row]!;
    if (stack < 0) {
      node = visit(child(node, frames.special('note', missingStackLabel)));
    } else {
      const start = stacks.stacks.start[stack]!;
      const end = stacks.stacks.start[stack + 1]!;
      if (cuts[stack]! >= 0) node = visit(child(node, cuts[stack]!));
      else if (start === end) node = visit(child(node, frames.special('note', noFramesLabel)));
      for (let index = end - 1; index >= start; index--) node = visit(child(node, stacks.stacks.frame[index]!));
    }
    tree.self[node]! += value;
  }
  addOmitted(stacks, frames, tree, root, child);
  return tree;
}

function addOmitted(stacks: WeightedStacks, frames: FrameColumns, tree: NodeColumns, root: number, child: (parent: number, frame: number) => number): void {
  if (stacks.omitted.stacks === 0) return;
  const node = child(root, frames.special('note', omittedLabel(stacks.omitted.stacks)));
  for (const index of [root, node]) {
    tree.value[index]! += stacks.omitted.value;
    tree.samples[index]! += stacks.omitted.samples;
  }
  tree.self[node]! += stacks.omitted.value;
}

interface Placed {
  /** Node of the tree, or -1 for a note that stands for several. */
  readonly node: number;
  readonly parent: number;
  readonly frame: number;
  readonly value: number;
  readonly self: number;
  readonly samples: number;
}

/** Lays the tree out root first, siblings by label, and folds the lightest nodes where there are too many. */
function inPreorder(tree: NodeColumns, frames: FrameColumns, nodesMax: number): { nodes: NodeColumns; folded: number } {
  const children = childLists(tree, frames);
  const subtree = subtreeSizes(tree);
  const shows = shownNodes(tree, nodesMax);
  const nodes = emptyNodes();
  let folded = 0;
  const at = (node: number, parent: number): Placed => ({
    node,
    parent,
    frame: tree.frame[node]!,
    value: tree.value[node]!,
    self: tree.self[node]!,
    samples: tree.samples[node]!,
  });
  const pending = [at(0, -1)];
  while (pending.length > 0) {
    const next = pending.pop()!;
    const placed = put(nodes, next);
    const [shown, hidden] = split(children[next.node] ?? [], shows);
    if (hidden.length > 0) {
      const count = sum(hidden, (index) => subtree[index]!);
      const value = sum(hidden, (index) => tree.value[index]!);
      const frame = frames.special('note', foldedLabel(count));
      pending.push({ node: -1, parent: placed, frame, value, self: value, samples: sum(hidden, (index) => tree.samples[index]!) });
      folded += count;
    }
    for (let index = shown.length - 1; index >= 0; index--) pending.push(at(shown[index]!, placed));
  }
  return { nodes, folded };
}

function put(nodes: NodeColumns, placed: Placed): number {
  nodes.parent.push(placed.parent);
  nodes.value.push(placed.value);
  nodes.self.push(placed.self);
  nodes.samples.push(placed.samples);
  return nodes.frame.push(placed.frame) - 1;
}

const sum = (items: readonly number[], of: (item: number) => number) => items.reduce((total, item) => total + of(item), 0);

function childLists(tree: NodeColumns, frames: FrameColumns): (number[] | undefined)[] {
  const lists: (number[] | undefined)[] = new Array(tree.frame.length);
  for (let node = 1; node < tree.frame.length; node++) {
    const list = lists[tree.parent[node]!];
    if (list) list.push(node);
    else lists[tree.parent[node]!] = [node];
  }
  const rank = (node: number) => (frames.role[tree.frame[node]!] === 'note' ? 1 : 0);
  const label = (node: number) => frames.label[tree.frame[node]!]!;
  for (const list of lists) list?.sort((a, b) => rank(a) - rank(b) || (label(a) < label(b) ? -1 : label(a) > label(b) ? 1 : tree.frame[a]! - tree.frame[b]!));
  return lists;
}

/** A child is made after its parent, so one pass from the end adds sizes up. */
function subtreeSizes(tree: NodeColumns): Int32Array {
  const sizes = new Int32Array(tree.frame.length).fill(1);
  for (let node = tree.frame.length - 1; node > 0; node--) sizes[tree.parent[node]!]! += sizes[node]!;
  return sizes;
}

/** Which nodes are shown: the heaviest; of those as heavy as the lightest that has room, the first that are asked for. */
function shownNodes(tree: NodeColumns, nodesMax: number): (node: number) => boolean {
  if (tree.value.length <= nodesMax) return () => true;
  // A parent is never lighter than its child, so whatever is heavier than `lightest` has its parents shown.
  const sorted = Float64Array.from(tree.value).sort();
  const lightest = sorted[tree.value.length - nodesMax]!;
  let room = nodesMax - sum(tree.value, (value) => (value > lightest ? 1 : 0));
  return (node) => tree.value[node]! > lightest || (tree.value[node] === lightest && room-- > 0);
}

function split(items: readonly number[], test: (item: number) => boolean): [number[], number[]] {
  const yes: number[] = [];
  const no: number[] = [];
  for (const item of items) (test(item) ? yes : no).push(item);
  return [yes, no];
}
