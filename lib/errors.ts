import type { POJO } from '@matrixai/errors';
import type { ChainFailure, CryptoError } from './native';
import type { PunchAttempt } from './punch';
import type { ConnectionError } from './types';
import { AbstractError } from '@matrixai/errors';

type Options<T, D> = { timestamp?: Date; data: D; cause?: T };

/**
 * Root of all errors of this library.
 *
 * `code` is the class name without `ErrorQUIC`, stable and safe to compare: `error.code === 'ConnectionPeerTLS'`.
 */
class ErrorQUIC<T = unknown> extends AbstractError<T> {
  static override description = 'QUIC error';

  get code(): string {
    return this.constructor.name.replace(/^ErrorQUIC(?=.)/, '');
  }
}

/** A host is no IP address and doesn't resolve to one: correct the name, or look at `cause`. */
class ErrorQUICHostInvalid<T = unknown> extends ErrorQUIC<T> {
  static override description = 'Host provided was not valid';
}

/** A port is no integer from 0 to 65535. */
class ErrorQUICPortInvalid<T = unknown> extends ErrorQUIC<T> {
  static override description = 'Port provided was not valid';
}

/** A setting has a value that can't be; the message names it. */
class ErrorQUICConfig<T = unknown> extends ErrorQUIC<T> {
  static override description = 'QUIC config error';
}

class ErrorQUICSocket<T = unknown> extends ErrorQUIC<T> {
  static override description = 'QUIC Socket error';
}

/** The socket has to be started first. */
class ErrorQUICSocketNotRunning<T = unknown> extends ErrorQUICSocket<T> {
  static override description = 'QUIC Socket is not running';
}

/** Stop what uses the socket first, or stop the socket with `force`. */
class ErrorQUICSocketConnectionsActive<T = unknown> extends ErrorQUICSocket<T> {
  static override description = 'QUIC Socket has active connections';
}

/** The system doesn't let us have this address; `cause` says why (in use, not ours, not permitted). */
class ErrorQUICSocketInvalidBindAddress<T = unknown> extends ErrorQUICSocket<T> {
  static override description = 'QUIC Socket cannot bind to the specified address';
}

/** The socket doesn't reach this kind of address: an IPv4 socket sends to IPv4 only, an IPv6 socket to IPv6 only. */
class ErrorQUICSocketInvalidSendAddress<T = unknown> extends ErrorQUICSocket<T> {
  static override description = 'QUIC Socket cannot send to the specified address';
}

/** The system took the socket away, or a fault of ours: `cause` says more. */
class ErrorQUICSocketInternal<T = unknown> extends ErrorQUICSocket<T> {
  static override description = 'QUIC Socket internal error';
}

/** A punch: `data.tried` tells which addresses were punched, and how often. */
abstract class ErrorQUICSocketPunch<T = unknown> extends ErrorQUICSocket<T> {
  declare data: POJO & { tried: PunchAttempt[] };

  // eslint-disable-next-line @typescript-eslint/no-useless-constructor -- `data` is a must
  constructor(message: string | undefined, options: Options<T, POJO & { tried: PunchAttempt[] }>) {
    super(message, options);
  }
}

/** Nobody answered a punch in time: the peer didn't punch, or a NAT between lets nobody in. Go by a relay. */
class ErrorQUICSocketPunchTimeout<T = unknown> extends ErrorQUICSocketPunch<T> {
  static override description = 'QUIC Socket punched in vain';
}

/** The signal gave a punch up; `cause` is its reason. */
class ErrorQUICSocketPunchAborted<T = unknown> extends ErrorQUICSocketPunch<T> {
  static override description = 'QUIC Socket punch was given up';
}

/** Nobody told our address: the one asked isn't there, doesn't answer questions, or has too many to answer. */
class ErrorQUICSocketObserveTimeout<T = unknown> extends ErrorQUICSocket<T> {
  static override description = 'QUIC Socket asked for its address in vain';
}

