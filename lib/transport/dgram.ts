import type { Endpoint } from '../native';
import type { Host, Port } from '../types';
import type { BoundAddress, Transport, TransportOptions, TransportSink, TransportStats } from './Transport';
import type dgram from 'node:dgram';
import { LAYOUT_STRIDE } from '../native';
import { isIPv6, socketType, toCanonicalIP } from '../utils/address';
import AddressBook from './AddressBook';
import * as sockets from './socket';

/** dgram reads so many datagrams at most before it lets others run: where it has read as many, more may wait. */
const DGRAM_READS = 32;

/** Datagrams that one turn takes in: enough to pay for the turn and its acknowledgement, few enough that both don't wait. */
const TURN_DATAGRAMS = 128;

/** Room for what one turn brings. */
const INBOX_BYTES = 256 * 1024;
const INBOX_DATAGRAMS = 256;

/** dgram sends when it likes, so the bytes have to stay: batches are used again when all their sends have called back. */
const BATCHES = 16;
const BATCH_BYTES = 64 * 1024;
const BATCH_DATAGRAMS = 64;

/** For runtimes that aren't Node: datagrams go through `node:dgram`, in batches to and from the addon. */
class DgramTransport implements Transport {
  readonly stats: TransportStats = {
    kind: 'dgram',
    recvBufferSize: 0,
    sendBufferSize: 0,
    datagramsReceived: 0,
    datagramsSent: 0,
    sendsFailed: 0,
  };
  readonly address: BoundAddress;
  readonly #socket: dgram.Socket;
  readonly #book: AddressBook;
  readonly #inbox = new Uint8Array(INBOX_BYTES);
  readonly #inboxLayout = new Int32Array(INBOX_DATAGRAMS * LAYOUT_STRIDE);
  readonly #senders: dgram.RemoteInfo[] = [];
  #inboxUsed = 0;
  /** Datagrams in the inbox when dgram last let others run. */
  #inboxBefore = 0;
  #isTurnScheduled = false;
  readonly #batches: Batch[] = [];
  #isBlocked = false;
  #sink: TransportSink | undefined;

  /** Binds a socket. Rejects with the system's error. */
  static async open(options: TransportOptions): Promise<DgramTransport> {
    const isIPv6Socket = isIPv6(options.host);
    const socket = sockets.create(options);
    try {
      await sockets.bind(socket, options);
    } catch (error) {
      socket.close();
      throw error;
    }
    return new DgramTransport(socket, isIPv6Socket, options);
  }

