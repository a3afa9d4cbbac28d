// The shares that members of this process hold, renewed by heartbeats.
import { heartbeatMillis } from '../limits.ts';
import { type Beat, type Member, Members } from './members.ts';
import type { Lease, Share } from './protocol.ts';
import type { Topics } from './topics.ts';

/** Name of the wake file that says: somebody joined, left or gave something back. */
export const membersWake = '.members';

export interface MembershipHooks {
  share(share: Share): void;
  changed(): void;
  fail(error: unknown): void;
}

interface Held {
  readonly member: Member;
  readonly lease: Lease;
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

  join(group: string, topic: string): { share: Share; lease: Lease } {
    const member = Members.newMember(group, topic);
    const lease: Lease = new BigInt64Array(new SharedArrayBuffer(8));
    const held: Held = { member, lease, share: { member: member.name, partitions: [], generation: 0 } };
    this.#beat(held, this.#members.join(member, this.#topics.get(topic).partitions()));
    this.#held.set(member.name, held);
    this.#timer ??= setInterval(() => this.beat(), heartbeatMillis);
    return { share: held.share, lease };
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
        this.#beat(held, this.#members.heartbeat(held.member, this.#topics.get(held.member.topic).partitions()));
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

  /** A share that was lost and taken back (a process that slept) is another generation too. */
  #beat(held: Held, beat: Beat): void {
    const { member, share } = held;
    const known = share.partitions.join();
    const moved = beat.before.join() !== known || beat.partitions.join() !== known;
    held.share = { member: member.name, partitions: beat.partitions, generation: share.generation + (moved ? 1 : 0) };
    Atomics.store(held.lease, 0, BigInt(beat.untilMillis));
    if (beat.tellOthers) this.#hooks.changed();
  }
}