class ErrorQUICClient<T = unknown> extends ErrorQUIC<T> {
  static override description = 'QUIC Client error';
}

/** Kept by name: a client that is gone still tells where it was. */
class ErrorQUICClientDestroyed<T = unknown> extends ErrorQUICClient<T> {
  static override description = 'QUIC Client is destroyed';
}

/** Nobody answered in time, or the handshake wasn't complete. */
class ErrorQUICClientCreateTimeout<T = unknown> extends ErrorQUICClient<T> {
  static override description = 'QUIC Client create timeout';
}

/** The shared socket wasn't started, or was stopped under the client. */
class ErrorQUICClientSocketNotRunning<T = unknown> extends ErrorQUICClient<T> {
  static override description = 'QUIC Client cannot be created with an unstarted shared QUIC socket';
}

/** An argument can't be used to dial, such as a `serverName` that is no name. */
class ErrorQUICClientInvalidArgument<T = unknown> extends ErrorQUICClient<T> {
  static override description = 'QUIC Client had a failure relating to an invalid argument';
}

/** The socket doesn't reach this kind of address; bind it to the other family, or to `::` for both. */
class ErrorQUICClientInvalidHost<T = unknown> extends ErrorQUICClient<T> {
  static override description = 'QUIC Client cannot be created with the specified host';
}

/** Kept by name: a fault of ours shows as one of its connection or its socket. */
class ErrorQUICClientInternal<T = unknown> extends ErrorQUICClient<T> {
  static override description = 'QUIC Client internal error';
}

class ErrorQUICServer<T = unknown> extends ErrorQUIC<T> {
  static override description = 'QUIC Server error';
}

/** The server has to be started first. */
class ErrorQUICServerNotRunning<T = unknown> extends ErrorQUICServer<T> {
  static override description = 'QUIC Server is not running';
}

/** The shared socket wasn't started, or was stopped under the server. */
class ErrorQUICServerSocketNotRunning<T = unknown> extends ErrorQUICServer<T> {
  static override description = 'QUIC Server cannot start with an unstarted shared QUIC socket';
}

/** A newcomer didn't get in; `cause` says why. Goes to the logger only, since strangers may do it as they like. */
class ErrorQUICServerNewConnection<T = unknown> extends ErrorQUICServer<T> {
  static override description = 'QUIC Server creating a new connection';
}

/** Kept by name: a fault of ours shows as one of its connections or its socket. */
class ErrorQUICServerInternal<T = unknown> extends ErrorQUICServer<T> {
  static override description = 'QUIC Server internal error';
}

/** Kept by name: newcomers end like other connections when their server stops. */
class ErrorQUICServerStopping<T = unknown> extends ErrorQUICServer<T> {
  static override description = 'QUIC Server is stopping';
}

class ErrorQUICConnection<T = unknown> extends ErrorQUIC<T> {
  static override description = 'QUIC Connection error';
}

/** The connection waits for its streams to end, and opens no new ones. */
class ErrorQUICConnectionStopping<T = unknown> extends ErrorQUICConnection<T> {
  static override description = 'QUIC Connection is stopping';
}

/** The connection has ended: dial again. */
class ErrorQUICConnectionNotRunning<T = unknown> extends ErrorQUICConnection<T> {
  static override description = 'QUIC Connection is not running';
}

/** Connections can't be restarted: dial again. */
class ErrorQUICConnectionClosed<T = unknown> extends ErrorQUICConnection<T> {
  static override description = 'QUIC Connection cannot be restarted because it has already been closed';
}

/** Kept by name: connections are handed out started. */
class ErrorQUICConnectionStartData<T = unknown> extends ErrorQUICConnection<T> {
  static override description = 'QUIC Connection start requires data when it is a server connection';
}

/** The handshake wasn't complete in time. */
class ErrorQUICConnectionStartTimeout<T = unknown> extends ErrorQUICConnection<T> {
  static override description = 'QUIC Connection start timeout';
}

