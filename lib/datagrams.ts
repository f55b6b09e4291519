import type { PromiseDeconstructed } from './types';
import { onAbort, promise, quiet } from './utils/promise';

/** Counters of datagrams that came. */
type DatagramStats = {
  received: number;
  /** Never read: the queue was full, and the oldest had to go. */
  dropped: number;
  /** Waiting to be read. */
  queued: number;
};

/**
 * Datagrams (RFC 9221) that came and wait to be read. Bounded: when it is full the oldest is dropped, since what is late
 * is worth the least.
 */
class DatagramQueue implements AsyncIterable<Uint8Array> {
  readonly #limit: number;
  #queue: Uint8Array[] = [];
  #waiting: PromiseDeconstructed<Uint8Array | null>[] = [];
  #isEnded = false;
  #received = 0;
  #dropped = 0;

  constructor(limit: number) {
    this.#limit = Math.max(1, limit);
  }

  get stats(): DatagramStats {
    return { received: this.#received, dropped: this.#dropped, queued: this.#queue.length };
  }

  push(datagram: Uint8Array): void {
    this.#received += 1;
    const first = this.#waiting.shift();
    if (first !== undefined) {
      first.resolveP(datagram);
      return;
    }
    this.#queue.push(datagram);
    if (this.#queue.length <= this.#limit) return;
    this.#queue.shift();
    this.#dropped += 1;
  }

  /** The next datagram; `null` when the connection has ended. */
  next(signal?: AbortSignal): Promise<Uint8Array | null> {
    if (signal?.aborted === true) return quiet(Promise.reject(signal.reason as Error));
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

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    for (let datagram = await this.next(); datagram !== null; datagram = await this.next()) yield datagram;
  }
}

export type { DatagramStats };
export default DatagramQueue;
