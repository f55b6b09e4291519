import type { NativeHandshake } from './native';

/** What the two ends agreed on in the handshake. */
type TLSInfo = {
  /** The cipher suite, as `TLS_AES_128_GCM_SHA256`. */
  readonly cipher: string | null;
  /** The group of the key exchange, as `X25519` or `X25519MLKEM768`. */
  readonly group: string | null;
  /** The application protocol (ALPN). */
  readonly applicationProtocol: string;
  /** The name that the client asked for (SNI); `null` if it asked for none, or for an address. */
  readonly serverName: string | null;
  /** The peer's certificate, DER; `null` if it showed none. */
  readonly peerCertificate: Uint8Array | null;
  /** Whether an earlier session was resumed: the peer's chain is then that of the session. */
  readonly isResumed: boolean;
};

function readTLS(told: NativeHandshake): TLSInfo {
  const { cipher, group, serverName, isResumed } = told;
  const leaf = told.peerCertChain?.[0];
  return {
    cipher,
    group,
    applicationProtocol: told.applicationProto.toString('utf8'),
    serverName,
    peerCertificate: leaf === undefined ? null : Buffer.from(leaf.buffer, leaf.byteOffset, leaf.byteLength),
    isResumed,
  };
}

export type { TLSInfo };
export { readTLS };
