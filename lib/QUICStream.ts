import type { Duplex } from 'node:stream';
import type { ReadableStream, WritableStream } from 'node:stream/web';
import type { NativeConnection } from './native';
import type { StreamHost } from './streamHost';
import type { HalfWatcher } from './streamAdapters';
import type { Half } from './streamState';
import type { ConnectionMetadata, PromiseDeconstructed, StreamId } from './types';
import { isUint8Array } from 'node:util/types';
import * as errors from './errors';
import * as events from './events';
import { BLOCKED, FINISHED, Shutdown, peerCode, readEnds, readLength } from './native';
import { localRead, localWrite, peerRead, peerWrite } from './streamErrors';
import { TAKEN, toDuplex, toReadable, toWritable } from './streamAdapters';
import { ENDED, ENDING, OPEN, advance, failureOf, isClosed } from './streamState';
import Emitter from './utils/emitter';
import { expectPriority, notBytes, toSignal } from './utils/expect';
import { type Abortable, onAbort, promise, quiet, rejected } from './utils/promise';
import { LEAST_ROOM, SLAB_BYTES, slabWithRoom } from './utils/slab';

/** Bytes that wait to be taken. */
type PendingWrite = {
  bytes: Uint8Array;
  isLast: boolean;
  resolve: () => void;
  reject: (reason: unknown) => void;
};

type PendingRead = { resolve: (chunk: Uint8Array | null) => void; reject: (reason: unknown) => void };

/** What a writer who awaits each write may write in one turn of the event loop. */
const TURN_BYTES = 512 * 1024;

const EMPTY = new Uint8Array(0);

/**
 * One stream of a connection. Read and write it by the lean calls (`read`, `write`, `end`, `for await`), as web streams
 * (`readable`, `writable`), or as a Node stream (`toDuplex`): choose one way for each direction.
 */
class QUICStream extends Emitter implements AsyncIterable<Uint8Array>, AsyncDisposable {
  readonly streamId: StreamId;
  readonly type: 'bidi' | 'uni';
  readonly initiated: 'local' | 'peer';
  readonly #host: StreamHost;
  readonly #handle: NativeConnection;
  /** Whether the peer's credit covers this stream. */
  #isOpened: boolean;
  /** Whether the addon knows this stream. */
  #isUsed: boolean;
  #read: Half;
  #write: Half;
  #reads: PendingRead[] = [];
  #writes: PendingWrite[] = [];
  /** Halves shut down before the stream was opened, with their codes. */
  #shutdowns: [Shutdown, number][] = [];
  #priority: [urgency: number, incremental: boolean] | undefined;
  /** What came before the connection ended, and wasn't read yet. */
  #leftovers: Uint8Array[] = [];
  /** Whether little is there at a time: it is read without asking how much. */
  #readsSmall = true;
  /** Halves whose end wasn't told yet. */
  #untold: number;
  /** Whether reading has ended, and nobody was told yet. */
  #owesEnd = false;
  /** Whether all that came has been read: a read would find nothing. */
  #isDry: boolean;
  #bytesRead = 0;
  #bytesWritten = 0;
  /** Bytes taken since its writer last let others have a turn. */
  #sinceTurn = 0;
  #closed: PromiseDeconstructed<void> | undefined;
  #readWatcher: HalfWatcher | undefined;
  #writeWatcher: HalfWatcher | undefined;
  #readable: ReadableStream<Uint8Array> | undefined;
  #writable: WritableStream<Uint8Array> | undefined;

  /** @internal Streams are made by their connection. */
  constructor(host: StreamHost, streamId: StreamId, initiated: 'local' | 'peer', isOpened: boolean) {
    super();
    this.relayTo(host.emitter);
    this.#host = host;
    this.#handle = host.handle;
    this.streamId = streamId;
    this.initiated = initiated;
    // RFC 9000 §2.1: the second bit tells the kind.
    this.type = (streamId & 2) === 0 ? 'bidi' : 'uni';
    this.#isOpened = isOpened;
    this.#isUsed = initiated === 'peer';
    this.#isDry = initiated === 'local';
    this.#untold = this.type === 'bidi' ? 2 : 1;
    this.#read = this.type === 'uni' && initiated === 'local' ? ENDED : OPEN;
    this.#write = this.type === 'uni' && initiated === 'peer' ? ENDED : OPEN;
  }

