// Much at once and much in turn: nothing hangs, and every end arrives.

import { randomBytes } from 'node:crypto';
import type { QUICConnection, QUICServer, QUICSocket } from '../../lib';
import { QUICClient, events } from '../../lib';
import { authority, createPair, echo, readAll, startSocket } from '../helpers/pair';

/** One call: sends bytes and their end, reads the echo and its end. */
async function call(connection: QUICConnection, bytes: Buffer): Promise<void> {
  const stream = connection.newStream();
  const [answer] = await Promise.all([readAll(stream), stream.end(bytes), stream.closedP]);
  if (!answer.equals(bytes)) throw new Error(`${answer.length} other bytes came back`);
}

function echoAll(server: QUICServer): void {
  server.addEventListener(events.EventQUICServerConnection.name, ({ detail }: events.EventQUICServerConnection) =>
    echo(detail),
  );
}

test('60 calls at once, of 8 KiB each, by either side', async () => {
  await using pair = await createPair();
  echo(pair.near);
  echo(pair.far);
  const bytes = randomBytes(8 * 1024);
  const calls = Array.from({ length: 60 }, () => [call(pair.near, bytes), call(pair.far, bytes)]);
  await Promise.all(calls.flat());
  expect([pair.near.stats.streams, pair.far.stats.streams]).toEqual([0, 0]);
});

test('more calls at once than the peer permits streams', async () => {
  await using pair = await createPair({ server: { initialMaxStreamsBidi: 10 } });
  echo(pair.far);
  await Promise.all(Array.from({ length: 200 }, () => call(pair.near, randomBytes(100))));
});

test('hundreds of calls, one after the other', async () => {
  await using pair = await createPair();
  echo(pair.far);
  for (let i = 0; i < 500; i++) await call(pair.near, randomBytes(100));
  expect(pair.far.stats.streams).toBe(0);
});

test('calls go on while megabytes flow', async () => {
  await using pair = await createPair();
  echo(pair.far);
  const flow = { isOver: false };
  const flowed = call(pair.near, randomBytes(16 * 1024 * 1024)).finally(() => (flow.isOver = true));
  let calls = 0;
  for (; !flow.isOver; calls++) await call(pair.near, randomBytes(1000));
  await flowed;
  expect(calls).toBeGreaterThan(5);
});

test('100 clients on one socket, each with calls of its own', async () => {
  await using socket = await startSocket();
  await using pair = await createPair();
  echoAll(pair.server);
  const dial = () =>
    QUICClient.createQUICClient({ host: '127.0.0.1', port: pair.server.port, socket, config: { ca: authority().ca } });
  const clients = await Promise.all(Array.from({ length: 100 }, dial));
  await Promise.all(clients.map(({ connection }) => call(connection, randomBytes(10_000))));
  const ends = pair.server.connections.slice(1).map(({ closedP }) => closedP);
  expect(ends).toHaveLength(100);
  // RFC 9000 §10.2: a closed connection stays for three probe timeouts. Where a hundred clients and their server share a
  // busy core, round trips are measured in halves of a second, and this takes as long as all the rest.
  await Promise.all(clients.map((client) => client.destroy()));
  await Promise.all(ends);
}, 60_000);

test('100 clients in turn, on the socket of the server, leave nothing behind', async () => {
  await using socket: QUICSocket = await startSocket();
  await using pair = await createPair({ serverSocket: socket });
  echoAll(pair.server);
  for (let i = 0; i < 100; i++) {
    await using client = await QUICClient.createQUICClient({
      host: '127.0.0.1',
      port: socket.port,
      socket,
      config: { ca: authority().ca },
    });
    await call(client.connection, randomBytes(100));
  }
  const left = pair.server.connections.filter((connection) => connection !== pair.far);
  await Promise.all(left.map(({ closedP }) => closedP));
  expect(pair.server.connections).toEqual([pair.far]);
});
