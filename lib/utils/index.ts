import type { Callback, Class, ConnectionId, ConnectionIdString, StreamId } from '../types';
import events from 'node:events';

const textEncoder = new TextEncoder();

const textDecoder = new TextDecoder('utf-8');

/** Lets other microtasks run. */
async function yieldMicro(): Promise<void> {
  return new Promise((resolve) => queueMicrotask(resolve));
}

// eslint-disable-next-line @typescript-eslint/no-invalid-void-type -- a callback without a value
type Given<T extends unknown[]> = T extends [] ? void : T extends [unknown] ? T[0] : T;

/** Makes a function that calls back one that answers by promise. Of an overloaded function it takes one signature. */
function promisify<T extends unknown[], P extends unknown[], R extends Given<T>>(
  f: (...args: [...params: P, callback: Callback<T>]) => unknown,
): (...params: P) => Promise<R> {
  return function (this: unknown, ...params: P): Promise<R> {
    return new Promise((resolve, reject) => {
      const callback = (error?: Error | null, ...values: unknown[]): void => {
        if (error instanceof Error) reject(error);
        else resolve((values.length < 2 ? values[0] : values) as R);
      };
      f.call(this, ...params, callback);
    });
  };
}

/** Bytes as Buffer, sharing their memory. */
function bufferWrap(bytes: ArrayBuffer | ArrayBufferView, offset?: number, length?: number): Buffer {
  if (Buffer.isBuffer(bytes)) return bytes;
  if (ArrayBuffer.isView(bytes)) {
    return Buffer.from(bytes.buffer as ArrayBuffer, offset ?? bytes.byteOffset, length ?? bytes.byteLength);
  }
  return Buffer.from(bytes, offset, length);
}

/** `<class>: <description> - <message>`, with what there is. */
function formatError(error: Error & { description?: string }): string {
  const description = error.description === undefined || error.description === '' ? '' : `: ${error.description}`;
  return `${error.name}${description}${error.message === '' ? '' : ` - ${error.message}`}`;
}

function encodeConnectionId(id: ConnectionId): ConnectionIdString {
  return id.toString('hex') as ConnectionIdString;
}

function decodeConnectionId(id: ConnectionIdString): ConnectionId {
  return Buffer.from(id, 'hex') as ConnectionId;
}

// RFC 9000 §2.1: the lowest bit tells the initiator, the second the kind.

function isStreamClientInitiated(streamId: StreamId): boolean {
  return (streamId & 1) === 0;
}

function isStreamServerInitiated(streamId: StreamId): boolean {
  return (streamId & 1) === 1;
}

function isStreamBidirectional(streamId: StreamId): boolean {
  return (streamId & 2) === 0;
}

function isStreamUnidirectional(streamId: StreamId): boolean {
  return (streamId & 2) === 2;
}

/** The peer's code, if an error of quiche says that the peer stopped a stream. */
function isStreamStopped(error: Error): number | false {
  return codeIn(/^StreamStopped\((\d+)\)$/, error);
}

/** The peer's code, if an error of quiche says that the peer reset a stream. */
function isStreamReset(error: Error): number | false {
  return codeIn(/^StreamReset\((\d+)\)$/, error);
}

function codeIn(pattern: RegExp, { message }: Error): number | false {
  const code = pattern.exec(message)?.[1];
  return code === undefined ? false : Number(code);
}

/** Lets many listeners be added before Node warns of a leak. */
function setMaxListeners(target: EventTarget | NodeJS.EventEmitter, limit = 100_000): void {
  events.setMaxListeners(limit, target);
}

export type { Class };
export * from './address';
export { collectPEMs, pemToDER, derToPEM } from './pem';
export { promise } from './promise';
export { mintToken, validateToken } from './token';
export {
  textEncoder,
  textDecoder,
  yieldMicro,
  promisify,
  bufferWrap,
  formatError,
  encodeConnectionId,
  decodeConnectionId,
  isStreamClientInitiated,
  isStreamServerInitiated,
  isStreamBidirectional,
  isStreamUnidirectional,
  isStreamStopped,
  isStreamReset,
  setMaxListeners,
};
