import type { ResolvedConfig } from './config';
import type { Driven } from './Driver';
import type { Ending } from './endings';
import type Driver from './Driver';
import type { NativeConnection } from './native';
import type { ConnectionOwner } from './connectionParts';
import type { Admitter, Keys } from './QUICSocket';
import type {
  Host,
  LoggerLike,
  Port,
  QUICServerConfigInput,
  QUICServerCrypto,
  ResolveHostname,
  StopOptions,
  StreamCodeToReason,
  StreamReasonToCode,
} from './types';
import { createHmac } from 'node:crypto';
import { isAnyArrayBuffer, isUint8Array } from 'node:util/types';
import { minIdleTimeout as noLimit, resolveConfig, serverDefault } from './config';
import * as errors from './errors';
import * as events from './events';
import { isHeeded, toLogger } from './logging';
import QUICConnection from './QUICConnection';
import QUICSocket from './QUICSocket';
import Emitter from './utils/emitter';
import { toStopRequest } from './utils/expect';
import Lifecycle from './utils/lifecycle';
import { promise, quiet } from './utils/promise';
import { formatError } from './utils';

type QUICServerOptions = {
  /** `key` seeds the keys of Retry tokens and stateless resets; keep it, and a restarted server resets lost connections. */
  crypto?: QUICServerCrypto;
  config: QUICServerConfigInput;
  /** A socket to share; without it the server has one of its own. */
  socket?: QUICSocket;
  resolveHostname?: ResolveHostname;
  reasonToCode?: StreamReasonToCode;
  codeToReason?: StreamCodeToReason;
  /** Milliseconds a newcomer's handshake may take; shortens `config.handshakeTimeout`. */
  minIdleTimeout?: number;
  logger?: LoggerLike;
};

/** Admits newcomers and hands out their connections, verified and started. Can be started and stopped again and again. */
class QUICServer extends Emitter implements Admitter, ConnectionOwner, AsyncDisposable {
  /** Whether the socket is somebody else's. */
  readonly isSocketShared: boolean;
  /** Used for new connections; change them as you like. */
  reasonToCode?: StreamReasonToCode;
  codeToReason?: StreamCodeToReason;
  minIdleTimeout?: number;
  readonly #socket: QUICSocket;
  readonly #logger: LoggerLike;
  readonly #lifecycle = new Lifecycle();
  /** Those whose handshake is under way: nobody has seen them. */
  readonly #newcomers = new Set<QUICConnection>();
  readonly #connections = new Set<QUICConnection>();
  #keys: Keys | undefined;
  #input: QUICServerConfigInput;
  #config: ResolvedConfig;
  #closed = promise();
  #isClosed = true;

  /** @throws {errors.ErrorQUICConfig} a setting can't be */
  constructor(options: QUICServerOptions) {
    super();
    this.#logger = toLogger(options.logger);
    this.reasonToCode = options.reasonToCode;
    this.codeToReason = options.codeToReason;
    this.minIdleTimeout = options.minIdleTimeout;
    this.#input = options.config;
    this.#config = this.#resolve(options.config);
    this.isSocketShared = options.socket !== undefined;
    this.#socket =
      options.socket ?? new QUICSocket({ resolveHostname: options.resolveHostname, logger: options.logger });
    this.#keys = options.crypto === undefined ? undefined : deriveKeys(options.crypto.key);
    if (!this.isSocketShared) this.#socket.relayEventsTo(this);
  }

