import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { AnyValueSchema, KeyValueSchema } from '../schemas/otlp/gen/opentelemetry/proto/common/v1/common_pb.ts';
import { readAnyValue, readKeyValue, valueText } from './attribute-values.ts';
import { MessageTexts } from './message-texts.ts';
import { readProfiles } from './otlp-reader.ts';
import { message10 } from './testing.ts';

const strings = ['', 'key', 'größe', '\ufeffmark'];
/** A message whose string table is `strings`, and behind it the bytes of a value. */
function textsWith(bytes: Uint8Array): { texts: MessageTexts; span: { start: number; end: number } } {
  const message = message10({ strings, profiles: [] });
  const whole = Buffer.concat([message, bytes]);
  return { texts: new MessageTexts({ ...readProfiles(message), bytes: whole }), span: { start: message.length, end: whole.length } };
}

type Any = MessageInitShape<typeof AnyValueSchema>;
const read = (value: Any) => {
  const { texts, span } = textsWith(toBinary(AnyValueSchema, create(AnyValueSchema, value)));
  return readAnyValue(texts, span);
};
const list = (...values: Any[]): Any => ({ value: { case: 'arrayValue', value: { values } } });
const text = (value: string): Any => ({ value: { case: 'stringValue', value } });
const reference = (value: number): Any => ({ value: { case: 'stringValueStrindex', value } });
const double = (value: number): Any => ({ value: { case: 'doubleValue', value } });

test.each<[string, Any, string]>([
  ['nothing', {}, ''],
  ['a text', text('a "b"\n'), 'a "b"\n'],
  ['an empty text', text(''), ''],
  ['a text with a byte order mark', text('\ufeffkept'), '\ufeffkept'],
  ['a reference', reference(2), 'größe'],
  ['reference 0', reference(0), ''],
  ['true', { value: { case: 'boolValue', value: true } }, 'true'],
  ['false', { value: { case: 'boolValue', value: false } }, 'false'],
  ['the smallest integer', { value: { case: 'intValue', value: -(2n ** 63n) } }, '-9223372036854775808'],
  ['a double', double(0.1), '0.1'],
  ['minus zero', double(-0), '-0'],
  ['no number', double(Number.NaN), 'NaN'],
  ['bytes', { value: { case: 'bytesValue', value: Uint8Array.of(0, 255, 16) } }, 'AP8Q'],
  ['an empty list', list(), '[]'],
  [
    'a list of everything',
    list(text('x'), reference(1), { value: { case: 'intValue', value: 2n ** 62n } }, double(Number.POSITIVE_INFINITY), {}, list(double(2.5))),
    '["x","key",4611686018427387904,"Infinity",null,[2.5]]',
  ],
  [
    'a map, its keys in either shape',
    {
      value: {
        case: 'kvlistValue',
        value: {
          values: [
            { key: 'a"', value: text('1') },
            { keyStrindex: 3, value: { value: { case: 'bytesValue', value: Uint8Array.of(1) } } },
            { key: 'a"', value: text('2') },
          ],
        },
      },
    },
    '{"a\\"":"2","\ufeffmark":"AQ=="}',
  ],
])('%s', (_, value, expected) => {
  expect(valueText(read(value))).toBe(expected);
});

describe('keys', () => {
  test.each([
    [{ key: 'plain', value: text('v') }, ['plain', 'v']],
    [{ keyStrindex: 1, value: reference(2) }, ['key', 'größe']],
    [{ key: 'without value' }, ['without value', null]],
  ] as const)('%#', (given, expected) => {
    const { texts, span } = textsWith(toBinary(KeyValueSchema, create(KeyValueSchema, given as MessageInitShape<typeof KeyValueSchema>)));
    expect(readKeyValue(texts, span)).toEqual(expected);
  });
});

describe('is refused', () => {
  const nested = (depth: number): Any => (depth === 0 ? text('x') : list(nested(depth - 1)));
  test.each([
    ['a reference outside the table', reference(4), 'message_malformed'],
    ['a negative reference', reference(-1), 'message_malformed'],
    ['what is nested too deep', nested(17), 'message_too_large'],
  ])('%s', (_, value, code) => {
    expect(() => read(value)).toThrow(expect.objectContaining({ code }));
  });
  test('but not what is nested up to the cap', () => expect(valueText(read(nested(15)))).toBe(`${'['.repeat(15)}"x"${']'.repeat(15)}`));
});
