// The rendezvous introduces two peers in datagrams (RFC 9221), which may be lost: each is sent until it is acknowledged.

import { EventEmitter, once } from 'node:events';
import { isIP } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { decode, encode } from './messages.mjs';

const RESEND_MS = 200;
const MAX_SENDS = 25;

/** The rendezvous' end, one for each connection. */
export class Introducer {
  #connection;
  #acknowledgements = new EventEmitter();
  #number = 0;

  constructor(connection) {
    this.#connection = connection;
    void this.#listen();
  }

  /** Tells the peer about another one. Resolves to how many datagrams that took, 0 if none was acknowledged. */
  async introduce(other) {
    const number = ++this.#number;
    const datagram = encode({ type: 'introduction', number, ...other });
    const waiting = new AbortController();
    const acknowledged = once(this.#acknowledgements, eventOf(number), waiting).then(
      () => true,
      () => false,
    );
    let sends = 0;
    let isAcknowledged = false;
    while (!isAcknowledged && sends < MAX_SENDS && !this.#connection.closed) {
      this.#connection.sendDatagram(datagram);
      sends += 1;
      isAcknowledged = await Promise.race([acknowledged, delay(RESEND_MS, false, { ref: false })]);
    }
    waiting.abort();
    return isAcknowledged ? sends : 0;
  }

  async #listen() {
    for await (const message of messages(this.#connection)) {
      if (message.type === 'acknowledgement') this.#acknowledgements.emit(eventOf(message.number));
    }
  }
}

/** A peer's end: the introductions that come, each once. */
export async function* introductions(connection) {
  const seen = new Set();
  for await (const message of messages(connection)) {
    if (message.type !== 'introduction' || !isComplete(message)) continue;
    // Also when it was seen before: the acknowledgement may be what was lost.
    connection.sendDatagram(encode({ type: 'acknowledgement', number: message.number }));
    if (seen.has(message.number)) continue;
    seen.add(message.number);
    yield message;
  }
}

/** The peer chooses the number: as it is it could be `error`, an event that ends processes. */
function eventOf(number) {
  return `acknowledged ${number}`;
}

function isComplete({ id, host, port, nonce }) {
  const isNonce = typeof nonce === 'string' && /^[0-9a-f]{32}$/.test(nonce);
  return typeof id === 'string' && isIP(host) !== 0 && Number.isInteger(port) && isNonce;
}

async function* messages(connection) {
  for await (const datagram of connection.datagrams) {
    try {
      yield decode(datagram);
    } catch {
      // Not ours: nobody has to send what we understand.
    }
  }
}
