import type { NativeConnection, NativeHandshake } from './native';
import type { TLSInfo } from './tls';
import QUICConnectionId from './QUICConnectionId';
import { readTLS } from './tls';

/**
 * What became of early data (0-RTT): `'none'` was possible, or wanted; the handshake is `'pending'`, and what is read on a
 * server may be a replay; the server has `'accepted'` it, or `'rejected'`, and gets it again.
 */
type EarlyData = 'none' | 'pending' | 'accepted' | 'rejected';

/** BoringSSL's `ssl_early_data_accepted`. */
const ACCEPTED = 2;

/** What the handshake has told of a connection, so far. The addon keeps it until somebody asks: few do. */
class Handshake {
  readonly #handle: NativeConnection;
  #isComplete = false;
  #earlyData: EarlyData = 'none';
  #told: NativeHandshake | undefined;
  #ids: { readonly own: QUICConnectionId; readonly peer: QUICConnectionId } | undefined;
  #remoteCerts: Uint8Array[] | undefined;
  #tls: TLSInfo | undefined;

  constructor(handle: NativeConnection) {
    this.#handle = handle;
  }

  /** Those of the handshake, however often the connection moves. Before it the peer's may be one that we have made up. */
  get ids(): { readonly own: QUICConnectionId; readonly peer: QUICConnectionId } {
    if (this.#ids !== undefined) return this.#ids;
    const told = this.#read();
    const own = told?.sourceId ?? Buffer.from(this.#handle.traceId(), 'hex');
    const ids = {
      own: QUICConnectionId.fromBuffer(own),
      peer: QUICConnectionId.fromBuffer(told?.destinationId ?? Buffer.alloc(0)),
    };
    if (told !== undefined) this.#ids = ids;
    return ids;
  }

  get remoteCerts(): Uint8Array[] {
    return (this.#remoteCerts ??= this.#read()?.peerCertChain ?? []);
  }

  /** `undefined` before the handshake is complete. */
  get tls(): TLSInfo | undefined {
    const told = this.#isComplete ? this.#read() : undefined;
    return told === undefined ? undefined : (this.#tls ??= readTLS(told));
  }

  get earlyData(): EarlyData {
    return this.#earlyData;
  }

  /** Early data can flow, or the handshake is complete. */
  advance(): void {
    this.#told = this.#ids = this.#remoteCerts = undefined;
    this.#isComplete = this.#handle.isEstablished();
    if (!this.#isComplete) {
      this.#earlyData = 'pending';
    } else if (this.#earlyData === 'pending') {
      this.#earlyData = this.#handle.earlyDataReason() === ACCEPTED ? 'accepted' : 'rejected';
    }
  }

  #read(): NativeHandshake | undefined {
    return (this.#told ??= this.#handle.handshake() ?? undefined);
  }
}

export type { EarlyData };
export default Handshake;
