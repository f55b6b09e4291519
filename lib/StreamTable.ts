import type { Ending } from './endings';
import type { StreamHost } from './streamHost';
import type { PromiseDeconstructed, StreamId } from './types';
import QUICStream from './QUICStream';
import { Shutdown } from './native';
import ChurnMap from './utils/churnMap';
import { type Abortable, onAbort, promise } from './utils/promise';

type Kind = 'bidi' | 'uni';

/** Who waits for the peer's credit. */
type Waiting = {
  /** Streams that have their ids already: the credit covers the lowest ids, so they come first. */
  streams: QUICStream[];
  /** Those who want a stream. */
  wanted: PromiseDeconstructed<QUICStream>[];
};

/** Ended streams whose delivery isn't known, after which it is looked into. */
const LEAST_UNDELIVERED = 64;

/** RFC 9000 §2.1: ids of one initiator and kind are four apart. */
const ID_STRIDE = 4;

/** The streams of one connection: opens ours as the peer's credit allows, takes in the peer's, knows which are delivered. */
class StreamTable {
  readonly #host: StreamHost;
  readonly #streams = new ChurnMap<number, QUICStream>();
  readonly #nextIds: Record<Kind, number>;
  /** How many more streams the peer is known to let us open. */
  readonly #credit: Record<Kind, number> = { bidi: 0, uni: 0 };
  readonly #waiting: Record<Kind, Waiting> = {
    bidi: { streams: [], wanted: [] },
    uni: { streams: [], wanted: [] },
  };
  /** Streams that have ended here, while the peer may not have got all of them. */
  #undelivered: number[] = [];
  #lookAt = LEAST_UNDELIVERED;

  constructor(host: StreamHost, side: 'client' | 'server') {
    this.#host = host;
    const first = side === 'client' ? 0 : 1;
    this.#nextIds = { bidi: first, uni: first + 2 };
  }

  get size(): number {
    return this.#streams.size;
  }

  get(id: number): QUICStream | undefined {
    return this.#streams.get(id);
  }

  values(): QUICStream[] {
    return [...this.#streams.values()];
  }

  /** A stream of ours, at once; beyond the peer's credit its bytes wait. */
  create(kind: Kind): QUICStream {
    const isCovered = this.#isCovered(kind);
    const stream = this.#add(kind, isCovered);
    if (!isCovered) this.#waiting[kind].streams.push(stream);
    return stream;
  }

  /** A stream of ours, when the peer's credit covers it. */
  async open(kind: Kind, signal: Abortable | undefined): Promise<QUICStream> {
    signal?.throwIfAborted();
    if (this.#isCovered(kind)) return this.create(kind);
    const wanted = promise<QUICStream>();
    const queue = this.#waiting[kind].wanted;
    queue.push(wanted);
    const detach = onAbort(signal, (reason) => {
      const at = queue.indexOf(wanted);
      if (at >= 0) queue.splice(at, 1);
      wanted.rejectP(reason);
    });
    return wanted.p.finally(detach);
  }

  /** A stream that the peer has opened. */
  accept(id: number): QUICStream {
    const stream = new QUICStream(this.#host, id as StreamId, 'peer', true);
    this.#streams.set(id, stream);
    return stream;
  }

  /** A stream that the peer has opened, and that nobody wants. */
  refuse(id: number, reason: unknown): void {
    const host = this.#host;
    host.handle.streamShutdown(id, Shutdown.Read, host.reasonToCode('read', reason));
    // RFC 9000 §2.1: the second bit tells unidirectional streams, which we can't reset.
    if ((id & 2) === 0) host.handle.streamShutdown(id, Shutdown.Write, host.reasonToCode('write', reason));
    host.wake();
  }

  /** Both directions of a stream have ended here. */
  release(stream: QUICStream): void {
    this.#streams.delete(stream.streamId);
    this.#undelivered.push(stream.streamId);
    if (this.#undelivered.length >= this.#lookAt) {
      this.isDelivered();
      this.#lookAt = Math.max(LEAST_UNDELIVERED, this.#undelivered.length * 2);
    }
  }

  /** The peer lets us open more streams. */
  onCredit(kind: Kind): void {
    const { streams, wanted } = this.#waiting[kind];
    while (streams.length + wanted.length > 0 && this.#hasCredit(kind)) {
      const stream = streams.shift();
      if (stream === undefined) {
        wanted.shift()?.resolveP(this.#add(kind, true));
      } else {
        this.#credit[kind] -= 1;
        stream.onOpened();
      }
    }
  }

  /** Opens none for those who wait for one. */
  refuseWanted(reason: unknown): void {
    for (const kind of ['bidi', 'uni'] as const) {
      for (const { rejectP } of this.#waiting[kind].wanted.splice(0)) rejectP(reason);
    }
  }

  /** Whether the peer has acknowledged all that was written to the streams that have ended. */
  isDelivered(): boolean {
    const ids = new Float64Array(this.#undelivered);
    this.#undelivered = [...ids.subarray(0, this.#host.handle.keepWritable(ids))];
    return this.#undelivered.length === 0;
  }

  /** The connection ends, and all streams with it. */
  end(ending: Ending, keepsReceived: boolean): void {
    for (const kind of ['bidi', 'uni'] as const) this.#waiting[kind].streams.length = 0;
    this.refuseWanted(ending.error);
    for (const stream of this.values()) stream.onConnectionEnd(ending.error, keepsReceived);
    this.#undelivered = [];
  }

  /** Whether the peer's credit covers one more stream, and nobody waits for it. */
  #isCovered(kind: Kind): boolean {
    const { streams, wanted } = this.#waiting[kind];
    return streams.length + wanted.length === 0 && this.#hasCredit(kind);
  }

  #hasCredit(kind: Kind): boolean {
    if (this.#credit[kind] === 0) {
      // The addon counts up to the newest that was used.
      this.get(this.#nextIds[kind] - ID_STRIDE)?.use();
      this.#credit[kind] = this.#host.handle.streamsLeft(kind === 'bidi');
    }
    return this.#credit[kind] > 0;
  }

  #add(kind: Kind, isCovered: boolean): QUICStream {
    const id = this.#nextIds[kind];
    this.#nextIds[kind] += ID_STRIDE;
    if (isCovered) this.#credit[kind] -= 1;
    const stream = new QUICStream(this.#host, id as StreamId, 'local', isCovered);
    this.#streams.set(id, stream);
    return stream;
  }
}

export default StreamTable;
