import type { QUICServerConfigInput, QUICServerCrypto, QUICStream } from '../lib';
import { QUICClient, QUICServer, QUICSocket, errors, events } from '../lib';
import { createAuthority, createIdentity } from './helpers/certificates';
import { HOST, MemoryNetwork } from './helpers/memoryTransport';
import { authority, createPair, nextEvent, openStream, readAll, recordEvents, startSocket } from './helpers/pair';

function dial(server: QUICServer, ca = authority().ca) {
  return QUICClient.createQUICClient({ host: '127.0.0.1', port: server.port, localHost: '127.0.0.1', config: { ca } });
}

describe('starting and stopping', () => {
  test('is told in order, and can be repeated', async () => {
    const server = new QUICServer({ config: authority().issue() });
    expect(() => server.port).toThrow(errors.ErrorQUICServerNotRunning);
    const names = recordEvents(server);
    for (let i = 0; i < 3; i++) {
      await server.start({ host: '127.0.0.1' });
      expect([server.host, server.closed]).toEqual(['127.0.0.1', false]);
      const { closedP } = server;
      const shown = nextEvent(server, events.EventQUICServerConnection);
      await using client = await dial(server);
      expect(client.closed).toBe(false);
      await shown;
      await server.stop();
      await closedP;
      await client.closedP;
    }
    expect(server.closed).toBe(true);
    expect(names.filter((name) => name.startsWith('EventQUICServer'))).toEqual(
      Array.from({ length: 3 }, () => ['Start', 'Started', 'Connection', 'Stop', 'Close', 'Stopped'])
        .flat()
        .map((name) => `EventQUICServer${name}`),
    );
  });

  test('can be asked for several times at once', async () => {
    const server = new QUICServer({ config: authority().issue() });
    await server.stop();
    await Promise.all([server.start({ host: '127.0.0.1' }), server.start({ host: '127.0.0.1' })]);
    await server.start();
    await Promise.all([server.stop(), server.stop({ force: false }), server.stop()]);
    await server.stop();
  });

  test('can be asked for by whoever is told of the opposite', async () => {
    const server = new QUICServer({ config: authority().issue() });
    const once = { once: true };
    const nested: Promise<void>[] = [];
    server.addEventListener(events.EventQUICServerStart.name, () => nested.push(server.stop()), once);
    await server.start({ host: '127.0.0.1' });
    await Promise.all(nested);
    expect(server.closed).toBe(true);
    await server.start({ host: '127.0.0.1' });
    server.addEventListener(
      events.EventQUICServerStop.name,
      () => nested.push(server.start({ host: '127.0.0.1' })),
      once,
    );
    await server.stop();
    await Promise.all(nested);
    expect(server.closed).toBe(false);
    await server.stop();
  });

  test('fails with its socket, and can be tried again', async () => {
    await using taken = await startSocket();
    await using server = new QUICServer({ config: authority().issue() });
    const refused = server.start({ host: '127.0.0.1', port: taken.port });
    await expect(refused).rejects.toThrow(errors.ErrorQUICSocketInvalidBindAddress);
    await server.start({ host: '127.0.0.1' });
  });

  test('frees the port where it fails later', async () => {
    const server = new QUICServer({ config: authority().issue() });
    server.minIdleTimeout = -5;
    await expect(server.start({ host: '127.0.0.1' })).rejects.toThrow(errors.ErrorQUICConfig);
    server.minIdleTimeout = undefined;
    await server.start({ host: '127.0.0.1' });
    await server.stop();
  });

  test('takes no new settings back to life', async () => {
    await using socket = await startSocket();
    await using pair = await createPair({ serverSocket: socket });
    const [ours, theirs] = await openStream(pair.near, pair.far);
    const stopped = pair.server.stop({ force: false });
    pair.server.updateConfig(authority().issue());
    await Promise.all([ours.end(), theirs.end(), readAll(ours), readAll(theirs)]);
    await stopped;
    const config = { ca: authority().ca };
    const dialled = QUICClient.createQUICClient({ host: '127.0.0.1', port: socket.port, config }, { timer: 200 });
    await expect(dialled).rejects.toThrow(errors.ErrorQUIC);
    expect(pair.server.connections).toEqual([]);
  });

  test('frees its port at once', async () => {
    const server = new QUICServer({ config: authority().issue() });
    await server.start({ host: '127.0.0.1' });
    const { port } = server;
    for (let i = 0; i < 10; i++) {
      const client = await dial(server);
      await server.stop();
      await client.closedP;
      await server.start({ host: '127.0.0.1', port });
    }
    await server.stop();
  });
});

