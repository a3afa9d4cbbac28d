// What is remembered of earlier messages changes no id: exact where it is found, forgotten where there is no room.
import { expect, test } from 'vitest';
import { type FrameStep, frameSteps } from './frame-memory.ts';
import { IdentityMemory, identityMemory } from './identity-memory.ts';
import { rememberedTextBytesMax } from './limits.ts';
import { prepareMessage } from './prepared-message.ts';
import { smallMessage } from './testing.ts';
import { emptyText, forgotten, viewOf } from './text-memory.ts';

test('texts are the same by their bytes alone', () => {
  const { texts } = new IdentityMemory();
  const bytes = Buffer.from('größe größe größe2');
  const [first, second] = [texts.of(bytes, viewOf(bytes), 0, 7), texts.of(bytes, viewOf(bytes), 8, 15)];
  expect(first).toBeGreaterThan(emptyText);
  expect([second, texts.ofString('größe')]).toEqual([first, first]);
  expect(texts.of(bytes, viewOf(bytes), 16, 24)).not.toBe(first);
  expect([texts.ofString(''), texts.of(bytes, viewOf(bytes), 3, 3)]).toEqual([emptyText, emptyText]);
  expect(texts.ofString('x'.repeat(rememberedTextBytesMax + 1))).toBe(forgotten);
});

test('steps of frames keep their numbers while the table grows, and differ in each word', () => {
  const { frames } = new IdentityMemory();
  const all: [FrameStep, number, number, number, number, number][] = [];
  for (let index = 0; index < 6_000; index++) all.push([frameSteps.file, 0, 1 + (index % 7), index, index % 3, 0]);
  for (let word = 2; word < 6; word++) {
    const one: (typeof all)[number] = [frameSteps.line, 1, 2, 3, 4, 5];
    one[word] = -1;
    all.push([...one]);
    one[word] = 0x7fffffff;
    all.push(one);
  }
  all.push([frameSteps.name, 1, 2, 3, 4, 5], [frameSteps.line, 2, 2, 3, 4, 5]);
  const numbers = all.map((step) => frames.step(...step));
  expect(new Set(numbers).size).toBe(all.length);
  expect(all.toReversed().map((step) => frames.step(...step))).toEqual(numbers.toReversed());
});

test('a stack is found by all of its frames, their number and its cut', () => {
  const { stacks } = new IdentityMemory();
  const words = Int32Array.of(7, 8, 9);
  const found = new Int32Array(6);
  const frames = Int32Array.of(1, 2, 3, 4);
  expect(stacks.find(frames, 3, emptyText, found, 0)).toBe(false);
  stacks.add(frames, 3, emptyText, words, 0);
  expect(stacks.find(frames, 4, emptyText, found, 3)).toBe(false);
  expect(stacks.find(frames, 3, 2, found, 3)).toBe(false);
  expect(stacks.find(Int32Array.of(1, 2, 4), 3, emptyText, found, 3)).toBe(false);
  expect(stacks.find(frames, 3, emptyText, found, 3)).toBe(true);
  expect([...found]).toEqual([0, 0, 0, 7, 8, 9]);
});

test('a full memory forgets, keeps what it has, and begins anew with the next message', () => {
  const memory = new IdentityMemory();
  const first = memory.texts.ofString('first');
  for (let index = 0; !memory.texts.isFull; index++) memory.texts.ofString(`text ${index}`);
  expect([memory.texts.ofString('one more'), memory.texts.ofString('first')]).toEqual([forgotten, first]);
  const frame = memory.frames.step(frameSteps.file, 0, first, 1, 1, 0);
  for (let index = 0; !memory.frames.isFull; index++) memory.frames.step(frameSteps.file, 0, first, index, 2, 0);
  expect([memory.frames.step(frameSteps.file, 0, first, 1, 3, 0), memory.frames.step(frameSteps.file, 0, first, 1, 1, 0)]).toEqual([forgotten, frame]);
  memory.begin();
  expect(memory.texts.ofString('one more')).toBeGreaterThan(emptyText);
  expect(memory.frames.step(frameSteps.file, 0, first, 1, 3, 0)).not.toBe(forgotten);
});

test('ids and digests are the same new, remembered and without room to remember', () => {
  const body = smallMessage({ stacks: [['leaf', 'main'], ['other', 'leaf', 'main'], ['main']], timeMillis: 1_790_000_000_000 });
  const read = () => prepareMessage(body).profiles.map(({ digest, stacks }) => [digest, [...stacks.words]]);
  const known = read();
  expect(known[0]![1]).toHaveLength(12);
  expect(read()).toEqual(known);
  // Nearly full: some texts of the message are still remembered, others not.
  const { texts } = identityMemory();
  for (let index = 0; !texts.isFull; index++) texts.ofString(`filler ${index}`);
  expect(read()).toEqual(known);
  expect(read()).toEqual(known);
});
