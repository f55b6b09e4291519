import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { MessageChannel } from 'node:worker_threads';
import { QUICClient, QUICServer, QUICSocket, errors, events } from '../lib';
import { HOST, MemoryNetwork } from './helpers/memoryTransport';
import { authority, createPair, nextEvent } from './helpers/pair';

const NONE: [boolean, number, number] = [false, 0, 0];

const enabled = { server: { enableDgram: [true, 100, 100] }, client: { enableDgram: [true, 100, 100] } } as const;

function createDatagramPair() {
  return createPair({
    server: { enableDgram: [...enabled.server.enableDgram] },
    client: { enableDgram: [...enabled.client.enableDgram] },
  });
}

test('go both ways, by event and by call', async () => {
  await using pair = await createDatagramPair();
  const heard = nextEvent<events.EventQUICConnectionDatagram>(pair.server, events.EventQUICConnectionDatagram);
  expect(pair.near.sendDatagram(Buffer.from('ping'))).toBe(true);
  expect(Buffer.from((await heard).detail).toString()).toBe('ping');
  expect(Buffer.from((await pair.far.receiveDatagram())!).toString()).toBe('ping');
  pair.far.sendDatagram(Buffer.from('pong'));
  expect(Buffer.from((await pair.near.receiveDatagram())!).toString()).toBe('pong');
});

test('are iterable until the connection ends', async () => {
  await using pair = await createDatagramPair();
  const received: string[] = [];
  const reading = (async () => {
    for await (const datagram of pair.far.datagrams) received.push(Buffer.from(datagram).toString());
  })();
  for (const text of ['one', 'two', 'three']) pair.near.sendDatagram(Buffer.from(text));
  await pair.near.stop({ force: true, flush: true });
  await reading;
  expect(received).toEqual(['one', 'two', 'three']);
  expect(await pair.far.receiveDatagram()).toBeNull();
});

test('can be read on after a loop that was left, but not by its iterator', async () => {
  await using pair = await createDatagramPair();
  for (const text of ['one', 'two', 'three']) pair.near.sendDatagram(Buffer.from(text));
  const iterator = pair.far.datagrams[Symbol.asyncIterator]() as AsyncIterableIterator<Uint8Array>;
  for await (const datagram of iterator) {
    expect(Buffer.from(datagram).toString()).toBe('one');
    break;
  }
  expect(await iterator.next()).toEqual({ done: true, value: undefined });
  for await (const datagram of pair.far.datagrams) {
    expect(Buffer.from(datagram).toString()).toBe('two');
    break;
  }
});

test.each(['oldest', 'newest'] as const)(
  'that came together can be given away alone, where the %s are dropped',
  async (rule) => {
    await using pair = await createPair({ server: { enableDgram: [true, 10, 10], dgramDrop: [rule, 'newest'] } });
    for (let i = 0; i < 8; i++) expect(pair.near.sendDatagram(Buffer.alloc(1000, i))).toBe(true);
    const first = (await pair.far.receiveDatagram())!;
    const { port1, port2 } = new MessageChannel();
    const moved = once(port2, 'message');
    try {
      port1.postMessage(first, [first.buffer as ArrayBuffer]);
      expect((await moved)[0]).toEqual(new Uint8Array(1000));
    } catch (error) {
      // As Node says it from version 21 on.
      expect(error).toMatchObject({ name: 'DataCloneError' });
    }
    port1.close();
    for (let i = 1; i < 8; i++) expect(Buffer.from((await pair.far.receiveDatagram())!)).toEqual(Buffer.alloc(1000, i));
  },
);

test('have a largest size, and what is larger is refused', async () => {
  await using pair = await createDatagramPair();
  const max = pair.near.maxDatagramSize!;
  expect(max).toBeGreaterThan(1000);
  expect(max).toBeLessThan(1350);
  const largest = randomBytes(max);
  expect(pair.near.sendDatagram(largest)).toBe(true);
  expect(pair.near.sendDatagram(randomBytes(max + 1))).toBe(false);
  expect(Buffer.from((await pair.far.receiveDatagram())!).equals(largest)).toBe(true);
  expect(pair.near.stats.datagrams).toMatchObject({ sent: 1, refused: 1 });
});

test('may be empty', async () => {
  await using pair = await createDatagramPair();
  expect(pair.near.sendDatagram(new Uint8Array(0))).toBe(true);
  expect(await pair.far.receiveDatagram()).toHaveLength(0);
});

test('are refused when the queue is full', async () => {
  await using pair = await createDatagramPair();
  const sent = Array.from({ length: 300 }, () => pair.near.sendDatagram(Buffer.from('x')));
  expect(sent.filter(Boolean)).toHaveLength(100);
});

test('of a flood the oldest are dropped, and counted', async () => {
  await using pair = await createPair({
    server: { enableDgram: [true, 10, 10] },
    client: { enableDgram: [true, 10, 10] },
  });
  let heard = 0;
  const all = new Promise<void>((resolve) =>
    pair.far.addEventListener(events.EventQUICConnectionDatagram.name, () => {
      heard += 1;
      if (heard === 30) resolve();
    }),
  );
  for (let i = 0; i < 30; i++) {
    pair.near.sendDatagram(Buffer.from(`${i}`));
    await new Promise((resolve) => setImmediate(resolve));
    await nextTurn();
  }
  await all;
  expect(pair.far.stats.datagrams).toMatchObject({ received: 30, dropped: 20, queued: 10 });
  expect(Buffer.from((await pair.far.receiveDatagram())!).toString()).toBe('20');
});

