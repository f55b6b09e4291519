import { Duplex } from 'node:stream';
import { ReadableStream, WritableStream } from 'node:stream/web';
import { isUint8Array } from 'node:util/types';
import { notBytes } from './utils/expect';

/** Told when a half has ended: gracefully, or with a reason. */
type HalfWatcher = (failure: { reason: unknown } | null) => void;

/** What a write that was taken at once gives: no promise of its own. */
const TAKEN = Promise.resolve();

/** What an adapter needs of a stream's reading half. */
interface ReadingHalf {
  read(): Promise<Uint8Array | null>;
  /** Bytes, `null` at the end, `undefined` if it has to wait; throws when reading has failed. */
  readNow(): Uint8Array | null | undefined;
  /** Whether reading has ended and nothing is left to be read. */
  readonly isReadDone: boolean;
  cancelRead(reason?: unknown): void;
  watchRead(watcher: HalfWatcher): void;
}

/** What an adapter needs of a stream's writing half. */
interface WritingHalf {
  /** `TAKEN` itself, if nothing waits. */
  write(chunk: Uint8Array): Promise<void>;
  /** The same. */
  end(): Promise<void>;
  abortWrite(reason?: unknown): void;
  watchWrite(watcher: HalfWatcher): void;
}

/** A web stream that reads when it is read, and not ahead: what waits stays with the connection, as backpressure. */
function toReadable(half: ReadingHalf): ReadableStream<Uint8Array> {
  let isOver = false;
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        half.watchRead((failure) => {
          if (isOver) return;
          isOver = true;
          if (failure === null) controller.close();
          else controller.error(failure.reason);
        });
      },
      pull(controller) {
        const give = (chunk: Uint8Array | null): void => {
          if (isOver) return;
          if (chunk !== null) controller.enqueue(chunk);
          if (chunk !== null && !half.isReadDone) return;
          isOver = true;
          controller.close();
        };
        const chunk = half.readNow();
        if (chunk === undefined) return half.read().then(give);
        give(chunk);
        return undefined;
      },
      cancel(reason) {
        isOver = true;
        half.cancelRead(reason);
      },
    },
    { highWaterMark: 0 },
  );
}

/** A web stream whose writer is ready when the connection has taken what was written before. */
function toWritable(half: WritingHalf): WritableStream<Uint8Array> {
  let isOver = false;
  let signal: AbortSignal | undefined;
  let getSignal: () => AbortSignal;
  const onAbort = () => {
    // The web stream is about to fail by itself; made to fail from here as well, it breaks in Node 20.
    isOver = true;
    half.abortWrite(signal?.reason);
  };
  // Abort waits for what is under way; the signal doesn't, and a peer that never reads must not hold it up. To listen costs
  // as much as half of the web stream, so that is done only where something waits.
  const abortable = (done: Promise<void>): Promise<void> | undefined => {
    if (done === TAKEN) return undefined;
    if (signal === undefined) {
      signal = getSignal();
      signal.addEventListener('abort', onAbort, { once: true });
    }
    return done;
  };
  return new WritableStream<Uint8Array>({
    start(controller) {
      getSignal = () => (controller as unknown as { signal: AbortSignal }).signal;
      half.watchWrite((failure) => {
        if (isOver) return;
        isOver = true;
        controller.error(failure === null ? new TypeError('The stream has ended') : failure.reason);
      });
    },
    write(chunk) {
      if (isUint8Array(chunk)) return abortable(half.write(chunk));
      // The web stream fails by it, and abort wouldn't be called any more.
      isOver = true;
      const error = notBytes(chunk, 'chunk');
      half.abortWrite(error);
      throw error;
    },
    close() {
      isOver = true;
      return abortable(half.end());
    },
    abort(reason) {
      isOver = true;
      half.abortWrite(reason);
    },
  });
}

/** A Node stream over both halves. */
function toDuplex(stream: ReadingHalf & WritingHalf): Duplex {
  let isReading = false;
  const duplex: Duplex = new Duplex({
    read() {
      isReading = true;
      stream.read().then(
        (chunk) => {
          isReading = false;
          duplex.push(chunk);
        },
        (reason: unknown) => duplex.destroy(toError(reason)),
      );
    },
    write(chunk: Uint8Array, _encoding, callback) {
      settle(stream.write(chunk), callback, whenRead);
    },
    final(callback) {
      settle(stream.end(), callback, whenRead);
    },
    destroy(error, callback) {
      stream.cancelRead(error ?? undefined);
      stream.abortWrite(error ?? undefined);
      callback(error);
    },
  });
  // A failed write destroys both sides of a Node stream. A peer that wants no more may have answered already (RFC 9114 §4.1), so
  // whoever is reading gets all of that first.
  const whenRead = (fail: () => void): void => {
    const isRead = duplex.readableDidRead || duplex.readableFlowing !== null;
    if (!isRead || duplex.readableEnded || duplex.destroyed) {
      fail();
      return;
    }
    let hasFailed = false;
    const failOnce = (): void => {
      if (!hasFailed) fail();
      hasFailed = true;
    };
    duplex.once('end', failOnce).once('close', failOnce);
  };
  stream.watchRead((failure) => {
    if (failure !== null) duplex.destroy(toError(failure.reason));
  });
  stream.watchWrite((failure) => {
    if (failure === null) return;
    const fail = (): unknown => duplex.destroy(toError(failure.reason));
    const isEmpty = stream.isReadDone && !isReading && duplex.readableLength === 0;
    if (isEmpty || duplex.readableEnded) fail();
    else duplex.once('end', fail);
  });
  return duplex;
}

/** Tells how a write came out; a failure not before it may be told. */
function settle(
  done: Promise<void>,
  callback: (error?: Error | null) => void,
  whenMayFail: (fail: () => void) => void,
): void {
  done.then(
    () => callback(),
    (reason: unknown) => whenMayFail(() => callback(toError(reason))),
  );
}

/** Node streams fail with errors only. */
function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error('The stream was given up', { cause: reason });
}

export type { HalfWatcher };
export { TAKEN, toReadable, toWritable, toDuplex };
