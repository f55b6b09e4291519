import type { ConnectionOwner } from './connectionParts';
import type { Ending } from './endings';
import type { DialAttempt, Dialled, QUICClientOptions } from './dial';
import type { SocketUser } from './QUICSocket';
import type { ContextTimedInput, Host, LoggerLike, Port, PromiseCancellable, StopOptions } from './types';
import type QUICConnection from './QUICConnection';
import type QUICSocket from './QUICSocket';
import dial from './dial';
import * as errors from './errors';
import * as events from './events';
import { isHeeded } from './logging';
import Emitter from './utils/emitter';
import { toSignal, toStopRequest, toTimer } from './utils/expect';
import { type Abort, Cancellable, onAbort, promise, resolved } from './utils/promise';
import { onTimeout } from './utils/timer';

/** One dialled connection, and the socket under it where that is its own. */
class QUICClient extends Emitter implements ConnectionOwner, SocketUser, AsyncDisposable {
  readonly connection: QUICConnection;
  #socket: QUICSocket;
  #isSocketShared: boolean;
  readonly #logger: LoggerLike;
  readonly #closed = promise();
  /** Whether the connection has ended, or the socket under it. */
  #hasFailed = false;
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
    return Cancellable.run((limits) => create(options, limits, ctx));
  }

  /** @internal Clients are made by `createQUICClient`. */
  constructor(parts: Dialled) {
    super();
    this.#socket = parts.socket;
    this.#isSocketShared = parts.isSocketShared;
    this.connection = parts.connection;
    this.#logger = parts.logger;
    this.#socket.attach(this);
    if (!this.isSocketShared) this.#socket.relayEventsTo(this);
    this.connection.giveTo(this);
  }

  override addEventListener(...listening: Parameters<Emitter['addEventListener']>): void {
    super.addEventListener(...listening);
    this.connection.onListener();
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
    // First, since what it does can't be taken back.
    toStopRequest(options);
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
    // It is on its way to another one.
    if (!this.connection.isDrivenBy(this.#socket.driver)) return;
    const error = new errors.ErrorQUICClientSocketNotRunning('The socket was stopped under the client');
    this.#fail(() => error);
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
  onEnd(_connection: QUICConnection, ending: Ending): void {
    this.#fail(() => ending.error);
  }

  /** The first reason is the one that counts. */
  #fail(error: () => errors.ErrorQUICClientSocketNotRunning | errors.ErrorQUICConnection): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    if (isHeeded(this.#logger)) this.#logger.info(`Client ends: ${error().message}`);
    this.tellLate(events.EventQUICClientError, error);
    this.tellLate(events.EventQUICClientClose, error);
    // Not now: a socket that stops lets go of the connection first, so that no close frame goes out.
    void resolved.then(() => this.#destroying ?? this.destroy());
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

async function create(options: QUICClientOptions, limits: Abort, ctx: Partial<ContextTimedInput>): Promise<QUICClient> {
  const [signal, timer] = [toSignal(ctx.signal), toTimer(ctx.timer)];
  const giveUp = (reason: unknown): void => limits.abort(reason);
  const attempts: DialAttempt[] = [];
  const onTime = (): void =>
    giveUp(new errors.ErrorQUICClientCreateTimeout('The timer ran out', { data: { attempts } }));
  const detach = [onAbort(signal, giveUp), onTimeout(timer, onTime)];
  try {
    return new QUICClient(await dial(options, limits, attempts));
  } finally {
    for (const stop of detach) stop();
  }
}

export type { QUICClientOptions };
export default QUICClient;
