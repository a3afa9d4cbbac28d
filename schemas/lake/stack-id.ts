// Stack ids, identity version 1. Frozen: a lake joins on them for as long as it lives, and every
// processor of a fleet must give the same. A change is a new version beside this one (settings.ts).
//
//   stack_id = hex(SHA-256(service)[0..4)) hex(SHA-256(stack)[0..12))        32 lower hex digits
//   service  = text(service.namespace) text(service.name)
//   stack    = part(frame)* 0:u32 text(cut reason)                           leaf first
//   frame    = 1:u8 text(build id) address:u64 n:u32 text(name){n}
//            | 2:u8 text(type) text(mapping) n:u32 (text(name) text(file) line:i64){n}
//   text     = length:u32 UTF-8; part: part.ts                               all little endian
//
// service.namespace and service.name are what stands in the row's columns, fallbacks included
// ('' = NULL): whoever reads the lake can tell the service part from the row alone.
// A frame is one location of the sender, with the n lines it gave, innermost call first; n = 0 where it
// is not symbolized. name = the function's name, or its system name where it has no other.
// With a build id (the build_id column: gnu, else go, else htlhash) the file and the address say it all,
// and names count since they may be the sender's alone. Without one an address means nothing beyond the
// process (JIT, anonymous memory, kernels without a note) and would make ids without end, so it is left
// out. Names that we add (symbols) are never in it: they must not change an id.
import { hash } from 'node:crypto';
import { ByteSink } from '../../lib/byte-sink.ts';
import { beginPart } from './part.ts';

export const identityVersion = 1;

const fileFrame = 1;
const namedFrame = 2;

/** Used again and again: the memory of a new one costs more than the hash. */
const serviceSink = new ByteSink(256);

/** 8 lower hex digits: what the rows of one service share, and what the shard follows from. */
export function servicePart(namespace: string, name: string): string {
  const sink = serviceSink;
  sink.clear();
  sink.text(namespace);
  sink.text(name);
  return digestOf(sink, 8);
}

/** Begins a frame in a file that has a build id; then `lines` times identifyName, then endPart with what it returns. */
export function identifyFileFrame(sink: ByteSink, buildId: string, addressLow: number, addressHigh: number, lines: number): number {
  const begin = beginPart(sink);
  sink.uint8(fileFrame);
  sink.text(buildId);
  sink.uint64(addressLow, addressHigh);
  sink.uint32(lines);
  return begin;
}

export function identifyName(sink: ByteSink, name: string): void {
  sink.text(name);
}

/** Begins a frame without build id; then `lines` times identifyLine, then endPart. */
export function identifyNamedFrame(sink: ByteSink, type: string, mapping: string, lines: number): number {
  const begin = beginPart(sink);
  sink.uint8(namedFrame);
  sink.text(type);
  sink.text(mapping);
  sink.uint32(lines);
  return begin;
}

export function identifyLine(sink: ByteSink, name: string, file: string, line: bigint): void {
  sink.text(name);
  sink.text(file);
  sink.bigint64(line);
}

/** Ends a stack whose frames are in the sink; `cut` is '' where it reaches its root. 24 lower hex digits. */
export function stackPart(sink: ByteSink, cut: string): string {
  // No part is empty.
  sink.uint32(0);
  sink.text(cut);
  return digestOf(sink, 24);
}

/** As digits at once: a Buffer for each costs more than the hashing. */
function digestOf(sink: ByteSink, digits: number): string {
  return hash('sha256', sink.view(), 'hex').slice(0, digits);
}
