// Imported, then exported: so Node sees the names from an ES module, too.
import QUICSocket from './QUICSocket';
import QUICServer from './QUICServer';
import QUICClient from './QUICClient';
import QUICConnection from './QUICConnection';
import QUICConnectionMap from './QUICConnectionMap';
import QUICConnectionId from './QUICConnectionId';
import QUICStream from './QUICStream';

export { QUICSocket, QUICServer, QUICClient, QUICConnection, QUICConnectionMap, QUICConnectionId, QUICStream };
export { logNative } from './logging';
export * as utils from './utils';
export * as events from './events';
export * as errors from './errors';
export * as native from './native';
export * as x509 from './x509';
export { clientDefault, serverDefault } from './config';
export type * from './types';
export type { DialAttempt } from './dial';
export type { QUICClientOptions } from './QUICClient';
export type { QUICConnectionStats } from './QUICConnection';
export type { QUICServerOptions } from './QUICServer';
export type { QUICSocketLimits, QUICSocketOptions, QUICSocketStats } from './QUICSocket';
export type { StrayDatagram } from './events';
export type { DatagramStats } from './datagrams';
export type { ObserveOptions } from './observe';
export type { MigrateLimits, PathChange } from './paths';
export type { PunchAttempt, PunchOptions, PunchResult, PunchStats } from './punch';
export type { EarlyData } from './handshake';
export type { TLSInfo } from './tls';
export type { NativeLogLevel } from './logging';
export type {
  BoundAddress,
  Datagram,
  OpenTransport,
  Transport,
  TransportOptions,
  TransportSink,
  TransportStats,
} from './transport/Transport';
