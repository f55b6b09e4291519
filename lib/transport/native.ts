import type { Endpoint } from '../native';
import type { Host, Port } from '../types';
import type { BoundAddress, DrivingTransport, TransportOptions, TransportStats } from './Transport';
import type { TurnSink, Turns } from './turns';
import { getSystemErrorName } from 'node:util';
import { UdpSocket } from '../native';
import { socketType, toCanonicalIP } from '../utils/address';

/** Who moves the datagrams of a native transport. */
type NativeKind = 'descriptor' | 'libuv';

/**
 * The addon has the socket and runs the turns, on the event loop, which waits for it. `'descriptor'`: the addon moves bursts,
 * Linux only. `'libuv'`: libuv moves them, on all systems.
 */
class NativeTransport implements DrivingTransport {
  readonly address: BoundAddress;
  readonly #kind: NativeKind;
  readonly #udp: UdpSocket;
  #lastStats: TransportStats | undefined;

  /** Binds a socket. `undefined` where the system can't: perhaps another kind can, or dgram says why not. */
  static open(kind: NativeKind, options: TransportOptions): NativeTransport | undefined {
    try {
      const offload = process.env['POLYKEY_QUIC_GSO'] !== '0';
      const udp = UdpSocket.bind({ ...options, kind: kind === 'descriptor' ? 'Descriptor' : 'Libuv', offload });
      return new NativeTransport(kind, udp, options);
    } catch {
      return undefined;
    }
  }

  constructor(kind: NativeKind, udp: UdpSocket, options: TransportOptions) {
    this.#kind = kind;
    this.#udp = udp;
    const { host, port } = udp.address();
    const canonical = toCanonicalIP(host);
    this.address = { host: canonical, port: port as Port, type: socketType(canonical, options.ipv6Only) };
  }

  get stats(): TransportStats {
    return this.#lastStats ?? this.#readStats();
  }

  drive(endpoint: Endpoint, changes: Float64Array, sink: TurnSink): Turns {
    return new NativeTurns(this.#udp, endpoint, changes, sink);
  }

  async sendRaw(bytes: Uint8Array, host: Host, port: Port): Promise<void> {
    const outcome = this.#udp.send(bytes, host, port);
    if (outcome !== 0) throw sendError(outcome, host, port);
  }

  close(): Promise<void> {
    this.#lastStats = this.#readStats();
    this.#udp.close();
    return Promise.resolve();
  }

  #readStats(): TransportStats {
    const { recvBufferSize, sendBufferSize, received, sent, failed, blocked, paused, segments } = this.#udp.stats();
    return {
      kind: segments ? 'descriptor with segmentation' : this.#kind,
      recvBufferSize,
      sendBufferSize,
      datagramsReceived: received,
      datagramsSent: sent,
      sendsFailed: failed,
      sendsBlocked: blocked,
      receivesPaused: paused,
    };
  }
}

/** Turns by the addon: it knows what wants to be sent, and when. */
class NativeTurns implements Turns {
  readonly #udp: UdpSocket;
  #isReferenced = true;
  #isWoken = false;
  #isStopped = false;

  constructor(udp: UdpSocket, endpoint: Endpoint, changes: Float64Array, sink: TurnSink) {
    this.#udp = udp;
    udp.drive(endpoint, changes, (count, death) => {
      if (this.#isStopped) return;
      if (death !== null) sink.onDead(new Error(death));
      else if (count > 0) sink.onChanges(count);
      else sink.onSettled();
    });
  }

  /** Its turn comes before the event loop waits; a loop that nothing keeps alive doesn't. */
  wake(): void {
    if (this.#isReferenced || this.#isWoken || this.#isStopped) return;
    this.#isWoken = true;
    process.nextTick(() => {
      this.#isWoken = false;
      if (!this.#isStopped) this.flush();
    });
  }

  flush(): void {
    this.#udp.flush();
  }

  setWatched(isWatched: boolean): void {
    this.#udp.setWatched(isWatched);
  }

  setReferenced(isReferenced: boolean): void {
    this.#isReferenced = isReferenced;
    this.#udp.setReferenced(isReferenced);
    // Something may be waiting for a turn that may not come.
    if (!isReferenced) this.wake();
  }

  stop(): void {
    this.#isStopped = true;
  }
}

/** An error as `node:dgram` makes them. */
function sendError(errno: number, address: Host, port: Port): Error {
  const code = getSystemErrorName(-errno);
  return Object.assign(new Error(`send ${code} ${address}:${port}`), {
    errno: -errno,
    code,
    syscall: 'send',
    address,
    port,
  });
}

export default NativeTransport;
