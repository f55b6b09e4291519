// A peer's end of the rendezvous.

import { EventEmitter, once } from 'node:events';
import { introductions } from './introductions.mjs';
import { request } from './messages.mjs';

/** Introductions that are kept until somebody asks for them. */
const MAX_EARLY = 16;

/**
 * Registers at a rendezvous and hears to whom it introduces us, over a connection from the socket on which we listen: so the
 * rendezvous sees the address at which others may reach us.
 */
export class RendezvousClient {
  #connection;
  #introduced = new EventEmitter();
  /** Introductions for which nobody waits yet, by identity: the other peer may have been faster than our own user. */
  #early = new Map();

  /** Over an established connection to the rendezvous. */
  constructor(connection) {
    this.#connection = connection;
    void this.#listen();
  }

  /** Registers under an identity. Resolves to the address from which the rendezvous sees us. */
  async register(id) {
    const { observed } = await this.#ask({ type: 'register', as: id });
    return observed;
  }

  /** Asks to be introduced to a peer, and resolves to the introduction: `{ id, host, port, nonce }`, to be given to `meet`. */
  async find(id, { signal } = {}) {
    // What comes now is newer.
    this.#early.delete(id);
    const introduction = this.introduction(id, { signal });
    // Awaited below, unless the rendezvous refuses.
    introduction.catch(() => undefined);
    await this.#ask({ type: 'find', id });
    return introduction;
  }

  /** Resolves when somebody has asked to be introduced to us, or has already, unheard. */
  async introduction(id, { signal } = {}) {
    const early = this.#early.get(id);
    if (early !== undefined) {
      this.#early.delete(id);
      return early;
    }
    const [introduction] = await once(this.#introduced, eventOf(id), { signal });
    return introduction;
  }

  async #listen() {
    for await (const introduction of introductions(this.#connection)) {
      const { id } = introduction;
      if (this.#introduced.emit(eventOf(id), introduction)) continue;
      this.#early.set(id, introduction);
      // Of many the oldest goes, which is most likely out of date.
      if (this.#early.size > MAX_EARLY) this.#early.delete(this.#early.keys().next().value);
    }
  }

  async #ask(message) {
    const { problem, ...answer } = await request(this.#connection, message);
    if (problem !== undefined) throw new Error(`the rendezvous refused: ${problem}`);
    return answer;
  }
}

/** The rendezvous chooses the identity: as it is it could be `error`, an event that ends processes. */
function eventOf(id) {
  return `introduced to ${id}`;
}
