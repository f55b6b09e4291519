import { createPair, echo, openStream, readAll, startSocket } from './helpers/pair';
import type { LoggerLike, QUICSocketOptions } from '../lib';
import { QUICClient, QUICServer, QUICSocket, errors, events, logNative } from '../lib';
import { createIdentity } from './helpers/certificates';

/** What JavaScript lets callers hand over, where bytes are wanted. */
const notBytes: unknown[] = ['text', undefined, null, 5, {}, [1, 2], new ArrayBuffer(4), new Uint16Array(4)];

describe('what is no bytes', () => {
  test.each(notBytes)('%p is refused by a stream, which goes on', async (value) => {
    await using pair = await createPair();
    echo(pair.far);
    const stream = pair.client.connection.newStream();
    await expect(stream.write(value as Uint8Array)).rejects.toThrow(TypeError);
    if (value !== undefined) await expect(stream.end(value as Uint8Array)).rejects.toThrow(/has to be a Uint8Array/);
    await stream.end(Buffer.from('still open'));
    expect((await readAll(stream)).toString()).toBe('still open');
  });

  test.each(notBytes)('%p is refused as a datagram', async (value) => {
    await using pair = await createPair();
    const { connection } = pair.client;
    expect(() => connection.sendDatagram(value as Uint8Array)).toThrow(TypeError);
    expect(connection.stats.datagrams).toMatchObject({ sent: 0, refused: 0 });
  });
});

test('a stream is bidi or uni', async () => {
  await using pair = await createPair();
  const type = 'both' as 'bidi';
  expect(() => pair.client.connection.newStream(type)).toThrow("type is both, and has to be 'bidi' or 'uni'");
  await expect(pair.client.connection.openStream({ type })).rejects.toThrow(TypeError);
});

test.each([
  { errorCode: -5 },
  { errorCode: 1.5 },
  { errorCode: NaN },
  { errorCode: 2 ** 53 },
  { timeout: -1, force: false },
  { timeout: NaN, force: false },
  { reason: 'text' as unknown as Uint8Array },
])('%p stops nothing', async (options) => {
  await using pair = await createPair();
  let isTold = false;
  pair.client.addEventListener(events.EventQUICConnectionError.name, () => (isTold = true));
  const error = options.reason === undefined ? RangeError : TypeError;
  await expect(pair.client.connection.stop(options)).rejects.toThrow(error);
  await expect(pair.client.destroy(options)).rejects.toThrow(error);
  await expect(pair.server.stop(options)).rejects.toThrow(error);
  expect([isTold, pair.client.closed, pair.server.closed]).toEqual([false, false, false]);
});

test.each<Record<string, unknown>>([
  { retry: 'Sometimes' },
  { retryThreshold: -1 },
  { maxConnections: 'many' },
  { tokenKey: 'text' },
  { recvBufferSize: -1 },
  { sendBufferSize: 1.5 },
  { transport: 'fast' },
  { answersObserve: 'yes' },
])('a socket with %p is not started, and binds nothing', async (options) => {
  let isBound = false;
  const socket = new QUICSocket({
    ...(options as QUICSocketOptions),
    openTransport: () => {
      isBound = true;
      throw new Error('never');
    },
  });
  await expect(socket.start()).rejects.toBeInstanceOf(errors.ErrorQUICConfig);
  expect([isBound, socket.closed]).toEqual([false, true]);
});

test.each<Record<string, unknown>>([
  { ca: 5 },
  { key: 5, cert: 5 },
  { verifyCallback: 5 },
  { applicationProtos: [] },
  { applicationProtos: 'quic' },
  { enableDgram: true },
  { grease: 'yes' },
])('nobody is dialled with %p', async (config) => {
  const dial = QUICClient.createQUICClient({ host: '127.0.0.1', port: 1, config: config });
  await expect(dial).rejects.toBeInstanceOf(errors.ErrorQUICConfig);
});

