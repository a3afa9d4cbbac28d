import { expect, test } from 'vitest';
import { WordTable } from './words.ts';

test('each tuple has one index, in the order of its first time, through all growing', () => {
  const table = new WordTable(3);
  const indexes = new Map<string, number>();
  let state = 7;
  const random = (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  for (let time = 0; time < 20_000; time++) {
    const tuple = [random(20), random(16) * 0x1000_0001, random(20)];
    const name = tuple.join(' ');
    table.scratch.set(tuple);
    expect(table.find()).toBe(indexes.get(name) ?? -1);
    const index = table.intern();
    if (!indexes.has(name)) indexes.set(name, indexes.size);
    expect(index).toBe(indexes.get(name));
    expect(tuple.map((_, position) => table.word(index, position))).toEqual(tuple);
  }
  expect(table.length).toBe(indexes.size);
});
