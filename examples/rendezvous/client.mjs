// A peer's end of the rendezvous.

import { EventEmitter, once } from 'node:events';
import { introductions } from './introductions.mjs';
import { request } from './messages.mjs';

/**
 * Registers at a rendezvous and hears to whom it introduces us, over a connection from the socket on which we listen: so the
 * rendezvous sees the address at which others may reach us.
 */
export class RendezvousClient {
  #connection;
  #introduced = new EventEmitter();

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
    const introduction = this.introduction(id, { signal });
    // Awaited below, unless the rendezvous refuses.
    introduction.catch(() => undefined);
    await this.#ask({ type: 'find', id });
    return introduction;
  }

  /** Resolves when somebody has asked to be introduced to us. */
  async introduction(id, { signal } = {}) {
    const [introduction] = await once(this.#introduced, eventOf(id), { signal });
    return introduction;
  }

  async #listen() {
    for await (const introduction of introductions(this.#connection)) {
      this.#introduced.emit(eventOf(introduction.id), introduction);
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
