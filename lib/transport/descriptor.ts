import type { Endpoint } from '../native';
import type { Host, Port } from '../types';
import type { BoundAddress, Transport, TransportOptions, TransportSink, TransportStats } from './Transport';
import { getSystemErrorName } from 'node:util';
import { Flushed, UdpSocket } from '../native';
import { socketType, toCanonicalIP } from '../utils/address';

/**
 * The fast transport, Linux only: the addon has the socket, takes what has come and sends in bursts; the event loop waits
 * for it.
 */
class DescriptorTransport implements Transport {
  readonly address: BoundAddress;
  readonly #udp: UdpSocket;
  #sink: TransportSink | undefined;
  /** Why a flush has to wait: for the next turn, for room in the socket, or for nothing any more. */
  #pause: 'turn' | 'room' | 'dead' | undefined;
  #lastStats: TransportStats | undefined;

  /** Binds a socket. `undefined` where the system can't: perhaps dgram can, or says why not. */
  static open(options: TransportOptions): DescriptorTransport | undefined {
    try {
      const offload = process.env['POLYKEY_QUIC_GSO'] !== '0';
      return new DescriptorTransport(UdpSocket.bind({ ...options, offload }), options);
    } catch {
      return undefined;
    }
  }

  constructor(udp: UdpSocket, options: TransportOptions) {
    this.#udp = udp;
    const { host, port } = udp.address();
    const canonical = toCanonicalIP(host);
    this.address = { host: canonical, port: port as Port, type: socketType(canonical, options.ipv6Only) };
  }

  get stats(): TransportStats {
    return this.#lastStats ?? this.#readStats();
  }

  start(sink: TransportSink): void {
    this.#sink = sink;
    this.#udp.watch(this.#onReady);
  }

  receive(endpoint: Endpoint): number {
    return endpoint.receiveFrom(this.#udp);
  }

  flush(endpoint: Endpoint): 'done' | 'blocked' {
    if (this.#pause !== undefined) return 'blocked';
    switch (endpoint.flushTo(this.#udp)) {
      case Flushed.Done:
        return 'done';
      case Flushed.More:
        this.#pause = 'turn';
        setImmediate(this.#onTurn);
        return 'blocked';
      case Flushed.Blocked:
        this.#awaitRoom();
        return 'blocked';
      case Flushed.Dead:
        this.#die();
        return 'blocked';
    }
  }

  async sendRaw(bytes: Uint8Array, host: Host, port: Port): Promise<void> {
    const outcome = this.#udp.send(bytes, host, port);
    if (outcome > 0) throw sendError(outcome, host, port);
    if (outcome < 0) this.#awaitRoom();
  }

  setReferenced(isReferenced: boolean): void {
    this.#udp.setReferenced(isReferenced);
  }

  close(): Promise<void> {
    this.#sink = undefined;
    this.#lastStats = this.#readStats();
    this.#udp.close();
    return Promise.resolve();
  }

  readonly #onReady = (): void => {
    if (this.#pause === 'room') {
      this.#udp.awaitRoom(false);
      this.#resume();
    }
    this.#sink?.onReceivable(null);
  };

  readonly #onTurn = (): void => {
    // Somebody may wait for room by now, which is not for the turn to end.
    if (this.#pause === 'turn') this.#resume();
  };

  #awaitRoom(): void {
    if (this.#pause === 'dead') return;
    this.#pause = 'room';
    this.#udp.awaitRoom(true);
  }

  #resume(): void {
    this.#pause = undefined;
    this.#sink?.onUnblocked();
  }

  #die(): void {
    this.#pause = 'dead';
    queueMicrotask(() => this.#sink?.onDead(new Error('the socket was closed by somebody else')));
  }

  #readStats(): TransportStats {
    const { recvBufferSize, sendBufferSize, received, sent, failed, segments } = this.#udp.stats();
    return {
      kind: segments ? 'descriptor with segmentation' : 'descriptor',
      recvBufferSize,
      sendBufferSize,
      datagramsReceived: received,
      datagramsSent: sent,
      sendsFailed: failed,
    };
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

export default DescriptorTransport;