  get readClosed(): boolean {
    return isClosed(this.#read);
  }

  get writeClosed(): boolean {
    return isClosed(this.#write);
  }

  get closed(): boolean {
    return this.readClosed && this.writeClosed;
  }

  /** Resolves when both directions have ended, however they did. */
  get closedP(): Promise<void> {
    if (this.#closed === undefined) {
      this.#closed = promise();
      if (this.closed) this.#closed.resolveP();
    }
    return this.#closed.p;
  }

  /** Whom the stream's connection joins, and by which certificates. */
  get meta(): ConnectionMetadata {
    return this.#host.meta();
  }

  /** Bytes that went through this stream: read by the application, and taken from it. */
  get stats(): { bytesRead: number; bytesWritten: number } {
    return { bytesRead: this.#bytesRead, bytesWritten: this.#bytesWritten };
  }

  /** The reading side as a web stream; the peer can send no more than it takes. */
  get readable(): ReadableStream<Uint8Array> {
    return (this.#readable ??= toReadable(this));
  }

  /** The writing side as a web stream; `writer.ready` waits while the peer takes no more. */
  get writable(): WritableStream<Uint8Array> {
    return (this.#writable ??= toWritable(this));
  }

  /** Both sides as one Node stream. Where the peer reads no more, writing fails when what it sent is read, or nobody reads. */
  toDuplex(): Duplex {
    return toDuplex(this);
  }

  /**
   * The next bytes; `null` at the end. Rejects with the reason why reading was given up, by us or by the peer. An aborted
   * signal ends the waiting with its reason, and takes nothing from the stream.
   *
   * Small chunks share memory, as those of `Buffer.from` do, and can't be transferred: copy what you want to transfer.
   */
  read(options?: { signal?: AbortSignal }): Promise<Uint8Array | null> {
    let signal: Abortable | undefined;
    try {
      signal = options === undefined ? undefined : toSignal(options.signal);
      signal?.throwIfAborted();
      const chunk = this.readNow();
      if (chunk !== undefined) return Promise.resolve(chunk);
    } catch (reason) {
      return rejected(reason);
    }
    return signal === undefined ? this.#queueRead() : this.#queueReadUnless(signal);
  }

  /**
   * Sends bytes. Resolves when all are taken; until then leave them unchanged. Await it to write no faster than the peer
   * reads. Rejects with the reason why writing was given up, by us or by the peer.
   */
  write(chunk: Uint8Array): Promise<void> {
    return this.#offer(chunk, false);
  }

  /** Sends the last bytes, if any, and the end. Resolves when they are taken; a second end is none. */
  end(chunk: Uint8Array = EMPTY): Promise<void> {
    const hasEnded = this.#write.status === 'ending' || this.#write.status === 'ended';
    if (hasEnded && isUint8Array(chunk) && chunk.byteLength === 0) return TAKEN;
    return this.#offer(chunk, true);
  }

  /** Reads no more, and tells the peer by a code. What waits to be read is dropped. */
  cancelRead(reason?: unknown): void {
    if (isClosed(this.#read)) return;
    const code = this.#host.reasonToCode('read', reason);
    // The application's translation may have given it up as well.
    if (isClosed(this.#read)) return;
    this.#unlessEnded(() => {
      this.#discard();
      this.#shutdown(Shutdown.Read, code);
    });
    this.#failRead(reason, localRead(code, reason));
    this.#tellReadWatcher();
  }

  /** Writes no more, and tells the peer by a code. What wasn't sent yet is dropped. */
  abortWrite(reason?: unknown): void {
    if (isClosed(this.#write)) return;
    const code = this.#host.reasonToCode('write', reason);
    if (isClosed(this.#write)) return;
    this.#unlessEnded(() => this.#shutdown(Shutdown.Write, code));
    this.#failWrite(reason, localWrite(code, reason));
  }

  /** Gives up both directions; here everything that waits rejects with `reason` itself. A field, so that it stays bound. */
  readonly cancel = (reason?: unknown): void => {
    this.cancelRead(reason);
    this.abortWrite(reason);
  };

  /** @internal Gives up all but what was written up to an end. */
  abandon(reason: unknown): void {
    this.cancelRead(reason);
    if (this.#write.status === 'open') this.abortWrite(reason);
  }

  /** Waits until both directions have ended; with `force`, the default, gives them up first. */
  async destroy({ force = true, reason }: { force?: boolean; reason?: unknown } = {}): Promise<void> {
    if (force) this.cancel(reason);
    await this.closedP;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.destroy();
  }

  /** Chunks until the end; leaving the loop early gives up reading. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    try {
      for (let chunk = await this.read(); chunk !== null; chunk = await this.read()) yield chunk;
    } finally {
      this.cancelRead();
    }
  }

  /**
   * Which streams go first when there is more to send than may be sent.
   *
   * @param urgency - 0 (first) to 255; default 127
   * @param incremental - whether it shares with others of its urgency (default), or they are sent one after the other
   * @throws {RangeError} the urgency can't be
   */
  priority(urgency: number, incremental = true): void {
    expectPriority(urgency, incremental);
    if (this.writeClosed) return;
    this.#priority = [urgency, incremental];
    if (!this.#isOpened) return;
    this.#unlessEnded(() => {
      this.use();
      this.#handle.streamPriority(this.streamId, urgency, incremental);
    });
  }

  /** @internal Makes the connection count the stream, before anything is written. The peer learns nothing yet. */
  use(): void {
    if (this.#isUsed || !this.#isOpened) return;
    this.#isUsed = true;
    this.#handle.streamWrite(this.streamId, EMPTY, false);
  }

  /** @internal Reads what is there, without waiting: `undefined` if nothing is. */
  readNow(): Uint8Array | null | undefined {
    if (this.#reads.length > 0) return undefined;
    const chunk = this.#take();
    this.#tellEnd();
    return chunk;
  }

  /** @internal Whether reading has ended and nothing is left to be read. */
  get isReadDone(): boolean {
    return this.#read.status === 'ended' && this.#leftovers.length === 0;
  }

  /** @internal */
  watchRead(watcher: HalfWatcher): void {
    this.#readWatcher = watcher;
    this.#tellReadWatcher();
  }

  /** @internal */
  watchWrite(watcher: HalfWatcher): void {
    this.#writeWatcher = watcher;
    if (isClosed(this.#write)) watcher(failureOf(this.#write));
  }

  /** @internal The peer's credit covers it now. */
  onOpened(): void {
    this.#isOpened = true;
    this.use();
    if (this.#priority !== undefined) this.#handle.streamPriority(this.streamId, ...this.#priority);
    for (const [direction, code] of this.#shutdowns) this.#handle.streamShutdown(this.streamId, direction, code);
    this.#shutdowns = [];
    this.onWritable();
  }

  /** @internal Data, the end, or a reset came. */
  onReadable(): void {
    this.#isDry = false;
    this.#serveReads();
    this.#learnEnd();
  }

  /** Nobody reads now, but everybody wants to know of the end. */
  #learnEnd(): void {
    if (this.#read.status !== 'open' || this.#isDry || !this.#handle.streamFinished(this.streamId)) return;
    try {
      this.#receive(EMPTY);
      this.#tellEnd();
    } catch {
      // Reset by the peer: those concerned have been told.
    }
    this.#tellReadWatcher();
  }

  /** @internal There is room again, or the peer reads no more. */
  onWritable(): void {
    if (isClosed(this.#write)) return;
    for (let write = this.#writes.at(0); write !== undefined; write = this.#writes.at(0)) {
      const taken = this.#push(write.bytes, write.isLast);
      if (taken < 0) return;
      if (taken < write.bytes.byteLength || !this.#isOpened) {
        write.bytes = write.bytes.subarray(taken);
        return;
      }
      this.#writes.shift();
      write.resolve();
      if (write.isLast) this.#endWrite();
    }
    // Whoever was told of a write that is done may have ended everything.
    if (this.#isUsed && !isClosed(this.#write)) this.#learnStop(this.#handle.streamCapacity(this.streamId));
  }

  /** @internal The connection ended: what came before can still be read, if `keepsReceived`. */
  onConnectionEnd(error: unknown, keepsReceived: boolean): void {
    if (keepsReceived) this.#rescue();
    if (!isClosed(this.#read)) {
      const code = this.#host.reasonToCode('read', error);
      if (!isClosed(this.#read)) this.#failRead(error, localRead(code, error));
    }
    this.#tellReadWatcher();
    if (!isClosed(this.#write)) {
      const code = this.#host.reasonToCode('write', error);
      if (!isClosed(this.#write)) this.#failWrite(error, localWrite(code, error));
    }
  }

  #queueRead(): Promise<Uint8Array | null> {
    return quiet(new Promise((resolve, reject) => this.#reads.push({ resolve, reject })));
  }

  #queueReadUnless(signal: Abortable): Promise<Uint8Array | null> {
    const { p, resolveP, rejectP } = promise<Uint8Array | null>();
    const waiting: PendingRead = { resolve: resolveP, reject: rejectP };
    this.#reads.push(waiting);
    const detach = onAbort(signal, (reason) => {
      this.#reads = this.#reads.filter((other) => other !== waiting);
      rejectP(reason);
    });
    return quiet(p.finally(detach));
  }

  /** Takes what can be read now: bytes, `null` at the end, `undefined` if nothing is there. Throws when reading failed. */
  #take(): Uint8Array | null | undefined {
    if (this.#leftovers.length > 0) return this.#leftovers.shift();
    if (this.#read.status === 'failed') throw this.#read.reason;
    if (this.#read.status === 'ended') return null;
    if (!this.#isUsed || this.#isDry) return undefined;
    return this.#readsSmall && this.#host.chunkSize >= SLAB_BYTES ? this.#takeSmall() : this.#takeExactly();
  }

  /** Reads where it stays, beside others: one call of the addon. */
  #takeSmall(): Uint8Array | null | undefined {
    const slab = slabWithRoom();
    const { bytes, used: at } = slab;
    const length = this.#receive(bytes, at);
    if (length === undefined || length === null) return length;
    slab.used += length;
    this.#readsSmall = slab.used < SLAB_BYTES;
    return bytes.subarray(at, at + length);
  }

  /** Reads into memory of just that size. */
  #takeExactly(): Uint8Array | null | undefined {
    const { chunkSize } = this.#host;
    const size = this.#handle.streamReadableLen(this.streamId, chunkSize);
    this.#readsSmall = size <= LEAST_ROOM;
    const chunk = Buffer.allocUnsafeSlow(size);
    const length = this.#receive(chunk);
    // All that was there; what comes later is told.
    if (size < chunkSize) this.#isDry = true;
    return typeof length === 'number' ? chunk : length;
  }

  /**
   * Reads into a buffer, from `at` on: bytes read, `null` at the end, `undefined` if nothing is there. Throws when reading
   * failed.
   */
  #receive(buffer: Uint8Array, at = 0): number | null | undefined {
    const packed = this.#handle.streamRead(this.streamId, buffer, at);
    if (packed === BLOCKED) {
      this.#isDry = true;
      return undefined;
    }
    // Reading gives the peer credit, or takes note of its reset.
    this.#host.wake();
    if (packed < FINISHED) throw this.#onReset(peerCode(packed));
    const isEnd = packed === FINISHED || readEnds(packed);
    const length = packed === FINISHED ? 0 : readLength(packed);
    this.#bytesRead += length;
    this.#isDry = length < buffer.byteLength - at;
    if (isEnd) {
      this.#read = advance(this.#read, ENDED);
      // Later: listeners may read, be it from here, and first comes who reads now.
      this.#owesEnd = true;
    }
    if (length > 0) return length;
    return isEnd ? null : undefined;
  }

  /** Gives those who wait what is there. Throws what the addon throws: they go on waiting. */
  #serveReads(): void {
    for (let read = this.#reads.shift(); read !== undefined; read = this.#reads.shift()) {
      let chunk: Uint8Array | null | undefined;
      try {
        chunk = this.#take();
      } catch (reason) {
        if (this.#read.status === 'failed') {
          read.reject(reason);
          return;
        }
        this.#reads.unshift(read);
        throw reason;
      }
      if (chunk === undefined) {
        this.#reads.unshift(read);
        return;
      }
      read.resolve(chunk);
      this.#tellEnd();
    }
  }

  #onReset(code: number): unknown {
    const reason = this.#host.codeToReason('read', code);
    // The application's translation may have given it up.
    if (isClosed(this.#read)) return failureOf(this.#read)?.reason;
    this.#failRead(reason, peerRead(code, reason));
    return reason;
  }

  /** Before the connection goes, reads all that came; bounded by the windows we gave the peer. */
  #rescue(): void {
    this.#isDry = false;
    const rescued: Uint8Array[] = [];
    try {
      this.#serveReads();
      if (this.#read.status !== 'open' || this.#reads.length > 0) return;
      for (let chunk = this.#take(); chunk instanceof Uint8Array; chunk = this.#take()) rescued.push(chunk);
    } catch {
      // Reset, or the addon has let go already.
    }
    this.#leftovers = rescued;
    this.#tellEnd();
  }

  #offer(chunk: Uint8Array, isLast: boolean): Promise<void> {
    if (!isUint8Array(chunk)) return rejected(notBytes(chunk, 'chunk'));
    if (this.#write.status !== 'open') return rejected(this.#whyNotWritable());
    if (isLast) this.#write = advance(this.#write, ENDING);
    let bytes = chunk;
    if (this.#writes.length === 0 && this.#isOpened) {
      let taken: number;
      try {
        taken = this.#push(chunk, isLast);
      } catch (error) {
        return rejected(this.#host.whyEnded() ?? error);
      }
      if (taken < 0) return rejected(this.#whyNotWritable());
      if (taken === chunk.byteLength) {
        if (isLast) this.#endWrite();
        return isLast ? TAKEN : this.#takeTurns(taken);
      }
      bytes = chunk.subarray(taken);
    }
    return quiet(new Promise((resolve, reject) => this.#writes.push({ bytes, isLast, resolve, reject })));
  }

  /** Lets others have a turn of the event loop, once in a while, where a writer never has to wait. */
  #takeTurns(taken: number): Promise<void> {
    this.#sinceTurn += taken;
    if (this.#sinceTurn < TURN_BYTES) return TAKEN;
    this.#sinceTurn = 0;
    return new Promise((resolve) => setImmediate(resolve));
  }

  /** Hands bytes over: how many were taken; -1 if the peer reads no more. */
  #push(bytes: Uint8Array, isLast: boolean): number {
    if (!this.#isOpened) return 0;
    this.#isUsed = true;
    const packed = this.#handle.streamWrite(this.streamId, bytes, isLast);
    this.#host.wake();
    if (packed >= 0) {
      this.#bytesWritten += packed;
      return packed;
    }
    this.#learnStop(packed);
    return -1;
  }

  /** Looks in a packed answer whether the peer reads no more. A stream that is gone can only have been stopped. */
  #learnStop(packed: number): void {
    if (packed <= FINISHED) this.#onStopped(packed === FINISHED ? 0 : peerCode(packed));
  }

  #onStopped(code: number): void {
    const reason = this.#host.codeToReason('write', code);
    if (isClosed(this.#write)) return;
    this.#failWrite(reason, peerWrite(code, reason));
  }

  /** quiche forgets a stream that is shut down for reading only if nothing that came is left unread. */
  #discard(): void {
    if (!this.#isUsed) return;
    let packed = 0;
    while (packed >= 0 && !readEnds(packed))
      packed = this.#handle.streamDiscard(this.streamId, Number.MAX_SAFE_INTEGER);
  }

  #whyNotWritable(): unknown {
    if (this.#write.status === 'failed') return this.#write.reason;
    return new errors.ErrorQUICStreamInternal('The writing side has ended: nothing can be written after it');
  }

  /** Tells the addon something, which no longer matters where the connection has ended. */
  #unlessEnded(tell: () => void): void {
    try {
      tell();
    } catch (error) {
      if (this.#host.whyEnded() === undefined) throw error;
    }
  }

  #shutdown(direction: Shutdown, code: number): void {
    if (this.#isOpened) {
      this.use();
      this.#handle.streamShutdown(this.streamId, direction, code);
    } else {
      this.#shutdowns.push([direction, code]);
    }
    this.#host.wake();
  }

  /** Tells that reading has ended, once. */
  #tellEnd(): void {
    if (!this.#owesEnd) return;
    this.#owesEnd = false;
    if (this.#reads.length > 0) for (const read of this.#reads.splice(0)) read.resolve(null);
    this.tell(events.EventQUICStreamCloseRead, undefined);
    this.#closeHalf();
  }

  #endWrite(): void {
    this.#write = advance(this.#write, ENDED);
    this.tell(events.EventQUICStreamCloseWrite, undefined);
    this.#writeWatcher?.(null);
    this.#closeHalf();
  }

  #failRead(reason: unknown, error: errors.ErrorQUICStreamLocalRead | errors.ErrorQUICStreamPeerRead): void {
    this.#read = advance(this.#read, { status: 'failed', reason });
    for (const read of this.#reads.splice(0)) read.reject(reason);
    this.tell(events.EventQUICStreamError, error);
    this.tell(events.EventQUICStreamCloseRead, error);
    this.#closeHalf();
  }

  #failWrite(reason: unknown, error: errors.ErrorQUICStreamLocalWrite | errors.ErrorQUICStreamPeerWrite): void {
    this.#write = advance(this.#write, { status: 'failed', reason });
    for (const write of this.#writes.splice(0)) write.reject(reason);
    this.#writeWatcher?.({ reason });
    this.tell(events.EventQUICStreamError, error);
    this.tell(events.EventQUICStreamCloseWrite, error);
    this.#closeHalf();
  }

  /** Tells a web stream or Node stream of the end, once it can't read on. */
  #tellReadWatcher(): void {
    if (isClosed(this.#read) && this.#leftovers.length === 0) this.#readWatcher?.(failureOf(this.#read));
  }

  /** A half has ended, and that was told. */
  #closeHalf(): void {
    this.#untold -= 1;
    if (this.#untold > 0) return;
    this.tell(events.EventQUICStreamDestroy, undefined);
    this.#closed?.resolveP();
    this.#host.release(this);
    this.tell(events.EventQUICStreamDestroyed, undefined);
  }
}

export default QUICStream;
