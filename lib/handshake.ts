import type { NativeConnection } from './native';
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

/** What the handshake has told of a connection, so far. */
class Handshake {
  readonly #handle: NativeConnection;
  #ids: { readonly own: QUICConnectionId; readonly peer: QUICConnectionId };
  #remoteCerts: Uint8Array[] = [];
  #tls: TLSInfo | undefined;
  #earlyData: EarlyData = 'none';

  constructor(handle: NativeConnection) {
    this.#handle = handle;
    this.#ids = readIds(handle);
  }

  get ids(): { readonly own: QUICConnectionId; readonly peer: QUICConnectionId } {
    return this.#ids;
  }

  get remoteCerts(): Uint8Array[] {
    return this.#remoteCerts;
  }

  /** `undefined` before the handshake is complete. */
  get tls(): TLSInfo | undefined {
    return this.#tls;
  }

  get earlyData(): EarlyData {
    return this.#earlyData;
  }

  /** Early data can flow, or the handshake is complete. */
  advance(): void {
    this.#ids = readIds(this.#handle);
    this.#remoteCerts = this.#handle.peerCertChain() ?? [];
    if (!this.#handle.isEstablished()) {
      this.#earlyData = 'pending';
      return;
    }
    this.#tls = readTLS(this.#handle);
    if (this.#earlyData === 'pending') {
      this.#earlyData = this.#handle.earlyDataReason() === ACCEPTED ? 'accepted' : 'rejected';
    }
  }
}

function readIds(handle: NativeConnection): { own: QUICConnectionId; peer: QUICConnectionId } {
  return {
    own: QUICConnectionId.fromBuffer(handle.sourceId()),
    peer: QUICConnectionId.fromBuffer(handle.destinationId()),
  };
}

export type { EarlyData };
export default Handshake;
