import type { ConnectionOwner, ConnectionParts } from './connectionParts';
import type { State } from './connectionState';
import type { DatagramStats } from './datagrams';
import type Driver from './Driver';
import type { Driven } from './Driver';
import type { ConnectionStats, NativeConnection, PathStats } from './native';
import type { MigrateLimits } from './paths';
import type QUICSocket from './QUICSocket';
import type { ConnectionError, ConnectionMetadata, Host, LoggerLike, Port, QUICConfig, StopOptions } from './types';
import type { EarlyData } from './handshake';
import type { TLSInfo } from './tls';
import type QUICStream from './QUICStream';
import { DATAGRAM_QUEUE } from './config';
import Confirmation from './confirmation';
import { advance, expectRunning } from './connectionState';
import Datagrams from './datagrams';
import { Ending, local } from './endings';
import * as errors from './errors';
import * as events from './events';
import Handshake from './handshake';
import { isHeeded } from './logging';
import { ChangeKind, ConnectionErrorCode } from './native';
import Paths from './paths';
import QUICConnectionId from './QUICConnectionId';
import { streamHost } from './streamHost';
import StreamTable from './StreamTable';
import Emitter from './utils/emitter';
import { type StopRequest, expectBytes, expectStreamType, toSignal, toStopRequest } from './utils/expect';
import { Outcome, promise } from './utils/promise';
import Unheard from './unheard';
import Verification from './verification';
import WindDown, { isImmediate } from './windDown';

/** A stop of which nothing is said. */
const AT_ONCE = toStopRequest();

/** Counters of a connection. */
type QUICConnectionStats = ConnectionStats & {
  paths: PathStats[];
  /** Open streams. */
  streams: number;
  datagrams: DatagramStats;
};

