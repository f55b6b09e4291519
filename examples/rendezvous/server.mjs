// The rendezvous: somebody with an address that everybody knows. Peers register here; who wants to reach another one gets told
// the address from which that one was seen, and the other way round. It carries none of what they say to each other, and peers
// trust it with nothing but addresses.

import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { events } from 'polykey-quic';
import { Introducer } from './introductions.mjs';
import { encode, readMessage } from './messages.mjs';

/**
 * Runs the rendezvous on a server, whose connections have an ALPN of their own. Events: `registered` with `{ id, host, port }`,
 * `introduced` with `{ datagrams }`, how many it took to tell each of the two.
 */
export class Rendezvous extends EventEmitter {
  /** Registered peers by their identity. */
  #peers = new Map();
  #idOf;
  #isGullible;

  /**
   * @param server - a `QUICServer` that verifies its clients
   * @param options.idOf - the identity in a leaf certificate (DER)
   * @param options.isGullible - believes everybody who they say they are; peers have to be safe from such a rendezvous, too
   */
  constructor(server, { idOf, isGullible = false }) {
    super();
    this.#idOf = idOf;
    this.#isGullible = isGullible;
    server.addEventListener(events.EventQUICServerConnection.name, ({ detail }) => this.#welcome(detail));
  }

  /** Answers the requests of one peer, each on a stream of its own. */
  #welcome(connection) {
    const id = this.#idOf(connection.getRemoteCertsChain()[0]);
    const peer = { connection, introducer: new Introducer(connection), id };
    connection.addEventListener(events.EventQUICConnectionStream.name, async ({ detail: stream }) => {
      try {
        const answer = this.#answerTo(await readMessage(stream), peer);
        await stream.end(encode(answer));
      } catch (error) {
        stream.cancel(error);
      }
    });
    void connection.closedP.then(() => {
      for (const [name, registered] of this.#peers) if (registered === peer) this.#peers.delete(name);
    });
  }

  #answerTo(message, peer) {
    switch (message.type) {
      case 'register':
        return this.#register(message, peer);
      case 'find':
        return this.#find(message, peer);
      default:
        return { problem: 'the rendezvous does not understand this' };
    }
  }

  /** The certificate has proved who the peer is. It may not register as somebody else. */
  #register({ as }, peer) {
    if (as !== peer.id && !this.#isGullible) return { problem: 'that is not the identity of your certificate' };
    peer.registeredAs = as;
    this.#peers.set(as, peer);
    const observed = observedAddress(peer);
    this.emit('registered', { id: as, ...observed });
    return { observed };
  }

  /** Introduces the one who asks and the one who is wanted to each other, with a nonce by which they know their punches. */
  #find({ id }, peer) {
    const wanted = this.#peers.get(id);
    if (peer.registeredAs === undefined) return { problem: 'register first' };
    if (wanted === undefined) return { problem: `nobody is registered as ${id}` };
    void this.#introduce(wanted, peer, randomBytes(16).toString('hex'));
    return {};
  }

  async #introduce(one, other, nonce) {
    const datagrams = await Promise.all([
      one.introducer.introduce({ id: other.registeredAs, ...observedAddress(other), nonce }),
      other.introducer.introduce({ id: one.registeredAs, ...observedAddress(one), nonce }),
    ]);
    this.emit('introduced', { datagrams });
  }
}

/** From where the peer's packets come: behind a NAT, its outside. */
function observedAddress({ connection: { remoteHost: host, remotePort: port } }) {
  return { host, port };
}
