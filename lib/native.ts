/** The only importer of the addon: its classes as they are, and helpers for what it answers in packed form. */
import type {
  ChainFailure,
  Connection as NativeConnection,
  DetachedConnection,
  ConnectionStats,
  EndpointOptions,
  EndpointStats,
  Handshake as NativeHandshake,
  Heard,
  PathStats,
  TlsSettings,
} from '../index.js';
import * as addon from '../index.js';

const { ChangeKind, Config: NativeConfig, Endpoint, UdpSocket, setLogger } = addon;
type ChangeKind = addon.ChangeKind;
type UdpSocket = addon.UdpSocket;
type NativeConfig = addon.Config;
type Endpoint = addon.Endpoint;

/** Error codes of the TLS handshake (RFC 9001 §4.8). */
const CryptoError = bothWays(addon.CryptoError);
type CryptoError = addon.CryptoError;

/** Error codes of QUIC itself (RFC 9000 §20.1). */
const ConnectionErrorCode = bothWays(addon.ConnectionErrorCode);
type ConnectionErrorCode = addon.ConnectionErrorCode;

/** Halves of a stream. */
const Shutdown = bothWays(addon.Shutdown);
type Shutdown = addon.Shutdown;

/** Congestion control algorithms, under the old names of quiche. */
const CongestionControlAlgorithm = bothWays({
  Reno: addon.CongestionControlAlgorithm.Reno,
  CUBIC: addon.CongestionControlAlgorithm.Cubic,
  BBR: addon.CongestionControlAlgorithm.Bbr2Gcongestion,
} as const);
type CongestionControlAlgorithm = (typeof CongestionControlAlgorithm)['Reno' | 'CUBIC' | 'BBR'];

/** Kinds of packets. `Header` tells them by name. */
const Type = bothWays({ Initial: 0, Retry: 1, Handshake: 2, ZeroRTT: 3, VersionNegotiation: 4, Short: 5 } as const);
type Type = (typeof Type)[keyof typeof Type];

/**
 * quiche's constants, functions and classes under the names of `@matrixai/quic`. Constants are the same; functions and
 * classes are those of `polykey-quic/native`, whose arguments follow quiche 0.30.
 */
const quiche = {
  MAX_CONN_ID_LEN: addon.MAX_CONN_ID_LEN,
  MIN_CLIENT_INITIAL_LEN: addon.MIN_CLIENT_INITIAL_LEN,
  PROTOCOL_VERSION: addon.PROTOCOL_VERSION,
  MAX_DATAGRAM_SIZE: 1350,
  MAX_UDP_PACKET_SIZE: 65_535,
  MAX_STREAM_WINDOW: 16 * 1024 * 1024,
  MAX_CONNECTION_WINDOW: 24 * 1024 * 1024,
  CRYPTO_ERROR_START: 0x100,
  CRYPTO_ERROR_STOP: 0x1ff,
  CongestionControlAlgorithm,
  Shutdown,
  Type,
  ConnectionErrorCode,
  negotiateVersion: addon.negotiateVersion,
  retry: addon.retry,
  versionIsSupported: addon.versionIsSupported,
  Config: addon.Config,
  Connection: addon.Connection,
  Header: addon.Header,
};
type Quiche = typeof quiche;

/** The addon's enums tell the number of a name; TypeScript's also tell the name of a number. */
function bothWays<E extends object>(names: E): E {
  const numbers = Object.entries(names).map(([name, number]) => [number, name] as const);
  return Object.assign(Object.fromEntries(numbers), names) as E;
}

/** Numbers in one change record: kind, key of the connection, value. */
const CHANGE_STRIDE = 3;

/** Numbers for one datagram in a layout: offset, length, id of the address. */
const LAYOUT_STRIDE = 3;

/** A read or a write that has to wait. */
const BLOCKED = -1;

/** A read or a write on a stream that is gone. */
const FINISHED = -2;

/** Bytes that a packed read gave. */
function readLength(packed: number): number {
  return packed >>> 1;
}

/** Whether the stream ends with what a packed read gave. */
function readEnds(packed: number): boolean {
  return (packed & 1) === 1;
}

/** The peer's code in a packed read (it reset the stream) or write (it stopped the stream). */
function peerCode(packed: number): number {
  return -3 - packed;
}

/** The string code of an error thrown by the addon; `undefined` for any other. */
function nativeCode(error: unknown): string | undefined {
  const code: unknown = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** What an error says, be it from this realm or from another. */
function messageOf(error: unknown): string {
  const message: unknown = (error as { message?: unknown } | null | undefined)?.message;
  return typeof message === 'string' ? message : String(error);
}

/** Whether this is a code that stands for a TLS alert (RFC 9001 §4.8). */
function isCryptoError(code: unknown): code is CryptoError {
  return (
    Number.isInteger(code) && Number(code) >= quiche.CRYPTO_ERROR_START && Number(code) <= quiche.CRYPTO_ERROR_STOP
  );
}

export type {
  Config,
  Connection,
  ConnectionError,
  Header,
  RecvInfo,
  SendInfo,
  ConnectionStats as Stats,
  Address as Host,
} from '../index.js';
export type {
  ChainFailure,
  NativeConnection,
  DetachedConnection,
  ConnectionStats,
  EndpointOptions,
  EndpointStats,
  NativeHandshake,
  Heard,
  PathStats,
  Quiche,
  TlsSettings,
};
export {
  ChangeKind,
  CryptoError,
  Endpoint,
  NativeConfig,
  UdpSocket,
  setLogger,
  CongestionControlAlgorithm,
  ConnectionErrorCode,
  Shutdown,
  Type,
  quiche,
  CHANGE_STRIDE,
  LAYOUT_STRIDE,
  BLOCKED,
  FINISHED,
  readLength,
  readEnds,
  peerCode,
  nativeCode,
  messageOf,
  isCryptoError,
};
