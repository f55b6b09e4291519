import dgram from 'node:dgram';
import { once } from 'node:events';
import { QUICClient, QUICServer, QUICSocket, errors, events, native } from '../lib';
import { createAuthority } from './helpers/certificates';
import { authority, createPair, echo, nextEvent, readAll, recordEvents, startSocket } from './helpers/pair';

/** A port at which nobody answers. */
async function createSilence() {
  const socket = dgram.createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return { port: socket.address().port, [Symbol.dispose]: () => void socket.close() };
}

const local = { host: '127.0.0.1', localHost: '127.0.0.1' };

describe('dialling', () => {
  test('gives a client whose connection is ready', async () => {
    await using pair = await createPair();
    const { client, near, server } = pair;
    expect([client.host, client.port]).toEqual(['127.0.0.1', server.port]);
    expect([client.localHost, client.localPort]).toEqual([near.localHost, near.localPort]);
    expect([client.closed, near.closed, client.isSocketShared]).toEqual([false, false, false]);
    expect([near.type, pair.far.type]).toEqual(['client', 'server']);
    expect(near.connectionIdShared.toString()).toBe(pair.far.connectionIdShared.toString());
    expect(near.connectionId.toString()).toBe(pair.far.connectionIdPeer.toString());
    await near.confirmed;
    await pair.far.confirmed;
  });

  test('by name checks the certificate for the name', async () => {
    await using server = new QUICServer({ config: authority().issue() });
    await server.start({ host: '127.0.0.1' });
    const options = { port: server.port, localHost: '127.0.0.1', resolveHostname: () => '127.0.0.1' };
    const config = { ca: authority().ca };
    await using client = await QUICClient.createQUICClient({ ...options, host: 'localhost', config });
    expect(client.host).toBe('127.0.0.1');
    const wrong = QUICClient.createQUICClient({ ...options, host: 'elsewhere', config });
    await expect(wrong).rejects.toThrow(errors.ErrorQUICConnectionLocalTLS);
    await using named = await QUICClient.createQUICClient({
      ...options,
      host: 'elsewhere',
      serverName: 'localhost',
      config,
    });
    expect(named.closed).toBe(false);
  });

  test('nobody ends by number of milliseconds', async () => {
    using silence = await createSilence();
    const dial = QUICClient.createQUICClient({ ...local, port: silence.port }, { timer: 50 });
    await expect(dial).rejects.toThrow(errors.ErrorQUICClientCreateTimeout);
  });

  test('nobody ends by a timer', async () => {
    using silence = await createSilence();
    // As @matrixai/timer: a promise that resolves when the time is over.
    const timer = new Promise<void>((resolve) => setTimeout(resolve, 50));
    const dial = QUICClient.createQUICClient({ ...local, port: silence.port }, { timer });
    await expect(dial).rejects.toThrow(errors.ErrorQUICClientCreateTimeout);
  });

  test('nobody ends by handshake timeout', async () => {
    using silence = await createSilence();
    const dial = QUICClient.createQUICClient({ ...local, port: silence.port, config: { handshakeTimeout: 50 } });
    await expect(dial).rejects.toMatchObject({
      name: 'ErrorQUICClientCreateTimeout',
      message: expect.stringContaining('No answer came') as string,
    });
  });

  test.each([
    ['without keep-alive', undefined],
    ['with keep-alive, which holds no dial', 20],
  ])('nobody ends by idle timeout, %s', async (_, keepAliveIntervalTime) => {
    using silence = await createSilence();
    // quiche waits for three probe timeouts at least.
    const config = { maxIdleTimeout: 100, keepAliveIntervalTime };
    const dial = QUICClient.createQUICClient({ ...local, port: silence.port, config });
    await expect(dial).rejects.toThrow(errors.ErrorQUICConnectionIdleTimeout);
  });

  test('ends by signal, with its very reason', async () => {
    using silence = await createSilence();
    const reason = Symbol('changed my mind');
    const controller = new AbortController();
    const dial = QUICClient.createQUICClient({ ...local, port: silence.port }, { signal: controller.signal });
    setTimeout(() => controller.abort(reason), 20);
    await expect(dial).rejects.toBe(reason);
    const late = QUICClient.createQUICClient({ ...local, port: silence.port }, { signal: controller.signal });
    await expect(late).rejects.toBe(reason);
  });

  test('ends by cancel, with its very reason', async () => {
    using silence = await createSilence();
    const reason = new Error('changed my mind');
    const dial = QUICClient.createQUICClient({ ...local, port: silence.port });
    dial.cancel(reason);
    await expect(dial).rejects.toBe(reason);
    dial.cancel(new Error('again'));
  });

  test('that was given up is never shown by the server', async () => {
    let wasAsked: () => void = () => undefined;
    const asked = new Promise<void>((resolve) => (wasAsked = resolve));
    await using server = new QUICServer({ config: authority().issue() });
    await server.start({ host: '127.0.0.1' });
    const names = recordEvents(server);
    const verifyCallback = () => {
      wasAsked();
      return new Promise<undefined>(() => undefined);
    };
    const dial = QUICClient.createQUICClient({ ...local, port: server.port, config: { verifyCallback } });
    await asked;
    dial.cancel('enough');
    await expect(dial).rejects.toBe('enough');
    await server.stop();
    expect(names).not.toContain('EventQUICServerConnection');
  });

  test.each([
    ['a host that is none', { host: 'no such host' }, errors.ErrorQUICHostInvalid],
    ['a port that is none', { port: 65_536 }, errors.ErrorQUICPortInvalid],
    ['port 0', { port: 0 }, errors.ErrorQUICPortInvalid],
    ['no host', { host: undefined as unknown as string }, TypeError],
    ['a host of the other family', { host: '::1' }, errors.ErrorQUICClientInvalidHost],
    ['a server name that is none', { serverName: 'not a name' }, errors.ErrorQUICClientInvalidArgument],
    ['a local address that is not ours', { localHost: '192.0.2.1' }, errors.ErrorQUICSocketInvalidBindAddress],
    ['a setting that cannot be', { config: { maxIdleTimeout: -1 } }, errors.ErrorQUICConfig],
  ])('refuses %s', async (_, options, error) => {
    await expect(QUICClient.createQUICClient({ ...local, port: 4433, ...options })).rejects.toThrow(error);
  });

  test('a port that nobody has ends like dialling nobody', async () => {
    const silence = await createSilence();
    silence[Symbol.dispose]();
    const dial = QUICClient.createQUICClient({ ...local, port: silence.port }, { timer: 100 });
    await expect(dial).rejects.toThrow(errors.ErrorQUICClientCreateTimeout);
  });

  test('without a common protocol fails at both ends, by alert 376', async () => {
    await using server = new QUICServer({ config: { ...authority().issue(), applicationProtos: ['one'] } });
    await server.start({ host: '127.0.0.1' });
    const config = { ca: authority().ca, applicationProtos: ['other'] };
    const dial = QUICClient.createQUICClient({ ...local, port: server.port, config });
    await expect(dial).rejects.toMatchObject({
      name: 'ErrorQUICConnectionPeerTLS',
      data: { isApp: false, errorCode: native.CryptoError.NoApplicationProtocol },
    });
  });
});

