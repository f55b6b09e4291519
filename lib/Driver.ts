import type { DetachedConnection, Endpoint, NativeConfig, NativeConnection } from './native';
import type { DrivingTransport, Transport } from './transport/Transport';
import type { TurnSink, Turns } from './transport/turns';
import { CHANGE_STRIDE, ChangeKind } from './native';
import { ScriptedTurns } from './transport/turns';

/**
 * Changes that are told of before those concerned react, and what they have written is sent: so few that the peer has work
 * while we go on, so many that sending pays.
 */
const MAX_CHANGES = 32;

/** A connection, as far as its driver knows it. */
interface Driven {
  /** @internal Whether its user still counts on it. */
  readonly isActive: boolean;
  /** @internal Something changed: a record of the addon. */
  onChange(kind: ChangeKind, value: number): void;
  /** @internal A record couldn't be handled: a fault of ours. */
  onFault(error: unknown): void;
  /** @internal The endpoint is gone. */
  onDriverClosed(): void;
}

/** Who decides what belongs to no connection yet. */
interface DriverHost {
  /** Gives a newcomer its owner, if anybody listens. */
  admit(handle: NativeConnection, driver: Driver): Driven | undefined;
  /** A newcomer was lost before it had an owner. */
  onLost(error: unknown): void;
  /** Datagrams that are nobody's wait to be taken. */
  onStray(endpoint: Endpoint): void;
  /** Probes that somebody waits for were heard. */
  onHeard(): void;
  /** The socket is dead. */
  onDead(error: Error): void;
}

/** Drives one endpoint over one transport, in turns: tells the owners of its connections what changed. */
class Driver implements TurnSink {
  readonly #endpoint: Endpoint;
  readonly #transport: Transport | DrivingTransport;
  readonly #turns: Turns;
  readonly #host: DriverHost;
  readonly #changes = new Float64Array(MAX_CHANGES * CHANGE_STRIDE);
  readonly #connections = new Map<number, Driven>();
  readonly #watchers = new Set<() => boolean>();
  #isClosed = false;

  constructor(endpoint: Endpoint, transport: Transport | DrivingTransport, host: DriverHost) {
    this.#endpoint = endpoint;
    this.#transport = transport;
    this.#host = host;
    endpoint.setChangesBuffer(this.#changes);
    this.#turns =
      'drive' in transport
        ? transport.drive(endpoint, this.#changes, this)
        : new ScriptedTurns(endpoint, transport, this);
  }

  /** Connections, those that are still saying goodbye included. */
  get connections(): IterableIterator<Driven> {
    return this.#connections.values();
  }

  /** Whether it drives nothing any more. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Dials. Throws what the addon refuses. */
  connect(config: NativeConfig, host: string, port: number, serverName: string | null): NativeConnection {
    const handle = this.#endpoint.connect(config, host, port, serverName);
    this.wake();
    return handle;
  }

  /** Lets a connection go, to be attached to another driver. Throws what the addon refuses. */
  detach(handle: NativeConnection): DetachedConnection {
    // What is to be told of it is told here: there its key is another.
    for (let count = this.#endpoint.takeChanges(); count > 0; count = this.#endpoint.takeChanges())
      this.onChanges(count);
    const { key } = handle;
    if (key === null) throw new Error('the connection has ended');
    const detached = this.#endpoint.detach(key);
    this.#connections.delete(key);
    return detached;
  }

  /** Drives a connection of another driver from now on, over a path from here. Throws what the addon refuses. */
  attach(detached: DetachedConnection, handle: NativeConnection, connection: Driven): void {
    try {
      this.#endpoint.attach(detached);
    } finally {
      this.own(handle, connection);
      this.wake();
    }
  }

  /** Names the owner of a dialled connection. Has to be called in the turn of `connect`. */
  own(handle: NativeConnection, connection: Driven): void {
    if (handle.key !== null) this.#connections.set(handle.key, connection);
  }

  /**
   * Gives all newcomers their owner. It is otherwise done when there is something to be told of one, which may be the end of
   * its handshake, and then by whoever listens at that time.
   */
  admitAll(): void {
    for (const key of this.#endpoint.accepted()) {
      if (!this.#connections.has(key)) this.#admit(key);
    }
  }

  /** Something may want to be sent: it is, when all that reacts to this turn has run. */
  wake(): void {
    this.#turns.wake();
  }

  /** Calls `check` at the end of each turn until it answers true. */
  watch(check: () => boolean): void {
    this.#watchers.add(check);
    if (!this.#isClosed) this.#turns.setWatched(true);
  }

  setReferenced(isReferenced: boolean): void {
    this.#turns.setReferenced(isReferenced);
  }

  /** Sends what waits, then lets go of everything, without a close frame for connections that are still open. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    try {
      this.#turns.flush();
      this.#check();
      this.#turns.flush();
    } finally {
      // Also where the addon has failed.
      await this.#release();
    }
  }

  async #release(): Promise<void> {
    this.#isClosed = true;
    this.#turns.stop();
    const connections = [...this.#connections.values()];
    this.#connections.clear();
    for (const connection of connections) connection.onDriverClosed();
    this.#endpoint.close();
    this.#watchers.clear();
    await this.#transport.close();
  }

  onChanges(count: number): void {
    for (let at = 0; at < count * CHANGE_STRIDE; at += CHANGE_STRIDE) {
      // A listener may have stopped the socket.
      if (this.#isClosed) return;
      // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- the addon's own numbers
      const kind: ChangeKind = this.#changes[at];
      this.#route(kind, this.#changes[at + 1], this.#changes[at + 2]);
    }
  }

  onSettled(): void {
    this.#check();
    if (this.#watchers.size === 0) this.#turns.setWatched(false);
  }

  onDead(error: Error): void {
    this.#host.onDead(error);
  }

  #check(): void {
    for (const check of this.#watchers) {
      if (check()) this.#watchers.delete(check);
    }
  }

  #route(kind: ChangeKind, key: number, value: number): void {
    if (kind === ChangeKind.Stray) {
      this.#host.onStray(this.#endpoint);
      return;
    }
    if (kind === ChangeKind.Heard) {
      this.#host.onHeard();
      return;
    }
    // Whoever is gone before anything else was told of it is nobody's.
    const connection = this.#connections.get(key) ?? (kind === ChangeKind.Closed ? undefined : this.#admit(key));
    // The key may be used again from here on.
    if (kind === ChangeKind.Closed) this.#connections.delete(key);
    try {
      connection?.onChange(kind, value);
    } catch (error) {
      connection?.onFault(error);
    }
  }

  #admit(key: number): Driven | undefined {
    try {
      const handle = this.#endpoint.connection(key);
      // Gone before anybody has seen it: a dial that was refused here, or a newcomer that failed at once.
      if (handle.key === null) return undefined;
      const connection = this.#host.admit(handle, this);
      if (connection !== undefined) this.#connections.set(key, connection);
      return connection;
    } catch (error) {
      this.#host.onLost(error);
      return undefined;
    }
  }
}

export type { Driven, DriverHost };
export default Driver;
