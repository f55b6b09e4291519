import dgram from 'node:dgram';
import { once } from 'node:events';
import { random } from './random';

/** What a relay does with datagrams, in percent of all; the rest it passes on. */
type Faults = { lost: number; twice: number; late: number };

/** How late a datagram is that others overtake, at most. */
const LATE_MS = 5;

const LOOPBACK = '127.0.0.1';

/** Stands between a server on loopback and any number of clients, and treats the datagrams of both directions badly. */
class LossyRelay implements AsyncDisposable {
  readonly #front = dgram.createSocket('udp4');
  /** Towards the server, one for each client: by them it tells them apart. */
  readonly #backs = new Map<number, dgram.Socket>();
  readonly #server: number;
  /** May change on the way. */
  faults: Faults;
  readonly #random: (bound: number) => number;
  lost = 0;

  constructor(server: number, faults: Faults, seed: number) {
    this.#server = server;
    this.faults = faults;
    this.#random = random(seed);
  }

  static async start(...args: ConstructorParameters<typeof LossyRelay>): Promise<LossyRelay> {
    const relay = new LossyRelay(...args);
    const front = relay.#front;
    front.on('message', (data, { port }) => {
      const back = relay.#back(port);
      relay.#treat(() => back.send(data, relay.#server, LOOPBACK));
    });
    front.bind(0, LOOPBACK);
    await once(front, 'listening');
    return relay;
  }

  /** Where clients dial. */
  get port(): number {
    return this.#front.address().port;
  }

  [Symbol.asyncDispose](): Promise<void> {
    for (const socket of [this.#front, ...this.#backs.values()]) socket.close();
    return Promise.resolve();
  }

  #back(client: number): dgram.Socket {
    const known = this.#backs.get(client);
    if (known !== undefined) return known;
    const back = dgram.createSocket('udp4');
    back.bind(0, LOOPBACK);
    back.on('message', (data) => this.#treat(() => this.#front.send(data, client, LOOPBACK)));
    this.#backs.set(client, back);
    return back;
  }

  #treat(pass: () => void): void {
    const { lost, twice, late } = this.faults;
    const roll = this.#random(100);
    if (roll < lost) this.lost += 1;
    else if (roll < lost + late) setTimeout(quietly(pass), this.#random(LATE_MS));
    else {
      pass();
      if (roll < lost + late + twice) setImmediate(quietly(pass));
    }
  }
}

/** What comes too late for the sockets is lost, too. */
function quietly(pass: () => void): () => void {
  return () => {
    try {
      pass();
    } catch {
      // The relay has ended.
    }
  };
}

export default LossyRelay;
