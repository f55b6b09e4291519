// Whatever is lost, repeated or overtaken on the way: all bytes of all streams arrive, and all ends.

import type { QUICConnection, QUICSocket, QUICSocketOptions, QUICStream } from '../lib';
import { createHash, randomBytes, randomInt } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { QUICClient, QUICServer, errors, events } from '../lib';
import LossyRelay from './helpers/lossyRelay';
import { authority, nextEvent, readAll, startSocket } from './helpers/pair';
import { random } from './helpers/random';

const KiB = 1024;
const HASH_BYTES = 32;
const FAULTS = { lost: 10, twice: 2, late: 2 };
const NO_FAULTS = { lost: 0, twice: 0, late: 0 };
const AT_ONCE = 4;
const CONNECTIONS = 24;
const STREAMS = 5;

/** Of a run that failed, to see whether it does again; the system's own timing isn't repeated. */
const seed = Number(process.env['LOSS_SEED'] ?? randomInt(1, 1_000_000));

type Random = (bound: number) => number;

/** Writes so many bytes, then their hash, in pieces that sometimes leave in one packet and sometimes don't; then the end. */
async function give(stream: QUICStream, bytes: number, next: Random): Promise<void> {
  const data = randomBytes(bytes);
  const all = Buffer.concat([data, createHash('sha256').update(data).digest()]);
  for (let at = 0, size = 0; at < all.length; at += size) {
    size = Math.min(all.length - at, 1 + next(16 * KiB));
    await stream.write(all.subarray(at, at + size));
    if (next(2) === 0) await turn();
  }
  await stream.end();
}

/** Reads up to the end; throws if these aren't the bytes that were written. */
async function take(stream: QUICStream): Promise<void> {
  const all = await readAll(stream);
  const data = all.subarray(0, -HASH_BYTES);
  expect(createHash('sha256').update(data).digest().equals(all.subarray(-HASH_BYTES))).toBe(true);
}

/** One stream, as the side that opened it uses it: asks and is answered, or both talk at once, or one talks alone. */
async function ask(connection: QUICConnection, next: Random): Promise<void> {
  const kind = next(3);
  const stream = connection.newStream(kind === 0 ? 'uni' : 'bidi');
  const given = give(stream, next(2) === 0 ? next(100) : next(100 * KiB), next);
  if (kind === 1) await given;
  if (kind !== 0) await take(stream);
  await given;
}

/** The other side of it. */
async function answer(stream: QUICStream, next: Random): Promise<void> {
  const given = stream.type === 'bidi' && next(2) === 0 ? give(stream, next(20 * KiB), next) : undefined;
  await take(stream);
  if (stream.type === 'bidi') await (given ?? give(stream, next(20 * KiB), next));
}

/** Answers what the other side asks; resolves when all of it is. */
async function serve(connection: QUICConnection, next: Random): Promise<void> {
  const answers: Promise<void>[] = [];
  await new Promise<void>((resolve) => {
    const { name } = events.EventQUICConnectionStream;
    connection.addEventListener(name, ({ detail }: events.EventQUICConnectionStream) => {
      if (answers.push(answer(detail, next)) === STREAMS) resolve();
    });
  });
  await Promise.all(answers);
}

/** What both sides do with a connection. */
async function use(connection: QUICConnection, next: Random): Promise<void> {
  const served = serve(connection, next);
  await Promise.all([served, ...Array.from({ length: STREAMS }, () => ask(connection, next))]);
}

/** Dials the server behind a relay. */
function dial(relay: LossyRelay, socket: QUICSocket): Promise<QUICClient> {
  const config = { ca: authority().ca, disableActiveMigration: false };
  return QUICClient.createQUICClient({ host: '127.0.0.1', port: relay.port, socket, config });
}

describe(`LOSS_SEED=${seed}`, () => {
  const ways: QUICSocketOptions['transport'][] = ['auto', 'portable', 'dgram'];
  test.each(ways)(
    'a tenth of all datagrams is lost: %s',
    async (transport) => {
      const next = random(seed);
      await using clientSocket = await startSocket({ transport });
      await using serverSocket = await startSocket({ transport });
      await using server = new QUICServer({ socket: serverSocket, config: authority().issue() });
      const uses: Promise<void>[] = [];
      const { name } = events.EventQUICServerConnection;
      server.addEventListener(name, ({ detail }: events.EventQUICServerConnection) => uses.push(use(detail, next)));
      await server.start();
      await using relay = await LossyRelay.start(serverSocket.port, FAULTS, seed);

      const meet = async (): Promise<void> => {
        const client = await dial(relay, clientSocket);
        await Promise.all([client.connection.confirmed, use(client.connection, next)]);
        // Says goodbye only when all that it wrote has arrived.
        await client.destroy({ force: false });
      };
      let left = CONNECTIONS;
      const meetOthers = async (): Promise<void> => {
        while ((left -= 1) >= 0) await meet();
      };
      await Promise.all(Array.from({ length: AT_ONCE }, meetOthers));
      await Promise.all(uses);
      expect(uses.length).toBe(CONNECTIONS);
      expect(relay.lost).toBeGreaterThan(0);
    },
    60_000,
  );
});

test('who has missed that its connection was closed is told when it speaks', async () => {
  await using clientSocket = await startSocket();
  await using serverSocket = await startSocket();
  await using server = new QUICServer({ socket: serverSocket, config: authority().issue() });
  const accepted = nextEvent(server, events.EventQUICServerConnection);
  await server.start();
  await using relay = await LossyRelay.start(serverSocket.port, NO_FAULTS, seed);
  await using client = await dial(relay, clientSocket);
  const { detail: far } = await accepted;
  await client.connection.confirmed;
  relay.faults = { ...NO_FAULTS, lost: 100 };
  await far.stop({ errorCode: 7, reason: Buffer.from('enough') });
  expect(far.closed && !client.connection.closed).toBe(true);
  relay.faults = NO_FAULTS;
  const ending = nextEvent(client.connection, events.EventQUICConnectionError);
  await client.connection.newStream().write(Buffer.from('anybody there?'));
  const { detail: error } = await ending;
  expect(error).toBeInstanceOf(errors.ErrorQUICConnectionPeer);
  expect(client.connection.getConnectionError()).toEqual({ isApp: true, errorCode: 7, reason: Buffer.from('enough') });
  expect(serverSocket.stats?.endpoint.closesRepeated).toBeGreaterThan(0);
});

test('what a network takes with it when it goes comes again over the next one', async () => {
  await using serverSocket = await startSocket();
  await using firstSocket = await startSocket();
  await using nextSocket = await startSocket();
  const config = { ...authority().issue(), disableActiveMigration: false };
  await using server = new QUICServer({ socket: serverSocket, config });
  const accepted = nextEvent(server, events.EventQUICServerConnection);
  await server.start();
  await using relay = await LossyRelay.start(serverSocket.port, NO_FAULTS, seed);
  await using client = await dial(relay, firstSocket);
  const { detail: far } = await accepted;
  const opened = nextEvent(far, events.EventQUICConnectionStream);
  await client.connection.confirmed;
  relay.faults = { ...NO_FAULTS, lost: 100 };
  const data = randomBytes(64 * KiB);
  const stream = client.connection.newStream();
  const written = stream.end(data);
  // As much as the congestion window takes: more packets than probes would repeat.
  while (relay.lost < 8) await turn();
  relay.faults = NO_FAULTS;
  await client.connection.migrate({ socket: nextSocket });
  const { detail: received } = await opened;
  expect((await readAll(received)).equals(data)).toBe(true);
  await written;
  expect(far.remotePort).not.toBe(client.localPort);
});
