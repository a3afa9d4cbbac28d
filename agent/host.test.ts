import { hostname } from 'node:os';
import { expect, test } from 'vitest';
import { hostAttributes } from './host.ts';

test('every host has a name and an id, the same at each start', () => {
  const attributes = hostAttributes({});
  expect(attributes.get('host.name')).toBe(hostname());
  expect(attributes.get('host.id')).toMatch(/^[0-9a-f-]{16,64}$/);
  expect(hostAttributes({})).toEqual(attributes);
});

test("the agent's own environment wins, but for what tells processes apart", () => {
  const attributes = hostAttributes({ 'host.id': 'i-1', 'cloud.region': 'eu-1', 'service.name': 'all of them', 'process.pid': '1' });
  expect(Object.fromEntries(attributes)).toEqual({ 'host.name': hostname(), 'host.id': 'i-1', 'cloud.region': 'eu-1' });
});