describe('a shared socket', () => {
  test('has to be started', async () => {
    const dial = QUICClient.createQUICClient({ host: '127.0.0.1', port: 4433, socket: new QUICSocket() });
    await expect(dial).rejects.toThrow(errors.ErrorQUICClientSocketNotRunning);
  });

  test('carries a server and many clients, and survives them', async () => {
    await using socket = await startSocket();
    await using server = new QUICServer({ config: authority().issue(), socket });
    await server.start();
    server.addEventListener(events.EventQUICServerConnection.name, ({ detail }: events.EventQUICServerConnection) =>
      echo(detail),
    );
    const dial = () =>
      QUICClient.createQUICClient({ host: '127.0.0.1', port: server.port, socket, config: { ca: authority().ca } });
    const clients = await Promise.all(Array.from({ length: 100 }, dial));
    const answers = await Promise.all(
      clients.map(async ({ connection }, i) => {
        const stream = connection.newStream();
        await stream.end(Buffer.from(`client ${i}`));
        return (await readAll(stream)).toString();
      }),
    );
    expect(answers).toEqual(clients.map((_, i) => `client ${i}`));
    expect(clients.every(({ isSocketShared, localPort }) => isSocketShared && localPort === socket.port)).toBe(true);
    await Promise.all(clients.map((client) => client.destroy()));
    expect(socket.closed).toBe(false);
    await Promise.all(server.connections.map(({ closedP }) => closedP));
    expect(server.connections).toHaveLength(0);
  });

  test('stopped by force is told to its clients and its server, and nothing goes out', async () => {
    const socket = await startSocket();
    const pair = await createPair({ clientSocket: socket });
    const clientErrors: Error[] = [];
    pair.client.addEventListener(events.EventQUICClientError.name, ({ detail }: events.EventQUICClientError) =>
      clientErrors.push(detail),
    );
    const names = recordEvents(pair.client);
    const stream = pair.near.newStream();
    const { sent } = pair.near.stats;
    await socket.stop({ force: true });
    await pair.client.closedP;
    expect(clientErrors.map(({ name }) => name)).toEqual(['ErrorQUICClientSocketNotRunning']);
    expect(names.filter((name) => name.startsWith('EventQUICClient'))).toEqual([
      'EventQUICClientError',
      'EventQUICClientClose',
      'EventQUICClientDestroy',
      'EventQUICClientDestroyed',
    ]);
    await expect(stream.read()).rejects.toMatchObject({ data: { isApp: false, errorCode: 1 } });
    expect(pair.near.stats.sent).toBe(sent);
    expect(() => pair.near.newStream()).toThrow(errors.ErrorQUICConnectionNotRunning);
    await pair.server.stop();
  });

  test('stopped by force while a client dials ends the dial', async () => {
    using silence = await createSilence();
    const socket = await startSocket();
    const dial = QUICClient.createQUICClient({ host: '127.0.0.1', port: silence.port, socket });
    setTimeout(() => void socket.stop({ force: true }), 20);
    await expect(dial).rejects.toThrow(errors.ErrorQUICClientSocketNotRunning);
  });
});

