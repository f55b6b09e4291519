import type { NativeConnection } from './native';
import type { PromiseDeconstructed, QUICConfig } from './types';
import { markAsUntransferable } from 'node:worker_threads';
import { receiveRoom } from './config';
import { toSignal } from './utils/expect';
import { type Abortable, onAbort, promise, quiet, rejected } from './utils/promise';

/** Counters of datagrams. */
type DatagramStats = {
  /** Taken to be sent. */
  sent: number;
  /** Not taken: too large, the queue full, or a peer that takes none. */
  refused: number;
  /** Taken, and then dropped unsent for a newer one (`dgramDrop`). */
  displaced: number;
  received: number;
  /**
   * Never read: the queue was full. `dgramDrop` says which had to go; of more than 1024 in one turn the oldest.
   */
  dropped: number;
  /** Waiting to be read. */
  queued: number;
};

/** Room for the largest datagram that a UDP packet can carry, or for many. */
const scratch = Buffer.allocUnsafeSlow(65_536);
const lengths = new Int32Array(1024);

const OVER: IteratorReturnResult<undefined> = { done: true, value: undefined };

/**
 * Datagrams (RFC 9221) of one connection. Those that came wait to be read in a bounded queue, those to be sent in another
 * one inside quiche: when one is full, the oldest or the newest is dropped.
 */
class Datagrams implements AsyncIterable<Uint8Array> {
  readonly #handle: NativeConnection;
  readonly #limit: number;
  #queue: Uint8Array[] = [];
  #waiting: PromiseDeconstructed<Uint8Array | null>[] = [];
  #isEnded = false;
  readonly #drop: QUICConfig['dgramDrop'];
  readonly #counters = { sent: 0, refused: 0, displaced: 0, received: 0, dropped: 0 };

  /** `limit`: how many may wait to be read; `drop`: which goes when there are too many. */
  constructor(handle: NativeConnection, limit: number, drop: QUICConfig['dgramDrop']) {
    this.#handle = handle;
    this.#limit = limit;
    this.#drop = drop;
  }

  get stats(): DatagramStats {
    return { ...this.#counters, queued: this.#queue.length };
  }

  /** Largest datagram that fits now; `null` if the peer takes none, or the connection has ended. */
  get maxSize(): number | null {
    return this.#isEnded ? null : this.#handle.dgramMaxWritableLen();
  }

  /** Answers whether it was taken. */
  send(data: Uint8Array): boolean {
    const fits = data.byteLength <= (this.maxSize ?? -1);
    if (fits && this.#drop[1] === 'oldest' && this.#handle.isDgramSendQueueFull() && this.#handle.dgramDropOldest()) {
      this.#counters.displaced += 1;
    }
    const isSent = fits && this.#handle.dgramSend(data);
    this.#counters[isSent ? 'sent' : 'refused'] += 1;
    return isSent;
  }

  /** Takes in what came, and tells each. */
  receive(onDatagram: (datagram: Uint8Array) => void): void {
    let taken = 0;
    // Whoever is told of one may end the connection.
    for (let batch = this.#take(); batch.length > 0; batch = this.#isEnded ? [] : this.#take()) {
      taken += batch.length;
      for (const datagram of batch) {
        this.#push(datagram);
        onDatagram(datagram);
      }
    }
    if (taken >= receiveRoom(this.#limit)) this.#countLost();
  }

  /** What came, as much as the scratch holds: slices of one copy, which are kept and let go together. */
  #take(): Uint8Array[] {
    const count = this.#handle.dgramRecvMany(scratch, lengths);
    if (count === 0) return [];
    let total = 0;
    for (let i = 0; i < count; i++) total += lengths[i];
    const bytes = Buffer.from(scratch.subarray(0, total));
    // Whoever transfers one to a worker must not empty the others.
    if (count > 1) markAsUntransferable(bytes.buffer);
    const batch = new Array<Uint8Array>(count);
    for (let i = 0, at = 0; i < count; i++) batch[i] = bytes.subarray(at, (at += lengths[i]));
    return batch;
  }

  /** quiche's queue was full: what it dropped was received, too. */
  #countLost(): void {
    const lost = this.#handle.stats().dgramRecv - this.#counters.received;
    this.#counters.received += lost;
    this.#counters.dropped += lost;
  }

  /** The next datagram; `null` when the connection has ended. */
  next(given?: AbortSignal): Promise<Uint8Array | null> {
    let signal: Abortable | undefined;
    try {
      signal = toSignal(given);
      signal?.throwIfAborted();
    } catch (reason) {
      return rejected(reason);
    }
    const first = this.#queue.shift();
    if (first !== undefined) return Promise.resolve(first);
    if (this.#isEnded) return Promise.resolve(null);
    const wanted = promise<Uint8Array | null>();
    this.#waiting.push(wanted);
    const detach = onAbort(signal, (reason) => {
      this.#waiting = this.#waiting.filter((waiting) => waiting !== wanted);
      wanted.rejectP(reason);
    });
    return quiet(wanted.p.finally(detach));
  }

  /** What is queued can still be read. */
  end(): void {
    this.#isEnded = true;
    for (const waiting of this.#waiting.splice(0)) waiting.resolveP(null);
  }

  /** Not a generator: that would make each datagram wait for several promises. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array> {
    let hasReturned = false;
    const iterator: AsyncIterableIterator<Uint8Array> = {
      next: () => {
        if (hasReturned) return Promise.resolve(OVER);
        const first = this.#queue.shift();
        return first === undefined ? this.next().then(iteration) : Promise.resolve(iteration(first));
      },
      return: () => {
        hasReturned = true;
        return Promise.resolve(OVER);
      },
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }

  #push(datagram: Uint8Array): void {
    this.#counters.received += 1;
    const first = this.#waiting.shift();
    if (first !== undefined) {
      first.resolveP(datagram);
      return;
    }
    if (this.#queue.length >= this.#limit) {
      this.#counters.dropped += 1;
      if (this.#drop[0] === 'newest') return;
      this.#queue.shift();
    }
    // Of those that came together few may stay: they would hold the memory of all.
    this.#queue.push(this.#drop[0] === 'newest' ? Buffer.from(datagram) : datagram);
  }
}

function iteration(datagram: Uint8Array | null): IteratorResult<Uint8Array, undefined> {
  return datagram === null ? OVER : { done: false, value: datagram };
}

export type { DatagramStats };
export default Datagrams;
