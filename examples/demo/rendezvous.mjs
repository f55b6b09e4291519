// The rendezvous: the one with an address that everybody knows. Peers register here; who wants to reach another one gets
// told the address from which that one was seen, and the other way round. It sees no file, and peers trust it with nothing
// but addresses.
//
//   node rendezvous.mjs --listen HOST:PORT [--gullible]

import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { QUICServer, QUICSocket, events } from 'polykey-quic';
import { fail, report, takeCommands } from './lib/actor.mjs';
import { formatAddress, parseAddress } from './lib/address.mjs';
import { createIdentity, idOf, trustAnyKey } from './lib/identity.mjs';
import { Introducer } from './lib/introductions.mjs';
import { encode, readMessage } from './lib/messages.mjs';
import { KEEP_ALIVE, RENDEZVOUS_PROTOCOL } from './lib/settings.mjs';

const { values: options } = parseArgs({
  options: {
    listen: { type: 'string', default: '127.0.0.1:0' },
    /** Believes everybody who they say they are. Peers have to be safe from such a rendezvous, too. */
    gullible: { type: 'boolean', default: false },
  },
});

/** Registered peers by their identity. */
const peers = new Map();
const identity = createIdentity('rendezvous');
const socket = new QUICSocket();
const server = new QUICServer({
  socket,
  config: {
    key: identity.key,
    cert: identity.cert,
    verifyPeer: true,
    verifyCallback: trustAnyKey(),
    applicationProtos: [RENDEZVOUS_PROTOCOL],
    ...KEEP_ALIVE,
  },
});

takeCommands({
  async stop() {
    await server.stop();
    await socket.stop();
  },
});
server.addEventListener(events.EventQUICServerConnection.name, ({ detail: connection }) => welcome(connection));
try {
  await socket.start(parseAddress(options.listen));
  await server.start();
  report('listening', { id: identity.id, address: formatAddress(socket) });
} catch (error) {
  fail(error);
}

/** Answers the requests of one peer, each on a stream of its own. */
function welcome(connection) {
  const peer = { connection, introducer: new Introducer(connection), id: idOf(connection.getRemoteCertsChain()[0]) };
  connection.addEventListener(events.EventQUICConnectionStream.name, async ({ detail: stream }) => {
    try {
      const answer = answerTo(await readMessage(stream), peer);
      await stream.end(encode(answer));
    } catch (error) {
      stream.cancel(error);
    }
  });
  void connection.closedP.then(() => {
    for (const [id, registered] of peers) if (registered === peer) peers.delete(id);
  });
}

function answerTo(message, peer) {
  switch (message.type) {
    case 'register':
      return register(message, peer);
    case 'find':
      return find(message, peer);
    default:
      return { problem: 'the rendezvous does not understand this' };
  }
}

/** The certificate has proved who the peer is. It may not register as somebody else. */
function register({ as }, peer) {
  if (as !== peer.id && !options.gullible) return { problem: 'that is not the identity of your certificate' };
  peer.registeredAs = as;
  peers.set(as, peer);
  const observed = observedAddress(peer);
  report('registered', { id: as, address: formatAddress(observed) });
  return { observed };
}

/** Introduces the one who asks and the one who is wanted to each other, with a nonce by which they know their punches. */
function find({ id }, peer) {
  const wanted = peers.get(id);
  if (peer.registeredAs === undefined) return { problem: 'register first' };
  if (wanted === undefined) return { problem: `nobody is registered as ${id}` };
  const nonce = randomBytes(16).toString('hex');
  void introduce(wanted, peer, nonce);
  return {};
}

async function introduce(one, other, nonce) {
  const datagrams = await Promise.all([
    one.introducer.introduce({ id: other.registeredAs, ...observedAddress(other), nonce }),
    other.introducer.introduce({ id: one.registeredAs, ...observedAddress(one), nonce }),
  ]);
  report('introduced', { datagrams });
}

/** From where the peer's packets come: behind a NAT, its outside. */
function observedAddress({ connection: { remoteHost: host, remotePort: port } }) {
  return { host, port };
}
