// What every implementation of Store must do. Each runs this suite (directory.test.ts; S3's likewise),
// so that the lake's protocol may rely on it.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Store } from './store.ts';

export interface StoreFixture {
  readonly store: Store;
  /** Another client of the same store, as another process would be. */
  second(): Promise<Store>;
  /** Closes whatever is open and removes everything. */
  cleanup(): Promise<void>;
}

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array | null) => (value === null ? null : new TextDecoder().decode(value));
const code = (name: string) => expect.objectContaining({ code: name });

export function storeSuite(name: string, open: () => Promise<StoreFixture>): void {
  describe(`${name} as a store`, () => {
    let fixture: StoreFixture;
    let store: Store;
    beforeEach(async () => {
      fixture = await open();
      store = fixture.store;
    });
    afterEach(() => fixture.cleanup());
    const keys = async (prefix: string, options?: { after?: string; limit?: number }) => (await store.list(prefix, options)).map((entry) => entry.key);

    describe('putIfAbsent', () => {
      test('creates once; the second finds the first', async () => {
        expect(await store.putIfAbsent('commits/000/1', bytes('first'))).toBe('created');
        expect(await store.putIfAbsent('commits/000/1', bytes('second'))).toBe('exists');
        expect(text(await store.get('commits/000/1'))).toBe('first');
      });

      test('16 at once, of two clients, 20 rounds: exactly one wins each', async () => {
        const clients = [store, await fixture.second()];
        for (let round = 0; round < 20; round++) {
          const key = `race/${round}/record`;
          const outcomes = await Promise.all(Array.from({ length: 16 }, (_, who) => clients[who % 2]!.putIfAbsent(key, bytes(`writer ${who}`))));
          const winners = outcomes.flatMap((outcome, who) => (outcome === 'created' ? [who] : []));
          expect(winners).toHaveLength(1);
          expect(text(await store.get(key))).toBe(`writer ${winners[0]}`);
        }
      });

      test('is free again after a delete', async () => {
        await store.putIfAbsent('a/b', bytes('first'));
        await store.delete('a/b');
        expect(await store.putIfAbsent('a/b', bytes('second'))).toBe('created');
      });
    });

    describe('put', () => {
      test('replaces', async () => {
        await store.put('hot/1', bytes('first'));
        await store.put('hot/1', bytes('second, longer'));
        expect(text(await store.get('hot/1'))).toBe('second, longer');
      });

      test('readers see one whole version or the other', async () => {
        const versions = ['a', 'b'].map((letter) => letter.repeat(200_000));
        await store.put('hot/1', bytes(versions[0]!));
        let writing = true;
        const writer = (async () => {
          for (let index = 1; index < 30; index++) await store.put('hot/1', bytes(versions[index % 2]!));
          writing = false;
        })();
        while (writing) expect(versions).toContain(text(await store.get('hot/1')));
        await writer;
      });

      test('takes any bytes, also none', async () => {
        const every = Uint8Array.from({ length: 256 }, (_, index) => index);
        await store.put('every', every);
        await store.put('none', new Uint8Array());
        expect(await store.get('every')).toEqual(every);
        expect(await store.get('none')).toEqual(new Uint8Array());
        expect(await store.head('none')).toMatchObject({ bytes: 0 });
      });
    });

    describe('a file as body', () => {
      let folder: string;
      beforeEach(() => {
        folder = mkdtempSync(path.join(tmpdir(), 'flamelake-body-'));
        writeFileSync(path.join(folder, 'file'), 'finished');
      });
      afterEach(() => rmSync(folder, { recursive: true }));

      test('is taken, and stays the caller’s to delete', async () => {
        const file = path.join(folder, 'file');
        expect(await store.putIfAbsent('a/1', { file })).toBe('created');
        expect(await store.putIfAbsent('a/1', { file })).toBe('exists');
        await store.put('a/2', { file });
        await store.put('a/2', { file });
        expect(readFileSync(file, 'utf8')).toBe('finished');
        rmSync(file);
        expect(text(await store.get('a/1'))).toBe('finished');
        expect(text(await store.get('a/2'))).toBe('finished');
      });
    });

    describe('replace', () => {
      test('takes only the version named by its tag', async () => {
        await store.put('stacks', bytes('one'));
        const { tag } = (await store.head('stacks'))!;
        expect(await store.replace('stacks', bytes('two'), tag)).toBe('replaced');
        expect(await store.replace('stacks', bytes('three'), tag)).toBe('exists');
        expect(text(await store.get('stacks'))).toBe('two');
        expect((await store.head('stacks'))!.tag).not.toBe(tag);
      });

      test('of the same length at once: one of many', async () => {
        await store.put('stacks', bytes('0'));
        const { tag } = (await store.head('stacks'))!;
        const outcomes = await Promise.all(Array.from({ length: 8 }, (_, who) => store.replace('stacks', bytes(String(who + 1)), tag)));
        expect(outcomes.filter((outcome) => outcome === 'replaced')).toHaveLength(1);
        expect(text(await store.get('stacks'))).toBe(String(outcomes.indexOf('replaced') + 1));
      });

      test('of large objects too', async () => {
        const large = (fill: number) => new Uint8Array(3_000_000).fill(fill);
        await store.put('stacks', large(1));
        const { tag } = (await store.head('stacks'))!;
        expect((await store.head('stacks'))!.tag).toBe(tag);
        expect(await store.replace('stacks', large(2), tag)).toBe('replaced');
        expect(await store.replace('stacks', large(3), tag)).toBe('exists');
        expect((await store.get('stacks', { start: 0, end: 1 }))![0]).toBe(2);
      });

      test('of a missing key is an error', async () => {
        await expect(store.replace('missing', bytes('a'), 'tag')).rejects.toThrow(code('store_missing'));
      });
    });

    describe('publish', () => {
      test('gives staged bytes their public name once', async () => {
        await store.put('staging/u/0', bytes('rows'));
        expect(await store.publish('staging/u/0', 'lake/samples/date=2026-11-24/shard=000/h08-1-0.parquet')).toBe('created');
        expect(await store.publish('staging/u/0', 'lake/samples/date=2026-11-24/shard=000/h08-1-0.parquet')).toBe('exists');
        expect(text(await store.get('staging/u/0'))).toBe('rows');
        await store.delete('staging/u/0');
        expect(text(await store.get('lake/samples/date=2026-11-24/shard=000/h08-1-0.parquet'))).toBe('rows');
      });

      test('never takes the place of other bytes', async () => {
        await store.put('staging/a', bytes('a'));
        await store.putIfAbsent('lake/x', bytes('b'));
        expect(await store.publish('staging/a', 'lake/x')).toBe('exists');
        expect(text(await store.get('lake/x'))).toBe('b');
      });

      test('of two stagings to one name at once: one', async () => {
        for (let round = 0; round < 10; round++) {
          await Promise.all(['a', 'b'].map((who) => store.put(`staging/${round}/${who}`, bytes(who))));
          const outcomes = await Promise.all(['a', 'b'].map((who) => store.publish(`staging/${round}/${who}`, `lake/${round}`)));
          expect(outcomes.toSorted()).toEqual(['created', 'exists']);
          expect(text(await store.get(`lake/${round}`))).toBe(outcomes[0] === 'created' ? 'a' : 'b');
        }
      });

      test('later changes of the staged key do not reach the public one', async () => {
        await store.put('staging/a', bytes('a'));
        await store.publish('staging/a', 'lake/x');
        await store.put('staging/a', bytes('changed'));
        expect(text(await store.get('lake/x'))).toBe('a');
      });

      test('without staged bytes is an error', async () => {
        await expect(store.publish('staging/missing', 'lake/x')).rejects.toThrow(code('store_missing'));
        expect(await store.get('lake/x')).toBeNull();
      });
    });

    describe('get, head, delete', () => {
      test('give ranges, cut at the end', async () => {
        await store.put('a', bytes('0123456789'));
        const range = async (start: number, end: number) => text(await store.get('a', { start, end }));
        expect(await range(0, 10)).toBe('0123456789');
        expect(await range(2, 5)).toBe('234');
        expect(await range(8, 100)).toBe('89');
        expect(await range(3, 3)).toBe('');
        expect(await range(10, 20)).toBe('');
        expect(await range(500, 600)).toBe('');
        await expect(store.get('a', { start: 5, end: 4 })).rejects.toThrow(code('usage'));
        await expect(store.get('a', { start: -1, end: 4 })).rejects.toThrow(code('usage'));
      });

      test('know nothing of missing keys', async () => {
        await store.put('a/b', bytes('x'));
        for (const key of ['missing', 'a', 'a/b/c', 'a/c']) {
          expect(await store.get(key)).toBeNull();
          expect(await store.get(key, { start: 0, end: 1 })).toBeNull();
          expect(await store.head(key)).toBeNull();
        }
        for (const key of ['missing', 'a/c', 'x/y/z']) await store.delete(key);
        expect(await keys('')).toEqual(['a/b']);
      });

      test('delete takes one key and leaves its neighbours', async () => {
        for (const key of ['a/b/c', 'a/b/d', 'a/e']) await store.put(key, bytes(key));
        await store.delete('a/b/c');
        await store.delete('a/b/c');
        expect(await keys('')).toEqual(['a/b/d', 'a/e']);
        await store.delete('a/b/d');
        await store.put('a/b/d', bytes('again'));
        expect(await keys('')).toEqual(['a/b/d', 'a/e']);
      });

      test('deletes and puts side by side in one folder lose nothing', async () => {
        for (let round = 0; round < 20; round++) {
          await store.put(`date/${round}/old`, bytes('x'));
          const [outcome] = await Promise.all([store.putIfAbsent(`date/${round}/new`, bytes('y')), store.delete(`date/${round}/old`)]);
          expect(outcome).toBe('created');
          expect(await keys(`date/${round}/`)).toEqual([`date/${round}/new`]);
        }
      });
    });

    describe('list', () => {
      // In the order of their bytes: '!' < '-' < '.' < '/' < digits; U+FFFF sorts below U+10000 in UTF-8, not in UTF-16.
      const ordered = ['a', 'b!', 'b-c', 'b.c', 'b/1', 'b/10', 'b/2', 'b/c/d', 'b0', 'c/x', 'd/é', 'd/\uffff', 'd/\u{10000}', 'e'];

      beforeEach(() => Promise.all(ordered.toReversed().map((key) => store.put(key, bytes(key)))));

      test('goes by the bytes of the whole key', async () => {
        expect(await keys('')).toEqual(ordered);
        const entry = (await store.list('b/c'))[0]!;
        expect(entry).toMatchObject({ key: 'b/c/d', bytes: 5 });
        expect(Math.abs(entry.modifiedMillis - Date.now())).toBeLessThan(60_000);
      });

      test.each(['b', 'b/', 'b/1', 'b/c/', 'd/', 'x', 'b/c/d/', 'missing/'])('under %j', async (prefix) => {
        expect(await keys(prefix)).toEqual(ordered.filter((key) => key.startsWith(prefix)));
      });

      test.each([1, 2, 3, 5, 100])('in pages of %d', async (limit) => {
        for (const prefix of ['', 'b', 'b/']) {
          const seen: string[] = [];
          for (;;) {
            const page = await keys(prefix, { limit, ...(seen.length > 0 && { after: seen.at(-1)! }) });
            expect(page.length).toBeLessThanOrEqual(limit);
            seen.push(...page);
            if (page.length < limit) break;
          }
          expect(seen).toEqual(ordered.filter((key) => key.startsWith(prefix)));
        }
      });

      test('after any text, also one that is no key', async () => {
        for (const after of ['a', 'b', 'b/', 'b/0', 'b/1', 'b/1/x', 'b/zzz', 'zzz', 'b-']) {
          expect(await keys('', { after })).toEqual(ordered.filter((key) => Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0));
        }
      });

      test('of many keys in one folder and of emptied folders', async () => {
        const many = Array.from({ length: 300 }, (_, index) => `many/${String(index).padStart(4, '0')}`);
        await Promise.all(many.map((key) => store.put(key, bytes(''))));
        await Promise.all(
          Array.from({ length: 20 }, (_, index) => store.put(`many/00000-${index}/x`, bytes('')).then(() => store.delete(`many/00000-${index}/x`))),
        );
        expect(await keys('many/', { limit: 7, after: 'many/0150' })).toEqual(many.slice(151, 158));
        expect(await keys('many/', { limit: 5 })).toEqual(many.slice(0, 5));
        expect(await keys('many/')).toEqual(many);
      });
    });

    test.each([
      '',
      '/a',
      'a/',
      'a//b',
      '..',
      'a/../b',
      './a',
      'a/./b',
      'a\0b',
      'a\nb',
      '.hidden',
      'a/.b',
      'tmp/x',
      'tmp',
      'x'.repeat(256),
      `${'x/'.repeat(600)}x`,
      '\ud800',
    ])('key %j is refused everywhere', async (key) => {
      for (const use of [
        () => store.putIfAbsent(key, bytes('a')),
        () => store.put(key, bytes('a')),
        () => store.replace(key, bytes('a'), ''),
        () => store.publish('a', key),
        () => store.publish(key, 'a'),
        () => store.get(key),
        () => store.head(key),
        () => store.delete(key),
      ]) {
        await expect(use()).rejects.toThrow(code('key_invalid'));
      }
      expect(() => store.locate(key)).toThrow(code('key_invalid'));
    });

    test.each(['../', '/etc', 'a//', 'tmp/', '.'])('prefix %j is refused', (prefix) => expect(store.list(prefix)).rejects.toThrow(code('key_invalid')));

    test('what one client wrote the other reads', async () => {
      const second = await fixture.second();
      await store.putIfAbsent('a', bytes('x'));
      expect(text(await second.get('a'))).toBe('x');
      expect((await second.head('a'))!.tag).toBe((await store.head('a'))!.tag);
      expect(second.url).toBe(store.url);
    });
  });
}
