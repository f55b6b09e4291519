import type { Driven, DriverHost } from './Driver';
import type { EndpointOptions, EndpointStats, NativeConfig, NativeConnection } from './native';
import type {
  BoundAddress,
  BoundTransport,
  DrivingTransport,
  OpenTransport,
  Transport,
  TransportOptions,
  TransportStats,
} from './transport/Transport';
import type { TransportChoice } from './transport/open';
import type { ObserveOptions } from './observe';
import type { PunchOptions, PunchResult, PunchStats } from './punch';
import type { Host, LoggerLike, Port, RemoteInfo, ResolveHostname, SocketType } from './types';
import { expectKnown, refusalsNamed } from './config';
import Driver from './Driver';
import * as errors from './errors';
import * as events from './events';
import { toLogger } from './logging';
import { Endpoint, messageOf, nativeCode } from './native';
import observe from './observe';
import Probing from './probing';
import Punch from './punch';
import { CHOICES, defaultTransport, isChoice, openTransport } from './transport/open';
import * as address from './utils/address';
import Emitter from './utils/emitter';
import { isSet } from './utils/expect';
import Lifecycle from './utils/lifecycle';
import { promise } from './utils/promise';

/** What stock systems don't grant without being asked: without it bursts are lost in the kernel. */
const SOCKET_BUFFER_BYTES = 4 * 1024 * 1024;

/** What the addon is told. */
const LIMITS = [
  'maxConnections',
  'maxConnectionsPerAddress',
  'maxHalfOpen',
  'maxAcceptsPerSecond',
  'maxBufferedBytes',
  'maxStrays',
  'retry',
  'retryThreshold',
  'tokenKey',
  'statelessResetKey',
] as const satisfies readonly (keyof EndpointOptions)[];

/** How the socket guards its door and its memory; the addon documents each default. */
type QUICSocketLimits = Pick<EndpointOptions, (typeof LIMITS)[number]>;

type QUICSocketOptions = QUICSocketLimits & {
  /** Resolves names; by default the system does. */
  resolveHostname?: ResolveHostname;
  logger?: LoggerLike;
  /** Bytes of socket buffer to ask the system for; default 4 MiB. `stats` shows what was granted. */
  recvBufferSize?: number;
  sendBufferSize?: number;
  /**
   * How datagrams move: `'auto'`, in bursts by the socket's descriptor where the system has it (Linux), else as by
   * `'portable'`: through libuv's sockets, where the runtime is Node, else as by `'dgram'`: all through `node:dgram`. By
   * default what the environment variable `POLYKEY_QUIC_TRANSPORT` says, else `'auto'`.
   */
  transport?: TransportChoice;
  /** Whether to tell others from which address we see them, when they ask by `observe`; default false. */
  answersObserve?: boolean;
  /** Binds something else than a UDP socket. */
  openTransport?: OpenTransport;
};

/** The other options. */
const OTHERS: Record<Exclude<keyof QUICSocketOptions, keyof QUICSocketLimits>, true> = {
  resolveHostname: true,
  logger: true,
  recvBufferSize: true,
  sendBufferSize: true,
  transport: true,
  answersObserve: true,
  openTransport: true,
};

/** Datagrams of nobody that wait for the end of the turn in which they came; more are dropped, and counted. */
const MAX_STRAYS = 256;

/** Secrets of a server, for what it hands out. */
type Keys = { tokenKey: Uint8Array; statelessResetKey: Uint8Array };

/** Counters of a socket. */
type QUICSocketStats = { endpoint: EndpointStats; transport: TransportStats; punches: PunchStats };

/** Who uses a socket that isn't its own. */
interface SocketUser {
  /** @internal The socket is being stopped under its user. */
  onSocketStopped(): void;
}

/** Who takes in newcomers. */
interface Admitter extends SocketUser {
  /** @internal */
  admit(handle: NativeConnection, driver: Driver): Driven;
}

/** Whom to send to: the addresses of one name, the preferred first. */
type Target = { hosts: readonly [Host, ...Host[]]; port: Port };

type Running = { endpoint: Endpoint; transport: BoundTransport; driver: Driver; probing: Probing };

