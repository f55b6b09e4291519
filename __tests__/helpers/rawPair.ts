import crypto from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Address, SendInfo, TlsSettings } from '../../index.js';
import { Config, Connection } from '../../index.js';

import { identity } from './rawCertificates';

/** A datagram on its way. */
export interface Packet extends SendInfo {
  data: Buffer;
  /** Which side made it. */
  by: 'client' | 'server';
}

export interface PairOptions {
  /** Changes the client's configuration. */
  client?: (config: Config) => void;
  /** Changes the server's configuration. */
  server?: (config: Config) => void;
  /** Other TLS settings than the defaults. */
  clientTls?: TlsSettings;
  serverTls?: TlsSettings;
  /** Uses this configuration as it is. */
  clientConfig?: Config;
  serverConfig?: Config;
  serverName?: string | null;
  /** Does something between making the connections and the first packet. */
  before?: (pair: RawPair) => void;
}

export const CLIENT: Address = { host: '10.0.0.1', port: 1111 };
export const SERVER: Address = { host: '10.0.0.2', port: 4433 };

/** What both sides start from: datagrams off, room for streams, nobody judged. */
export function baseConfig(side: 'client' | 'server', tls?: TlsSettings): Config {
  const { key, cert } = identity(side);
  const config = Config.withTls(tls ?? { credentials: [{ key, cert }] });
  config.setApplicationProtos(['raw']);
  config.setVerification('None');
  config.setInitialMaxData(1_000_000);
  config.setInitialMaxStreamDataBidiLocal(100_000);
  config.setInitialMaxStreamDataBidiRemote(100_000);
  config.setInitialMaxStreamDataUni(100_000);
  config.setInitialMaxStreamsBidi(10);
  config.setInitialMaxStreamsUni(10);
  return config;
}

export function newId(length = 16): Buffer {
  return crypto.randomBytes(length);
}

/** Two connections driven by hand, in memory. */
export class RawPair {
  readonly client: Connection;
  readonly server: Connection;
  /** Says of each packet whether it arrives. */
  filter: (packet: Packet) => boolean = () => true;
  /** Every packet that was sent. */
  readonly sent: Packet[] = [];
  /** What `recv` and `send` threw. */
  readonly errors: { by: 'client' | 'server'; code: string }[] = [];
  readonly #buffer = Buffer.alloc(65_535);

  constructor(options: PairOptions = {}) {
    const clientConfig = options.clientConfig ?? baseConfig('client', options.clientTls);
    const serverConfig = options.serverConfig ?? baseConfig('server', options.serverTls);
    options.client?.(clientConfig);
    options.server?.(serverConfig);
    const name = options.serverName === undefined ? 'server' : options.serverName;
    this.client = Connection.connect(clientConfig, name, newId(), CLIENT, SERVER);
    this.server = Connection.accept(serverConfig, newId(), SERVER, CLIENT);
    options.before?.(this);
  }

  /** A pair whose handshake is complete. */
  static connected(options: PairOptions = {}): RawPair {
    const pair = new RawPair(options);
    pair.flush();
    expect(pair.errors).toEqual([]);
    expect([pair.client.isEstablished(), pair.server.isEstablished()]).toEqual([true, true]);
    return pair;
  }

  /** Moves datagrams both ways until there are no more. */
  flush(): void {
    for (let moved = true; moved;) moved = this.#move('client') || this.#move('server');
  }

  /** Takes what one side wants to send. */
  take(by: 'client' | 'server'): Packet[] {
    const packets: Packet[] = [];
    for (let info = this.#send(by); info !== null; info = this.#send(by)) {
      const packet = { ...info, data: Buffer.from(this.#buffer.subarray(0, info.bytes)), by };
      packets.push(packet);
      this.sent.push(packet);
    }
    return packets;
  }

  /** Gives packets to the other side. */
  deliver(packets: Packet[]): void {
    for (const packet of packets) {
      if (!this.filter(packet)) continue;
      const to = packet.by === 'client' ? 'server' : 'client';
      this.#guard(to, () => this[to].recv(packet.data, { from: packet.from, to: packet.to }));
    }
  }

  /** Waits for the next timer of either side, and lets both run. */
  async tick(): Promise<void> {
    const timeouts = [this.client.timeout(), this.server.timeout()].filter((timeout) => timeout !== null);
    await sleep(Math.min(...timeouts));
    this.client.onTimeout();
    this.server.onTimeout();
    this.flush();
  }

  /** Lets timers run until something holds. */
  async until(holds: () => boolean): Promise<void> {
    this.flush();
    while (!holds()) await this.tick();
  }

  #move(by: 'client' | 'server'): boolean {
    const packets = this.take(by);
    this.deliver(packets);
    return packets.length > 0;
  }

  #send(by: 'client' | 'server'): SendInfo | null {
    return this.#guard(by, () => this[by].send(this.#buffer)) ?? null;
  }

  #guard<T>(by: 'client' | 'server', run: () => T): T | undefined {
    try {
      return run();
    } catch (error) {
      this.errors.push({ by, code: (error as { code: string }).code });
      return undefined;
    }
  }
}

/** The code of what a call throws; fails if it throws nothing. */
export function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    // Errors of the addon belong to another realm than the tests, so `instanceof` says nothing.
    if (typeof error !== 'object' || error === null || !('code' in error)) throw error;
    return error.code as string;
  }
  throw new Error('it threw nothing');
}
