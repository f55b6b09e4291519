// The demo's rendezvous, a process of its own: ../rendezvous/ has what it does.
//
//   node rendezvous.mjs --listen HOST:PORT [--gullible]

import { parseArgs } from 'node:util';
import { QUICServer, QUICSocket } from 'polykey-quic';
import { Rendezvous } from '../rendezvous/server.mjs';
import { fail, report, takeCommands } from './lib/actor.mjs';
import { formatAddress, parseAddress } from './lib/address.mjs';
import { createIdentity, idOf, trustAnyKey } from './lib/identity.mjs';
import { KEEP_ALIVE, RENDEZVOUS_PROTOCOL } from './lib/settings.mjs';

const { values: options } = parseArgs({
  options: {
    listen: { type: 'string', default: '127.0.0.1:0' },
    /** Believes everybody who they say they are. Peers have to be safe from such a rendezvous, too. */
    gullible: { type: 'boolean', default: false },
  },
});

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
const rendezvous = new Rendezvous(server, { idOf, isGullible: options.gullible });
rendezvous.on('registered', ({ id, ...observed }) => report('registered', { id, address: formatAddress(observed) }));
rendezvous.on('introduced', (details) => report('introduced', details));
try {
  await socket.start(parseAddress(options.listen));
  await server.start();
  report('listening', { id: identity.id, address: formatAddress(socket) });
} catch (error) {
  fail(error);
}
