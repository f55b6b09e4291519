// Somebody is introduced before anybody waits for it; prints what the one who asks later gets.

import process from 'node:process';
import { RendezvousClient } from '../../examples/rendezvous/client.mjs';
import { encode } from '../../examples/rendezvous/messages.mjs';

const introduction = {
  type: 'introduction',
  number: 1,
  id: 'early',
  host: '127.0.0.1',
  port: 7,
  nonce: '00'.repeat(16),
};

async function* datagrams() {
  yield encode(introduction);
}

const client = new RendezvousClient({ datagrams: datagrams(), sendDatagram: () => true });
await new Promise(setImmediate);
process.stdout.write(JSON.stringify(await client.introduction('early')));
