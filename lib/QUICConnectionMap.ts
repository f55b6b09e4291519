import type QUICConnection from './QUICConnection';
import QUICConnectionId from './QUICConnectionId';

/** Connections by their ids: ids with the same bytes are the same key. Those of servers come before those of clients. */
class QUICConnectionMap implements Map<QUICConnectionId, QUICConnection> {
  readonly [Symbol.toStringTag] = 'QUICConnectionMap';
  readonly #byType = { server: new Map<string, QUICConnection>(), client: new Map<string, QUICConnection>() };

  constructor(connections: Iterable<readonly [QUICConnectionId, QUICConnection]> = []) {
    for (const [id, connection] of connections) this.set(id, connection);
  }

  get size(): number {
    return this.serverConnections.size + this.clientConnections.size;
  }

  /** Connections of servers, by the text of their ids. */
  get serverConnections(): ReadonlyMap<string, QUICConnection> {
    return this.#byType.server;
  }

  /** Connections of clients, by the text of their ids. */
  get clientConnections(): ReadonlyMap<string, QUICConnection> {
    return this.#byType.client;
  }

  has(id: QUICConnectionId): boolean {
    return this.get(id) !== undefined;
  }

  get(id: QUICConnectionId): QUICConnection | undefined {
    const key = id.toString();
    return this.#byType.server.get(key) ?? this.#byType.client.get(key);
  }

  set(id: QUICConnectionId, connection: QUICConnection): this {
    this.#byType[connection.type].set(id.toString(), connection);
    return this;
  }

  delete(id: QUICConnectionId): boolean {
    const key = id.toString();
    return this.#byType.server.delete(key) || this.#byType.client.delete(key);
  }

  clear(): void {
    this.#byType.server.clear();
    this.#byType.client.clear();
  }

  forEach(
    callback: (value: QUICConnection, key: QUICConnectionId, map: Map<QUICConnectionId, QUICConnection>) => void,
    thisArg?: unknown,
  ): void {
    for (const [id, connection] of this) callback.call(thisArg, connection, id, this);
  }

  [Symbol.iterator](): Generator<[QUICConnectionId, QUICConnection], undefined> {
    return this.entries();
  }

  *entries(): Generator<[QUICConnectionId, QUICConnection], undefined> {
    for (const connections of [this.#byType.server, this.#byType.client]) {
      for (const [key, connection] of connections) yield [QUICConnectionId.fromString(key), connection];
    }
    return undefined;
  }

  *keys(): Generator<QUICConnectionId, undefined> {
    for (const [id] of this) yield id;
    return undefined;
  }

  *values(): Generator<QUICConnection, undefined> {
    for (const [, connection] of this) yield connection;
    return undefined;
  }
}

export default QUICConnectionMap;
