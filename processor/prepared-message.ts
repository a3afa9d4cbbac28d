// A source message that is fit to become rows: everything that can be wrong with it has been looked at
// and has thrown by now, so that a builder is never left with half of it.
import { closeWire } from '../lib/wire.ts';
import { type Attribute, readKeyValue } from './attribute-values.ts';
import { identityMemory } from './identity-memory.ts';
import { MessageAttributes } from './message-attributes.ts';
import { MessageDigests } from './message-digests.ts';
import { MessageMappings, sendsElfAddresses } from './message-mappings.ts';
import { MessageStacks, type MessageTables } from './message-stacks.ts';
import { MessageTexts } from './message-texts.ts';
import { readProfiles } from './otlp-reader.ts';
import type { OtlpProfiles, ProfileRecord, Span } from './otlp-tables.ts';
import { type Resource, resourceOf } from './resources.ts';
import { SampleAttributes } from './sample-attributes.ts';

export interface PreparedProfile {
  readonly record: ProfileRecord;
  readonly digest: string;
  readonly resource: Resource;
  readonly scopeAttributes: readonly Attribute[];
  /** All of its samples' stacks, as its scope's addresses are to be read. */
  readonly stacks: MessageStacks;
}

export interface PreparedMessage extends MessageTables {
  readonly attributes: SampleAttributes;
  readonly profiles: readonly PreparedProfile[];
}

/** Throws `message_malformed` or `message_too_large`. */
export function prepareMessage(bytes: Uint8Array): PreparedMessage {
  return prepareProfiles(readProfiles(bytes));
}

export function prepareProfiles(otlp: OtlpProfiles): PreparedMessage {
  const texts = new MessageTexts(otlp);
  const table = new MessageAttributes(otlp, texts);
  const mappings = new MessageMappings(otlp, texts, table);
  for (let index = 1; index < mappings.length; index++) mappings.mapping(index);
  const tables = { otlp, texts, table, mappings };
  const memory = identityMemory();
  const digests = new MessageDigests(otlp, texts, table);
  const attributesOf = memo((spans: readonly Span[]) => spans.map((span) => readKeyValue(texts, span)));
  const resourceFor = memo((spans: readonly Span[]) => resourceOf(attributesOf(spans)));
  // A message has at most these two readings of its addresses.
  const stacksFor = memo((areElfAddresses: boolean) => new MessageStacks(tables, memory, areElfAddresses));
  const profiles = otlp.profiles.map((record): PreparedProfile => {
    const scopeAttributes = attributesOf(record.scope.attributes);
    const stacks = stacksFor(sendsElfAddresses(record.scope.name));
    const digest = digests.digest(record, attributesOf(record.resource), scopeAttributes, stacks);
    return { record, digest, resource: resourceFor(record.resource), scopeAttributes, stacks };
  });
  for (const { stacks } of profiles) stacks.seal();
  closeWire();
  return { ...tables, attributes: new SampleAttributes(table), profiles };
}

/** Profiles of one resource or scope share the list of its attributes: it is read once. */
function memo<Key, Value>(make: (key: Key) => Value): (key: Key) => Value {
  const made = new Map<Key, Value>();
  return (key) => {
    const known = made.get(key);
    if (known !== undefined) return known;
    const value = make(key);
    made.set(key, value);
    return value;
  };
}
