import type { ResolvedConfig } from './config';
import type { NativeConnection } from './native';
import type { ConnectionOwner } from './connectionParts';
import type { SocketUser } from './QUICSocket';
import type {
  ContextTimedInput,
  Host,
  LoggerLike,
  Port,
  PromiseCancellable,
  QUICClientConfigInput,
  QUICClientCrypto,
  ResolveHostname,
  StopOptions,
  StreamCodeToReason,
  StreamReasonToCode,
} from './types';
import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import { clientDefault, resolveConfig } from './config';
import * as errors from './errors';
import * as events from './events';
import { toLogger } from './logging';
import { messageOf, nativeCode } from './native';
import QUICConnection from './QUICConnection';
import QUICSocket from './QUICSocket';
import { resolveHost, toPort, validateTarget } from './utils/address';
import Emitter from './utils/emitter';
import { expectStopOptions } from './utils/expect';
import { Cancellable, onAbort, promise, unlessAborted } from './utils/promise';
import { onTimeout } from './utils/timer';

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

/** One dialled connection, and the socket under it where that is its own. */
class QUICClient extends Emitter implements ConnectionOwner, SocketUser, AsyncDisposable {
  readonly connection: QUICConnection;
  #socket: QUICSocket;
  #isSocketShared: boolean;
  readonly #logger: LoggerLike;
  readonly #closed = promise();
  /** Why the connection ended, once it has. */
  #failure: Error | undefined;
  #destroying: Promise<void> | undefined;
  #isDestroyed = false;

  /**
   * Dials. Resolves when the handshake is complete and the server trusted; the server judges us a little later
   * (`connection.confirmed`). With `config.earlyData` and a `session` that permits it, resolves at once: the server is
   * trusted as in that session, and an end of the handshake is one of the connection. The promise has `cancel(reason)`.
   *
   * @param ctx.timer - milliseconds, or a timer, after which the dial is given up
   * @param ctx.signal - gives the dial up; the promise rejects with the signal's reason
   * @throws {errors.ErrorQUICClientCreateTimeout} neither the timer nor `handshakeTimeout` was enough
   * @throws {errors.ErrorQUICClientSocketNotRunning} the shared socket isn't started
   * @throws {errors.ErrorQUICClientInvalidHost} the socket doesn't reach this kind of address
   * @throws {errors.ErrorQUICClientInvalidArgument} the server name is none, or the session
   * @throws {errors.ErrorQUICConfig} a setting can't be
   * @throws {errors.ErrorQUICSocket} the socket couldn't be started
   * @throws {errors.ErrorQUICConnection} the server or we refused, or nobody answered
   */
  static createQUICClient(
    options: QUICClientOptions,
    ctx: Partial<ContextTimedInput> = {},
  ): PromiseCancellable<QUICClient> {
    return Cancellable.run((signal) => create(options, signal, ctx));
  }

  /** @internal Clients are made by `createQUICClient`. */
  constructor(parts: { socket: QUICSocket; isSocketShared: boolean; connection: QUICConnection; logger: LoggerLike }) {
    super();
    this.#socket = parts.socket;
    this.#isSocketShared = parts.isSocketShared;
    this.connection = parts.connection;
    this.#logger = parts.logger;
    this.#socket.attach(this);
    if (!this.isSocketShared) this.#socket.relayEventsTo(this);
    this.connection.giveTo(this);
  }

  /** Whether the socket is somebody else's. */
  get isSocketShared(): boolean {
    return this.#isSocketShared;
  }

  /** Where the server is. */
  get host(): Host {
    return this.connection.remoteHost;
  }

  get port(): Port {
    return this.connection.remotePort;
  }

  /** Where the socket is bound. */
  get localHost(): Host {
    return this.connection.localHost;
  }

  get localPort(): Port {
    return this.connection.localPort;
  }

  get closed(): boolean {
    return this.#isDestroyed;
  }

  /** Resolves when the connection is gone and, if it was the client's own, the socket closed. */
  get closedP(): Promise<void> {
    return this.#closed.p;
  }

  /** Ends the connection, as `QUICConnection.stop` does, and stops the socket if it is the client's own. */
  async destroy(options: StopOptions = {}): Promise<void> {
    expectStopOptions(options);
    // Once more, so that force ends the waiting of a call without.
    if (this.#destroying !== undefined) void this.connection.stop(options);
    this.#destroying ??= this.#destroy(options);
    return this.#destroying;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.destroy();
  }

  /** @internal */
  onSocketStopped(): void {
    this.#fail(new errors.ErrorQUICClientSocketNotRunning('The socket was stopped under the client'));
  }

  /** @internal The connection has moved to a socket that somebody else has made. */
  onMoved(socket: QUICSocket): void {
    const { isSocketShared } = this;
    const old = this.#socket;
    old.detach(this);
    this.#socket = socket;
    this.#isSocketShared = true;
    socket.attach(this);
    if (!isSocketShared) void old.stop({ force: true });
  }

  /** @internal */
  onConnected(): void {
    // Clients are made of connections that are connected.
  }

  /** @internal */
  onEnd(_connection: QUICConnection, error: errors.ErrorQUICConnection): void {
    this.#fail(error);
  }

  /** The first reason is the one that counts. */
  #fail(error: errors.ErrorQUICClientSocketNotRunning | errors.ErrorQUICConnection): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#logger.info(`Client ends: ${error.message}`);
    this.tell(events.EventQUICClientError, error);
    this.tell(events.EventQUICClientClose, error);
    // Not now: a socket that stops lets go of the connection first, so that no close frame goes out.
    queueMicrotask(() => void this.destroy());
  }

  async #destroy(options: StopOptions): Promise<void> {
    this.tell(events.EventQUICClientDestroy, undefined);
    await this.connection.stop(options);
    this.#socket.detach(this);
    if (!this.isSocketShared) await this.#socket.stop({ force: true });
    this.#isDestroyed = true;
    this.#closed.resolveP();
    this.tell(events.EventQUICClientDestroyed, undefined);
  }
}

async function create(
  options: QUICClientOptions,
  cancelled: AbortSignal,
  ctx: Partial<ContextTimedInput>,
): Promise<QUICClient> {
  const limits = new AbortController();
  const giveUp = (reason: unknown): void => limits.abort(reason);
  const detach = [
    onAbort(cancelled, giveUp),
    onAbort(ctx.signal, giveUp),
    onTimeout(ctx.timer, () => giveUp(new errors.ErrorQUICClientCreateTimeout('The timer ran out'))),
  ];
  try {
    return await dial(options, limits.signal);
  } finally {
    for (const stop of detach) stop();
  }
}

/** Whom to dial, checked. */
type Target = { host: Host; udpType: 'udp4' | 'udp6'; port: Port; serverName: string; config: ResolvedConfig };

async function dial(options: QUICClientOptions, signal: AbortSignal): Promise<QUICClient> {
  const logger = toLogger(options.logger);
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
    return new QUICClient({ socket, isSocketShared, connection, logger });
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
  const logger = toLogger(options.logger).getChild(QUICConnection.name);
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

export type { QUICClientOptions };
export default QUICClient;
