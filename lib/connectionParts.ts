import type { ResolvedConfig } from './config';
import type { Ending } from './endings';
import type { NativeConnection } from './native';
import type { LoggerLike, RemoteInfo, StreamCodeToReason, StreamReasonToCode } from './types';
import type { PathDriver } from './paths';
import type QUICConnection from './QUICConnection';
import type QUICSocket from './QUICSocket';

/** Whom a connection belongs to. */
interface ConnectionOwner {
  /** @internal The handshake is complete and the peer trusted: whoever wants to listen to the connection does so now. */
  onConnected(connection: QUICConnection): void;
  /** @internal The connection has moved to another socket. */
  onMoved?(socket: QUICSocket): void;
  /** @internal The connection ends. */
  onEnd(connection: QUICConnection, ending: Ending): void;
}

/** What a connection is made of. */
type ConnectionParts = {
  type: 'client' | 'server';
  handle: NativeConnection;
  driver: PathDriver;
  config: ResolvedConfig;
  /** Where the socket is bound. */
  local: RemoteInfo;
  /** Client: whom it dialled. */
  remote?: RemoteInfo;
  owner?: ConnectionOwner;
  /** Client: whom the server should prove to be. */
  serverName: string | null;
  reasonToCode?: StreamReasonToCode;
  codeToReason?: StreamCodeToReason;
  logger: LoggerLike;
};

export type { ConnectionOwner, ConnectionParts };
