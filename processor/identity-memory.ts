// What stacks and frames of earlier messages were hashed to. Agents send the same ones every few seconds,
// under other indices; looking one up costs a tenth of hashing it again.
//
// Nothing is believed that was not compared in full: text by its bytes, a frame by the numbers of its texts,
// its address and lines, a stack by the numbers of its frames. Hashes only choose where to look, from seeds
// of this process, and no look goes further than a few slots: a message made to collide is hashed as if
// nothing was remembered. Forgetting costs hashing again, never another id.
import { randomBytes } from 'node:crypto';
import { FrameMemory } from './frame-memory.ts';
import { StackMemory } from './stack-memory.ts';
import { TextMemory } from './text-memory.ts';

export class IdentityMemory {
  readonly texts = new TextMemory(seed());
  readonly frames = new FrameMemory(seed);
  readonly stacks = new StackMemory(seed());

  /** Before each message: numbers of texts and frames hold for its length. What is full begins anew. */
  begin(): void {
    const areNumbersFull = this.texts.isFull || this.frames.isFull;
    if (areNumbersFull || this.stacks.isFull) this.stacks.clear();
    if (!areNumbersFull) return;
    this.texts.clear();
    this.frames.clear();
  }
}

function seed(): number {
  return randomBytes(4).readInt32LE();
}

let memory: IdentityMemory | null = null;

/** One for the process, whatever partitions it has: messages are prepared one at a time. */
export function identityMemory(): IdentityMemory {
  memory ??= new IdentityMemory();
  memory.begin();
  return memory;
}
