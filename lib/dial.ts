// How a client comes to its connection.

import type { ResolvedConfig } from './config';
import type { NativeConnection } from './native';
import type {
  Host,
  LoggerLike,
  Port,
  QUICClientConfigInput,
  QUICClientCrypto,
  ResolveHostname,
  StreamCodeToReason,
  StreamReasonToCode,
} from './types';
import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import { clientDefault, resolveConfig } from './config';
import * as errors from './errors';
import { silent } from './logging';
import { messageOf, nativeCode } from './native';
import QUICConnection from './QUICConnection';
import QUICSocket from './QUICSocket';
import { resolveHost, toPort, validateTarget } from './utils/address';
import { unlessAborted } from './utils/promise';

type DialOptions = {
  /** Address or name of the server; `0.0.0.0` and `::` mean this host. */
  host: string;
  port: number;
  /** The name or address that the server's certificate should prove; default `host`. */
  serverName?: string;
  /** Accepted, and unused: the addon draws its random bytes from the system. */
  crypto?: QUICClientCrypto;
  config?: QUICClientConfigInput;
  /**
   * Resumes an earlier session with this server: the detail of `EventQUICConnectionSession`. The server is judged all the
   * same, by the chain it showed then; where it doesn't resume, by the one it shows now.
   */
  session?: Uint8Array;
  reuseAddr?: boolean;
  ipv6Only?: boolean;
  resolveHostname?: ResolveHostname;
  reasonToCode?: StreamReasonToCode;
  codeToReason?: StreamCodeToReason;
  logger?: LoggerLike;
};

/** With a socket of its own, bound to `localHost` (default `::`) and `localPort` (default 0), or on a shared one. */
type QUICClientOptions = DialOptions &
  ({ localHost?: string; localPort?: number; socket?: undefined } | { socket: QUICSocket });

/** Whom to dial, checked. */
type Target = { host: Host; udpType: 'udp4' | 'udp6'; port: Port; serverName: string; config: ResolvedConfig };

/** What a client is made of. */
type Dialled = { socket: QUICSocket; isSocketShared: boolean; connection: QUICConnection; logger: LoggerLike };

/** Dials; leaves nothing behind when it fails. */
async function dial(options: QUICClientOptions, signal: AbortSignal): Promise<Dialled> {
  const logger = options.logger ?? silent;
  const isSocketShared = options.socket !== undefined;
  const socket = options.socket ?? new QUICSocket({ resolveHostname: options.resolveHostname, logger });
  signal.throwIfAborted();
  const target = await resolveTarget(options, socket, signal);
  let connection: QUICConnection | undefined;
  try {
    if (!isSocketShared) await startOwn(socket, options);
    if (!socket.isRunning) throw new errors.ErrorQUICClientSocketNotRunning('The shared socket is not started');
    signal.throwIfAborted();
    connection = connect(options, socket, target);
    await unlessAborted(connection.established, signal);
    if (connection.closed) throw new errors.ErrorQUICClientSocketNotRunning('The socket was stopped');
    return { socket, isSocketShared, connection, logger };
  } catch (error) {
    await connection?.stop();
    if (!isSocketShared) await socket.stop({ force: true });
    throw translate(error, signal, isSocketShared && !socket.isRunning);
  }
}

async function resolveTarget(options: QUICClientOptions, socket: QUICSocket, signal: AbortSignal): Promise<Target> {
  if (typeof options.host !== 'string') throw new TypeError('host is expected to be a string');
  const port = toPort(options.port);
  if (port === 0) throw new errors.ErrorQUICPortInvalid('nobody can be dialled at port 0');
  const config = resolveConfig('client', clientDefault, options.config ?? {});
  const resolve = options.resolveHostname ?? socket.resolveHostname;
  const [host, udpType] = await unlessAborted(resolveHost(options.host, resolve), signal);
  return { host, udpType, port, serverName: toServerName(options.serverName ?? options.host), config };
}

/** A name or an address as certificates have it: names in ASCII. */
function toServerName(name: string): string {
  // Certificates know nothing of the scope of a link-local address.
  if (isIP(name) !== 0) return name.split('%', 1).join();
  // eslint-disable-next-line no-control-regex -- all of ASCII
  const ascii = /^[\x00-\x7f]*$/.test(name) ? name : domainToASCII(name);
  if (!/^[\w-]+(\.[\w-]+)*\.?$/.test(ascii)) {
    throw new errors.ErrorQUICClientInvalidArgument(`${name} is no name of a server`);
  }
  return ascii;
}

async function startOwn(socket: QUICSocket, options: QUICClientOptions): Promise<void> {
  const { localHost, localPort } = options as { localHost?: string; localPort?: number };
  await socket.start({
    host: localHost,
    port: localPort,
    reuseAddr: options.reuseAddr,
    ipv6Only: options.ipv6Only,
  });
}

function connect(options: QUICClientOptions, socket: QUICSocket, target: Target): QUICConnection {
  const { config, serverName, port, udpType } = target;
  const invalid = errors.ErrorQUICClientInvalidHost;
  const host = validateTarget(socket.host, socket.type, target.host, udpType, invalid);
  const logger = (options.logger ?? silent).getChild(QUICConnection.name);
  const { reasonToCode, codeToReason } = options;
  const at = { host: socket.host, port: socket.port };
  return socket.dial(config.native, host, port, serverName, (handle, driver) => {
    if (options.session !== undefined) resume(handle, options.session);
    const parts = { handle, driver, config, local: at, serverName, reasonToCode, codeToReason, logger };
    return new QUICConnection({ type: 'client', ...parts });
  });
}

function resume(handle: NativeConnection, session: Uint8Array): void {
  try {
    handle.setSession(session);
  } catch (error) {
    // Nobody owns it yet.
    handle.close(false, 0, new Uint8Array(0));
    throw error;
  }
}

/** What a failed dial rejects with. */
function translate(error: unknown, signal: AbortSignal, hasLostSocket: boolean): unknown {
  if (signal.aborted) return signal.reason;
  if (hasLostSocket && !(error instanceof errors.ErrorQUICClientSocketNotRunning)) {
    return new errors.ErrorQUICClientSocketNotRunning('The socket was stopped', { cause: error });
  }
  if (error instanceof errors.ErrorQUICConnectionStartTimeout) {
    return new errors.ErrorQUICClientCreateTimeout(error.message, { cause: error });
  }
  // Host and port were checked before: what the addon refuses now is the server's name, or the session.
  if (nativeCode(error) !== undefined && !(error instanceof errors.ErrorQUIC)) {
    return new errors.ErrorQUICClientInvalidArgument(messageOf(error), { cause: error });
  }
  return error;
}

export type { Dialled, QUICClientOptions };
export default dial;