describe('on a shared socket', () => {
  test('needs it started', async () => {
    const server = new QUICServer({ config: authority().issue(), socket: new QUICSocket() });
    await expect(server.start()).rejects.toThrow(errors.ErrorQUICServerSocketNotRunning);
  });

  test('leaves it running, and others their connections', async () => {
    await using socket = await startSocket();
    await using elsewhere = await createPair({ clientSocket: socket });
    const server = new QUICServer({ config: authority().issue(), socket });
    await server.start({ host: 'ignored', port: 1 });
    expect([server.port, server.isSocketShared]).toEqual([socket.port, true]);
    await server.stop();
    expect(socket.closed).toBe(false);
    const [ours, theirs] = await openStream(elsewhere.near, elsewhere.far, 'alive');
    await ours.end();
    expect((await readAll(theirs)).toString()).toBe('alive');
  });

  test('hears that it was stopped, and nothing goes out', async () => {
    const socket = await startSocket();
    const pair = await createPair({ serverSocket: socket, client: { maxIdleTimeout: 60_000 } });
    const heard: Error[] = [];
    pair.server.addEventListener(events.EventQUICServerError.name, ({ detail }: events.EventQUICServerError) =>
      heard.push(detail),
    );
    const names = recordEvents(pair.server);
    const { closedP } = pair.server;
    const { recv } = pair.near.stats;
    await socket.stop({ force: true });
    await closedP;
    expect(heard.map(({ name }) => name)).toEqual(['ErrorQUICServerSocketNotRunning']);
    expect(names.filter((name) => name.startsWith('EventQUICServer'))).toEqual([
      'EventQUICServerError',
      'EventQUICServerClose',
      'EventQUICServerStop',
      'EventQUICServerStopped',
    ]);
    expect(pair.far.closed).toBe(true);
    expect(pair.near.stats.recv).toBe(recv);
    await socket.start({ host: '127.0.0.1' });
    await pair.server.start();
    await pair[Symbol.asyncDispose]();
    await socket.stop();
  });
});

describe('stopping without force', () => {
  test('waits for open streams, and opens no new ones', async () => {
    const pair = await createPair();
    const [ours, theirs] = await openStream(pair.near, pair.far);
    let isStopped = false;
    const stopped = pair.server.stop({ force: false }).then(() => (isStopped = true));
    expect(() => pair.far.newStream()).toThrow(errors.ErrorQUICConnectionStopping);
    await expect(pair.far.openStream()).rejects.toThrow(errors.ErrorQUICConnectionStopping);
    const refused = pair.near.newStream();
    await refused.write(Buffer.from('more'));
    await expect(refused.read()).rejects.toThrow('read 0');
    await theirs.write(Buffer.from('still here'));
    await theirs.end();
    expect((await readAll(ours)).toString()).toBe('still here');
    expect(isStopped).toBe(false);
    await ours.end();
    expect((await readAll(theirs)).toString()).toBe('x');
    await stopped;
    await pair.client.closedP;
  });

  test('is cut short by force', async () => {
    const pair = await createPair();
    await openStream(pair.near, pair.far);
    const stopped = pair.server.stop({ force: false });
    await pair.server.stop({ errorCode: 9 });
    await stopped;
    await pair.client.closedP;
    expect(pair.near.getConnectionError()).toMatchObject({ isApp: true, errorCode: 9 });
  });

  test('is cut short by its timeout', async () => {
    const pair = await createPair();
    await openStream(pair.near, pair.far);
    await pair.server.stop({ force: false, timeout: 50 });
    await pair.client.closedP;
  });
});