  constructor(socket: dgram.Socket, isIPv6Socket: boolean, options: TransportOptions) {
    this.#socket = socket;
    this.#book = new AddressBook(isIPv6Socket);
    const { address, port } = socket.address();
    const host = toCanonicalIP(address);
    this.address = { host, port: port as Port, type: socketType(host, options.ipv6Only) };
    this.stats.recvBufferSize = grantBuffer(socket, 'Recv', options.recvBufferSize);
    this.stats.sendBufferSize = grantBuffer(socket, 'Send', options.sendBufferSize);
    for (let i = 0; i < BATCHES; i++) {
      const batch = new Batch((error) => this.#onSent(batch, error));
      this.#batches.push(batch);
    }
  }

  start(sink: TransportSink): void {
    this.#sink = sink;
    this.#socket.on('message', (data, sender) => this.#onMessage(data, sender));
    this.#socket.on('error', (error: NodeJS.ErrnoException) => {
      if (!sockets.isPassing(error)) this.#sink?.onDead(error);
    });
  }

  receive(endpoint: Endpoint): number {
    const count = this.#senders.length;
    this.#book.trim(endpoint);
    for (let i = 0; i < count; i++) {
      const { address, port } = this.#senders[i];
      this.#inboxLayout[i * LAYOUT_STRIDE + 2] = this.#book.id(endpoint, address, port);
    }
    this.#senders.length = 0;
    this.#inboxUsed = 0;
    this.#inboxBefore = 0;
    return endpoint.receive(this.#inbox, this.#inboxLayout, count);
  }

  flush(endpoint: Endpoint): 'done' | 'blocked' {
    for (;;) {
      const batch = this.#batches.pop();
      if (batch === undefined) {
        this.#isBlocked = true;
        return 'blocked';
      }
      const count = this.#sink === undefined ? 0 : endpoint.transmit(batch.bytes, batch.layout);
      if (count === 0) {
        this.#batches.push(batch);
        return 'done';
      }
      this.stats.datagramsSent += count;
      batch.send(this.#socket, endpoint, this.#book, count);
    }
  }

  sendRaw(bytes: Uint8Array, host: Host, port: Port): Promise<void> {
    return sockets.send(this.#socket, bytes, port, this.#book.reach(host));
  }

  setReferenced(isReferenced: boolean): void {
    if (isReferenced) this.#socket.ref();
    else this.#socket.unref();
  }

  close(): Promise<void> {
    this.#sink = undefined;
    this.#senders.length = 0;
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }

  #onMessage(data: Buffer, sender: dgram.RemoteInfo): void {
    if (this.#sink === undefined) return;
    this.stats.datagramsReceived += 1;
    if (this.#senders.length === INBOX_DATAGRAMS || this.#inboxUsed + data.length > INBOX_BYTES) {
      this.#sink.onReceivable(null);
    }
    const at = this.#senders.length * LAYOUT_STRIDE;
    this.#inbox.set(data, this.#inboxUsed);
    this.#inboxLayout[at] = this.#inboxUsed;
    this.#inboxLayout[at + 1] = data.length;
    this.#inboxUsed += data.length;
    this.#senders.push(sender);
    if (this.#isTurnScheduled) return;
    this.#isTurnScheduled = true;
    setImmediate(this.#endTurn);
  }

  /** The loop has polled: what came is taken in, unless more waits that this turn has room for. */
  readonly #endTurn = (): void => {
    const count = this.#senders.length;
    if (count - this.#inboxBefore >= DGRAM_READS && count + DGRAM_READS <= TURN_DATAGRAMS) {
      this.#inboxBefore = count;
      setImmediate(this.#endTurn);
      return;
    }
    this.#isTurnScheduled = false;
    if (count > 0) this.#sink?.onReceivable(null);
  };

  #onSent(batch: Batch, error: Error | null): void {
    if (error !== null) this.#onSendFailed(batch);
    batch.pending -= 1;
    if (batch.pending > 0) return;
    this.#batches.push(batch);
    if (!this.#isBlocked) return;
    this.#isBlocked = false;
    this.#sink?.onUnblocked();
  }

  /** Loss on that path, never the end of the socket. */
  #onSendFailed(batch: Batch): void {
    this.stats.sendsFailed += 1;
    if (this.#sink !== undefined) batch.endpoint?.sendFailed();
  }
}

/** A buffer full of datagrams on their way out. */
class Batch {
  readonly bytes = Buffer.allocUnsafeSlow(BATCH_BYTES);
  readonly layout = new Int32Array(BATCH_DATAGRAMS * LAYOUT_STRIDE);
  pending = 0;
  /** Whose datagrams they are. */
  endpoint: Endpoint | undefined;

  constructor(readonly onSent: (error: Error | null) => void) {}

  send(socket: dgram.Socket, endpoint: Endpoint, book: AddressBook, count: number): void {
    this.pending = count;
    this.endpoint = endpoint;
    for (let at = 0; at < count * LAYOUT_STRIDE; at += LAYOUT_STRIDE) {
      const { host, port } = book.target(endpoint, this.layout[at + 2]);
      socket.send(this.bytes, this.layout[at], this.layout[at + 1], port, host, this.onSent);
    }
  }
}

/** Asks for a socket buffer; answers what was granted. */
function grantBuffer(socket: dgram.Socket, which: 'Recv' | 'Send', bytes: number): number {
  try {
    socket[`set${which}BufferSize`](bytes);
  } catch {
    // Some systems refuse what is too much, others grant what they can.
  }
  return socket[`get${which}BufferSize`]();
}

export default DgramTransport;