/** The connection can't move to another socket, or nobody answered there; it is where it was. */
class ErrorQUICConnectionMigration<T = unknown> extends ErrorQUICConnection<T> {
  static override description = 'QUIC Connection cannot migrate';
}

/** Settings that can't go together: keep-alive packets rarer than the idle timeout keep nothing alive. */
class ErrorQUICConnectionConfigInvalid<T = unknown> extends ErrorQUICConnection<T> {
  static override description = 'QUIC connection invalid configuration';
}

/** We closed the connection; `data` holds what the peer was told. Normal closing too. */
class ErrorQUICConnectionLocal<T = unknown> extends ErrorQUICConnection<T> {
  static override description = 'QUIC Connection local error';
  declare data: POJO & ConnectionError;

  // eslint-disable-next-line @typescript-eslint/no-useless-constructor -- `data` is a must
  constructor(message: string | undefined, options: Options<T, POJO & ConnectionError>) {
    super(message, options);
  }
}

/**
 * We refused the peer in the handshake; `data.errorCode` is a `CryptoError`. Where the chain was checked against `ca`,
 * `data.chainFailure` says which check failed on which certificate; the peer isn't told.
 */
class ErrorQUICConnectionLocalTLS<T = unknown> extends ErrorQUICConnectionLocal<T> {
  static override description = 'QUIC Connection local TLS error';
  declare data: POJO & LocalTLSData;

  // eslint-disable-next-line @typescript-eslint/no-useless-constructor -- `data` is a must
  constructor(message: string | undefined, options: Options<T, POJO & LocalTLSData>) {
    super(message, options);
  }
}

type LocalTLSData = ConnectionError & { errorCode: CryptoError; chainFailure?: ChainFailure };

/** The peer closed the connection; `data` holds what it told us. Normal closing too. */
class ErrorQUICConnectionPeer<T = unknown> extends ErrorQUICConnection<T> {
  static override description = 'QUIC Connection peer error';
  declare data: POJO & ConnectionError;

  // eslint-disable-next-line @typescript-eslint/no-useless-constructor -- `data` is a must
  constructor(message: string | undefined, options: Options<T, POJO & ConnectionError>) {
    super(message, options);
  }
}

/** The peer refused us in the handshake; `data.errorCode` is a `CryptoError`. */
class ErrorQUICConnectionPeerTLS<T = unknown> extends ErrorQUICConnectionPeer<T> {
  static override description = 'QUIC Connection peer TLS error';
  declare data: POJO & ConnectionError & { errorCode: CryptoError };

  // eslint-disable-next-line @typescript-eslint/no-useless-constructor -- `data` is a must
  constructor(message: string | undefined, options: Options<T, POJO & ConnectionError & { errorCode: CryptoError }>) {
    super(message, options);
  }
}

/** Nothing came from the peer for `maxIdleTimeout`. */
class ErrorQUICConnectionIdleTimeout<T = unknown> extends ErrorQUICConnection<T> {
  static override description = 'QUIC Connection max idle timeout exhausted';
}

/** A fault of ours: please report it. */
class ErrorQUICConnectionInternal<T = unknown> extends ErrorQUICConnection<T> {
  static override description = 'QUIC Connection internal error';
}

class ErrorQUICStream<T = unknown> extends ErrorQUIC<T> {
  static override description = 'QUIC Stream error';
}

/** Kept by name: a stream that has ended answers each call as its end was. */
class ErrorQUICStreamDestroyed<T = unknown> extends ErrorQUICStream<T> {
  static override description = 'QUIC Stream is destroyed';
}

/** Reading was given up by us; `cause` is the reason, `data.code` what the peer was told. */
class ErrorQUICStreamLocalRead<T = unknown> extends ErrorQUICStream<T> {
  static override description = 'QUIC Stream locally closed readable side';
  declare data: POJO & { code: number };