describe('updateConfig', () => {
  test('is for new connections only', async () => {
    const [before, after] = [createAuthority(), createAuthority()];
    await using server = new QUICServer({ config: before.issue() });
    await server.start({ host: '127.0.0.1' });
    await using old = await dial(server, before.ca);
    server.updateConfig(after.issue());
    await expect(dial(server, before.ca)).rejects.toThrow(errors.ErrorQUICConnectionLocalTLS);
    await using young = await dial(server, after.ca);
    await Promise.all([young.connection.confirmed, old.connection.confirmed]);
    expect(server.connections).toHaveLength(2);
  });

  test('that can not be changes nothing', async () => {
    await using server = new QUICServer({ config: authority().issue() });
    await server.start({ host: '127.0.0.1' });
    expect(() => server.updateConfig({ key: createAuthority().issue().key })).toThrow(errors.ErrorQUICConfig);
    await using client = await dial(server);
    expect(client.closed).toBe(false);
  });

  test('can change the callback', async () => {
    await using server = new QUICServer({ config: authority().issue() });
    await server.start({ host: '127.0.0.1' });
    server.updateConfig({ verifyPeer: true, verifyCallback: () => undefined });
    await using client = await dial(server);
    const { detail } = await nextEvent<events.EventQUICClientError>(client, events.EventQUICClientError);
    expect(detail).toBeInstanceOf(errors.ErrorQUICConnectionPeerTLS);
  });

  /** Dials a server, and does something when it has accepted the newcomer and told nobody of it yet. */
  async function dialWhile(
    config: Partial<QUICServerConfigInput>,
    intervene: (server: QUICServer, socket: QUICSocket) => void,
  ) {
    const network = new MemoryNetwork();
    const [near, far] = [0, 1].map(() => new QUICSocket({ openTransport: network.open }));
    await Promise.all([near.start({ host: HOST }), far.start({ host: HOST })]);
    const server = new QUICServer({ config: { ...authority().issue(), ...config }, socket: far });
    await server.start();
    const shown = nextEvent<events.EventQUICServerConnection>(server, events.EventQUICServerConnection);
    let isUnderWay = false;
    network.isLost = (_data, from) => {
      if (from === far.port && !isUnderWay) {
        isUnderWay = true;
        expect(far.stats!.endpoint.halfOpen).toBe(1);
        intervene(server, far);
      }
      return false;
    };
    const mine = { ...createIdentity(), ca: authority().ca };
    const dialled = { host: HOST, port: far.port, socket: near, serverName: '127.0.0.1', config: mine };
    const client = await QUICClient.createQUICClient(dialled);
    await client.connection.confirmed;
    const { detail: connection } = await shown;
    return {
      connection,
      async [Symbol.asyncDispose]() {
        await Promise.all([client.destroy(), server.stop()]);
        await Promise.all([near.stop({ force: true }), far.stop({ force: true })]);
      },
    };
  }

  test('says of nobody who was let in before that he was judged', async () => {
    const verifyCallback = jest.fn();
    await using world = await dialWhile({}, (server) => server.updateConfig({ verifyPeer: true, verifyCallback }));
    expect(world.connection.config).toMatchObject({ verifyPeer: false, verifyCallback: undefined });
    expect(world.connection.getRemoteCertsChain()).toEqual([]);
    expect(verifyCallback).not.toHaveBeenCalled();
  });

  test('leaves those to the callback who came while there was one', async () => {
    const verifyCallback = jest.fn();
    await using world = await dialWhile({ verifyPeer: true, verifyCallback }, (server) =>
      server.updateConfig({ verifyPeer: false, verifyCallback: undefined }),
    );
    expect(world.connection.config).toMatchObject({ verifyPeer: true, verifyCallback });
    expect(world.connection.getRemoteCertsChain()).toHaveLength(1);
    expect(verifyCallback).toHaveBeenCalledTimes(1);
  });

  test('is not what another server on the socket does: the first keeps its newcomers', async () => {
    let successor: QUICServer | undefined;
    let started: Promise<void> | undefined;
    await using world = await dialWhile({ maxIdleTimeout: 4321 }, (_server, socket) => {
      successor = new QUICServer({ config: { ...authority().issue(), maxIdleTimeout: 1234 }, socket });
      started = successor.start();
    });
    await started;
    expect(world.connection.config.maxIdleTimeout).toBe(4321);
    expect(successor?.connections).toEqual([]);
    await successor?.stop();
  });
});