/** One UDP socket, which carries one server and any number of clients. Can be started and stopped again and again. */
class QUICSocket extends Emitter implements AsyncDisposable {
  readonly #options: QUICSocketOptions;
  readonly #logger: LoggerLike;
  readonly #lifecycle = new Lifecycle();
  readonly #users = new Set<SocketUser>();
  #admitter: Admitter | undefined;
  #running: Running | undefined;
  #isReferenced = true;
  #lastStats: QUICSocketStats | undefined;
  #punchStats: PunchStats = noPunches();
  #closed = promise();
  /** Resolves names the way this socket was told to. */
  readonly resolveHostname: ResolveHostname;

  constructor(options: QUICSocketOptions = {}) {
    super();
    this.#options = setOf(options);
    this.#logger = toLogger(this.#options.logger);
    this.resolveHostname = this.#options.resolveHostname ?? address.resolveHostnames;
  }

  /** The address it is bound to, not a name. A wildcard means every interface. */
  get host(): Host {
    return this.#address.host;
  }

  /** The port it is bound to; never 0. */
  get port(): Port {
    return this.#address.port;
  }

  /** What it speaks: bound to `::` both, unless `ipv6Only`. */
  get type(): SocketType {
    return this.#address.type;
  }

  get closed(): boolean {
    return this.#running === undefined;
  }

  /** Resolves when the socket is closed; a new one for each start. */
  get closedP(): Promise<void> {
    return this.#closed.p;
  }

