import { randomBytes } from 'node:crypto';
import type { QUICClientConfigInput, QUICConnection, QUICServerConfigInput, QUICSocketLimits } from '../../lib';
import { QUICClient, QUICServer, QUICSocket, errors, events, native, utils } from '../../lib';
import { createIdentity } from '../helpers/certificates';
import { HOST, MemoryNetwork } from '../helpers/memoryTransport';
import { authority, nextEvent, readAll, recordEvents } from '../helpers/pair';

const { CryptoError } = native;

const own = { ...authority().issue({ dnsNames: ['far'], ipAddresses: [HOST] }), ticketKeys: [randomBytes(32)] };

/** A client's and a server's socket on a network in memory, and a session of the server. */
class Stage implements AsyncDisposable {
  readonly network = new MemoryNetwork();
  readonly near = new QUICSocket({ openTransport: this.network.open });
  readonly far: QUICSocket;
  readonly server: QUICServer;
  readonly #clients: QUICClient[] = [];
  session: Uint8Array | undefined;

  constructor(config: Partial<QUICServerConfigInput>, options: QUICSocketLimits) {
    this.far = new QUICSocket({ openTransport: this.network.open, ...options });
    this.server = new QUICServer({ config: { ...own, ...config }, socket: this.far });
  }

  /** Sockets and server are started, and the client has the session of a first visit. */
  static async create(
    config: Partial<QUICServerConfigInput> = { earlyData: true },
    options: QUICSocketLimits = {},
  ): Promise<Stage> {
    const stage = new Stage(config, options);
    await Promise.all([stage.near.start({ host: HOST }), stage.far.start({ host: HOST })]);
    await stage.server.start();
    const first = await stage.dial({ earlyData: false });
    const told = await nextEvent<events.EventQUICConnectionSession>(
      first.connection,
      events.EventQUICConnectionSession,
    );
    stage.session = told.detail;
    const [far] = stage.server.connections;
    await first.destroy();
    await far.closedP;
    return stage;
  }

  async dial(config: QUICClientConfigInput = {}): Promise<QUICClient> {
    const client = await QUICClient.createQUICClient({
      host: HOST,
      port: this.far.port,
      socket: this.near,
      config: { ca: authority().ca, earlyData: true, ...config },
      session: this.session,
    });
    this.#clients.push(client);
    return client;
  }

  /** The next connection of the server, as it is handed out. */
  async admitted(): Promise<QUICConnection> {
    return (await nextEvent<events.EventQUICServerConnection>(this.server, events.EventQUICServerConnection)).detail;
  }

