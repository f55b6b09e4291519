import type { Driven } from './Driver';
import type { Ending } from './endings';
import type { DetachedConnection, NativeConnection } from './native';
import type { Host, Port, RemoteInfo, SocketType } from './types';
import * as errors from './errors';
import { messageOf, nativeCode } from './native';
import { validateTarget } from './utils/address';
import { toSignal, toTimeout } from './utils/expect';
import { onAbort, promise } from './utils/promise';
import { onTimeout } from './utils/timer';

/** What happened to a path of a connection. */
type PathChange = {
  /**
   * `'validated'`: both ends are there. `'failed'`: the other end doesn't answer, and the path isn't used any more.
   * `'migrated'`: the connection goes this way from now on.
   */
  what: 'validated' | 'failed' | 'migrated';
  /** Our end; a wildcard means every interface. */
  local: RemoteInfo;
  /** The peer's end. */
  peer: RemoteInfo;
};

/** How to move a connection. */
type MigrateLimits = {
  /** Milliseconds that the peer may take to answer over the new path; default 10,000. */
  timeout?: number;
  /** Gives it up. */
  signal?: AbortSignal;
};

/** What drives a connection, and can let another one do it. */
interface PathDriver {
  /** Whether its socket was stopped: it drives nothing any more. */
  readonly isClosed: boolean;
  /** Something may want to be sent. */
  wake(): void;
  /** Calls `check` at the end of each turn until it answers true. */
  watch(check: () => boolean): void;
  /** Lets a connection go. */
  detach(handle: NativeConnection): DetachedConnection;
  /** Drives a connection from now on, over a path of its own. */
  attach(detached: DetachedConnection, handle: NativeConnection, connection: Driven): void;
}

/** A socket to which a connection can move. */
interface PathSocket {
  readonly isRunning: boolean;
  readonly host: Host;
  readonly port: Port;
  readonly type: SocketType;
  readonly driver: PathDriver;
}

/** Where a connection goes: by which driver, from where to where, and what happens on the way. */
class Paths {
  readonly #handle: NativeConnection;
  readonly #connection: Driven;
  #driver: PathDriver;
  #local: RemoteInfo;
  #remote: RemoteInfo;
  /** Whether the peer may be elsewhere by now. */
  #mayHaveMoved = false;
  /** Whether we have gone over to another socket. */
  #hasMoved = false;
  /** Who waits for the new path to be validated. */
  #onChange: ((change: PathChange) => void) | undefined;
  /** Gives up the move that is under way. */
  #giveUp: ((reason: unknown) => void) | undefined;
  /** What is looked at after each turn, wherever the connection is; `undefined` while there is nothing. */
  #watchers: Set<() => boolean> | undefined;

  /** `remote` is where it was dialled; the addon knows from where newcomers come. */
  constructor(
    handle: NativeConnection,
    connection: Driven,
    driver: PathDriver,
    local: RemoteInfo,
    remote?: RemoteInfo,
  ) {
    this.#handle = handle;
    this.#connection = connection;
    this.#driver = driver;
    this.#local = local;
    this.#remote = remote ?? toRemoteInfo(handle.remoteAddress());
  }

  get driver(): PathDriver {
    return this.#driver;
  }

  /** Where the socket is bound. */
  get local(): RemoteInfo {
    return this.#local;
  }

  /** Where the peer is. */
  get remote(): RemoteInfo {
    if (this.#mayHaveMoved) {
      this.#mayHaveMoved = false;
      this.#remote = this.#readRemote();
    }
    return this.#remote;
  }