describe('destroying', () => {
  test('is told in order, and the server hears why', async () => {
    const pair = await createPair();
    const names = recordEvents(pair.client);
    const heard = nextEvent<events.EventQUICConnectionError>(pair.far, events.EventQUICConnectionError);
    await pair.client.destroy({ errorCode: 5, reason: Buffer.from('done') });
    expect(names).toEqual([
      'EventQUICClientDestroy',
      'EventQUICConnectionStop',
      'EventQUICConnectionError',
      'EventQUICConnectionClose',
      'EventQUICClientError',
      'EventQUICClientClose',
      'EventQUICConnectionStopped',
      'EventQUICSocketStop',
      'EventQUICSocketClose',
      'EventQUICSocketStopped',
      'EventQUICClientDestroyed',
    ]);
    const { detail: error } = await heard;
    expect(error).toBeInstanceOf(errors.ErrorQUICConnectionPeer);
    expect(error.data).toMatchObject({ isApp: true, errorCode: 5 });
    expect(Buffer.from(error.data['reason'] as Uint8Array).toString()).toBe('done');
    expect(pair.client.closed).toBe(true);
    await pair.server.stop();
  });

  test('can be asked for at any time, from everywhere at once', async () => {
    const pair = await createPair();
    await Promise.all([
      pair.client.destroy(),
      pair.near.stop(),
      pair.far.stop(),
      pair.client.destroy({ force: false }),
      pair.server.stop({ force: false }),
      pair.server.stop(),
    ]);
    await pair.client.destroy();
    await pair.near.stop();
    await pair.far.stop();
    expect([pair.client.closed, pair.near.closed, pair.far.closed, pair.server.closed]).toEqual([
      true,
      true,
      true,
      true,
    ]);
  });

  test('happens by itself when the server goes', async () => {
    const pair = await createPair();
    const errorsHeard: Error[] = [];
    pair.client.addEventListener(events.EventQUICClientError.name, ({ detail }: events.EventQUICClientError) =>
      errorsHeard.push(detail),
    );
    await pair.server.stop({ errorCode: 3 });
    await pair.client.closedP;
    expect(errorsHeard).toHaveLength(1);
    expect(errorsHeard[0]).toBeInstanceOf(errors.ErrorQUICConnectionPeer);
    expect(pair.client.closed).toBe(true);
  });
});

test('no stream is told between the resolving of a dial and the listeners that follow it', async () => {
  const { ca, issue } = createAuthority();
  await using server = new QUICServer({ config: issue() });
  await server.start({ host: '127.0.0.1' });
  server.addEventListener(
    events.EventQUICServerConnection.name,
    async ({ detail: connection }: events.EventQUICServerConnection) => {
      await connection.newStream().end(Buffer.from('at once'));
    },
  );
  for (let i = 0; i < 20; i++) {
    await using client = await QUICClient.createQUICClient({ ...local, port: server.port, config: { ca } });
    // As much as a few layers of async functions take.
    for (let hop = 0; hop < 20; hop++) await Promise.resolve();
    const { detail: stream } = await nextEvent<events.EventQUICConnectionStream>(
      client,
      events.EventQUICConnectionStream,
    );
    expect((await readAll(stream)).toString()).toBe('at once');
  }
});

test.each([
  ['0.0.0.0', '127.0.0.1'],
  ['::ffff:127.0.0.1', '127.0.0.1'],
  ['::', '::1'],
])('%s is dialled, and its certificate has to prove, as %s', async (host, proven) => {
  const ca = createAuthority();
  await using server = new QUICServer({ config: ca.issue({ dnsNames: [], ipAddresses: [proven] }) });
  await server.start({ host: '::' });
  await using client = await QUICClient.createQUICClient({ host, port: server.port, config: { ca: ca.ca } });
  expect(client.host).toBe(proven);
});

test('a socket and a session that are null are none', async () => {
  await using pair = await createPair();
  const nothing = { socket: null, session: null } as object;
  const options = { ...local, port: pair.server.port, config: { ca: authority().ca }, ...nothing };
  await using client = await QUICClient.createQUICClient(options);
  expect(client.isSocketShared).toBe(false);
});

test('a dial is given up while the name of its own end resolves', async () => {
  const resolveHostname = () => new Promise<string>(() => undefined);
  const options = { host: '127.0.0.1', port: 1, localHost: 'here.example', resolveHostname };
  await expect(QUICClient.createQUICClient(options, { timer: 20 })).rejects.toThrow(
    errors.ErrorQUICClientCreateTimeout,
  );
  const dialling = QUICClient.createQUICClient(options);
  dialling.cancel(new Error('enough'));
  await expect(dialling).rejects.toThrow('enough');
});
