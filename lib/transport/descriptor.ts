import type { Endpoint } from '../native';
import type { Host, Port } from '../types';
import type { BoundAddress, Transport, TransportOptions, TransportSink, TransportStats } from './Transport';
import { Flushed, UdpSocket } from '../native';
import { isIPv6, socketType, toCanonicalIP } from '../utils/address';
import * as socket from './socket';

/**
 * The fast transport, Linux only: dgram waits for datagrams and hands over the first one of a turn; the addon takes all
 * others from the same socket by itself, and sends in bursts.
 */
class DescriptorTransport implements Transport {
  readonly address: BoundAddress;
  readonly #waiter: socket.Socket;
  readonly #udp: UdpSocket;
  readonly #isIPv6Socket: boolean;
  #sink: TransportSink | undefined;
  #isTurnScheduled = false;
  /** Whether a flush has to wait: for the next turn, or for room in the socket. */
  #isPaused = false;
  #lastStats: TransportStats | undefined;

  /** Binds a socket. `undefined` where the system or this JavaScript engine can't: perhaps dgram alone can. */
  static async open(options: TransportOptions): Promise<DescriptorTransport | undefined> {
    let udp: UdpSocket;
    try {
      udp = UdpSocket.bind({ ...options, segments: process.env['POLYKEY_QUIC_GSO'] !== '0' });
    } catch {
      return undefined;
    }
    const waiter = socket.create(options);
    try {
      await socket.adopt(waiter, udp.share());
      udp.handOver();
      // libuv lets others bind the port; we don't.
      udp.setReuseAddr(options.reuseAddr);
      return new DescriptorTransport(waiter, udp, options);
    } catch {
      udp.close();
      waiter.close();
      return undefined;
    }
  }

  constructor(waiter: socket.Socket, udp: UdpSocket, options: TransportOptions) {
    this.#waiter = waiter;
    this.#udp = udp;
    this.#isIPv6Socket = isIPv6(options.host);
    const { host, port } = udp.address();
    const canonical = toCanonicalIP(host);
    this.address = { host: canonical, port: port as Port, type: socketType(canonical, options.ipv6Only) };
  }

  get stats(): TransportStats {
    return this.#lastStats ?? this.#readStats();
  }

  start(sink: TransportSink): void {
    this.#sink = sink;
    this.#waiter.on('message', (data, { address, port }) => this.#onMessage(data, address, port));
    this.#waiter.on('error', (error) => {
      if (!socket.isPassing(error)) this.#sink?.onDead(error);
    });
  }

  receive(endpoint: Endpoint): number {
    return endpoint.receiveFrom(this.#udp);
  }

  flush(endpoint: Endpoint): 'done' | 'blocked' {
    if (this.#isPaused) return 'blocked';
    switch (endpoint.flushTo(this.#udp)) {
      case Flushed.Done:
        return 'done';
      case Flushed.More:
        this.#isPaused = true;
        setImmediate(this.#resume);
        return 'blocked';
      case Flushed.Blocked:
        this.#isPaused = true;
        this.#awaitRoom();
        return 'blocked';
      case Flushed.Dead:
        this.#isPaused = true;
        queueMicrotask(() => this.#sink?.onDead(new Error('the socket was closed by somebody else')));
        return 'blocked';
    }
  }

  sendRaw(bytes: Uint8Array, host: Host, port: Port): Promise<void> {
    return socket.send(this.#waiter, bytes, port, socket.reach(host, this.#isIPv6Socket));
  }

  setReferenced(isReferenced: boolean): void {
    if (isReferenced) this.#waiter.ref();
    else this.#waiter.unref();
  }

  close(): Promise<void> {
    this.#sink = undefined;
    this.#lastStats = this.#readStats();
    // First ours, then dgram's, in one turn: with the second one the port is free.
    this.#udp.close();
    return new Promise((resolve) => this.#waiter.close(() => resolve()));
  }

  /**
   * dgram reads on, one datagram after the other and 32 at most, until it finds none: so the addon takes what is there at
   * once, and all is handled when dgram has ended.
   */
  #onMessage(data: Buffer, host: string, port: number): void {
    if (this.#sink === undefined) return;
    this.#udp.hand(data, host, port);
    if (this.#isTurnScheduled) return;
    this.#isTurnScheduled = true;
    setImmediate(this.#takeTurn);
  }

  readonly #takeTurn = (): void => {
    this.#isTurnScheduled = false;
    this.#sink?.onReceivable(null);
  };

  /** The socket takes no more: dgram can wait until it does. */
  #awaitRoom(): void {
    const leftover = this.#udp.takeLeftover();
    if (leftover === null) {
      setImmediate(this.#resume);
      return;
    }
    const host = socket.reach(leftover.host as Host, this.#isIPv6Socket);
    // Lost if it fails, as datagrams may be.
    this.#waiter.send(leftover.data, leftover.port, host, this.#resume);
  }

  readonly #resume = (): void => {
    this.#isPaused = false;
    this.#sink?.onUnblocked();
  };

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

export default DescriptorTransport;
