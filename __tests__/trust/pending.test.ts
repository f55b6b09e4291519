import type { QUICServerConfigInput, TLSVerifyCallback } from '../../lib';
import { QUICClient, QUICServer, QUICSocket, errors, events, native, utils } from '../../lib';
import { createIdentity } from '../helpers/certificates';
import { HOST, MemoryNetwork } from '../helpers/memoryTransport';
import { authority, echo, nextEvent, readAll, recordEvents, startSocket } from '../helpers/pair';

const { CryptoError } = native;

/** A judge who waits until he is told, and tells when he was asked. */
class Judge {
  readonly asked = utils.promise<AbortSignal>();
  readonly verdict = utils.promise<native.CryptoError | undefined>();
  readonly callback: TLSVerifyCallback = (_certs, _ca, { signal }) => {
    this.asked.resolveP(signal);
    return this.verdict.p;
  };
}

const trustAll: TLSVerifyCallback = () => undefined;
const me = createIdentity();

async function startServer(config: Partial<QUICServerConfigInput>): Promise<QUICServer> {
  const server = new QUICServer({ config: { ...authority().issue(), verifyPeer: true, ...config } });
  await server.start({ host: '127.0.0.1' });
  return server;
}

function dial(server: QUICServer, verifyCallback = trustAll, socket?: QUICSocket, signal?: AbortSignal) {
  const own = socket === undefined ? { localHost: '127.0.0.1' } : { socket };
  const config = { ...me, verifyCallback };
  return QUICClient.createQUICClient({ ...own, host: '127.0.0.1', port: server.port, config }, { signal });
}

describe('the signal fires when', () => {
  test('the server stops', async () => {
    const judge = new Judge();
    const server = await startServer({ verifyCallback: judge.callback });
    await using client = await dial(server);
    const signal = await judge.asked.p;
    expect(signal.aborted).toBe(false);
    await server.stop();
    expect(signal.aborted).toBe(true);
    expect(signal.reason).toBeInstanceOf(errors.ErrorQUICConnection);
    await expect(client.connection.confirmed).rejects.toBeInstanceOf(errors.ErrorQUICConnection);
  });

  test('the dial is given up', async () => {
    await using server = await startServer({ verifyCallback: trustAll });
    const judge = new Judge();
    const giveUp = new AbortController();
    const dialled = dial(server, judge.callback, undefined, giveUp.signal);
    const signal = await judge.asked.p;
    giveUp.abort(new Error('enough'));
    await expect(dialled).rejects.toThrow('enough');
    expect(signal.aborted).toBe(true);
  });

  test('the peer gives up', async () => {
    const server = await startServer({ verifyCallback: trustAll });
    const judge = new Judge();
    const dialled = dial(server, judge.callback).catch((error: unknown) => error);
    const signal = await judge.asked.p;
    await server.stop();
    expect(await dialled).toBeInstanceOf(errors.ErrorQUICConnectionPeer);
    expect(signal.aborted).toBe(true);
  });

  test('the socket is stopped', async () => {
    await using server = await startServer({ verifyCallback: trustAll });
    const socket = await startSocket();
    const judge = new Judge();
    const dialled = dial(server, judge.callback, socket).catch((error: unknown) => error);
    const signal = await judge.asked.p;
    await socket.stop({ force: true });
    expect(await dialled).toBeInstanceOf(errors.ErrorQUICClientSocketNotRunning);
    expect(signal.aborted).toBe(true);
  });

  test('nothing comes from the peer any more', async () => {
    const network = new MemoryNetwork();
    const [near, far] = [0, 1].map(() => new QUICSocket({ openTransport: network.open }));
    await Promise.all([near.start({ host: HOST }), far.start({ host: HOST })]);
    const judge = new Judge();
    const config = { ...authority().issue(), verifyPeer: true, verifyCallback: judge.callback, maxIdleTimeout: 200 };
    await using server = new QUICServer({ config, socket: far });
    await server.start();
    const dialled = { host: HOST, port: far.port, socket: near, config: { ...me, verifyCallback: trustAll } };
    await using client = await QUICClient.createQUICClient(dialled);
    network.isLost = () => true;
    const signal = await judge.asked.p;
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    expect(signal.reason).toBeInstanceOf(errors.ErrorQUICConnectionIdleTimeout);
    await client.destroy();
    await Promise.all([near.stop({ force: true }), server.stop()]);
    await far.stop({ force: true });
  });

  test('and not when the connection ends after the verdict', async () => {
    const judge = new Judge();
    await using server = await startServer({ verifyCallback: judge.callback });
    const client = await dial(server);
    const signal = await judge.asked.p;
    judge.verdict.resolveP(undefined);
    await client.connection.confirmed;
    const [far] = server.connections;
    await client.destroy();
    await far.closedP;
    expect(signal.aborted).toBe(false);
  });
});

