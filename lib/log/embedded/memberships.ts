// The shares that members of this process hold, renewed by heartbeats.
import { heartbeatMillis } from '../limits.ts';
import { type Member, Members } from './groups.ts';
import type { Share } from './protocol.ts';
import type { Topics } from './topics.ts';

/** Name of the wake file that says: somebody joined, left or gave something back. */
export const membersWake = 'members';

export interface MembershipHooks {
  share(share: Share): void;
  changed(): void;
  fail(error: unknown): void;
}

interface Held {
  readonly member: Member;
  share: Share;
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

  join(group: string, topic: string): Share {
    const member = Members.newMember(group, topic);
    const held: Held = { member, share: { member: member.member, partitions: [], generation: 0, untilMillis: 0 } };
    this.#beat(held);
    this.#held.set(member.member, held);
    this.#timer ??= setInterval(() => this.beat(), heartbeatMillis);
    return held.share;
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
        this.#beat(held);
        this.#hooks.share(held.share);
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

  #beat(held: Held): void {
    const partitions = this.#topics.get(held.member.topic).partitions();
    const { changed, ...share } = this.#members.heartbeat(held.member, partitions);
    const moved = share.partitions.join() !== held.share.partitions.join();
    held.share = { ...share, generation: held.share.generation + (moved ? 1 : 0) };
    if (changed) this.#hooks.changed();
  }
}
