// Each error that programs written for @matrixai/quic 1.3.0 may meet, provoked: its class, its data, its cause.

import type { LoggerLike, Transport, TransportSink } from '../../lib';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { QUICClient, QUICServer, QUICSocket, errors, events, native } from '../../lib';
import { authority, createPair, nextEvent, openStream, recordEvents, startSocket } from '../helpers/pair';

const local = { host: '127.0.0.1', localHost: '127.0.0.1' };

/** A port where nobody answers. */
async function withSilence<T>(use: (port: number) => Promise<T>): Promise<T> {
  const silence = dgram.createSocket('udp4');
  silence.bind(0, '127.0.0.1');
  await once(silence, 'listening');
  try {
    return await use(silence.address().port);
  } finally {
    silence.close();
  }
}

/** What a promise or a function fails with. */
async function failureOf(work: () => unknown): Promise<Error> {
  try {
    await work();
  } catch (error) {
    return error as Error;
  }
  throw new Error('expected a failure');
}

/** What both ends of a connection say of its end. */
async function endOf(stop: 'near' | 'far', options: Parameters<QUICClient['destroy']>[0]): Promise<[Error, Error]> {
  const pair = await createPair();
  const told = [pair.near, pair.far].map((end) =>
    nextEvent<events.EventQUICConnectionError>(end, events.EventQUICConnectionError),
  );
  await pair[stop].stop(options);
  const [near, far] = await Promise.all(told);
  await pair[Symbol.asyncDispose]();
  return [near.detail, far.detail];
}

/** What both ends of a handshake say that one of them refuses; the server says nothing of those it hasn't shown. */
async function refusal(refuser: 'client' | 'server'): Promise<Error> {
  const verifyCallback = () => native.CryptoError.BadCertificate;
  const refusing = { verifyPeer: true, verifyCallback };
  const server = new QUICServer({ config: { ...authority().issue(), ...(refuser === 'server' ? refusing : {}) } });
  await server.start({ host: '127.0.0.1' });
  const shown: unknown[] = [];
  server.addEventListener(events.EventQUICServerConnection.name, (event: unknown) => shown.push(event));
  try {
    const dialled = QUICClient.createQUICClient({
      ...local,
      port: server.port,
      config: { ca: authority().ca, ...authority().issue(), ...(refuser === 'client' ? refusing : {}) },
    });
    if (refuser === 'client') return await failureOf(() => dialled);
    const client = await dialled;
    const names = recordEvents(client);
    const { detail } = await nextEvent<events.EventQUICClientError>(client, events.EventQUICClientError);
    await client.closedP;
    expect(names.filter((name) => name.startsWith('EventQUICClient'))).toEqual([
      'EventQUICClientError',
      'EventQUICClientClose',
      'EventQUICClientDestroy',
      'EventQUICClientDestroyed',
    ]);
    return detail;
  } finally {
    expect(shown).toEqual([]);
    await server.stop();
  }
}

/** The error of each way in which a stream can be given up, as told by `side`. */
async function streamError(giveUp: 'cancel' | 'abort', side: 'near' | 'far'): Promise<Error> {
  await using pair = await createPair();
  const [ours, theirs] = await openStream(pair.near, pair.far);
  await theirs.read();
  const told = nextEvent<events.EventQUICStreamError>(side === 'near' ? ours : theirs, events.EventQUICStreamError);
  if (giveUp === 'cancel') ours.cancelRead(new Error('enough'));
  else ours.abortWrite(new Error('enough'));
  return (await told).detail;
}

/** A transport that fails when it is told to. */
function mortal(): { open: () => Promise<Transport>; die: (error: Error) => void } {
  let sink: TransportSink | undefined;
  const address = { host: '127.0.0.1', port: 4433, type: 'ipv4' };
  const stats = { recvBufferSize: 0, sendBufferSize: 0, datagramsReceived: 0, datagramsSent: 0, sendsFailed: 0 };
  const transport = {
    address,
    stats,
    start: (given: TransportSink) => (sink = given),
    receive: () => 0,
    flush: () => 'done',
    sendRaw: () => Promise.resolve(),
    setReferenced: () => undefined,
    close: () => Promise.resolve(),
  };
  return { open: () => Promise.resolve(transport as unknown as Transport), die: (error) => sink?.onDead(error) };
}

type Expected = { data?: object; cause?: unknown };

