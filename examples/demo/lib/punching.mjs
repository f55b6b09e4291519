// Opens the way between two peers behind NATs: each sends small packets to the other's address from the socket on which it
// listens, so that its own NAT lets the other's packets in.

import { Buffer } from 'node:buffer';
import { EventEmitter, once } from 'node:events';
import { events } from 'polykey-quic';

/** The first packet may reach a NAT that isn't open yet, so there are more of them; ever fewer, to be no flood. */
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1000;

/** Anybody can send punches: of so many nonces it is remembered that they came. */
const MAX_REMEMBERED = 64;

/** Sends and hears the punches of one socket. */
export class Puncher {
  #socket;
  /** By nonce: from where the first punch came, and how many there were. They may come before we know of whom. */
  #heard = new Map();
  #arrivals = new EventEmitter();

  constructor(socket) {
    this.#socket = socket;
    socket.addEventListener(events.EventQUICSocketDatagram.name, ({ detail }) => this.#onDatagram(detail));
  }

  /** Punches until stopped; stopping answers how many packets went and came. */
  start({ host, port, nonce }) {
    let sent = 0;
    let timer;
    const punch = (pause) => {
      sent += 1;
      // A packet that can't be sent (no route yet, say) is as good as lost.
      this.#socket.sendPunch(host, port, { nonce: Buffer.from(nonce, 'hex') }).catch(() => undefined);
      timer = setTimeout(() => punch(Math.min(pause * 2, LONGEST_PAUSE_MS)), pause);
    };
    punch(FIRST_PAUSE_MS);
    const stop = () => {
      clearTimeout(timer);
      return { sent, received: this.#heard.get(nonce)?.count ?? 0 };
    };
    return { stop };
  }

  /**
   * Resolves to where the first packet with a nonce came from. That is where to dial: behind some NATs it is another port
   * than the one the rendezvous saw. The nonce says that the path works, not who is there: for that there are certificates.
   */
  async arrival(nonce, signal) {
    if (!this.#heard.has(nonce)) await once(this.#arrivals, nonce, { signal });
    return this.#heard.get(nonce).from;
  }

  #onDatagram({ punchNonce, host, port }) {
    if (punchNonce === null) return;
    const nonce = Buffer.from(punchNonce).toString('hex');
    const heard = this.#heard.get(nonce) ?? { from: { host, port }, count: 0 };
    heard.count += 1;
    this.#heard.set(nonce, heard);
    if (this.#heard.size > MAX_REMEMBERED) this.#heard.delete(this.#heard.keys().next().value);
    this.#arrivals.emit(nonce);
  }
}
