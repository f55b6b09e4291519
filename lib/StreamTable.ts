import type { Ending } from './endings';
import type { StreamHost } from './QUICStream';
import type { PromiseDeconstructed, StreamId } from './types';
import QUICStream from './QUICStream';
import { FINISHED, Shutdown } from './native';
import ChurnMap from './utils/churnMap';
import { onAbort, promise } from './utils/promise';

type Kind = 'bidi' | 'uni';

/** A stream, or somebody who wants one, in the order in which the peer's credit will cover them. */
type Waiting = QUICStream | PromiseDeconstructed<QUICStream>;

const EMPTY = new Uint8Array(0);

/** Ended streams whose delivery isn't known, after which it is looked into. */
const LEAST_UNDELIVERED = 64;

/** RFC 9000 §2.1: ids of one initiator and kind are four apart. */
const ID_STRIDE = 4;

/** The streams of one connection: opens ours as the peer's credit allows, takes in the peer's, knows which are delivered. */
class StreamTable {
  readonly #host: StreamHost;
  readonly #streams = new ChurnMap<number, QUICStream>();
  readonly #nextIds: Record<Kind, number>;
  readonly #waiting: Record<Kind, Waiting[]> = { bidi: [], uni: [] };
  /** Streams that have ended here, while the peer may not have got all of them. */
  readonly #undelivered = new Set<number>();
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
    if (!isCovered) this.#waiting[kind].push(stream);
    return stream;
  }

  /** A stream of ours, when the peer's credit covers it. */
  async open(kind: Kind, signal: AbortSignal | undefined): Promise<QUICStream> {
    signal?.throwIfAborted();
    if (this.#isCovered(kind)) return this.create(kind);
    const wanted = promise<QUICStream>();
    this.#waiting[kind].push(wanted);
    const detach = onAbort(signal, (reason) => {
      const at = this.#waiting[kind].indexOf(wanted);
      if (at >= 0) this.#waiting[kind].splice(at, 1);
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
    this.#undelivered.add(stream.streamId);
    if (this.#undelivered.size >= this.#lookAt) {
      this.isDelivered();
      this.#lookAt = Math.max(LEAST_UNDELIVERED, this.#undelivered.size * 2);
    }
  }

  /** The peer lets us open more streams. */
  onCredit(kind: Kind): void {
    const waiting = this.#waiting[kind];
    while (waiting.length > 0 && this.#host.handle.streamsLeft(kind === 'bidi') > 0) {
      const first = waiting.shift();
      if (first === undefined) return;
      if (first instanceof QUICStream) this.#openLate(first);
      else first.resolveP(this.#add(kind, true));
    }
  }

  /** Whether the peer has acknowledged all that was written to the streams that have ended. */
  isDelivered(): boolean {
    for (const id of this.#undelivered) {
      if (this.#isGone(id)) this.#undelivered.delete(id);
    }
    return this.#undelivered.size === 0;
  }

  /** The connection ends, and all streams with it. */
  end(ending: Ending, keepsReceived: boolean): void {
    for (const kind of ['bidi', 'uni'] as const) {
      for (const waiting of this.#waiting[kind].splice(0)) {
        if (!(waiting instanceof QUICStream)) waiting.rejectP(ending.error);
      }
    }
    for (const stream of this.values()) stream.onConnectionEnd(ending.error, keepsReceived);
    this.#undelivered.clear();
  }

  /** Whether the peer's credit covers one more stream, and nobody waits for it. */
  #isCovered(kind: Kind): boolean {
    return this.#waiting[kind].length === 0 && this.#host.handle.streamsLeft(kind === 'bidi') > 0;
  }

  #add(kind: Kind, isCovered: boolean): QUICStream {
    const id = this.#nextIds[kind];
    this.#nextIds[kind] += ID_STRIDE;
    if (isCovered) this.#use(id);
    const stream = new QUICStream(this.#host, id as StreamId, 'local', isCovered);
    this.#streams.set(id, stream);
    return stream;
  }

  #openLate(stream: QUICStream): void {
    this.#use(stream.streamId);
    stream.onOpened();
  }

  /** Writing nothing makes the connection count the stream, so that its credit is right. The peer learns nothing yet. */
  #use(id: number): void {
    this.#host.handle.streamWrite(id, EMPTY, false);
  }

  /** The addon forgets a stream once both directions are over and acknowledged. */
  #isGone(id: number): boolean {
    // Below are the codes of streams that the peer stopped: it wants nothing more.
    return this.#host.handle.streamCapacity(id) <= FINISHED;
  }
}

export default StreamTable;
