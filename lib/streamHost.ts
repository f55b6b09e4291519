import type { ConnectionParts } from './connectionParts';
import type { NativeConnection } from './native';
import type QUICStream from './QUICStream';
import type { ConnectionMetadata } from './types';
import type Emitter from './utils/emitter';
import { toCode, toReason } from './reasons';

/** What a stream needs that its connection itself gives. */
interface Surroundings {
  readonly emitter: Emitter;
  /** Something may want to be sent. */
  wake(): void;
  /** Both halves have ended. */
  release(stream: QUICStream): void;
  /** Why the connection has ended, if it has: a listener who is told of one stream's end may use another one. */
  whyEnded(): unknown;
  meta(): ConnectionMetadata;
}

/** What a stream needs of its connection. */
interface StreamHost extends Surroundings {
  readonly handle: NativeConnection;
  readonly chunkSize: number;
  /** The user's translations; neither throws. */
  reasonToCode(type: 'read' | 'write', reason: unknown): number;
  codeToReason(type: 'read' | 'write', code: number): unknown;
}

function streamHost(parts: ConnectionParts, surroundings: Surroundings): StreamHost {
  const { handle, config, reasonToCode, codeToReason } = parts;
  return {
    ...surroundings,
    handle,
    chunkSize: config.settings.readableChunkSize,
    reasonToCode: (type, reason) => toCode(reasonToCode, type, reason),
    codeToReason: (type, code) => toReason(codeToReason, type, code),
  };
}

export type { StreamHost };
export { streamHost };
