// Which field numbers the samples of a message use. OTLP 1.10 renumbered them within the same package
// and nothing in a message says so; reading one as the other would turn values into attributes.
//
//            stack  values  attribute_indices  link  timestamps
//   v1.9       1      2             3            4        5
//   v1.10      1      4             2            3        5
//
// The argument, strongest first; what decides ends it:
// 1. Fields 3 and 4 are lists in one layout and single numbers in the other, and every encoder known
//    packs lists (proto3's default). A packed field 3 is v1.9's attributes, a packed field 4 is
//    v1.10's values: neither can be anything else.
// 2. Where the samples' other lists are packed (each sample has values or timestamps, so one shows), a
//    single number in field 3 is v1.10's link, in field 4 v1.9's. Where they are not, or both are
//    there, a number repeated within a sample is a list.
// 3. Attributes by reference (key_strindex) came with 1.10, and a Collector that writes them writes
//    its own numbering. (After 1 and 2: those speak of the samples themselves.)
// 4. What remains has at most field 2 and timestamps in doubt: values or attributes? Indices must lie
//    inside their tables.
// 5. A sample has as many values as timestamps when it has both, and at least one of the two; a set of
//    attributes has no repeats and no entry 0.
// 6. An attribute that a location or mapping uses (a build id, a frame type) is none of a sample's, so
//    a "sample attribute" like that is a value.
// 7. Otherwise v1.10, the current one. Left to it: v1.9 samples without attributes and link, each with
//    as many values as timestamps, every value by chance the index of an attribute no location uses.
//    (And what is the same in both: nothing but stacks and timestamps.)
import { closeWire, enter, enterSpan, leave, more, openWire, position, readBytes, readInt32, readTag, skip } from '../../lib/wire.ts';

export type SampleLayout = 'v1.9' | 'v1.10';

interface Evidence {
  packs: boolean;
  unpacks: boolean;
  references: boolean;
  single3: boolean;
  single4: boolean;
  repeats3: boolean;
  repeats4: boolean;
  field2: IndexSpan;
  field3: IndexSpan;
  field4: IndexSpan;
  /** The first few different numbers of field 2, for rule 6. */
  distinct2: Set<number>;
  /** Whether every sample keeps rule 5 in that layout. */
  shape19: boolean;
  shape10: boolean;
  attributes: number;
  links: number;
  dictionaryAt: number;
  dictionaryBytes: number;
}

interface IndexSpan {
  min: number;
  max: number;
}

/** Decides for one message; throws message_malformed where its bytes can't be followed. */
export function sampleLayout(bytes: Uint8Array): SampleLayout {
  openWire(bytes);
  try {
    const evidence = emptyEvidence();
    return readMessage(evidence) ?? weigh(evidence);
  } finally {
    closeWire();
  }
}

function emptyEvidence(): Evidence {
  return {
    packs: false,
    unpacks: false,
    references: false,
    single3: false,
    single4: false,
    repeats3: false,
    repeats4: false,
    field2: { min: 0, max: 0 },
    field3: { min: 0, max: 0 },
    field4: { min: 0, max: 0 },
    distinct2: new Set(),
    shape19: true,
    shape10: true,
    attributes: 0,
    links: 0,
    dictionaryAt: 0,
    dictionaryBytes: 0,
  };
}

function weigh(evidence: Evidence): SampleLayout {
  if (evidence.packs && !evidence.unpacks && evidence.single3 !== evidence.single4) return evidence.single3 ? 'v1.10' : 'v1.9';
  if (evidence.repeats3 !== evidence.repeats4) return evidence.repeats3 ? 'v1.9' : 'v1.10';
  if (evidence.references) return 'v1.10';
  countTables(evidence);
  const fits19 = within(evidence.field3, evidence.attributes) && within(evidence.field4, evidence.links);
  const fits10 = within(evidence.field2, evidence.attributes) && within(evidence.field3, evidence.links);
  if (fits19 !== fits10) return fits19 ? 'v1.9' : 'v1.10';
  if (evidence.shape19 !== evidence.shape10) return evidence.shape19 ? 'v1.9' : 'v1.10';
  return evidence.distinct2.size > 0 && usedByFrames(evidence) ? 'v1.9' : 'v1.10';
}

/** Index 0 means none and needs no table. */
function within(span: IndexSpan, tableLength: number): boolean {
  return span.min >= 0 && (span.max === 0 || span.max < tableLength);
}

function readMessage(evidence: Evidence): SampleLayout | null {
  while (more()) {
    const tag = readTag();
    if (tag !== 10 && tag !== 18) {
      skip(tag);
      continue;
    }
    if (tag === 18) {
      evidence.dictionaryAt = readBytes();
      evidence.dictionaryBytes = position() - evidence.dictionaryAt;
      continue;
    }
    const outer = enter();
    const decided = readResourceProfiles(evidence);
    if (decided !== null) return decided;
    leave(outer);
  }
  return null;
}