  /** Counters; of a stopped socket the last ones. */
  get stats(): QUICSocketStats | undefined {
    if (this.#running === undefined) return this.#lastStats;
    const { endpoint, transport } = this.#running;
    return { endpoint: endpoint.stats(), transport: { ...transport.stats }, punches: { ...this.#punchStats } };
  }

  /**
   * Binds.
   *
   * @param options.host - address or name; default `::`, which is both families
   * @param options.port - default 0: the system chooses
   * @param options.reuseAddr - let others bind the same port; default false
   * @param options.ipv6Only - let `::` mean IPv6 alone; default false
   * @throws {errors.ErrorQUICConfig} an option of the socket can't be
   * @throws {errors.ErrorQUICHostInvalid} the name can't be resolved
   * @throws {errors.ErrorQUICPortInvalid}
   * @throws {errors.ErrorQUICSocketInvalidBindAddress} the system doesn't let us have this address
   * @throws {errors.ErrorQUICSocketInternal} it does, but can't wait for it
   */
  async start(options: { host?: string; port?: number; reuseAddr?: boolean; ipv6Only?: boolean } = {}): Promise<void> {
    return this.#lifecycle.start(async () => {
      this.tell(events.EventQUICSocketStart, undefined);
      // First, since it may refuse an option: nothing is bound then.
      const endpoint = createEndpoint(this.#options);
      const transport = await this.#open(options);
      try {
        this.#running = this.#run(endpoint, transport);
      } catch (cause) {
        // The system has no means left to wait for it.
        await transport.close();
        throw new errors.ErrorQUICSocketInternal(`The socket can't be used: ${messageOf(cause)}`, { cause });
      }
      this.#closed = promise();
      this.#logger.info(`Started QUICSocket on ${address.buildAddress(this.host, this.port)}`);
      this.tell(events.EventQUICSocketStarted, undefined);
    });
  }

  /**
   * Frees the address.
   *
   * @param options.force - also with live connections, which end at once, without telling their peers
   * @throws {errors.ErrorQUICSocketConnectionsActive} there are live connections, and no force
   */
  async stop({ force = false }: { force?: boolean } = {}): Promise<void> {
    try {
      await this.#stop(force);
    } catch (error) {
      // What is under way was asked for by somebody else, without force.
      if (!force || !(error instanceof errors.ErrorQUICSocketConnectionsActive)) throw error;
      await this.#stop(force);
    }
  }

  #stop(force: boolean): Promise<void> {
    return this.#lifecycle.stop(async () => {
      const active = [...(this.#running?.driver.connections ?? [])].filter((connection) => connection.isActive);
      if (!force && active.length > 0) {
        throw new errors.ErrorQUICSocketConnectionsActive(`${active.length} connections are active`);
      }
      this.tell(events.EventQUICSocketStop, undefined);
      await this.#close();
      this.tell(events.EventQUICSocketClose, undefined);
      this.#logger.info('Stopped QUICSocket');
      this.tell(events.EventQUICSocketStopped, undefined);
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop({ force: true });
  }

  /**
   * Sends a bare datagram, which belongs to no connection; to a name, at the first address of it that the socket reaches.
   * Resolves to the bytes sent.
   *
   * @throws {errors.ErrorQUICSocketNotRunning}
   * @throws {errors.ErrorQUICSocketInvalidSendAddress} the socket doesn't reach this kind of address
   * @throws {TypeError} an argument is missing
   * @throws {RangeError} the port is 0
   */
  async send(data: string | Uint8Array | readonly unknown[], port: number, host: string): Promise<number>;
  async send(data: string | Uint8Array, offset: number, length: number, port: number, host: string): Promise<number>;
  async send(data: string | Uint8Array | readonly unknown[], ...params: (number | string)[]): Promise<number> {
    this.#expectRunning();
    const isSlice = params.length >= 4;
    const [port, host] = isSlice ? params.slice(2) : params;
    const bytes = isSlice ? slice(toBytes(data), params[0], params[1]) : toBytes(data);
    const { hosts, port: toPort } = await this.#resolveTarget(host, port);
    // It may have been stopped meanwhile.
    const { transport } = this.#expectRunning();
    await transport.sendRaw(bytes, hosts[0], toPort);
    return bytes.byteLength;
  }

  /**
   * Opens the way to a peer through the NATs between, while the peer does the same: sends small packets, which the peer's
   * socket answers by itself, to one address or to all at which the peer may be, all those of a name among them, each from when
   * it is found. Resolves with the address from which the peer was heard, when packets come through in both directions.
   *
   * This proves a path, not who is at its end: that is for certificates to tell. `docs/punching.md` has the packets.
   *
   * @throws {errors.ErrorQUICSocketPunchTimeout} nobody answered in time
   * @throws {errors.ErrorQUICSocketPunchAborted} the signal gave it up
   * @throws {errors.ErrorQUICSocketNotRunning} the socket isn't started, or was stopped
   * @throws {errors.ErrorQUICSocketInvalidSendAddress} the socket reaches none of the addresses
   * @throws {errors.ErrorQUICHostInvalid} a name can't be resolved
   * @throws {RangeError} a port is 0; the nonce hasn't 16 bytes, or is in use
   */
  async punch(host: string, port: number, options?: PunchOptions): Promise<PunchResult>;
  async punch(targets: readonly { host: string; port: number }[], options?: PunchOptions): Promise<PunchResult>;
  async punch(
    first: string | readonly { host: string; port: number }[],
    second?: number | PunchOptions,
    third?: PunchOptions,
  ): Promise<PunchResult> {
    const { probing } = this.#expectRunning();
    const isList = Array.isArray(first);
    const targets = isList
      ? (first as { host: string; port: number }[])
      : [{ host: first as string, port: second as number }];
    const options = (isList ? (second as PunchOptions | undefined) : third) ?? {};
    const resolving = targets.map((target) => async (): Promise<RemoteInfo[]> => {
      const { hosts, port } = await this.#resolveTarget(target.host, target.port);
      return hosts.map((host) => ({ host, port }));
    });
    return Punch.run(probing, resolving, options, this.#punchStats);
  }

  /**
   * Asks another socket from which address it sees us: behind a NAT, the NAT's outside. It answers if it was made with
   * `answersObserve`. Of a name with several addresses the first one that answers counts; they are asked 250 ms apart.
   *
   * @throws {errors.ErrorQUICSocketObserveTimeout} nobody answered in time
   * @throws {errors.ErrorQUICSocketNotRunning} the socket isn't started, or was stopped
   * @throws as `send` for the address; with the signal's reason
   */
  async observe(host: string, port: number, options: ObserveOptions = {}): Promise<RemoteInfo> {
    const { probing } = this.#expectRunning();
    return observe(probing, () => this.#resolveTarget(host, port), options);
  }

  /** Keeps the process alive while started; so it is by default. */
  ref(): this {
    return this.#setReferenced(true);
  }

  /** Lets the process exit although the socket is started. */
  unref(): this {
    return this.#setReferenced(false);
  }

  /** @internal Whether it is started, and not about to stop. */
  get isRunning(): boolean {
    return this.#lifecycle.status !== 'stopping' && this.#running !== undefined;
  }

  /** @internal What drives the connections. */
  get driver(): Driver {
    return this.#expectRunning().driver;
  }

  /** @internal Passes events on to the object that the socket belongs to. */
  relayEventsTo(outer: Emitter): void {
    this.relayTo(outer);
  }

  /** @internal Tells `user` when the socket is stopped under it. */
  attach(user: SocketUser): void {
    this.#users.add(user);
  }

  /** @internal */
  detach(user: SocketUser): void {
    this.#users.delete(user);
  }

  /** @internal Accepts newcomers by these settings, or changes the settings. */
  listen(config: NativeConfig, admitter: Admitter): void {
    const { endpoint, driver } = this.#expectRunning();
    // Those who were accepted under other settings keep them, and whose they are.
    driver.admitAll();
    endpoint.listen(config);
    this.#admitter = admitter;
  }

  /** @internal Takes the secrets of a server, but for those that the socket was given itself. */
  useKeys(keys: Keys): void {
    const { endpoint } = this.#expectRunning();
    if (this.#options.tokenKey === undefined) endpoint.setTokenKey(keys.tokenKey);
    if (this.#options.statelessResetKey !== undefined) return;
    try {
      endpoint.setStatelessResetKey(keys.statelessResetKey);
    } catch (error) {
      // There are connections already, whose ids bear the mark of the old key.
      if (nativeCode(error) !== 'Limit') throw error;
      this.#logger.warn('The server came too late to set the key of stateless resets: the socket has connections');
    }
  }

  /** @internal Accepts no newcomers any more. */
  unlisten(admitter: Admitter): void {
    if (this.#admitter !== admitter) return;
    this.#admitter = undefined;
    this.#running?.endpoint.unlisten();
    // Newcomers under way are refused.
    this.#running?.driver.wake();
  }

  /** @internal Dials, and gives what is dialled to the owner that `own` makes. */
  dial<D extends Driven>(
    config: NativeConfig,
    host: Host,
    port: Port,
    serverName: string,
    own: (handle: NativeConnection, driver: Driver) => D,
  ): D {
    const { driver } = this.#expectRunning();
    const handle = driver.connect(config, host, port, serverName);
    const connection = own(handle, driver);
    driver.own(handle, connection);
    return connection;
  }

  /** @internal The error of a call that needs a running socket. */
  #expectRunning(): Running {
    if (this.#running === undefined) throw new errors.ErrorQUICSocketNotRunning('The socket is not started');
    return this.#running;
  }

  get #address(): BoundAddress {
    return this.#expectRunning().transport.address;
  }

  async #open(options: {
    host?: string;
    port?: number;
    reuseAddr?: boolean;
    ipv6Only?: boolean;
  }): Promise<Transport | DrivingTransport> {
    const { host = '::', reuseAddr = false, ipv6Only = false } = options;
    const port = address.toPort(options.port ?? 0);
    const [resolved] = await address.resolveHost(host, this.resolveHostname);
    const bindOptions: TransportOptions = {
      host: address.toCanonicalIP(resolved),
      port,
      reuseAddr,
      ipv6Only,
      recvBufferSize: this.#options.recvBufferSize ?? SOCKET_BUFFER_BYTES,
      sendBufferSize: this.#options.sendBufferSize ?? SOCKET_BUFFER_BYTES,
    };
    const choice = this.#options.transport ?? defaultTransport();
    const open = this.#options.openTransport ?? ((wanted: TransportOptions) => openTransport(wanted, choice));
    try {
      return await open(bindOptions);
    } catch (error) {
      const wanted = address.buildAddress(host, port);
      throw new errors.ErrorQUICSocketInvalidBindAddress(`${wanted}: ${messageOf(error)}`, { cause: error });
    }
  }

  #run(endpoint: Endpoint, transport: Transport | DrivingTransport): Running {
    endpoint.setLocalAddress(transport.address.host, transport.address.port);
    const driver = new Driver(endpoint, transport, this.#driverHost());
    driver.setReferenced(this.#isReferenced);
    this.#punchStats = noPunches();
    return { endpoint, transport, driver, probing: new Probing(endpoint, () => driver.wake()) };
  }

  #driverHost(): DriverHost {
    return {
      admit: (handle, driver) => this.#admitter?.admit(handle, driver),
      onLost: (error) => this.#logger.warn(`A newcomer was lost: ${messageOf(error)}`),
      onStray: (endpoint) => this.#onStray(endpoint),
      onHeard: () => this.#running?.probing.onHeard(),
      onDead: (error) => this.#onDead(error),
    };
  }

  async #close(): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    this.#lastStats = this.stats;
    this.#admitter = undefined;
    const users = [...this.#users];
    this.#users.clear();
    // First, so that they can say themselves why their connections end.
    for (const user of users) user.onSocketStopped();
    running.probing.close();
    try {
      await running.driver.close();
    } catch (error) {
      // Nothing more can be done about it.
      this.#logger.warn(`The socket didn't close as it should: ${messageOf(error)}`);
    }
    this.#running = undefined;
    this.#closed.resolveP();
  }

  #onStray(endpoint: Endpoint): void {
    if (!this.isHeard(events.EventQUICSocketDatagram.name)) {
      endpoint.dropStrays();
      return;
    }
    for (let stray = endpoint.takeStray(); stray !== null; stray = endpoint.takeStray()) {
      const { data, host, port } = stray;
      this.tell(events.EventQUICSocketDatagram, {
        data,
        host: host as Host,
        port: port as Port,
      });
    }
  }

  #onDead(cause: Error): void {
    const error = new errors.ErrorQUICSocketInternal(`The socket failed: ${cause.message}`, { cause });
    this.#logger.error(error.message);
    this.tell(events.EventQUICSocketError, error);
    void this.stop({ force: true });
  }

  /** The addresses of a target that the socket reaches. */
  async #resolveTarget(host: unknown, port: unknown): Promise<Target> {
    if (typeof host !== 'string' || typeof port !== 'number') {
      throw new TypeError('expected a port, a number, and a host, a string');
    }
    if (!address.isPort(port) || port === 0)
      throw new RangeError(`port is ${port}: expected an integer from 1 to 65535`);
    const resolved = await address.resolveHosts(host, this.resolveHostname);
    const invalid = errors.ErrorQUICSocketInvalidSendAddress;
    return { hosts: address.validateTargets(this.host, this.type, resolved, invalid), port };
  }

  #setReferenced(isReferenced: boolean): this {
    this.#isReferenced = isReferenced;
    this.#running?.driver.setReferenced(isReferenced);
    return this;
  }
}

function createEndpoint(options: QUICSocketOptions): Endpoint {
  expectKnown(options, [...LIMITS, ...Object.keys(OTHERS)]);
  for (const name of ['recvBufferSize', 'sendBufferSize'] as const) {
    const size = options[name] ?? 0;
    if (!Number.isInteger(size) || size < 0) {
      throw new errors.ErrorQUICConfig(`${name} is ${size}: expected bytes, an integer from 0 on`);
    }
  }
  const { transport = 'auto', answersObserve = false } = options;
  if (typeof answersObserve !== 'boolean') {
    throw new errors.ErrorQUICConfig(`answersObserve is ${String(answersObserve)}: expected a boolean`);
  }
  if (!isChoice(transport)) {
    throw new errors.ErrorQUICConfig(`transport is ${String(transport)}: expected one of ${CHOICES.join(', ')}`);
  }
  return refusalsNamed(() => {
    const endpoint = new Endpoint(endpointOptions(options));
    endpoint.setAnswersQuestions(answersObserve);
    return endpoint;
  });
}

/** The addon's part of the options: it takes one that is there for one that was set. */
function endpointOptions(options: QUICSocketOptions): EndpointOptions {
  const limits = Object.fromEntries(LIMITS.map((name) => [name, options[name]]));
  return setOf({ ...limits, maxStrays: options.maxStrays ?? MAX_STRAYS });
}

/** Of options those that are set; `null` is unset, too. */
function setOf<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => isSet(value))) as Partial<T>;
}

function noPunches(): PunchStats {
  return { started: 0, opened: 0, timedOut: 0, aborted: 0, adopted: 0 };
}

function toBytes(data: string | Uint8Array | readonly unknown[]): Uint8Array {
  if (typeof data === 'string') return Buffer.from(data);
  if (data instanceof Uint8Array) return data;
  if (Array.isArray(data)) return Buffer.concat(data.map((part: unknown) => toBytes(part as string | Uint8Array)));
  throw new TypeError('expected the data as string, bytes, or an array of them');
}

function slice(bytes: Uint8Array, offset: unknown, length: unknown): Uint8Array {
  if (typeof offset !== 'number' || typeof length !== 'number') throw new TypeError('expected an offset and a length');
  if (offset < 0 || length < 0 || offset + length > bytes.byteLength) {
    throw new RangeError(`${length} bytes from ${offset} are more than there are`);
  }
  return bytes.subarray(offset, offset + length);
}

export type { QUICSocketLimits, QUICSocketOptions, QUICSocketStats, Keys, SocketUser, Admitter };
export default QUICSocket;
