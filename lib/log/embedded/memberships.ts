// The shares that members of this process hold, renewed by heartbeats.
import { heartbeatMillis } from '../limits.ts';
import { type Beat, type Member, Members } from './members.ts';
import { newShareMemory, readShare, type ShareMemory, writeShare } from './share-memory.ts';
import type { Topics } from './topics.ts';

/** Name of the wake file that says: somebody joined, left or gave something back. */
export const membersWake = '.members';

export interface MembershipHooks {
  changed(): void;
  fail(error: unknown): void;
}

interface Held {
  readonly member: Member;
  readonly memory: ShareMemory;
}

export class Memberships {
  readonly #members: Members;
  readonly #topics: Topics;
  readonly #hooks: MembershipHooks;
  readonly #held = new Map<string, Held>();
  #timer: NodeJS.Timeout | null = null;

  constructor(members: Members, topics: Topics, hooks: MembershipHooks) {
    this.#members = members;
    this.#topics = topics;
    this.#hooks = hooks;
  }

  join(group: string, topic: string): { member: string; share: ShareMemory } {
    const held: Held = { member: Members.newMember(group, topic), memory: newShareMemory() };
    this.#renew(held, this.#members.join(held.member, this.#topics.get(topic).partitions()));
    this.#held.set(held.member.name, held);
    this.#timer ??= setInterval(() => this.beat(), heartbeatMillis);
    return { member: held.member.name, share: held.memory };
  }

  leave(name: string): void {
    const held = this.#held.get(name);
    if (held === undefined) return;
    this.#held.delete(name);
    if (this.#held.size === 0 && this.#timer !== null) {
      clearInterval(this.#timer);
      this.#timer = null;
    }
    this.#members.leave(held.member);
    this.#hooks.changed();
  }

  beat(): void {
    for (const held of this.#held.values()) {
      try {
        this.#renew(held, this.#members.heartbeat(held.member, this.#topics.get(held.member.topic).partitions()));
      } catch (error) {
        // The lease runs out by itself where this goes on.
        this.#hooks.fail(error);
      }
    }
  }

  close(): void {
    for (const name of [...this.#held.keys()]) this.leave(name);
    this.#members.close();
  }

  /** A share that was lost and taken back (a process that slept) is another generation too. */
  #renew({ memory }: Held, { before, partitions, untilMillis, tellOthers }: Beat): void {
    const known = readShare(memory);
    const moved = before.join() !== known.partitions.join() || partitions.join() !== known.partitions.join();
    writeShare(memory, { partitions, untilMillis, generation: known.generation + (moved ? 1 : 0) });
    if (tellOthers) this.#hooks.changed();
  }
}
