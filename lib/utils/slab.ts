import { markAsUntransferable } from 'node:worker_threads';

/** Small chunks share memory, as `Buffer.from` makes them: one that is kept holds no more than this. */
const SLAB_BYTES = 8 * 1024;
/** What is always left to be filled. */
const LEAST_ROOM = SLAB_BYTES / 2;

const slab = { bytes: create(), used: 0 };

/** Memory with room from `used` on: whoever fills it moves that. */
function slabWithRoom(): typeof slab {
  // Nothing is left of one that somebody has detached all the same.
  if (slab.bytes.byteLength - slab.used < LEAST_ROOM) {
    slab.bytes = create();
    slab.used = 0;
  }
  return slab;
}

/** Whoever transfers one chunk to a worker must not empty the others. */
function create(): Buffer {
  const bytes = Buffer.allocUnsafeSlow(SLAB_BYTES);
  markAsUntransferable(bytes.buffer);
  return bytes;
}

export { LEAST_ROOM, SLAB_BYTES, slabWithRoom };
