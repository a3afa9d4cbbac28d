// Large buffers that are given back to the system at once. Their memory lies outside the heap, and a
// garbage collection that has little heap to look at does not hurry for it: gigabytes of dead bodies
// waited for one while every account said that they were gone.

/** Smaller ones may be parts of buffers that Node shares between many, and are the garbage collector's. */
const worthwhileBytes = 16 * 1024;

/**
 * The memory behind it is gone afterwards and the view is empty. Only what fills its buffer: a part of
 * one is left alone. Nobody may read or write it any more, native code (zlib, files) least of all.
 */
export function letGo(bytes: Uint8Array): void {
  const { buffer } = bytes;
  if (!(buffer instanceof ArrayBuffer) || buffer.detached) return;
  if (buffer.byteLength >= worthwhileBytes && bytes.byteLength === buffer.byteLength) buffer.transfer(0);
}