test.each<[string, unknown]>([
  ['nothing', {}],
  ['no getChild', console],
  ['no functions', { debug: 1, info: 1, warn: 1, error: 1, getChild: 1 }],
  ['text', 'logger'],
])('a logger that has %s is refused before anything is bound', async (_, given) => {
  const logger = given as LoggerLike;
  expect(() => new QUICSocket({ logger })).toThrow(TypeError);
  expect(() => new QUICServer({ config: createIdentity(), logger })).toThrow(/^logger has no .*getChild/);
  const dialled = QUICClient.createQUICClient({ host: '127.0.0.1', port: 1, localHost: '127.0.0.1', logger });
  await expect(dialled).rejects.toThrow(TypeError);
});

test('quiche logs to what has the four levels', () => {
  expect(() => logNative({} as LoggerLike)).toThrow('logger has no debug, info, warn, error');
  expect(() => logNative(console as unknown as LoggerLike)).not.toThrow();
  logNative(null);
});

describe('limits that can not be', () => {
  const wrong: unknown[] = ['500', NaN, -1, {}, true];

  test.each(wrong)('%p is no timeout, and begins nothing', async (value) => {
    const timeout = value as number;
    await using pair = await createPair();
    await using socket = await startSocket();
    await expect(pair.near.stop({ force: false, timeout })).rejects.toThrow(/timeout is/);
    await expect(pair.near.migrate({ socket, timeout })).rejects.toThrow(errors.ErrorQUICConnectionMigration);
    await expect(socket.punch('127.0.0.1', 1, { timeout })).rejects.toThrow(/timeout is/);
    await expect(socket.punch('127.0.0.1', 1, { interval: timeout })).rejects.toThrow(/interval is/);
    await expect(socket.observe('127.0.0.1', 1, { timeout })).rejects.toThrow(/timeout is/);
    expect(pair.near.closed).toBe(false);
  });

  test.each(['signal', 5, {}, true])('%p is no signal, and takes nothing', async (value) => {
    const signal = value as AbortSignal;
    await using pair = await createPair({ server: { initialMaxStreamsBidi: 1 } });
    await using socket = await startSocket();
    const [ours, theirs] = await openStream(pair.near, pair.far);
    const calls = [
      () => ours.read({ signal }),
      () => pair.near.receiveDatagram({ signal }),
      () => pair.near.openStream({ signal }),
      () => pair.near.stop({ force: false, signal }),
      () => socket.punch('127.0.0.1', 1, { signal }),
      () => socket.observe('127.0.0.1', 1, { signal }),
      () => QUICClient.createQUICClient({ host: '127.0.0.1', port: 1 }, { signal }),
    ];
    for (const call of calls) await expect(call()).rejects.toThrow(/has to be an AbortSignal/);
    await theirs.write(Buffer.from('one'));
    expect(String(await ours.read())).toBe('one');
    pair.far.sendDatagram(Buffer.from('two'));
    expect(String(await pair.near.receiveDatagram())).toBe('two');
    expect(pair.near.closed).toBe(false);
  });

  test('null is none', async () => {
    await using pair = await createPair();
    const [ours, theirs] = await openStream(pair.near, pair.far);
    const nothing = null as unknown as undefined;
    const read = ours.read({ signal: nothing });
    await theirs.end(Buffer.from('read'));
    expect(String(await read)).toBe('read');
    await ours.end();
    await readAll(theirs);
    await pair.near.stop({ force: false, timeout: nothing, signal: nothing, isApp: nothing, reason: nothing });
    expect(pair.near.closed).toBe(true);
  });

  test.each([{ isApp: 'yes' }, { force: 1 }, { flush: 'no' }])('%p stops nothing', async (given) => {
    const options = given as object;
    await using pair = await createPair();
    await expect(pair.near.stop(options)).rejects.toThrow(TypeError);
    await expect(pair.client.destroy(options)).rejects.toThrow(/has to be a boolean/);
    await expect(pair.server.stop(options)).rejects.toThrow(TypeError);
    expect(pair.near.closed).toBe(false);
  });
});

test('what is null among the options of a socket is as by default', async () => {
  const socket = new QUICSocket({ retry: null, maxConnections: null, transport: null, answersObserve: null } as object);
  await socket.start({ host: '127.0.0.1' });
  await socket.stop();
});

test('a socket refuses what it does not know, and says what may have been meant', async () => {
  const socket = new QUICSocket({ maxConnection: 5 } as object);
  await expect(socket.start()).rejects.toThrow('there is no setting maxConnection: did you mean maxConnections?');
});
