import type {
  BoundAddress,
  Datagram,
  Host,
  OpenTransport,
  Port,
  Transport,
  TransportSink,
  TransportStats,
} from '../../lib';
import type { Endpoint } from '../../lib/native';

/** A network in memory: transports on it reach each other by port. */
class MemoryNetwork {
  readonly #transports = new Map<number, MemoryTransport>();
  #nextPort = 1;
  /** Decides which datagrams get lost; none by default. */
  isLost: (data: Uint8Array, from: number, to: number) => boolean = () => false;

  /** Binds a transport; to be given to a `QUICSocket`. */
  readonly open: OpenTransport = async ({ port }) => {
    const bound = port === 0 ? this.#nextPort++ : port;
    if (this.#transports.has(bound)) throw new Error('EADDRINUSE');
    const transport = new MemoryTransport(this, bound);
    this.#transports.set(bound, transport);
    return transport;
  };

  deliver(data: Uint8Array, from: number, to: number): void {
    if (this.isLost(data, from, to)) return;
    this.#transports.get(to)?.arrive({ data, host: HOST, port: from });
  }

  remove(port: number): void {
    this.#transports.delete(port);
  }
}

const HOST = '10.0.0.1' as Host;

/** The second transport beside dgram: it proves that nothing else knows of sockets. */
class MemoryTransport implements Transport {
  readonly address: BoundAddress;
  readonly stats: TransportStats = {
    recvBufferSize: 0,
    sendBufferSize: 0,
    datagramsReceived: 0,
    datagramsSent: 0,
    sendsFailed: 0,
  };
  readonly #network: MemoryNetwork;
  readonly #bytes = Buffer.alloc(64 * 1024);
  readonly #layout = new Int32Array(32 * 3);
  #inbox: Datagram[] = [];
  #sink: TransportSink | undefined;

  constructor(network: MemoryNetwork, port: number) {
    this.#network = network;
    this.address = { host: HOST, port: port as Port, type: 'ipv4' };
  }

  start(sink: TransportSink): void {
    this.#sink = sink;
  }

  /** Something came: the first of a burst wakes the sink, as the descriptor of a socket would. */
  arrive(datagram: Datagram): void {
    this.stats.datagramsReceived += 1;
    if (this.#inbox.push(datagram) > 1) return;
    setImmediate(() => {
      const first = this.#inbox.shift();
      if (first !== undefined) this.#sink?.onReceivable(first);
    });
  }

  receive(endpoint: Endpoint, first: Datagram | null): number {
    const burst = [...(first === null ? [] : [first]), ...this.#inbox.splice(0)];
    const bytes = Buffer.concat(burst.map(({ data }) => data));
    let offset = 0;
    const layout = burst.flatMap(({ data, host, port }) => {
      offset += data.byteLength;
      return [offset - data.byteLength, data.byteLength, endpoint.internAddress(host, port)];
    });
    return endpoint.receive(bytes, Int32Array.from(layout), burst.length);
  }

  flush(endpoint: Endpoint): 'done' {
    for (let count = this.#fill(endpoint); count > 0; count = this.#fill(endpoint)) {
      for (let at = 0; at < count * 3; at += 3) {
        const [offset, length, id] = this.#layout.subarray(at, at + 3);
        const data = Buffer.from(this.#bytes.subarray(offset, offset + length));
        this.stats.datagramsSent += 1;
        this.#network.deliver(data, this.address.port, endpoint.address(id).port);
      }
    }
    return 'done';
  }

  async sendRaw(bytes: Uint8Array, _host: Host, port: Port): Promise<void> {
    this.#network.deliver(Buffer.from(bytes), this.address.port, port);
  }

  setReferenced(): void {
    // Nothing here keeps a process alive.
  }

  async close(): Promise<void> {
    this.#sink = undefined;
    this.#network.remove(this.address.port);
  }

  #fill(endpoint: Endpoint): number {
    return endpoint.transmit(this.#bytes, this.#layout);
  }
}

export { HOST, MemoryNetwork };