  override addEventListener(...listening: Parameters<Emitter['addEventListener']>): void {
    super.addEventListener(...listening);
    for (const connection of this.#connections) connection.onListener();
  }

  /** Where its socket is bound. */
  get host(): Host {
    this.#expectRunning();
    return this.#socket.host;
  }

  get port(): Port {
    this.#expectRunning();
    return this.#socket.port;
  }

  /** Whether it accepts nobody. */
  get closed(): boolean {
    return this.#isClosed;
  }

  /** Resolves when it has stopped; a new one for each start. */
  get closedP(): Promise<void> {
    return this.#closed.p;
  }

  /** Connections it has handed out and that aren't gone. */
  get connections(): QUICConnection[] {
    return [...this.#connections];
  }

  /**
   * Accepts newcomers. The options are those of `QUICSocket.start`, ignored when the socket is shared.
   *
   * @throws {errors.ErrorQUICServerSocketNotRunning} the shared socket isn't started
   * @throws {errors.ErrorQUICSocket} the socket couldn't be started
   */
  async start(options: { host?: string; port?: number; reuseAddr?: boolean; ipv6Only?: boolean } = {}): Promise<void> {
    return this.#lifecycle.start(async () => {
      this.tell(events.EventQUICServerStart, undefined);
      this.#config = this.#resolve(this.#input);
      if (!this.isSocketShared) await this.#socket.start(options);
      if (!this.#socket.isRunning) throw new errors.ErrorQUICServerSocketNotRunning('The shared socket is not started');
      try {
        if (this.#keys !== undefined) this.#socket.useKeys(this.#keys);
        this.#socket.listen(this.#config.native, this);
      } catch (error) {
        if (!this.isSocketShared) await this.#socket.stop({ force: true });
        throw error;
      }
      this.#socket.attach(this);
      this.#closed = promise();
      this.#isClosed = false;
      this.#logger.info(`Started QUICServer on port ${this.#socket.port}`);
      this.tell(events.EventQUICServerStarted, undefined);
    });
  }

  /** Accepts nobody any more, ends all its connections as `QUICConnection.stop` does, and stops the socket if it is its own. */
  async stop(options: StopOptions = {}): Promise<void> {
    // First, since what it does can't be taken back.
    toStopRequest(options);
    // Once more, so that force ends the waiting of a call without.
    if (this.#lifecycle.status === 'stopping') void this.#stopConnections(options);
    return this.#lifecycle.stop(async () => {
      this.tell(events.EventQUICServerStop, undefined);
      this.#socket.unlisten(this);
      this.#socket.detach(this);
      await this.#stopConnections(options);
      if (!this.isSocketShared) await this.#socket.stop({ force: true });
      this.#close(undefined);
      this.#closed.resolveP();
      this.#logger.info('Stopped QUICServer');
      this.tell(events.EventQUICServerStopped, undefined);
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /**
   * Changes settings, for new connections only: a handshake that is under way goes on by the old ones.
   *
   * @throws {errors.ErrorQUICConfig} a setting can't be; the old ones stay
   */
  updateConfig(config: Partial<QUICServerConfigInput>): void {
    const input = { ...this.#input, ...config };
    const resolved = this.#resolve(input);
    // First, since it admits those who were accepted by the old ones.
    const listens = !this.#isClosed && this.#lifecycle.status !== 'stopping';
    if (listens && this.#socket.isRunning) this.#socket.listen(resolved.native, this);
    this.#input = input;
    this.#config = resolved;
  }

  /** Changes the keys, from the next start on. */
  updateCrypto({ key }: Partial<QUICServerCrypto>): void {
    if (key !== undefined) this.#keys = deriveKeys(key);
  }

  /** @internal A newcomer. It is shown when its handshake is complete. */
  admit(handle: NativeConnection, driver: Driver): Driven {
    const connection = new QUICConnection({
      type: 'server',
      handle,
      driver,
      config: this.#config,
      owner: this,
      local: { host: this.#socket.host, port: this.#socket.port },
      serverName: null,
      reasonToCode: this.reasonToCode,
      codeToReason: this.codeToReason,
      logger: this.#logger.getChild(QUICConnection.name),
    });
    this.#newcomers.add(connection);
    void connection.closedP.then(() => {
      this.#newcomers.delete(connection);
      this.#connections.delete(connection);
    });
    return connection;
  }

  /** @internal */
  onConnected(connection: QUICConnection): void {
    this.#newcomers.delete(connection);
    this.#connections.add(connection);
    connection.giveTo(this);
    this.tell(events.EventQUICServerConnection, connection);
  }

  /** @internal */
  onEnd(connection: QUICConnection, ending: Ending): void {
    if (!this.#newcomers.has(connection) || !isHeeded(this.#logger)) return;
    // Only noted: a stranger who fails to get in must not look like a fault of the server.
    const reason = new errors.ErrorQUICServerNewConnection(ending.error.message, { cause: ending.error });
    this.#logger.debug(formatError(reason));
  }

  /** @internal */
  onSocketStopped(): void {
    const error = new errors.ErrorQUICServerSocketNotRunning('The socket was stopped under the server');
    this.tell(events.EventQUICServerError, error);
    this.#close(error);
    // Not now: the socket lets go of the connections first, so that no close frame goes out.
    queueMicrotask(() => void quiet(this.stop()));
  }

  /** Tells of the end, once for each start. */
  #close(error: errors.ErrorQUICServerSocketNotRunning | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.tell(events.EventQUICServerClose, error);
  }

  async #stopConnections(options: StopOptions): Promise<void> {
    const all = [...this.#newcomers, ...this.#connections];
    await Promise.all(all.map((connection) => connection.stop(options)));
  }

  #resolve(input: QUICServerConfigInput): ResolvedConfig {
    return resolveConfig('server', serverDefault, input, this.minIdleTimeout ?? noLimit);
  }

  #expectRunning(): void {
    if (this.#lifecycle.status === 'stopped') throw new errors.ErrorQUICServerNotRunning('The server is not started');
  }
}

/** One key for one purpose each. Of anything else than bytes it would be the same as everybody's. */
function deriveKeys(secret: ArrayBuffer | Uint8Array): Keys {
  if (!(isAnyArrayBuffer(secret) || isUint8Array(secret)) || secret.byteLength === 0) {
    throw new errors.ErrorQUICConfig(
      'crypto.key is expected to be bytes, as an ArrayBuffer or a Uint8Array, and not empty',
    );
  }
  const derive = (purpose: string) =>
    createHmac('sha256', new Uint8Array(secret)).update(`polykey-quic ${purpose}`).digest();
  return { tokenKey: derive('retry token'), statelessResetKey: derive('stateless reset') };
}

export type { QUICServerOptions };
export default QUICServer;
