import type { Endpoint } from '../native';
import type { Host, Port, SocketType } from '../types';
import type { TurnSink, Turns } from './turns';

/** Where a transport is bound. */
type BoundAddress = { host: Host; port: Port; type: SocketType };

/** One datagram as a socket hands it over. */
type Datagram = { data: Uint8Array; host: string; port: number };

/** What a transport is asked for. */
type TransportOptions = {
  host: Host;
  port: Port;
  reuseAddr: boolean;
  ipv6Only: boolean;
  /** Bytes of socket buffer to ask the system for; it may grant fewer. */
  recvBufferSize: number;
  sendBufferSize: number;
};

/** Counters of a transport. */
type TransportStats = {
  /** Which transport it is. */
  kind?: 'descriptor with segmentation' | 'descriptor' | 'libuv' | 'dgram';
  /** Bytes of socket buffer the system granted; 0 where there is none. */
  recvBufferSize: number;
  sendBufferSize: number;
  datagramsReceived: number;
  datagramsSent: number;
  /** Datagrams the system refused to send. */
  sendsFailed: number;
  /** How often the system took no more for now; nobody knows by `'dgram'`. */
  sendsBlocked?: number;
  /** How often what came was let gather for a millisecond, as so much came; nobody knows by `'dgram'`. */
  receivesPaused?: number;
};

/** What all transports have. */
interface BoundTransport {
  readonly address: BoundAddress;
  readonly stats: TransportStats;
  /** Sends one datagram as it is; rejects with the system's error. */
  sendRaw(bytes: Uint8Array, host: Host, port: Port): Promise<void>;
  /** Frees the address. After it nothing is told. */
  close(): Promise<void>;
}

/** What a transport tells whoever drives it. */
interface TransportSink {
  /**
   * Datagrams have come: take them by `receive`, in this turn. `first` is the one that woke us, where the transport has
   * not kept it itself.
   */
  onReceivable(first: Datagram | null): void;
  /** A flush that was blocked can go on. */
  onUnblocked(): void;
  /** The socket is dead. */
  onDead(error: Error): void;
}

/** Moves datagrams between an endpoint and the world. It alone knows whether by dgram, or memory, or anything else. */
interface Transport extends BoundTransport {
  /** Begins to tell `sink` what comes. */
  start(sink: TransportSink): void;
  /** Hands what has come to the endpoint; answers how many change records it wrote. */
  receive(endpoint: Endpoint, first: Datagram | null): number;
  /** Sends what the endpoint has to send. `'blocked'`: not all of it; `onUnblocked` will say when to go on. */
  flush(endpoint: Endpoint): 'done' | 'blocked';
  /** Whether the transport keeps the process alive. */
  setReferenced(isReferenced: boolean): void;
}

/** A transport that runs the turns of its endpoint itself. */
interface DrivingTransport extends BoundTransport {
  /** Runs them from now on, and tells `sink` of changes, whose records it writes to `changes`. */
  drive(endpoint: Endpoint, changes: Float64Array, sink: TurnSink): Turns;
}

/** Binds a transport. Rejects with the system's error. */
type OpenTransport = (options: TransportOptions) => Promise<Transport>;

export type {
  BoundAddress,
  BoundTransport,
  Datagram,
  DrivingTransport,
  OpenTransport,
  Transport,
  TransportOptions,
  TransportSink,
  TransportStats,
};