  // eslint-disable-next-line @typescript-eslint/no-useless-constructor -- `data` is a must
  constructor(message: string | undefined, options: Options<T, POJO & { code: number }>) {
    super(message, options);
  }
}

/** Writing was given up by us; `cause` is the reason, `data.code` what the peer was told. */
class ErrorQUICStreamLocalWrite<T = unknown> extends ErrorQUICStream<T> {
  static override description = 'QUIC Stream locally closed writable side';
  declare data: POJO & { code: number };

  // eslint-disable-next-line @typescript-eslint/no-useless-constructor -- `data` is a must
  constructor(message: string | undefined, options: Options<T, POJO & { code: number }>) {
    super(message, options);
  }
}

/** The peer gave up writing what we read; `cause` is the reason for `data.code`. */
class ErrorQUICStreamPeerRead<T = unknown> extends ErrorQUICStream<T> {
  static override description = 'QUIC Stream peer closed readable side';
  declare data: POJO & { code: number };

  // eslint-disable-next-line @typescript-eslint/no-useless-constructor -- `data` is a must
  constructor(message: string | undefined, options: Options<T, POJO & { code: number }>) {
    super(message, options);
  }
}

/** The peer gave up reading what we write; `cause` is the reason for `data.code`. */
class ErrorQUICStreamPeerWrite<T = unknown> extends ErrorQUICStream<T> {
  static override description = 'QUIC Stream peer closed writable side';
  declare data: POJO & { code: number };

  // eslint-disable-next-line @typescript-eslint/no-useless-constructor -- `data` is a must
  constructor(message: string | undefined, options: Options<T, POJO & { code: number }>) {
    super(message, options);
  }
}

/** A fault of ours, or a stream used after its end: `message` says which. */
class ErrorQUICStreamInternal<T = unknown> extends ErrorQUICStream<T> {
  static override description = 'QUIC Stream internal error';
}

export {
  ErrorQUIC,
  ErrorQUICHostInvalid,
  ErrorQUICPortInvalid,
  ErrorQUICConfig,
  ErrorQUICSocket,
  ErrorQUICSocketNotRunning,
  ErrorQUICSocketConnectionsActive,
  ErrorQUICSocketInvalidBindAddress,
  ErrorQUICSocketInvalidSendAddress,
  ErrorQUICSocketInternal,
  ErrorQUICSocketPunch,
  ErrorQUICSocketPunchTimeout,
  ErrorQUICSocketPunchAborted,
  ErrorQUICSocketObserveTimeout,
  ErrorQUICClient,
  ErrorQUICClientDestroyed,
  ErrorQUICClientCreateTimeout,
  ErrorQUICClientSocketNotRunning,
  ErrorQUICClientInvalidArgument,
  ErrorQUICClientInvalidHost,
  ErrorQUICClientInternal,
  ErrorQUICServer,
  ErrorQUICServerNotRunning,
  ErrorQUICServerSocketNotRunning,
  ErrorQUICServerNewConnection,
  ErrorQUICServerInternal,
  ErrorQUICServerStopping,
  ErrorQUICConnection,
  ErrorQUICConnectionStopping,
  ErrorQUICConnectionNotRunning,
  ErrorQUICConnectionClosed,
  ErrorQUICConnectionStartData,
  ErrorQUICConnectionStartTimeout,
  ErrorQUICConnectionMigration,
  ErrorQUICConnectionConfigInvalid,
  ErrorQUICConnectionLocal,
  ErrorQUICConnectionLocalTLS,
  ErrorQUICConnectionPeer,
  ErrorQUICConnectionPeerTLS,
  ErrorQUICConnectionIdleTimeout,
  ErrorQUICConnectionInternal,
  ErrorQUICStream,
  ErrorQUICStreamDestroyed,
  ErrorQUICStreamLocalRead,
  ErrorQUICStreamLocalWrite,
  ErrorQUICStreamPeerRead,
  ErrorQUICStreamPeerWrite,
  ErrorQUICStreamInternal,
};