/** The user's side of one connection. */
class QUICConnection extends Emitter implements Driven, AsyncDisposable {
  readonly type: 'client' | 'server';
  readonly #parts: ConnectionParts;
  readonly #handle: NativeConnection;
  #owner: ConnectionOwner | undefined;
  readonly #logger: LoggerLike;
  /** Made when it is first asked for: many connections are done before. */
  #streamTable: StreamTable | undefined;
  readonly #datagrams: Datagrams;
  #state: State = { status: 'starting' };
  #verification: Verification | undefined;
  /** Changes that wait until whoever was handed the connection had a turn to listen; `undefined` lets them through. */
  #held: [ChangeKind, number][] | undefined;
  readonly #handshake: Handshake;
  readonly #paths: Paths;
  readonly #unheard = new Unheard(
    () => this.isHeard(events.EventQUICConnectionStream.name),
    (stream) => this.tell(events.EventQUICConnectionStream, stream),
  );
  #stopping: Promise<void> | undefined;
  #stopRequest = AT_ONCE;
  #windDown: WindDown | undefined;
  readonly #established = new Outcome();
  readonly #confirmation = new Confirmation();
  readonly #closed = promise();

  /** @internal Connections are made by clients and servers. */
  constructor(parts: ConnectionParts) {
    super();
    this.type = parts.type;
    this.#parts = parts;
    this.#handle = parts.handle;
    this.#owner = parts.owner;
    this.#logger = parts.logger;
    const { enableDgram, dgramDrop } = parts.config.settings;
    this.#datagrams = new Datagrams(parts.handle, enableDgram[1] || DATAGRAM_QUEUE, dgramDrop);
    this.#handshake = new Handshake(parts.handle);
    this.#paths = new Paths(parts.handle, this, parts.driver, parts.local, parts.remote);
  }

  override addEventListener(...listening: Parameters<Emitter['addEventListener']>): void {
    super.addEventListener(...listening);
    this.onListener();
  }

  /** @internal Somebody listens, perhaps to streams, here or further out. */
  onListener(): void {
    this.#unheard.onListener();
  }

  /** The settings it was made with. */
  get config(): QUICConfig {
    return this.#parts.config.settings;
  }

  get connectionId(): QUICConnectionId {
    return this.#handshake.ids.own;
  }

  get connectionIdPeer(): QUICConnectionId {
    return this.#handshake.ids.peer;
  }

  /** Both ids joined, the lower first: the same at both ends when the handshake is complete. */
  get connectionIdShared(): QUICConnectionId {
    const { own, peer } = this.#handshake.ids;
    return QUICConnectionId.fromBuffer(Buffer.concat([own, peer].sort((a, b) => Buffer.compare(a, b))));
  }

  /** Where the socket is bound; a wildcard means every interface. */
  get localHost(): Host {
    return this.#paths.local.host;
  }

  get localPort(): Port {
    return this.#paths.local.port;
  }

  /** Where the peer is now; changes when its NAT does. */
  get remoteHost(): Host {
    return this.#paths.remote.host;
  }

  get remotePort(): Port {
    return this.#paths.remote.port;
  }

  get closed(): boolean {
    return this.#state.status === 'closed';
  }

  /** Resolves when the connection is gone, for whatever reason. */
  get closedP(): Promise<void> {
    return this.#closed.p;
  }

  /**
   * Resolves when the peer has accepted us: for a client, when the server has judged its certificate; for a server, when
   * the handshake is complete, which it is from the start unless `earlyData` is on. A server of other make that sends
   * application data before it has judged us resolves it too early; one that takes early data and never gives a spare
   * connection id, never. Rejects with the connection's error.
   */
  get confirmed(): Promise<void> {
    return this.#confirmation.p;
  }

  get stats(): QUICConnectionStats {
    return {
      ...this.#handle.stats(),
      paths: this.#handle.pathStats(),
      streams: this.#streams.size,
      datagrams: this.#datagrams.stats,
    };
  }

  /** Largest datagram in bytes that fits now; `null` if the peer takes none. */
  get maxDatagramSize(): number | null {
    return this.#datagrams.maxSize;
  }

  /**
   * Datagrams of the peer, one after the other; of too many the oldest are dropped. Ends with the connection. Those that came
   * together share memory, 64 KiB at most: copy what you keep for long.
   */
  get datagrams(): AsyncIterable<Uint8Array> {
    return this.#datagrams;
  }

  /** Why the connection ended, as the protocol says it; `undefined` while it lives, or if it timed out. */
  getConnectionError(): ConnectionError | undefined {
    const error = 'ending' in this.#state ? this.#state.ending.error : undefined;
    const isSaid = error instanceof errors.ErrorQUICConnectionLocal || error instanceof errors.ErrorQUICConnectionPeer;
    return isSaid ? error.data : undefined;
  }

  /** Our chain, DER, leaf first. */
  getLocalCertsChain(): Uint8Array[] {
    return [...this.#parts.config.certs];
  }

  /** Our trust anchors, DER. */
  getLocalCACertsChain(): Uint8Array[] {
    return [...this.#parts.config.ca];
  }

  /** The peer's chain, DER, leaf first; empty if it showed none. */
  getRemoteCertsChain(): Uint8Array[] {
    return this.#handshake.remoteCerts;
  }

  /** What the two ends agreed on; `undefined` before the handshake is complete. */
  get tls(): TLSInfo | undefined {
    return this.#handshake.tls;
  }

  /** What became of early data (0-RTT). See `QUICConfig.earlyData`. */
  get earlyData(): EarlyData {
    return this.#handshake.earlyData;
  }

  /**
   * Secret bytes that only the two ends of this connection can compute (RFC 8446 §7.5, RFC 5705): equal at both for equal
   * arguments, other than any other connection's. Who signs them proves to be at the other end of this very connection.
   *
   * @param length - 1 to 4096 bytes
   * @throws as `newStream` does; the addon's `InvalidState` before the handshake is complete, its `OutOfRange`, and its `InvalidArgument` for a label of more than 249 bytes
   */
  exportKeyingMaterial(label: string, context: Uint8Array = new Uint8Array(0), length = 32): Uint8Array {
    expectRunning(this.#state);
    return this.#handle.exportKeyingMaterial(label, context, length);
  }

  /** Nobody sends its trust anchors: always empty. */
  getRemoteCACertsChain(): Uint8Array[] {
    return [];
  }

  meta(): ConnectionMetadata {
    return {
      localHost: this.localHost,
      localPort: this.localPort,
      remoteHost: this.remoteHost,
      remotePort: this.remotePort,
      localCertsChain: this.getLocalCertsChain(),
      localCACertsChain: this.getLocalCACertsChain(),
      remoteCertsChain: this.getRemoteCertsChain(),
    };
  }

  /**
   * A new stream, at once. Beyond the number that the peer lets us have open, its first write waits.
   *
   * @throws {errors.ErrorQUICConnectionStopping} it waits for its streams to end
   * @throws {errors.ErrorQUICConnectionNotRunning} it has ended
   */
  newStream(type: 'bidi' | 'uni' = 'bidi'): QUICStream {
    expectStreamType(type);
    expectRunning(this.#state);
    return this.#streams.create(type);
  }

  /** A new stream, when the peer lets us have one more. Rejects as `newStream` throws, or with the signal's reason. */
  async openStream({
    type = 'bidi',
    signal,
  }: { type?: 'bidi' | 'uni'; signal?: AbortSignal } = {}): Promise<QUICStream> {
    expectStreamType(type);
    expectRunning(this.#state);
    return this.#streams.open(type, toSignal(signal));
  }

  /** Sends a datagram (RFC 9221), which may be lost. `false`: it is too large now, the queue is full, or nobody takes it. */
  sendDatagram(data: Uint8Array): boolean {
    expectBytes(data, 'data');
    const isSent = this.#datagrams.send(data);
    this.#paths.driver.wake();
    return isSent;
  }

  /** The next datagram of the peer, as `datagrams` gives it; `null` when the connection has ended. */
  receiveDatagram({ signal }: { signal?: AbortSignal } = {}): Promise<Uint8Array | null> {
    return this.#datagrams.next(signal);
  }

  /**
   * Goes on from another socket, as a laptop that changes its network does; streams notice nothing. Resolves when the peer
   * has answered over the new path. If it doesn't, the connection goes back to where it was. For connections that were
   * dialled, where both sides have `disableActiveMigration: false` (RFC 9000 §9). It can move any number of times, each time
   * under a connection id that wasn't seen before: it waits until the peer has given one.
   *
   * @throws {errors.ErrorQUICConnectionMigration} it can't move, or nobody answered over the new path
   * @throws as `newStream` does; with the signal's reason
   */
  async migrate({ socket, ...limits }: MigrateLimits & { socket: QUICSocket }): Promise<void> {
    expectRunning(this.#state);
    if (this.type === 'server') throw new errors.ErrorQUICConnectionMigration('Only the side that dialled can move');
    if (this.config.disableActiveMigration) {
      throw new errors.ErrorQUICConnectionMigration('`disableActiveMigration` is set for this connection');
    }
    await this.#paths.migrate(socket, limits);
    this.#owner?.onMoved?.(socket);
    const { local, remote: peer } = this.#paths;
    for (const what of ['validated', 'migrated'] as const)
      this.tell(events.EventQUICConnectionPath, { what, local, peer });
  }

  /** Gives up all open streams, and keeps the connection. */
  destroyStreams(reason?: unknown): void {
    for (const stream of this.#streams.values()) stream.cancel(reason);
  }

  /**
   * Does nothing: connections are handed out started.
   *
   * @throws {errors.ErrorQUICConnectionClosed} it has ended, and can't begin anew
   */
  async start(): Promise<void> {
    if (!this.#isLive) throw new errors.ErrorQUICConnectionClosed('The connection has ended, and cannot begin anew');
  }

  /**
   * Ends the connection. Can be called again and at any time: a forced stop ends the waiting of one that isn't, and the limits of
   * each call hold.
   *
   * - `force: true`, the default: closes at once; open streams fail, and what is under way to the peer is dropped.
   * - `force: true, flush: true`: open streams are aborted, but what was written to those that were ended reaches the peer.
   * - `force: false`: waits for the streams to end by themselves, and for their bytes to reach the peer.
   *
   * `timeout` and `signal` bound the waiting of the last two. A packet acknowledged is one that the peer's machine has; whether its
   * application has read it, only an answer can tell.
   *
   * @throws {RangeError} `errorCode` or `timeout` can't be
   * @throws {TypeError} another option can't be
   */
  async stop(options?: StopOptions): Promise<void> {
    const request = toStopRequest(options);
    if (this.#stopping === undefined || isImmediate(request)) this.#stopRequest = request;
    if (this.#state.status === 'running') this.#windDown ??= new WindDown(() => this.#streams);
    this.#windDown?.limit(request);
    if (this.#stopping === undefined) {
      // Set before it runs: the end that it makes asks for a stop too.
      const stopping = promise();
      this.#stopping = stopping.p;
      this.#stop().then(stopping.resolveP, stopping.rejectP);
    }
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** @internal Resolves when the handshake is complete and the peer trusted, or early data can flow. */
  get established(): Promise<void> {
    return this.#established.p;
  }

  /** @internal Passes events on to the owner, and tells it what it has to know. */
  giveTo(owner: ConnectionOwner & Emitter): void {
    this.#owner = owner;
    this.relayTo(owner);
    this.tell(events.EventQUICConnectionStart, undefined);
    this.tell(events.EventQUICConnectionStarted, undefined);
  }

  /** @internal Whether its user still counts on it. */
  get isActive(): boolean {
    return this.#state.status !== 'closed';
  }

  /** @internal Whether this is what drives it. */
  isDrivenBy(driver: Driver): boolean {
    return this.#paths.driver === driver;
  }

  /** @internal The socket was stopped under it: nothing can be said to the peer any more. */
  onDriverClosed(): void {
    if (this.#isLive) {
      const reason = Buffer.from('the socket was stopped');
      this.#end(new Ending(() => local({ isApp: false, errorCode: ConnectionErrorCode.InternalError, reason })), false);
    }
    this.#finish();
  }

  /** @internal */
  onFault(cause: unknown): void {
    const error = new errors.ErrorQUICConnectionInternal('A change could not be handled', { cause });
    this.#logger.error(`${error.message}: ${String(cause)}`);
    if (!this.#isLive) return;
    this.#closeNative({ ...AT_ONCE, isApp: false, errorCode: ConnectionErrorCode.InternalError });
    this.#end(new Ending(() => error), false);
  }

  /** @internal */
  onChange(kind: ChangeKind, value: number): void {
    if (this.#held !== undefined) this.#held.push([kind, value]);
    else this.#apply(kind, value);
  }

  #apply(kind: ChangeKind, value: number): void {
    switch (kind) {
      case ChangeKind.StreamReadable:
        this.#streams.get(value)?.onReadable();
        break;
      case ChangeKind.StreamWritable:
        this.#streams.get(value)?.onWritable();
        break;
      case ChangeKind.StreamOpened:
        this.#onStreamOpened(value);
        break;
      case ChangeKind.DatagramReadable:
        this.#datagrams.receive((datagram) => this.tell(events.EventQUICConnectionDatagram, datagram));
        break;
      case ChangeKind.StreamsAvailable:
        this.#streamTable?.onCredit(value === 0 ? 'bidi' : 'uni');
        break;
      case ChangeKind.Path:
        this.#onPath();
        break;
      case ChangeKind.Verify:
        this.#onVerify();
        break;
      case ChangeKind.Connected:
        this.#onConnected();
        break;
      case ChangeKind.Established:
        this.#onHandshake();
        break;
      case ChangeKind.Confirmed:
        this.#confirmation.done();
        break;
      case ChangeKind.Ending:
        this.#onEnding();
        break;
      case ChangeKind.Closed:
        this.#onEnding();
        this.#finish();
        break;
      case ChangeKind.Session:
        this.#onSession();
        break;
      case ChangeKind.Stray:
      case ChangeKind.Heard:
        break;
    }
  }

  #onVerify(): void {
    const { config, serverName, driver } = this.#parts;
    const { verifyCallback } = config.settings;
    if (verifyCallback === undefined) return;
    const circumstances = {
      side: this.type,
      serverName: this.type === 'client' ? serverName : this.#handle.serverName(),
      ...this.#paths.remote,
    };
    this.#verification = new Verification(this.#handle, verifyCallback, config.ca, circumstances, () => driver.wake());
    // The callback may have ended the connection.
    if ('ending' in this.#state) this.#verification.abort(this.#state.ending);
  }

  #onConnected(): void {
    this.#onHandshake();
    this.#advance({ status: 'running' });
    // Whoever awaits the connection runs now; what else happened is told at the end of the turn, when it has had time to listen.
    this.#held = [];
    this.#paths.watch(() => this.#release());
    this.#established.resolve();
    this.#owner?.onConnected(this);
  }

  #onHandshake(): void {
    this.#handshake.advance();
    this.#onPath();
  }

  #onSession(): void {
    const session = this.#isLive ? this.#handle.session() : null;
    if (session !== null) this.tell(events.EventQUICConnectionSession, session);
  }

  #release(): true {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const [kind, value] of held) {
      try {
        this.#apply(kind, value);
      } catch (error) {
        this.onFault(error);
      }
    }
    if (held.length > 0) this.#paths.driver.wake();
    return true;
  }

  #onStreamOpened(id: number): void {
    if (this.#state.status !== 'running') this.#streams.refuse(id, new errors.ErrorQUICConnectionStopping());
    else this.#unheard.announce(this.#streams.accept(id));
  }

  #onPath(): void {
    this.#paths.update((change) => {
      this.#logger.debug(`Path of ${this.connectionId.toString()}: ${JSON.stringify(change)}`);
      this.tell(events.EventQUICConnectionPath, change);
    });
  }

  #onEnding(): void {
    if (this.#isLive) this.#end(Ending.of(this.#handle, this.#verification?.thrown), true);
  }

  /** The connection ends, by us or by the peer: all that wait learn why. */
  #end(ending: Ending, keepsReceived: boolean): void {
    const error = () => ending.error;
    this.#advance({ status: 'closing', ending });
    if (isHeeded(this.#logger)) {
      this.#logger.info(`Connection ${this.connectionId.toString()} ends: ${ending.error.message}`);
    }
    this.#verification?.abort(ending);
    this.#established.reject(error);
    this.#confirmation.fail(ending);
    this.#unheard.clear();
    this.#paths.end(ending);
    this.#datagrams.end();
    this.#streamTable?.end(ending, keepsReceived);
    this.#windDown?.end();
    this.tellLate(events.EventQUICConnectionError, error);
    this.tellLate(events.EventQUICConnectionClose, error);
    this.#owner?.onEnd(this, ending);
    void this.stop();
  }

  /** The connection is gone. Answers true, as who watches for the end of a turn does to watch no more. */
  #finish(): true {
    if (this.#state.status === 'closing') {
      this.#advance({ status: 'closed', ending: this.#state.ending });
      this.#held = undefined;
      this.#confirmation.cancel();
      this.#closed.resolveP();
    }
    return true;
  }

  async #stop(): Promise<void> {
    const wasEstablished = this.#state.status !== 'starting' && this.#isLive;
    const hasHeardEnd = this.#state.status === 'closing' && this.#state.ending.isSilent;
    this.tell(events.EventQUICConnectionStop, undefined);
    if (this.#state.status === 'running' && !isImmediate(this.#stopRequest)) {
      this.#advance({ status: 'stopping' });
      await this.#windDown?.wait((check) => this.#paths.watch(check));
    }
    if (this.#isLive) this.#closeByUs(this.#stopRequest);
    // Whoever never met has nothing to repeat: gone when the close frame is.
    if (hasHeardEnd) this.#finish();
    else if (!wasEstablished) this.#paths.watch(() => this.#finish());
    await this.#closed.p;
    this.tell(events.EventQUICConnectionStopped, undefined);
  }

  #closeByUs({ isApp, errorCode, reason }: StopRequest): void {
    if (this.#state.status === 'starting') {
      this.#closeNative({ isApp, errorCode, reason });
      // RFC 9000 §10.2.3: in a handshake the application's code isn't told.
      const said = this.#handle.localError() ?? { isApp, errorCode, reason };
      this.#end(new Ending(() => local(said)), false);
      return;
    }
    this.#end(new Ending(() => local({ isApp, errorCode, reason })), false);
    // After what this turn has to send: quiche never gets to say goodbye if its last handshake packet hasn't gone out.
    const close = () =>
      this.#paths.watch(() => {
        this.#closeNative({ isApp, errorCode, reason });
        return true;
      });
    // quiche sends a code of QUIC's own in a Handshake packet until then, which a server may have lost the keys for. While
    // early data flows, the peer may not be able to read the application's, either.
    if (!isApp || this.earlyData === 'pending') {
      const path = this.#handle.pathStats().find(({ active }) => active);
      this.#confirmation.whenDone(path, close);
    } else close();
  }

  #closeNative({ isApp, errorCode, reason }: Pick<StopRequest, 'isApp' | 'errorCode' | 'reason'>): void {
    try {
      this.#handle.close(isApp, errorCode, reason);
    } catch (error) {
      // It failed inside, and is gone.
      this.#logger.debug(String(error));
    }
    this.#paths.driver.wake();
  }

  /** Whether the connection hasn't ended. */
  get #isLive(): boolean {
    return this.#state.status !== 'closing' && this.#state.status !== 'closed';
  }

  get #streams(): StreamTable {
    return (this.#streamTable ??= new StreamTable(
      streamHost(this.#parts, {
        emitter: this,
        wake: () => this.#paths.driver.wake(),
        release: (stream) => {
          this.#unheard.forget(stream);
          this.#streams.release(stream);
        },
        whyEnded: () => ('ending' in this.#state ? this.#state.ending.error : undefined),
        meta: () => this.meta(),
      }),
      this.type,
    ));
  }

  #advance(to: State): void {
    this.#state = advance(this.#state, to);
  }
}

export type { QUICConnectionStats };
export default QUICConnection;
