import type { NativeConnection } from './native';
import type { PromiseDeconstructed } from './types';
import { onAbort, promise, quiet } from './utils/promise';

/** Counters of datagrams. */
type DatagramStats = {
  /** Taken to be sent. */
  sent: number;
  /** Not taken: too large, the queue full, or a peer that takes none. */
  refused: number;
  received: number;
  /** Never read: the queue was full, and the oldest had to go. */
  dropped: number;
  /** Waiting to be read. */
  queued: number;
};

/** Room for the largest datagram that a UDP packet can carry. */
const scratch = Buffer.allocUnsafeSlow(65_536);

/**
 * Datagrams (RFC 9221) of one connection. Those that came wait to be read in a bounded queue: when it is full the oldest is
 * dropped, since what is late is worth the least.
 */
class Datagrams implements AsyncIterable<Uint8Array> {
  readonly #handle: NativeConnection;
  readonly #limit: number;
  #queue: Uint8Array[] = [];
  #waiting: PromiseDeconstructed<Uint8Array | null>[] = [];
  #isEnded = false;
  readonly #counters = { sent: 0, refused: 0, received: 0, dropped: 0 };

  /** `limit`: how many may wait to be read. */
  constructor(handle: NativeConnection, limit: number) {
    this.#handle = handle;
    this.#limit = limit;
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
    const isSent = data.byteLength <= (this.maxSize ?? -1) && this.#handle.dgramSend(data);
    this.#counters[isSent ? 'sent' : 'refused'] += 1;
    return isSent;
  }

  /** Takes in what came, and tells each. */
  receive(onDatagram: (datagram: Uint8Array) => void): void {
    for (let length = this.#handle.dgramRecv(scratch); length >= 0; length = this.#handle.dgramRecv(scratch)) {
      const datagram = Buffer.from(scratch.subarray(0, length));
      this.#push(datagram);
      onDatagram(datagram);
    }
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

  #push(datagram: Uint8Array): void {
    this.#counters.received += 1;
    const first = this.#waiting.shift();
    if (first !== undefined) {
      first.resolveP(datagram);
      return;
    }
    this.#queue.push(datagram);
    if (this.#queue.length <= this.#limit) return;
    this.#queue.shift();
    this.#counters.dropped += 1;
  }
}

export type { DatagramStats };
export default Datagrams;