  /** Calls `check` at the end of each turn of whoever drives the connection, until it answers true. */
  watch(check: () => boolean): void {
    (this.#watchers ??= new Set()).add(check);
    this.#watchBy(this.#driver, check);
  }

  #watchBy(driver: PathDriver, check: () => boolean): void {
    driver.watch(() => {
      // Done, or gone with the connection to another driver.
      if (this.#driver !== driver || this.#watchers?.has(check) !== true) return true;
      if (!check()) return false;
      this.#unwatch(check);
      return true;
    });
  }

  #unwatch(check: () => boolean): void {
    this.#watchers?.delete(check);
    if (this.#watchers?.size === 0) this.#watchers = undefined;
  }

  /** The connection ends, and a move with it. */
  end(ending: Ending): void {
    this.#giveUp?.(ending.error);
  }

  /** Takes in what happened, and tells each change. */
  update(tell: (change: PathChange) => void): void {
    this.#mayHaveMoved = true;
    for (let event = this.#handle.pathEventNext(); event !== null; event = this.#handle.pathEventNext()) {
      const what = changes[event.type];
      if (what === undefined) continue;
      const change = { what, local: toRemoteInfo(event.local), peer: toRemoteInfo(event.peer) };
      // Told when the move was over: the peer's answer to the challenge may come later, or be lost.
      if (what === 'validated' && this.#hasMoved && isSame(change.local, this.#local)) continue;
      this.#onChange?.(change);
      tell(change);
    }
  }

  /**
   * Moves to another socket; resolves when the new path is validated. If it isn't, the connection is back where it was. Rejects
   * with the error of the connection if that ends.
   */
  async migrate(socket: PathSocket, limits: MigrateLimits): Promise<void> {
    const [timeout, signal] = [toTimeout(limits.timeout) ?? 10_000, toSignal(limits.signal)];
    signal?.throwIfAborted();
    if (this.#onChange !== undefined) throw new errors.ErrorQUICConnectionMigration('It is moving already');
    expectRunning(socket);
    const to = { driver: socket.driver, local: { host: socket.host, port: socket.port } };
    if (to.driver === this.#driver) throw new errors.ErrorQUICConnectionMigration('It is on this socket already');
    const invalid = errors.ErrorQUICConnectionMigration;
    validateTarget(socket.host, socket.type, this.remote.host, 'udp4', invalid);
    const before = { driver: this.#driver, local: this.#local };
    const validated = promise();
    this.#giveUp = validated.rejectP;
    this.#onChange = ({ what, local }) => {
      if (what === 'failed' && isSame(local, to.local)) {
        validated.rejectP(new errors.ErrorQUICConnectionMigration('Nobody answers over the new path'));
      }
    };
    const detach = [
      onAbort(signal, validated.rejectP),
      onTimeout(timeout, () => {
        validated.rejectP(
          new errors.ErrorQUICConnectionMigration(
            `${this.#driver === to.driver ? 'Nobody answered over the new path' : 'The peer gave us no connection id for it'} within ${timeout} ms`,
          ),
        );
      }),
    ];
    try {
      // Not within a turn of the driver that is to be left.
      await Promise.race([this.#spareId(), validated.p]);
      // It may have been stopped meanwhile.
      expectRunning(socket);
      this.#move(to);
      this.#hasMoved = true;
      // The path may be one that was used before, from another address.
      const received = this.#receivedFrom(to.local);
      this.#watchMove(() => this.#receivedFrom(to.local) > received, validated.resolveP);
      await validated.p;
    } catch (error) {
      this.#return(before);
      throw error;
    } finally {
      this.#onChange = undefined;
      this.#giveUp = undefined;
      for (const stop of detach) stop();
    }
  }

  /** Resolves in a later turn, when the peer has given us a connection id for one more path. */
  async #spareId(): Promise<void> {
    const { p, resolveP } = promise();
    this.#watchMove(() => this.#handle.availableDcids() > 0, resolveP);
    await p;
  }

  /** Calls back at the end of the turn in which something is true, unless the move or the connection is over before. */
  #watchMove(isTrue: () => boolean, callback: () => void): void {
    this.watch(() => {
      const isOver = this.#onChange === undefined || this.#handle.key === null;
      const isReached = !isOver && isTrue();
      if (isReached) callback();
      return isOver || isReached;
    });
  }

  /** How many packets of the peer came to an address of ours: it knows that it can reach us there. */
  #receivedFrom(local: RemoteInfo): number {
    const path = this.#handle.pathStats().find((stats) => stats.active && isSame(toRemoteInfo(stats.local), local));
    return path?.recv ?? 0;
  }

  #move({ driver, local }: { driver: PathDriver; local: RemoteInfo }): void {
    try {
      const detached = this.#driver.detach(this.#handle);
      this.#driver = driver;
      this.#local = local;
      for (const check of this.#watchers ?? []) this.#watchBy(driver, check);
      driver.attach(detached, this.#handle, this.#connection);
    } catch (error) {
      throw new errors.ErrorQUICConnectionMigration(`It can't move: ${messageOf(error)}`, { cause: error });
    }
  }

  /** Goes back, if it can: a connection that has ended meanwhile, or whose old socket is stopped, stays where it is. */
  #return(before: { driver: PathDriver; local: RemoteInfo }): void {
    if (this.#driver === before.driver || before.driver.isClosed || !this.#connection.isActive) return;
    try {
      this.#move(before);
    } catch (error) {
      if (nativeCode((error as Error).cause) === undefined) throw error;
    }
  }

  #readRemote(): RemoteInfo {
    try {
      return toRemoteInfo(this.#handle.remoteAddress());
    } catch {
      // It has failed inside: where the peer was last is what is known.
      return this.#remote;
    }
  }
}

/** What those of the addon's events mean that are told. */
const changes: Partial<Record<string, PathChange['what']>> = {
  Validated: 'validated',
  FailedValidation: 'failed',
  PeerMigrated: 'migrated',
};

function expectRunning({ isRunning }: PathSocket): void {
  if (!isRunning) throw new errors.ErrorQUICConnectionMigration('The socket is not started');
}

function isSame(a: RemoteInfo, b: RemoteInfo): boolean {
  return a.host === b.host && a.port === b.port;
}

/** An address of the addon's, which has each in one form only. */
function toRemoteInfo({ host, port }: { host: string; port: number }): RemoteInfo {
  return { host: host as Host, port: port as Port };
}

export type { MigrateLimits, PathChange, PathDriver, PathSocket };
export default Paths;