function readResourceProfiles(evidence: Evidence): SampleLayout | null {
  while (more()) {
    const tag = readTag();
    if (tag !== 10 && tag !== 18) {
      skip(tag);
      continue;
    }
    const outer = enter();
    if (tag === 10) seeAttributes(evidence, 10);
    else {
      const decided = readScopeProfiles(evidence);
      if (decided !== null) return decided;
    }
    leave(outer);
  }
  return null;
}

function readScopeProfiles(evidence: Evidence): SampleLayout | null {
  while (more()) {
    const tag = readTag();
    if (tag !== 10 && tag !== 18) {
      skip(tag);
      continue;
    }
    const outer = enter();
    if (tag === 10) seeAttributes(evidence, 26);
    else {
      const decided = readProfile(evidence);
      if (decided !== null) return decided;
    }
    leave(outer);
  }
  return null;
}

function readProfile(evidence: Evidence): SampleLayout | null {
  while (more()) {
    const tag = readTag();
    if (tag !== 18) {
      skip(tag);
      continue;
    }
    const outer = enter();
    const decided = readSample(evidence);
    if (decided !== null) return decided;
    leave(outer);
  }
  return null;
}

/** Rule 1 ends the reading at once; most messages tell in their first sample. */
function readSample(evidence: Evidence): SampleLayout | null {
  let [count2, count3, count4, timestamps, last2] = [0, 0, 0, 0, -1];
  while (more()) {
    const tag = readTag();
    switch (tag) {
      case 26:
        return 'v1.9';
      case 34:
        return 'v1.10';
      case 18: {
        evidence.packs = true;
        const outer = enter();
        while (more()) {
          last2 = see2(evidence, readInt32(), last2);
          count2++;
        }
        leave(outer);
        break;
      }
      case 16:
        evidence.unpacks = true;
        last2 = see2(evidence, readInt32(), last2);
        count2++;
        break;
      case 24:
        widen(evidence.field3, readInt32());
        count3++;
        break;
      case 32:
        widen(evidence.field4, readInt32());
        count4++;
        break;
      case 42: {
        evidence.packs = true;
        const start = readBytes();
        timestamps += (position() - start) >>> 3;
        break;
      }
      case 41:
        evidence.unpacks = true;
        timestamps++;
        skip(tag);
        break;
      default:
        skip(tag);
    }
  }
  if (count3 > 0) evidence.single3 = true;
  if (count4 > 0) evidence.single4 = true;
  if (count3 > 1) evidence.repeats3 = true;
  if (count4 > 1) evidence.repeats4 = true;
  if (!shapeHolds(count2, timestamps)) evidence.shape19 = false;
  if (!shapeHolds(count4, timestamps)) evidence.shape10 = false;
  return null;
}

function shapeHolds(values: number, timestamps: number): boolean {
  if (values > 0 && timestamps > 0) return values === timestamps;
  return values > 0 || timestamps > 0;
}

function see2(evidence: Evidence, index: number, last: number): number {
  if (index === 0 || index === last) evidence.shape10 = false;
  widen(evidence.field2, index);
  if (evidence.shape19 && evidence.distinct2.size < distinctMax) evidence.distinct2.add(index);
  return index;
}

/** A message of 64 different values that are all indices of sample attributes is not worth more memory. */
const distinctMax = 64;

function widen(span: IndexSpan, index: number): void {
  if (index > span.max) span.max = index;
  if (index < span.min) span.min = index;
}

/** Looks for references in the KeyValues under this tag of a Resource or InstrumentationScope. */
function seeAttributes(evidence: Evidence, attributesTag: number): void {
  while (more()) {
    const tag = readTag();
    if (tag !== attributesTag || evidence.references) {
      skip(tag);
      continue;
    }
    const outer = enter();
    while (more()) {
      const inner = readTag();
      if (inner === 24) evidence.references = true;
      skip(inner);
    }
    leave(outer);
  }
}

/** Rule 4 alone needs it: rules before that tell most messages of others. */
function countTables(evidence: Evidence): void {
  enterSpan(evidence.dictionaryAt, evidence.dictionaryBytes);
  while (more()) {
    const tag = readTag();
    if (tag === 50) evidence.attributes++;
    else if (tag === 34) evidence.links++;
    skip(tag);
  }
}

/** Rule 6: the dictionary is read once more, for the attributes of its mappings and locations. */
function usedByFrames(evidence: Evidence): boolean {
  enterSpan(evidence.dictionaryAt, evidence.dictionaryBytes);
  while (more()) {
    const tag = readTag();
    if (tag !== 10 && tag !== 18) {
      skip(tag);
      continue;
    }
    const outer = enter();
    // mapping_table has its attribute_indices in field 5, location_table in field 4.
    if (listHolds(evidence.distinct2, tag === 10 ? 5 : 4)) return true;
    leave(outer);
  }
  return false;
}

/** Whether the repeated int32 of this field number, packed or not, has one of the wanted. */
function listHolds(wanted: ReadonlySet<number>, field: number): boolean {
  while (more()) {
    const tag = readTag();
    if (tag === ((field << 3) | 2)) {
      const outer = enter();
      while (more()) if (wanted.has(readInt32())) return true;
      leave(outer);
    } else if (tag === field << 3) {
      if (wanted.has(readInt32())) return true;
    } else skip(tag);
  }
  return false;
}
