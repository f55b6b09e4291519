import type { CryptoError } from './native';
import type QUICStream from './QUICStream';

declare const brand: unique symbol;

/** A type that only the function which checks its values makes. */
type Opaque<K, T> = T & { readonly [brand]: K };

/** Any constructor. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- a constructor's parameters are contravariant
type Class<T> = new (...args: any[]) => T;

/** Node's way of calling back. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- what a callback returns is nobody's business
type Callback<P extends unknown[] = [], R = any, E extends Error = Error> = {
  (error: E, ...params: Partial<P>): R;
  (error?: null, ...params: P): R;
};

/** A promise and its two ends. */
type PromiseDeconstructed<T> = {
  p: Promise<T>;
  resolveP: (value: T | PromiseLike<T>) => void;
  rejectP: (reason?: unknown) => void;
};

/** An IP address. */
type Host = Opaque<'Host', string>;

/** A name that resolves to an IP address. */
type Hostname = Opaque<'Hostname', string>;

/** A number from 0 to 65535. */
type Port = Opaque<'Port', number>;

/** `<host>:<port>`, with an IPv6 host in brackets. */
type Address = Opaque<'Address', string>;

/** Where a datagram comes from or goes to. */
type RemoteInfo = { host: Host; port: Port };

/** What a socket speaks. */
type SocketType = 'ipv4' | 'ipv6' | 'ipv4&ipv6';

/** Random bytes of the application. Accepted, and unused: the addon draws its own from the system. */
type ClientCryptoOps = {
  randomBytes(data: ArrayBuffer): Promise<void>;
};

/** Signatures of the application. Accepted, and unused: the addon authenticates its tokens itself, with `key`. */
type ServerCryptoOps = {
  sign(key: ArrayBuffer, data: ArrayBuffer): Promise<ArrayBuffer>;
  verify(key: ArrayBuffer, data: ArrayBuffer, sig: ArrayBuffer): Promise<boolean>;
};

/** Accepted for programs written for `@matrixai/quic`; nothing of it is used. */
type QUICClientCrypto = { ops: ClientCryptoOps };

/** `key` seeds the keys of Retry tokens and of stateless resets; `ops` stays unused. */
type QUICServerCrypto = { key: ArrayBuffer | Uint8Array; ops: ServerCryptoOps };

/** Resolves a name to an IP address, or to all that it has, the preferred first. */
type ResolveHostname = (hostname: string) => string | readonly string[] | PromiseLike<string | readonly string[]>;

/** What a verify callback may want to know beside the certificates. */
type TLSVerifyContext = {
  /** Which side of the connection is asked to judge. */
  side: 'client' | 'server';
  /** Client: the name or address the server should prove. Server: the name the client asked for, if any. */
  serverName: string | null;
  /** Where the peer is. */
  host: Host;
  port: Port;
  /**
   * Aborts when the verdict is no longer wanted: the connection ended or the handshake ran out of time. A server notices a
   * client that goes away meanwhile by the idle or handshake timeout only: its farewell can't be read before the verdict.
   */
  signal: AbortSignal;
};

/**
 * Judges the peer inside the handshake. Gets the peer's chain (DER, leaf first) and the certificates of `ca` (DER).
 * `undefined` trusts the peer; a `CryptoError` refuses it, and goes to it as TLS alert. A callback that throws or
 * rejects refuses with `BadCertificate`, one that gives anything else with `InternalError`. A dial to a name of several
 * addresses may ask once for each that it tries, about several at once.
 */
type TLSVerifyCallback = (
  certs: Uint8Array[],
  ca: Uint8Array[],
  context: TLSVerifyContext,
) => PromiseLike<CryptoError | undefined> | CryptoError | undefined;

/** PEM: as text or bytes, each element one or more blocks. */
type PEMs = string | string[] | Uint8Array | Uint8Array[];