const cases: [name: keyof typeof errors, provoke: () => Promise<Error>, expected?: Expected][] = [
  [
    'ErrorQUICClientCreateTimeout',
    () => withSilence((port) => failureOf(() => QUICClient.createQUICClient({ ...local, port }, { timer: 50 }))),
  ],
  [
    'ErrorQUICConnectionStartTimeout',
    async () => {
      const config = { handshakeTimeout: 50 };
      const dial = (port: number) => failureOf(() => QUICClient.createQUICClient({ ...local, port, config }));
      return (await withSilence(dial)).cause as Error;
    },
  ],
  [
    'ErrorQUICConnectionIdleTimeout',
    async () => {
      const pair = await createPair({ client: { maxIdleTimeout: 100 } });
      const { detail } = await nextEvent<events.EventQUICClientError>(pair.client, events.EventQUICClientError);
      await pair[Symbol.asyncDispose]();
      return detail;
    },
  ],
  [
    'ErrorQUICConnectionLocal',
    async () => (await endOf('near', { errorCode: 7, reason: Buffer.from('bye') }))[0],
    { data: { isApp: true, errorCode: 7, reason: Buffer.from('bye') } },
  ],
  [
    'ErrorQUICConnectionPeer',
    async () => (await endOf('near', { errorCode: 7, reason: Buffer.from('bye') }))[1],
    { data: { isApp: true, errorCode: 7, reason: Buffer.from('bye') } },
  ],
  ['ErrorQUICConnectionLocalTLS', () => refusal('client'), { data: { isApp: false, errorCode: 298 } }],
  ['ErrorQUICConnectionPeerTLS', () => refusal('server'), { data: { isApp: false, errorCode: 298 } }],
  [
    'ErrorQUICConnectionNotRunning',
    async () => {
      const pair = await createPair();
      await pair[Symbol.asyncDispose]();
      return failureOf(() => pair.near.newStream());
    },
  ],
  [
    'ErrorQUICConnectionStopping',
    async () => {
      await using pair = await createPair();
      await openStream(pair.near, pair.far);
      void pair.near.stop({ force: false });
      return await failureOf(() => pair.near.newStream());
    },
  ],
  ['ErrorQUICSocketNotRunning', () => failureOf(() => new QUICSocket().send(Buffer.alloc(1), 1, '127.0.0.1'))],
  [
    'ErrorQUICSocketInvalidBindAddress',
    () => failureOf(() => new QUICSocket().start({ host: '192.0.2.1' })),
    { cause: expect.objectContaining({ code: 'EADDRNOTAVAIL' }) },
  ],
  [
    'ErrorQUICSocketInvalidSendAddress',
    async () => {
      await using socket = await startSocket();
      return await failureOf(() => socket.send(Buffer.alloc(1), 1, '::1'));
    },
  ],
  [
    'ErrorQUICSocketConnectionsActive',
    async () => {
      await using socket = await startSocket();
      await using pair = await createPair({ clientSocket: socket });
      const error = await failureOf(() => socket.stop());
      expect(pair.near.closed).toBe(false);
      return error;
    },
  ],
  [
    'ErrorQUICSocketInternal',
    async () => {
      const { open, die } = mortal();
      const socket = new QUICSocket({ openTransport: open });
      await socket.start();
      const told = nextEvent<events.EventQUICSocketError>(socket, events.EventQUICSocketError);
      die(new Error('taken away'));
      await socket.closedP;
      return (await told).detail;
    },
    { cause: new Error('taken away') },
  ],
  [
    'ErrorQUICClientSocketNotRunning',
    () => failureOf(() => QUICClient.createQUICClient({ host: '127.0.0.1', port: 1, socket: new QUICSocket() })),
  ],
  [
    'ErrorQUICServerSocketNotRunning',
    () => failureOf(() => new QUICServer({ config: authority().issue(), socket: new QUICSocket() }).start()),
  ],
  [
    'ErrorQUICClientInvalidHost',
    () => failureOf(() => QUICClient.createQUICClient({ ...local, host: '::1', port: 1 })),
  ],
  [
    'ErrorQUICClientInvalidArgument',
    () => failureOf(() => QUICClient.createQUICClient({ ...local, port: 1, serverName: 'no\0name' })),
  ],
  [
    'ErrorQUICHostInvalid',
    () =>
      failureOf(() =>
        QUICClient.createQUICClient({
          ...local,
          host: 'nowhere.invalid',
          port: 1,
          resolveHostname: () => Promise.reject(new Error('unknown')),
        }),
      ),
  ],
  ['ErrorQUICPortInvalid', () => failureOf(() => QUICClient.createQUICClient({ ...local, port: 65_536 }))],
  ['ErrorQUICStreamLocalRead', () => streamError('cancel', 'near'), { data: { code: 0 }, cause: new Error('enough') }],
  ['ErrorQUICStreamLocalWrite', () => streamError('abort', 'near'), { data: { code: 0 }, cause: new Error('enough') }],
  ['ErrorQUICStreamPeerRead', () => streamError('abort', 'far'), { data: { code: 0 }, cause: new Error('read 0') }],
  ['ErrorQUICStreamPeerWrite', () => streamError('cancel', 'far'), { data: { code: 0 }, cause: new Error('write 0') }],
  [
    'ErrorQUICStreamInternal',
    async () => {
      await using pair = await createPair();
      const stream = pair.near.newStream();
      await stream.end();
      return await failureOf(() => stream.write(Buffer.from('too late')));
    },
  ],
  ['ErrorQUICConfig', () => failureOf(() => new QUICServer({ config: { key: 'no key', cert: 'no certificate' } }))],
  [
    'ErrorQUICConnectionConfigInvalid',
    () => {
      const config = { ...authority().issue(), keepAliveIntervalTime: 1000, maxIdleTimeout: 1000 };
      return failureOf(() => new QUICServer({ config }));
    },
  ],
];