describe('while a verdict is pending', () => {
  test('a client can be destroyed, and its server may still make up its mind', async () => {
    const judge = new Judge();
    await using server = await startServer({ verifyCallback: judge.callback });
    const names = recordEvents(server);
    const client = await dial(server);
    await judge.asked.p;
    await client.destroy();
    expect(client.closed).toBe(true);
    judge.verdict.resolveP(CryptoError.AccessDenied);
    await server.stop();
    expect(names).not.toContain('EventQUICServerConnection');
  });

  test('what comes too early is shown once the peer is trusted, and not before', async () => {
    const judge = new Judge();
    await using server = await startServer({ verifyCallback: judge.callback });
    const names = recordEvents(server);
    await using client = await dial(server);
    await judge.asked.p;
    const stream = client.connection.newStream();
    await stream.end(Buffer.from('early'));
    client.connection.sendDatagram(Buffer.from('early bird'));
    // Another connection's round trip lies between: it had time to arrive.
    await using other = await startServer({ verifyCallback: trustAll });
    await (await dial(other)).destroy();
    expect(names).toEqual([]);
    const admitted = nextEvent<events.EventQUICServerConnection>(server, events.EventQUICServerConnection);
    judge.verdict.resolveP(undefined);
    const { detail: far } = await admitted;
    const opened = nextEvent<events.EventQUICConnectionStream>(far, events.EventQUICConnectionStream);
    expect(Buffer.from((await far.receiveDatagram())!).toString()).toBe('early bird');
    expect((await readAll((await opened).detail)).toString()).toBe('early');
  });

  test('a client hears no datagram, and those that come with the end of the handshake are not lost', async () => {
    const judge = new Judge();
    await using server = await startServer({ verifyCallback: trustAll });
    const names = recordEvents(server);
    const texts = ['one', 'two', 'three', 'four', 'five'];
    server.addEventListener(events.EventQUICServerConnection.name, ({ detail }: events.EventQUICServerConnection) => {
      for (const text of texts) detail.sendDatagram(Buffer.from(text));
    });
    const dialled = dial(server, judge.callback);
    await judge.asked.p;
    // Another connection's life lies between.
    await using other = await startServer({ verifyCallback: trustAll });
    await (await dial(other)).destroy();
    expect(names).toEqual([]);
    judge.verdict.resolveP(undefined);
    await using client = await dialled;
    const heard: string[] = [];
    // By event, and by iterator.
    client.connection.addEventListener(
      events.EventQUICConnectionDatagram.name,
      ({ detail }: events.EventQUICConnectionDatagram) => heard.push(Buffer.from(detail).toString()),
    );
    for (const text of texts) expect(Buffer.from((await client.connection.receiveDatagram())!).toString()).toBe(text);
    expect(heard).toEqual(texts);
  });

  test('other connections of the same server are served', async () => {
    const verdict = utils.promise<undefined>();
    let asked = 0;
    let isFirst = true;
    const verifyCallback: TLSVerifyCallback = () => {
      if (isFirst) {
        isFirst = false;
        return undefined;
      }
      asked += 1;
      return verdict.p;
    };
    await using server = await startServer({ verifyCallback });
    server.addEventListener(events.EventQUICServerConnection.name, ({ detail }: events.EventQUICServerConnection) =>
      echo(detail),
    );
    await using client = await dial(server);
    const ask = async () => {
      const stream = client.connection.newStream();
      await stream.end(Buffer.from('anybody there?'));
      return (await readAll(stream)).toString();
    };
    await ask();
    await using socket = await startSocket();
    const waiting = await Promise.all(Array.from({ length: 100 }, () => dial(server, trustAll, socket)));
    while (asked < 100) await new Promise((resolve) => setTimeout(resolve, 1));
    for (let i = 0; i < 20; i++) expect(await ask()).toBe('anybody there?');
    expect(server.connections).toHaveLength(1);
    verdict.resolveP(undefined);
    await Promise.all(waiting.map(({ connection }) => connection.confirmed));
    expect(server.connections).toHaveLength(101);
    await Promise.all(waiting.map((it) => it.destroy()));
  });

  test('what gets lost comes again', async () => {
    const network = new MemoryNetwork();
    const [near, far] = [0, 1].map(() => new QUICSocket({ openTransport: network.open }));
    await Promise.all([near.start({ host: HOST }), far.start({ host: HOST })]);
    const judges = { client: new Judge(), server: new Judge() };
    const config = { ...authority().issue(), verifyPeer: true, verifyCallback: judges.server.callback };
    const server = new QUICServer({ config, socket: far });
    await server.start();
    let lost = 0;
    // The first two datagrams of each direction are lost, and the first after each question.
    const counts = new Map<number, number>();
    let dropsNext = 0;
    network.isLost = (_data, from) => {
      const count = (counts.get(from) ?? 0) + 1;
      counts.set(from, count);
      const isLost = count <= 2 || dropsNext-- > 0;
      lost += Number(isLost);
      return isLost;
    };
    const admitted = nextEvent<events.EventQUICServerConnection>(server, events.EventQUICServerConnection);
    const client = { ...me, verifyCallback: judges.client.callback };
    const dialled = QUICClient.createQUICClient({ host: HOST, port: far.port, socket: near, config: client });
    await judges.client.asked.p;
    dropsNext = 2;
    // The server repeats its flight while the client makes up its mind: two of those are lost, too.
    while (dropsNext > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    judges.client.verdict.resolveP(undefined);
    const established = await dialled;
    await judges.server.asked.p;
    dropsNext = 2;
    const stream = established.connection.newStream();
    await stream.end(Buffer.from('hello'));
    while (dropsNext > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    judges.server.verdict.resolveP(undefined);
    const { detail: connection } = await admitted;
    const opened = nextEvent<events.EventQUICConnectionStream>(connection, events.EventQUICConnectionStream);
    expect((await readAll((await opened).detail)).toString()).toBe('hello');
    expect(lost).toBeGreaterThanOrEqual(8);
    await established.destroy();
    await server.stop();
    await Promise.all([near.stop({ force: true }), far.stop({ force: true })]);
  });

  test('the handshake timeout of each side is its own', async () => {
    const judge = new Judge();
    await using server = await startServer({ verifyCallback: judge.callback, handshakeTimeout: 1000 });
    await using client = await dial(server);
    const signal = await judge.asked.p;
    const { detail } = await nextEvent<events.EventQUICConnectionError>(
      client.connection,
      events.EventQUICConnectionError,
    );
    expect(detail).toMatchObject({ code: 'ConnectionPeer', data: { isApp: false, errorCode: 2 } });
    expect(signal.reason).toBeInstanceOf(errors.ErrorQUICConnectionStartTimeout);
  });
});

test('a thousand verdicts can be pending at once, on both sides', async () => {
  const COUNT = 1000;
  const pending = { client: [] as (() => void)[], server: [] as (() => void)[] };
  const all = { client: utils.promise(), server: utils.promise() };
  const verifyCallback: TLSVerifyCallback = (_certs, _ca, { side }) =>
    new Promise((resolve) => {
      const number = pending[side].length;
      // Every other client is refused.
      const refuses = side === 'server' && number % 2 === 1;
      pending[side].push(() => resolve(refuses ? CryptoError.AccessDenied : undefined));
      if (pending[side].length === COUNT) all[side].resolveP();
    });
  const server = await startServer({ verifyCallback });
  const socket = await startSocket();
  const dialled = Array.from({ length: COUNT }, () => dial(server, verifyCallback, socket));
  await all.client.p;
  expect(server.connections).toHaveLength(0);
  for (const settle of pending.client) settle();
  const clients = await Promise.all(dialled);
  const verdicts = Promise.allSettled(clients.map(({ connection }) => connection.confirmed));
  await all.server.p;
  expect(server.connections).toHaveLength(0);
  for (const settle of pending.server) settle();
  const outcomes = await verdicts;
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(COUNT / 2);
  expect(server.connections).toHaveLength(COUNT / 2);
  await server.stop();
  await socket.stop({ force: true });
}, 60_000);
