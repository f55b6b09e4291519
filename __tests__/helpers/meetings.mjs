// Two peers that dial each other at the same moment, again and again: prints one line of JSON for each time.

import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import process from 'node:process';
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';
import { QUICServer, QUICSocket, events } from 'polykey-quic';
import { createIdentity, idOf, trustOnly } from '../../examples/demo/lib/identity.mjs';
import { meet } from '../../examples/rendezvous/meet.mjs';

const HOST = '127.0.0.1';
const rounds = Number(process.argv[2]);

const identities = [createIdentity('one'), createIdentity('other')];

/** How the two sides' handshakes interleave in a round: who begins later by how much, and who takes how long to judge whom. */
function interleaving(round) {
  return {
    // From both in the same turn to one that is ready before the other begins.
    starts: [0, round % 5 === 0 ? 0 : (round * 7) % 23],
    // The first and the second of a side are those of its own dial and of the other's, in whatever order they come.
    judges: [
      [round % 3, (round * 5) % 11],
      [(round * 3) % 13, round % 2],
    ],
  };
}

async function openSide(index, judges) {
  const [own, peer] = [identities[index], identities[1 - index]];
  const trusts = trustOnly(() => peer.id);
  let asked = 0;
  const verifyCallback = async (chain) => {
    await delay(judges[asked++ % 2]);
    return trusts(chain);
  };
  const config = { key: own.key, cert: own.cert, applicationProtos: ['meeting'], verifyPeer: true, verifyCallback };
  const socket = new QUICSocket();
  await socket.start({ host: HOST });
  const server = new QUICServer({ socket, config });
  await server.start();
  return { socket, server, config, peer: peer.id, connections: new Set() };
}

/** Meets the peer; whatever streams come are echoed from the moment that their connection is there. */
async function join(side, port, nonce, wait) {
  if (wait > 0) await delay(wait);
  const isPeer = (connection) => idOf(connection.getRemoteCertsChain()[0]) === side.peer;
  const onConnection = (connection) => {
    side.connections.add(connection);
    connection.addEventListener(events.EventQUICConnectionStream.name, async ({ detail: stream }) => {
      try {
        for await (const chunk of stream) await stream.write(chunk);
        await stream.end();
      } catch {
        // Of the connection that isn't kept.
      }
    });
  };
  const introduction = { host: HOST, port, nonce };
  return meet({ ...side, introduction, isPeer, onConnection });
}

async function echo(connection) {
  const sent = randomBytes(50_000);
  const stream = connection.newStream();
  const received = (async () => {
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    return Buffer.concat(chunks);
  })();
  await stream.end(sent);
  return sent.equals(await received);
}

const live = (side) => [...side.socket.driver.connections].filter((connection) => connection.isActive);

async function meetOnce(round) {
  const { starts, judges } = interleaving(round);
  const sides = await Promise.all(judges.map((each, index) => openSide(index, each)));
  const nonce = randomBytes(16).toString('hex');
  const met = await Promise.all(
    sides.map((side, index) => join(side, sides[1 - index].socket.port, nonce, starts[index])),
  );
  const echoes = await Promise.all(met.map(({ connection }) => echo(connection)));
  // The one that isn't kept says goodbye.
  while (sides.some((side) => live(side).length !== 1)) await nextTurn();
  const outcome = {
    ids: met.map(({ connection }) => connection.connectionIdShared.toString()),
    dialled: met.map(({ isDialled }) => isDialled),
    echoes,
    kept: sides.map((side, index) => live(side)[0] === met[index].connection),
    shown: sides.map(({ connections }) => connections.size),
  };
  await Promise.all(sides.map(({ server }) => server.stop()));
  await Promise.all(met.map(({ connection }) => connection.stop()));
  await Promise.all(sides.map(({ socket }) => socket.stop({ force: true })));
  return outcome;
}

for (let round = 0; round < rounds; round++) process.stdout.write(`${JSON.stringify(await meetOnce(round))}\n`);