describe('the door', () => {
  test('asks for a proof of the address, if told to', async () => {
    await using socket = new QUICSocket({ retry: 'Always' });
    await socket.start({ host: '127.0.0.1' });
    await using server = new QUICServer({
      crypto: { key: Buffer.alloc(32, 1), ops: undefined as never },
      config: authority().issue(),
      socket,
    });
    await server.start();
    await using client = await dial(server);
    expect(client.closed).toBe(false);
    expect(socket.stats!.endpoint.retries).toBeGreaterThan(0);
  });

  test('closes beyond its limits', async () => {
    await using socket = new QUICSocket({ maxConnections: 1 });
    await socket.start({ host: '127.0.0.1' });
    await using server = new QUICServer({ config: authority().issue(), socket });
    await server.start();
    await using client = await dial(server);
    await expect(dial(server)).rejects.toMatchObject({
      name: 'ErrorQUICConnectionPeer',
      data: { isApp: false, errorCode: 2 },
    });
    expect(client.closed).toBe(false);
    expect(socket.stats!.endpoint.refusedConnections).toBeGreaterThan(0);
  });
});

test('what a listener throws is reported, and disturbs nobody', async () => {
  await using server = new QUICServer({ config: authority().issue() });
  await server.start({ host: '127.0.0.1' });
  const reported: unknown[] = [];
  server.addEventListener('EventError', ({ detail }: { detail: unknown }) => reported.push(detail));
  const error = new Error('from a listener');
  server.addEventListener(events.EventQUICServerConnection.name, () => {
    throw error;
  });
  server.addEventListener(events.EventQUICServerConnection.name, () => Promise.reject(error));
  const heard = nextEvent(server, events.EventQUICServerConnection);
  await using client = await dial(server);
  await heard;
  await Promise.resolve();
  expect(reported).toEqual([error, error]);
  expect(client.closed).toBe(false);
});

test.each<[string, unknown]>([
  ['a text', 'secret'],
  ['a number', 5],
  ['empty', new ArrayBuffer(0)],
  ['nothing', null],
])('a key that is %s is refused: it would be the same as others have', (_, key) => {
  const crypto = { key, ops: {} } as unknown as QUICServerCrypto;
  const config = authority().issue();
  expect(() => new QUICServer({ config, crypto })).toThrow(errors.ErrorQUICConfig);
  const server = new QUICServer({ config, crypto: { ...crypto, key: new ArrayBuffer(32) } });
  if (key !== null) expect(() => server.updateCrypto(crypto)).toThrow(/crypto.key/);
});

test('streams wait for who listens at the client, too, but not when they have ended', async () => {
  await using pair = await createPair();
  const [reset, waiting] = [pair.far.newStream('uni'), pair.far.newStream()];
  await reset.write(Buffer.from('x'));
  await waiting.write(Buffer.from('x'));
  while (pair.near.stats.streams < 2) await new Promise((resolve) => setImmediate(resolve));
  reset.abortWrite();
  while (pair.near.stats.streams > 1) await new Promise((resolve) => setImmediate(resolve));
  const { detail } = await nextEvent<events.EventQUICConnectionStream>(pair.client, events.EventQUICConnectionStream);
  expect(detail.streamId).toBe(waiting.streamId);
});

test('streams that come before anybody listens wait for who does', async () => {
  await using pair = await createPair();
  const [early, late] = [pair.near.newStream(), pair.near.newStream()];
  await early.end(Buffer.from('early'));
  await late.end(Buffer.from('early, too'));
  while (pair.far.stats.streams < 2) await new Promise((resolve) => setImmediate(resolve));
  const heard: QUICStream[] = [];
  await new Promise<void>((resolve) => {
    pair.far.addEventListener(
      events.EventQUICConnectionStream.name,
      ({ detail }: events.EventQUICConnectionStream) => heard.push(detail) === 3 && resolve(),
    );
    expect(heard).toEqual([]);
    void pair.near.newStream().end();
  });
  expect(heard.map(({ streamId }) => streamId)).toEqual([0, 4, 8]);
  expect((await readAll(heard[0])).toString()).toBe('early');
  await heard[0].end(Buffer.from('served'));
  expect((await readAll(early)).toString()).toBe('served');
});
