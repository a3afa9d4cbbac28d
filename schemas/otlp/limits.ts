// What one OTLP message may hold, beside its bytes: these bound what a few bytes can become in columns.
// The receiver refuses what is beyond one before it acknowledges it (413, "send it in parts"); the
// processor, whose topic others may feed too, checks the same again. Equal on both sides: what is
// acknowledged must never be too large to store.
//
// The largest real messages seen have a few thousand samples and 60 thousand stack entries. With these
// a message's columns are at most 45 MB of rows, 50 MB of frames and 70 MB of lists, and its rows never
// more bytes on flamelake.rows than the log takes (lib/log/limits.ts): a test tries.

export const resourcesMax = 65_536;
export const profilesMax = 262_144;
/** An empty sample takes 2 bytes on the wire and 84 as a row. */
export const samplesMax = 524_288;
/** Timestamps, or values where there are none: each is a row. */
export const observationsMax = 524_288;
/** Entries of each dictionary table. */
export const tableEntriesMax = 1_048_576;
/** Frames of all stacks together: location_indices, and for a location with inlined calls each of its lines. */
export const stackEntriesMax = 4_194_304;
/** location_indices of one stack: profilers cut at 128 to 2048; a JVM gives at most 1024 by default. */
export const stackDepthMax = 65_536;
/** Attribute lists of one sample, location, mapping or profile. */
export const attributesMax = 1_024;
/** References to attributes: of all samples, of all locations, of all mappings. */
export const attributeEntriesMax = 4_194_304;
/** AnyValue within AnyValue. Real attributes nest twice; decoders of others stop at ~30. */
export const anyValueDepthMax = 16;
/**
 * Text and bytes within lists and maps of attribute values, each time that one is referred to: they become
 * JSON texts, up to six bytes for one, and a reference of four bytes may stand for a text of megabytes.
 */
export const nestedBytesMax = 8 * 1024 * 1024;
