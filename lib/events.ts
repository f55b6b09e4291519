// Types only: no class is loaded from here, so there is no circle.
import type QUICConnection from './QUICConnection';
import type QUICStream from './QUICStream';
import type {
  ErrorQUICClientInternal,
  ErrorQUICClientSocketNotRunning,
  ErrorQUICConnection,
  ErrorQUICServerInternal,
  ErrorQUICServerSocketNotRunning,
  ErrorQUICSocketInternal,
  ErrorQUICStream,
  ErrorQUICStreamLocalRead,
  ErrorQUICStreamLocalWrite,
  ErrorQUICStreamPeerRead,
  ErrorQUICStreamPeerWrite,
} from './errors';
import type { PathChange } from './paths';
import type { Host, Port } from './types';
import { EmittedEvent } from './utils/emitter';

/** Root of all events of this library. The type of an event is the name of its class. */
abstract class EventQUIC<T = undefined> extends EmittedEvent<T> {}

abstract class EventQUICSocket<T = undefined> extends EventQUIC<T> {}

class EventQUICSocketStart extends EventQUICSocket {}

class EventQUICSocketStarted extends EventQUICSocket {}

class EventQUICSocketStop extends EventQUICSocket {}

class EventQUICSocketStopped extends EventQUICSocket {}

/** The socket can't go on. */
class EventQUICSocketError extends EventQUICSocket<ErrorQUICSocketInternal> {}

class EventQUICSocketClose extends EventQUICSocket<ErrorQUICSocketInternal | undefined> {}

/** A datagram that belongs to no connection. */
type StrayDatagram = {
  data: Uint8Array;
  host: Host;
  port: Port;
};

/** A datagram came that belongs to no connection and is no punch of ours: anything that a stranger may send. */
class EventQUICSocketDatagram extends EventQUICSocket<StrayDatagram> {}

abstract class EventQUICClient<T = undefined> extends EventQUIC<T> {}

class EventQUICClientDestroy extends EventQUICClient {}

class EventQUICClientDestroyed extends EventQUICClient {}

/** Every end of the connection is an error of the client too, a graceful one as well. */
class EventQUICClientError extends EventQUICClient<
  ErrorQUICClientSocketNotRunning | ErrorQUICClientInternal | ErrorQUICConnection
> {}

class EventQUICClientClose extends EventQUICClient<ErrorQUICClientSocketNotRunning | ErrorQUICConnection> {}

/** Kept by name for programs written for `@matrixai/quic`; never dispatched: what the system can't send is lost on its way. */
class EventQUICClientErrorSend extends EventQUICSocket<Error> {}

abstract class EventQUICServer<T = undefined> extends EventQUIC<T> {}

/** A newcomer, whose handshake is complete and whose certificate is trusted. */
class EventQUICServerConnection extends EventQUICServer<QUICConnection> {}

class EventQUICServerStart extends EventQUICServer {}

class EventQUICServerStarted extends EventQUICServer {}

class EventQUICServerStop extends EventQUICServer {}

class EventQUICServerStopped extends EventQUICServer {}

class EventQUICServerError extends EventQUICServer<ErrorQUICServerSocketNotRunning | ErrorQUICServerInternal> {}

class EventQUICServerClose extends EventQUICServer<ErrorQUICServerSocketNotRunning | undefined> {}

abstract class EventQUICConnection<T = undefined> extends EventQUIC<T> {}

class EventQUICConnectionStart extends EventQUICConnection {}

class EventQUICConnectionStarted extends EventQUICConnection {}

class EventQUICConnectionStop extends EventQUICConnection {}

class EventQUICConnectionStopped extends EventQUICConnection {}

/** The connection ends. QUIC always says why, so that a graceful end is an error too. */
class EventQUICConnectionError extends EventQUICConnection<ErrorQUICConnection> {}

class EventQUICConnectionClose extends EventQUICConnection<ErrorQUICConnection> {}

/** The peer opened a stream. One that comes before anybody listens is told to the first who does, unless it has ended by then. */
class EventQUICConnectionStream extends EventQUICConnection<QUICStream> {}

/** A datagram (RFC 9221) came from the peer; it may share memory, as `QUICConnection.datagrams` says. */
class EventQUICConnectionDatagram extends EventQUICConnection<Uint8Array> {}

/** Kept by name for programs written for `@matrixai/quic`; never dispatched: no event lies on the way of data. */
class EventQUICConnectionSend extends EventQUICConnection<{
  id: string;
  msg: Uint8Array;
  port: number;
  address: string;
}> {}

/**
 * Client: the server handed out a ticket. The bytes resume the session on a later dial (`session`); they hold secrets.
 * Each is best used once: who listens in could link connections that resume the same.
 */
class EventQUICConnectionSession extends EventQUICConnection<Uint8Array> {}

/** Something happened to a path: it was validated, failed, or the connection goes another way now. */
class EventQUICConnectionPath extends EventQUICConnection<PathChange> {}

abstract class EventQUICStream<T = undefined> extends EventQUIC<T> {}

class EventQUICStreamDestroy extends EventQUICStream {}

class EventQUICStreamDestroyed extends EventQUICStream {}

/** A half of the stream was given up; a graceful end is no error. */
class EventQUICStreamError extends EventQUICStream<ErrorQUICStream> {}

/** Reading has ended: `undefined` gracefully, else why. */
class EventQUICStreamCloseRead extends EventQUICStream<
  ErrorQUICStreamLocalRead | ErrorQUICStreamPeerRead | undefined
> {}

/** Writing has ended: `undefined` gracefully, else why. */
class EventQUICStreamCloseWrite extends EventQUICStream<
  ErrorQUICStreamLocalWrite | ErrorQUICStreamPeerWrite | undefined
> {}

/** Kept by name for programs written for `@matrixai/quic`; never dispatched: no event lies on the way of data. */
class EventQUICStreamSend extends EventQUICStream {}

export type { StrayDatagram };
export { EventAll, EventDefault, EventError } from '@matrixai/events';
export {
  EventQUIC,
  EventQUICSocket,
  EventQUICSocketStart,
  EventQUICSocketStarted,
  EventQUICSocketStop,
  EventQUICSocketStopped,
  EventQUICSocketError,
  EventQUICSocketClose,
  EventQUICSocketDatagram,
  EventQUICClient,
  EventQUICClientDestroy,
  EventQUICClientDestroyed,
  EventQUICClientError,
  EventQUICClientErrorSend,
  EventQUICClientClose,
  EventQUICServer,
  EventQUICServerConnection,
  EventQUICServerStart,
  EventQUICServerStarted,
  EventQUICServerStop,
  EventQUICServerStopped,
  EventQUICServerError,
  EventQUICServerClose,
  EventQUICConnection,
  EventQUICConnectionStart,
  EventQUICConnectionStarted,
  EventQUICConnectionStop,
  EventQUICConnectionStopped,
  EventQUICConnectionError,
  EventQUICConnectionClose,
  EventQUICConnectionStream,
  EventQUICConnectionSend,
  EventQUICConnectionDatagram,
  EventQUICConnectionPath,
  EventQUICConnectionSession,
  EventQUICStream,
  EventQUICStreamDestroy,
  EventQUICStreamDestroyed,
  EventQUICStreamError,
  EventQUICStreamCloseRead,
  EventQUICStreamCloseWrite,
  EventQUICStreamSend,
};