/** Settings of connections. The defaults stand in `config`. */
type QUICConfig = {
  /** Trust anchors, PEM. Without it Node's roots are used, where nothing else judges the peer. */
  ca?: PEMs;
  /** Private keys, PEM; as many as there are chains in `cert`. */
  key?: PEMs;
  /** Certificate chains, PEM, leaf first; each element is one chain. */
  cert?: PEMs;
  /** Colon separated list of signature algorithms, as BoringSSL names them. */
  sigalgs?: string;
  /**
   * Colon separated list of groups for the key exchange, the preferred first, as BoringSSL names them: `X25519MLKEM768` is
   * secure against quantum computers, for about 0.1 ms of CPU and 2.4 KB more in the handshake.
   */
  groups?: string;
  /** Whether the peer has to prove who it is. A server that doesn't verify asks for no certificate. */
  verifyPeer: boolean;
  /** Judges the peer instead of the check against `ca`. Needs `verifyPeer`. */
  verifyCallback?: TLSVerifyCallback;
  /**
   * Server: whether its clients may resume sessions. One who resumes is not judged again, neither by `verifyCallback` nor
   * against `ca`. So with a `verifyCallback` nobody may, unless this is `'trustTicket'`: an earlier verdict then holds for
   * `ticketLifetime`, or until `updateConfig`, which with `ticketKeys` ends it only where it changes who judges, or by what
   * (see there). `'never'` hands out no tickets at all.
   */
  resumption?: 'trustTicket' | 'never';
  /** Server: milliseconds for which a session ticket is good: a second to seven days, in whole seconds. */
  ticketLifetime: number;
  /**
   * Server: what encrypts session tickets: 1 to 16 keys of 32 or more random bytes. The first encrypts the tickets that are
   * handed out; those of the others are still taken. So several servers, or one after a restart, resume each other's
   * sessions, where they judge their clients alike. To rotate, put a new key in front by `updateConfig`, and drop the last
   * one when its tickets have ended. Whoever has a key can read the sessions' early data, and impersonate clients that
   * resume. `updateConfig` ends sessions then, and so verdicts, only where it changes `verifyPeer`, `ca`, or whether there
   * is a `verifyCallback`: where a callback's own rules change, take new keys.
   * Default: random keys, renewed every two days and by each `updateConfig`.
   */
  ticketKeys?: Uint8Array[];
  /** File that takes the TLS secrets, for Wireshark. Whoever can read it can read the connections. */
  logKeys?: string;
  /** Directory that takes one qlog file for each connection. */
  qlogDirectory?: string;
  /** Send unpredictable values where the protocol reserves them, so that no middlebox relies on their absence. */
  grease: boolean;
  /** Milliseconds of quiet after which a packet is sent to keep the connection alive; `undefined` sends none. */
  keepAliveIntervalTime?: number;
  /** Milliseconds without a sign of the peer after which the connection ends; 0 = never. */
  maxIdleTimeout: number;
  /** Milliseconds a handshake may take, verification included; 0 = without limit. */
  handshakeTimeout: number;
  /** Largest UDP payload we take, in bytes: 1200 to 65527. */
  maxRecvUdpPayloadSize: number;
  /** Largest UDP payload we send, in bytes: 1200 to 65527. */
  maxSendUdpPayloadSize: number;
  /** Bytes the peer may send on all streams together before we read. */
  initialMaxData: number;
  /** Bytes the peer may send on a bidirectional stream of ours before we read. */
  initialMaxStreamDataBidiLocal: number;
  /** Bytes the peer may send on a bidirectional stream of its own before we read. */
  initialMaxStreamDataBidiRemote: number;
  /** Bytes the peer may send on a unidirectional stream before we read. */
  initialMaxStreamDataUni: number;
  /** Bidirectional streams the peer may have open. */
  initialMaxStreamsBidi: number;
  /** Unidirectional streams the peer may have open. */
  initialMaxStreamsUni: number;
  /** Bytes up to which the connection's window may grow. */
  maxConnectionWindow: number;
  /** Bytes up to which a stream's window may grow. */
  maxStreamWindow: number;
  /** Datagrams (RFC 9221): whether, and how many wait at most to be received and to be sent (0 = 1024). */
  enableDgram: [enabled: boolean, receiveQueueLength: number, sendQueueLength: number];
  /**
   * Which datagram is dropped when the queue is full, of those received and of those to be sent: the `'oldest'` that waits, or
   * the `'newest'`, which has just come.
   */
  dgramDrop: [receive: 'oldest' | 'newest', send: 'oldest' | 'newest'];
  /**
   * Don't move a connection of ours to another socket (`connection.migrate`), and ask the peer not to move either: what
   * comes from one that does it nevertheless is dropped. A rebinding NAT is followed all the same.
   */
  disableActiveMigration: boolean;
  /**
   * Client: follow the server to another address, once an authentic packet came from there. RFC 9000 §9 wants clients to
   * drop such packets, since servers have no NATs; peers do.
   */
  followServer: boolean;
  /**
   * Search for the largest packet that the path carries (RFC 8899), from 1200 bytes up to `maxSendUdpPayloadSize`, and anew
   * when it carries less. A socket of the addon (Linux) sends nothing in fragments from then on. After a move to another
   * socket packets have 1200 bytes. So they have when a path gets narrow while a search goes on, until that one is over
   * and the next finds more. Its probes go when nothing else wants to, so not while a transfer fills the congestion window.
   */
  discoverPmtu: boolean;
  /** Application protocols (ALPN), the preferred first. Both sides need one in common. */
  applicationProtos: string[];
  /** Permits early data (0-RTT). It isn't sent, nor shown before the handshake is complete, unless `earlyData` says so. */
  enableEarlyData: boolean;
  /**
   * Early data (0-RTT), on either side, default false: connections are handed out before their handshake is complete.
   *
   * A client that dials with a `session` whose server permits it gets its connection at once, and what it writes goes with
   * the first packets; if the server takes no early data, streams are sent again when the handshake is complete, and datagrams
   * are lost. One that takes none since it has lowered its limits ends the connection if more is in use by then. Of a name with
   * several addresses nothing goes early. A server shows what came early at once, without a round trip.
   *
   * **Early data can be replayed** by whoever recorded it, also to other servers with the same ticket keys (RFC 8446 §8,
   * RFC 9001 §9.2), and is not forward secret. Send early only what may happen twice, such as a question; on a server,
   * await `connection.confirmed` before anything else: a replayed connection never gets there.
   *
   * Where a `verifyCallback` judges the server, or a server judges its clients at all, nothing goes early: trust comes first.
   */
  earlyData: boolean;
  /** Largest chunk in bytes that reading a stream gives. */
  readableChunkSize: number;
  /** `'cubic'`, `'reno'` or `'bbr2_gcongestion'`. */
  congestionControl: string;
};