  /** What the server's side hears: the connection, and the first stream with all that came by it. */
  async heard(): Promise<{ far: QUICConnection; whenShown: string; text: string }> {
    const far = await this.admitted();
    const opened = await nextEvent<events.EventQUICConnectionStream>(far, events.EventQUICConnectionStream);
    const whenShown = far.earlyData;
    return { far, whenShown, text: (await readAll(opened.detail)).toString() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.network.isLost = () => false;
    await Promise.all(this.#clients.map((client) => client.destroy()));
    await this.server.stop();
    await Promise.all([this.near.stop({ force: true }), this.far.stop({ force: true })]);
  }
}

/** Sends a text on a stream of its own. */
async function say(client: QUICClient, text: string) {
  const stream = client.connection.newStream();
  await stream.end(Buffer.from(text));
  return stream;
}

/** Whether a promise has settled by now. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const open = Symbol('open');
  return (await Promise.race([promise.catch(() => undefined), Promise.resolve(open)])) !== open;
}

describe('early data', () => {
  test('goes with the first packets, and is answered before the handshake is complete', async () => {
    await using stage = await Stage.create();
    // The client's second flight, which ends the handshake, doesn't arrive: all that the server answers is early.
    let hasAnswered = false;
    stage.network.isLost = (_data, from) => {
      if (from === stage.far.port) hasAnswered = true;
      return hasAnswered && from === stage.near.port;
    };
    const admitted = stage.admitted();
    const client = await stage.dial();
    expect([client.connection.earlyData, client.connection.tls]).toEqual(['pending', undefined]);
    const stream = await say(client, 'early');
    client.connection.sendDatagram(Buffer.from('early bird'));
    const far = await admitted;
    expect([far.earlyData, far.tls]).toEqual(['pending', undefined]);
    const opened = nextEvent<events.EventQUICConnectionStream>(far, events.EventQUICConnectionStream);
    expect(Buffer.from((await far.receiveDatagram())!).toString()).toBe('early bird');
    const { detail: theirs } = await opened;
    expect((await readAll(theirs)).toString()).toBe('early');
    await theirs.end(Buffer.from('at once'));
    expect((await readAll(stream)).toString()).toBe('at once');
    // The client's handshake is complete, and 1-RTT packets have come: the server still knows nothing of it.
    expect([client.connection.earlyData, client.connection.tls?.isResumed]).toEqual(['accepted', true]);
    expect(far.earlyData).toBe('pending');
    expect(() => far.exportKeyingMaterial('label')).toThrow();
    expect(await isSettled(client.connection.confirmed)).toBe(false);
    expect(await isSettled(far.confirmed)).toBe(false);
    stage.network.isLost = () => false;
    await Promise.all([client.connection.confirmed, far.confirmed]);
    expect([far.earlyData, far.tls?.isResumed]).toEqual(['accepted', true]);
    expect(far.connectionIdShared).toEqual(client.connection.connectionIdShared);
    expect(far.exportKeyingMaterial('label')).toEqual(client.connection.exportKeyingMaterial('label'));
    expect(client.connection.getRemoteCertsChain()).toEqual(far.getLocalCertsChain());
  });

  test.each([
    ['the client', { earlyData: true }, { earlyData: false }, 'none'],
    ['the server', { earlyData: false }, { earlyData: true }, 'accepted'],
  ] as const)('is not shown early unless %s wants it, too', async (_, server, client, atClient) => {
    await using stage = await Stage.create(server);
    const heard = stage.heard();
    const dialled = await stage.dial(client);
    await say(dialled, 'hello');
    const { far, text, whenShown } = await heard;
    await Promise.all([dialled.connection.confirmed, far.confirmed]);
    expect([text, whenShown, far.earlyData, dialled.connection.earlyData]).toEqual(['hello', 'none', 'none', atClient]);
  });

  test.each<[string, Partial<QUICServerConfigInput>]>([
    ['has other ticket keys', { ticketKeys: [randomBytes(32)] }],
    ['permits none any more', { enableEarlyData: false, earlyData: false }],
    ['has lower limits', { initialMaxData: 1_000_000 }],
    ['takes no datagrams any more', { enableDgram: [false, 0, 0] }],
    ['has another protocol', { applicationProtos: ['other'] }],
  ])('is sent again when the server %s', async (_, changes) => {
    await using stage = await Stage.create();
    stage.server.updateConfig(changes);
    const heard = stage.heard();
    const client = await stage.dial({ applicationProtos: ['quic', 'other'] });
    expect(client.connection.earlyData).toBe('pending');
    await say(client, 'once');
    const { far, text, whenShown } = await heard;
    await client.connection.confirmed;
    expect([text, whenShown, far.earlyData, client.connection.earlyData]).toEqual(['once', 'none', 'none', 'rejected']);
    expect(client.connection.getRemoteCertsChain()).toEqual(far.getLocalCertsChain());
  });

  test('survives a Retry', async () => {
    await using stage = await Stage.create({ earlyData: true }, { retry: 'Always' as never });
    const heard = stage.heard();
    const client = await stage.dial();
    await say(client, 'hello');
    expect((await heard).text).toBe('hello');
    await client.connection.confirmed;
    expect(['accepted', 'rejected']).toContain(client.connection.earlyData);
    expect(stage.far.stats?.endpoint.retries).toBeGreaterThan(0);
  });

  test('does not go to one of several addresses, which would win without an answer', async () => {
    await using stage = await Stage.create();
    const client = await QUICClient.createQUICClient({
      host: 'far',
      resolveHostname: () => ['10.0.0.2', HOST],
      port: stage.far.port,
      socket: stage.near,
      config: { ca: authority().ca, earlyData: true },
      session: stage.session,
    });
    const { earlyData, tls, config } = client.connection;
    expect([earlyData, tls?.isResumed, config.earlyData]).toEqual(['none', true, false]);
    await client.destroy();
  });

  test('needs enableEarlyData', () => {
    const create = () => new QUICServer({ config: { ...own, enableEarlyData: false, earlyData: true } });
    expect(create).toThrow(errors.ErrorQUICConfig);
    expect(create).toThrow('earlyData without enableEarlyData');
  });
});

describe('a connection that was handed out early', () => {
  test('ends where nobody answers', async () => {
    await using stage = await Stage.create();
    stage.network.isLost = () => true;
    const client = await stage.dial({ handshakeTimeout: 100 });
    const stream = await say(client, 'anybody there?');
    const { detail } = await nextEvent<events.EventQUICConnectionError>(
      client.connection,
      events.EventQUICConnectionError,
    );
    expect(detail).toBeInstanceOf(errors.ErrorQUICConnectionStartTimeout);
    await expect(stream.read()).rejects.toBe(detail);
    await expect(client.connection.confirmed).rejects.toBe(detail);
  });

  test.each([true, false])('can be destroyed at once (isApp %s)', async (isApp) => {
    await using stage = await Stage.create();
    const admitted = stage.admitted();
    const client = await stage.dial();
    await say(client, 'never mind');
    const far = await admitted;
    await client.destroy({ isApp, errorCode: 1 });
    await far.closedP;
    expect(far.getConnectionError()).toMatchObject({ isApp, errorCode: 1 });
  });

  test('can be closed by the server at once', async () => {
    await using stage = await Stage.create();
    const admitted = stage.admitted();
    const client = await stage.dial();
    const ended = nextEvent<events.EventQUICConnectionError>(client.connection, events.EventQUICConnectionError);
    const far = await admitted;
    await far.stop({ errorCode: 7 });
    expect((await ended).detail).toMatchObject({ code: 'ConnectionPeer', data: { isApp: true, errorCode: 7 } });
  });

  test('is gone when its server stops', async () => {
    await using stage = await Stage.create();
    const admitted = stage.admitted();
    const client = await stage.dial();
    const far = await admitted;
    expect(far.earlyData).toBe('pending');
    await stage.server.stop();
    expect(far.closed).toBe(true);
    await client.connection.closedP;
  });
});

describe('trust comes first', () => {
  test.each<[native.CryptoError | undefined, string]>([
    [undefined, 'is shown when it trusts'],
    [CryptoError.AccessDenied, 'is never shown when it refuses'],
  ])('what goes early to a server whose judge answers %s %s', async (answer) => {
    await using stage = await Stage.create();
    const asked = utils.promise();
    const verdict = utils.promise<native.CryptoError | undefined>();
    // The keys are the same: a ticket of a server that judged nobody must not get past the judge.
    stage.server.updateConfig({
      verifyPeer: true,
      verifyCallback: () => {
        asked.resolveP();
        return verdict.p;
      },
      resumption: 'trustTicket',
    });
    const names = recordEvents(stage.server);
    const heard = stage.heard();
    const client = await stage.dial({ ...createIdentity() });
    expect(client.connection.earlyData).toBe('pending');
    const stream = await say(client, 'let me in');
    client.connection.sendDatagram(Buffer.from('let me in'));
    await asked.p;
    // Both ways once more: what was sent again had time to arrive.
    while (client.connection.stats.sent < 10) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(names).toEqual([]);
    expect(await isSettled(client.connection.confirmed)).toBe(false);
    verdict.resolveP(answer);
    if (answer === undefined) {
      const { far, text, whenShown } = await heard;
      await client.connection.confirmed;
      expect([text, whenShown, client.connection.earlyData]).toEqual(['let me in', 'none', 'rejected']);
      expect(far.getRemoteCertsChain()).toEqual(client.connection.getLocalCertsChain());
      return;
    }
    await expect(client.connection.confirmed).rejects.toMatchObject({ code: 'ConnectionPeerTLS' });
    await expect(stream.read()).rejects.toMatchObject({ data: { errorCode: answer } });
    await stage.server.stop();
    expect(names).not.toContain('EventQUICServerConnection');
  });

  test('a client whose callback judges sends nothing early', async () => {
    await using stage = await Stage.create();
    const names = recordEvents(stage.server);
    const asked = utils.promise();
    const verdict = utils.promise<undefined>();
    const verifyCallback = () => {
      asked.resolveP();
      return verdict.p;
    };
    const dialled = stage.dial({ verifyCallback });
    await asked.p;
    expect(await isSettled(dialled)).toBe(false);
    expect(names).toEqual([]);
    verdict.resolveP(undefined);
    const client = await dialled;
    expect([client.connection.earlyData, client.connection.tls?.isResumed]).toEqual(['none', true]);
  });

  test('a server that is not trusted any more gets nothing', async () => {
    await using stage = await Stage.create();
    const names = recordEvents(stage.server);
    const dialled = stage.dial({ ca: createIdentity().cert });
    await expect(dialled).rejects.toMatchObject({ data: { errorCode: CryptoError.UnknownCA } });
    await stage.server.stop();
    expect(names).not.toContain('EventQUICServerConnection');
  });
});

describe('a replayed first flight', () => {
  /** Replays what a client sent first to another server with the same keys. */
  async function replay(config: Partial<QUICServerConfigInput>) {
    const stage = await Stage.create();
    const flight: Uint8Array[] = [];
    stage.network.isLost = (data, from) => {
      if (from === stage.near.port) flight.push(Uint8Array.from(data));
      return true;
    };
    await say(await stage.dial(), 'pay a hundred');
    while (flight.length < 3) await new Promise((resolve) => setImmediate(resolve));
    stage.network.isLost = () => false;
    const victim = new QUICSocket({ openTransport: stage.network.open });
    await victim.start({ host: HOST });
    const server = new QUICServer({ config: { ...own, handshakeTimeout: 200, ...config }, socket: victim });
    await server.start();
    const attacker = new QUICSocket({ openTransport: stage.network.open });
    await attacker.start({ host: HOST });
    return {
      server,
      names: recordEvents(server),
      send: async () => {
        for (const datagram of flight) await attacker.send(datagram, victim.port, HOST);
      },
      isOver: async () => {
        while (victim.stats!.endpoint.halfOpen > 0 || victim.stats!.endpoint.accepted === 0) {
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      },
      async [Symbol.asyncDispose]() {
        await server.stop();
        await Promise.all([victim, attacker].map((socket) => socket.stop({ force: true })));
        await stage[Symbol.asyncDispose]();
      },
    };
  }

  test('reaches nobody unless the server wants early data', async () => {
    await using to = await replay({});
    await to.send();
    await to.isOver();
    expect(to.names).toEqual([]);
  });

  test('is never confirmed', async () => {
    await using to = await replay({ earlyData: true });
    const admitted = nextEvent<events.EventQUICServerConnection>(to.server, events.EventQUICServerConnection);
    await to.send();
    const { detail: far } = await admitted;
    const opened = nextEvent<events.EventQUICConnectionStream>(far, events.EventQUICConnectionStream);
    expect((await readAll((await opened).detail)).toString()).toBe('pay a hundred');
    await expect(far.confirmed).rejects.toBeInstanceOf(errors.ErrorQUICConnectionStartTimeout);
    expect(far.earlyData).toBe('pending');
  });
});