test('of a flood the newest are dropped where that is the rule, and counted', async () => {
  await using pair = await createPair({ server: { enableDgram: [true, 10, 10], dgramDrop: ['newest', 'newest'] } });
  let heard = 0;
  const all = new Promise<void>((resolve) =>
    pair.far.addEventListener(events.EventQUICConnectionDatagram.name, () => {
      heard += 1;
      if (heard === 30) resolve();
    }),
  );
  for (let i = 0; i < 30; i++) {
    pair.near.sendDatagram(Buffer.from(`${i}`));
    await nextTurn();
  }
  await all;
  expect(pair.far.stats.datagrams).toMatchObject({ received: 30, dropped: 20, queued: 10 });
  expect(Buffer.from((await pair.far.receiveDatagram())!).toString()).toBe('0');
});

test.each([
  ['oldest', '20'],
  ['newest', '0'],
] as const)('that come all in one turn are bounded and counted alike: the %s are dropped', async (rule, first) => {
  await using pair = await createPair({ server: { enableDgram: [true, 10, 10], dgramDrop: [rule, 'newest'] } });
  const heard = new Promise<void>((resolve) => {
    let count = 0;
    pair.far.addEventListener(events.EventQUICConnectionDatagram.name, () => (count += 1) === 30 && resolve());
  });
  for (let i = 0; i < 30; i++) expect(pair.near.sendDatagram(Buffer.from(`${i}`))).toBe(true);
  await heard;
  expect(pair.far.stats.datagrams).toMatchObject({ received: 30, dropped: 20, queued: 10 });
  expect(Buffer.from((await pair.far.receiveDatagram())!).toString()).toBe(first);
});

test('that are more in one turn than quiche keeps are counted', async () => {
  const network = new MemoryNetwork();
  const [near, far] = [0, 1].map(() => new QUICSocket({ openTransport: network.open }));
  await Promise.all([near.start({ host: HOST }), far.start({ host: HOST })]);
  const server = new QUICServer({ config: { ...authority().issue(), enableDgram: [true, 10, 10] }, socket: far });
  await server.start();
  const admitted = nextEvent<events.EventQUICServerConnection>(server, events.EventQUICServerConnection);
  const config = { verifyPeer: false, enableDgram: [true, 10, 2000] as [boolean, number, number] };
  const client = await QUICClient.createQUICClient({ host: HOST, port: far.port, socket: near, config });
  const { detail } = await admitted;
  const heard = nextEvent(detail, events.EventQUICConnectionDatagram);
  // As small as they are, they cross in one burst.
  for (let i = 0; i < 2000; i++) client.connection.sendDatagram(new Uint8Array(0));
  await heard;
  expect(detail.stats.dgramRecv).toBe(2000);
  expect(detail.stats.datagrams).toMatchObject({ received: 2000, dropped: 1990, queued: 10 });
  await Promise.all([client.destroy(), server.stop()]);
  await Promise.all([near.stop(), far.stop()]);
});

test('to be sent displace the oldest where that is the rule', async () => {
  await using pair = await createPair({ client: { enableDgram: [true, 10, 10], dgramDrop: ['oldest', 'oldest'] } });
  const received: string[] = [];
  const reading = (async () => {
    for await (const datagram of pair.far.datagrams) received.push(Buffer.from(datagram).toString());
  })();
  // All in one turn, in which nothing is sent.
  for (let i = 0; i < 25; i++) expect(pair.near.sendDatagram(Buffer.from(`${i}`))).toBe(true);
  expect(pair.near.stats.datagrams).toMatchObject({ sent: 25, displaced: 15, refused: 0 });
  await pair.near.stop({ force: true, flush: true });
  await reading;
  expect(received).toEqual(Array.from({ length: 10 }, (_, i) => `${i + 15}`));
});

test.each([[['oldest']], [['oldest', 'first']], ['oldest']])(
  'a rule that is none, %j, is refused',
  async (dgramDrop) => {
    await expect(createPair({ server: { dgramDrop: dgramDrop as never } })).rejects.toThrow(errors.ErrorQUICConfig);
  },
);

/** Enough for a datagram to cross loopback. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}

test('waiting for one can be given up, and ends with the connection', async () => {
  await using pair = await createDatagramPair();
  const controller = new AbortController();
  const reason = new Error('no patience');
  const waiting = pair.far.receiveDatagram({ signal: controller.signal });
  const other = pair.far.receiveDatagram();
  controller.abort(reason);
  await expect(waiting).rejects.toBe(reason);
  await expect(pair.far.receiveDatagram({ signal: controller.signal })).rejects.toBe(reason);
  await pair.near.stop();
  expect(await other).toBeNull();
});

test.each([
  ['neither side', { enableDgram: NONE }, { enableDgram: NONE }],
  ['the server alone', {}, { enableDgram: NONE }],
])('are refused where %s takes them', async (_, server, client) => {
  await using pair = await createPair({ server, client });
  expect(pair.far.maxDatagramSize).toBeNull();
  expect(pair.far.sendDatagram(Buffer.from('x'))).toBe(false);
});

test('are taken unless told otherwise', async () => {
  await using pair = await createPair();
  expect(pair.near.sendDatagram(Buffer.from('x'))).toBe(true);
  expect(await pair.far.receiveDatagram()).toHaveLength(1);
});

test('are refused when the connection has ended', async () => {
  await using pair = await createDatagramPair();
  await pair.near.stop();
  expect(pair.near.sendDatagram(Buffer.from('x'))).toBe(false);
  expect(pair.near.maxDatagramSize).toBeNull();
});