test.each(cases)('%s', async (name, provoke, { data, cause } = {}) => {
  const error = await provoke();
  expect(error.constructor).toBe(errors[name]);
  expect(error).toBeInstanceOf(errors.ErrorQUIC);
  if (data !== undefined) expect(error).toMatchObject({ data });
  if (cause !== undefined) expect(error.cause).toEqual(cause);
});

describe('settings that can not be', () => {
  const [{ key, cert }, other] = [authority().issue(), authority().issue()];
  test.each([
    ['a key more than certificates', { key: [key, other.key], cert }],
    ['a certificate more than keys', { key, cert: [cert, other.cert] }],
    ['the key of another certificate', { key: other.key, cert }],
    ['a number that is none', { key, cert, initialMaxData: Number.NaN }],
    ['a window below zero', { key, cert, maxStreamWindow: -1 }],
    ['an unknown signature algorithm', { key, cert, sigalgs: 'rot13' }],
    ['a callback that is never asked', { key, cert, verifyCallback: () => undefined }],
    ['no certificate', {}],
  ])('%s', (_, config) => {
    expect(() => new QUICServer({ config: config as never })).toThrow(errors.ErrorQUICConfig);
  });
});

test('ErrorQUICServerNewConnection goes to the logger, and is no error of the server', async () => {
  const nothing = () => undefined;
  const logger: LoggerLike = { debug: nothing, info: nothing, warn: nothing, error: nothing, getChild: () => logger };
  const noted = new Promise<string>((resolve) => {
    logger.debug = (message) => {
      if (message.startsWith('ErrorQUICServerNewConnection')) resolve(message);
    };
  });
  const server = new QUICServer({ config: authority().issue(), logger });
  await server.start({ host: '127.0.0.1' });
  const names = recordEvents(server);
  const config = { verifyPeer: true, verifyCallback: () => native.CryptoError.UnknownCA };
  await failureOf(() => QUICClient.createQUICClient({ ...local, port: server.port, config }));
  expect(await noted).toContain('UnknownCA (304)');
  await server.stop();
  expect(names.filter((name) => name.endsWith('Error') || name.startsWith('EventQUICConnection'))).toEqual([]);
});

test('ErrorQUICConnectionClosed: connections can not be started again, and need not be', async () => {
  const pair = await createPair();
  await pair.near.start();
  await pair[Symbol.asyncDispose]();
  await expect(pair.near.start()).rejects.toThrow(errors.ErrorQUICConnectionClosed);
});

test('what happens to a stream is told outwards, as clones with the same error', async () => {
  await using pair = await createPair();
  const [ours] = await openStream(pair.near, pair.far);
  const heard: [string, events.EventQUICStreamError][] = [];
  for (const [name, target] of Object.entries({ stream: ours, connection: pair.near, client: pair.client })) {
    target.addEventListener(events.EventQUICStreamError.name, (event: events.EventQUICStreamError) =>
      heard.push([name, event]),
    );
  }
  ours.cancelRead();
  expect(heard.map(([name]) => name)).toEqual(['stream', 'connection', 'client']);
  expect(new Set(heard.map(([, event]) => event)).size).toBe(3);
  expect(new Set(heard.map(([, { detail }]) => detail)).size).toBe(1);
});