type QUICClientConfigInput = Partial<QUICConfig>;

type QUICServerConfigInput = Partial<QUICConfig> & { key: PEMs; cert: PEMs };

type ConnectionId = Opaque<'ConnectionId', Buffer>;

type ConnectionIdString = Opaque<'ConnectionIdString', string>;

/** Whom a connection joins, and by which certificates. */
type ConnectionMetadata = {
  localHost: string;
  localPort: number;
  remoteHost: string;
  remotePort: number;
  localCertsChain: Uint8Array[];
  localCACertsChain: Uint8Array[];
  remoteCertsChain: Uint8Array[];
};

/** Why a connection ended, as the protocol says it. */
type ConnectionError = { isApp: boolean; errorCode: number; reason: Uint8Array };

type StreamId = Opaque<'StreamId', number>;

/** Gives the code on the wire for a reason of the application: an integer from 0 to 2^53-1. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- a reason is whatever the application throws
type StreamReasonToCode = (type: 'read' | 'write', reason?: any) => number;

/** Gives the reason for a code on the wire. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- a reason is whatever the application throws
type StreamCodeToReason = (type: 'read' | 'write', code: number) => any;

type QUICStreamMap = Map<StreamId, QUICStream>;

/** How to end a connection, a server or a client. */
type StopOptions = {
  /** Whose error codes `errorCode` is one of: the application's (default) or QUIC's. */
  isApp?: boolean;
  /** Default 0. */
  errorCode?: number;
  /** Default empty. At most 1024 bytes are sent, what is longer is cut off. */
  reason?: Uint8Array;
  /**
   * `true` (default) ends open streams. `false` waits until they have ended by themselves, and until the peer has
   * acknowledged what was written to them.
   */
  force?: boolean;
  /**
   * With `force: true`: aborts the streams that are still open, but waits until the peer has acknowledged what was
   * written to those that were ended. Default `false`: close at once, and drop what is under way.
   */
  flush?: boolean;
  /** Milliseconds after which waiting ends and the connection is closed at once. Default: wait without end. */
  timeout?: number;
  /** Ends the waiting likewise. */
  signal?: AbortSignal;
};

/** A timer of `@matrixai/timer`, as far as we know it: a promise that resolves when the time has run out. */
type TimerLike = { then(onFulfilled: () => unknown, onRejected: (reason: unknown) => unknown): unknown };

/** What limits a wait: milliseconds or a timer, and a signal. */
type ContextTimedInput = { timer: number | TimerLike; signal: AbortSignal };

/** A promise with a way to give up: it rejects with the reason given. */
interface PromiseCancellable<T> extends Promise<T> {
  cancel(reason?: unknown): void;
}

/** What we need of a logger. */
type LoggerLike = {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
  getChild(name: string): LoggerLike;
};

export type {
  Opaque,
  Class,
  Callback,
  PromiseDeconstructed,
  Host,
  Hostname,
  Port,
  Address,
  RemoteInfo,
  SocketType,
  ClientCryptoOps,
  ServerCryptoOps,
  QUICClientCrypto,
  QUICServerCrypto,
  ResolveHostname,
  TLSVerifyContext,
  TLSVerifyCallback,
  PEMs,
  QUICConfig,
  QUICClientConfigInput,
  QUICServerConfigInput,
  ConnectionId,
  ConnectionIdString,
  ConnectionMetadata,
  ConnectionError,
  StreamId,
  StreamReasonToCode,
  StreamCodeToReason,
  QUICStreamMap,
  StopOptions,
  TimerLike,
  ContextTimedInput,
  PromiseCancellable,
  LoggerLike,
};
