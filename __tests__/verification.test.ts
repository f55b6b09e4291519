import type { QUICClientConfigInput, QUICServerConfigInput, TLSVerifyCallback, TLSVerifyContext } from '../lib';
import { QUICClient, QUICServer, errors, events, native, utils } from '../lib';
import type { Algorithm } from './helpers/certificates';
import { createAuthority, createIdentity } from './helpers/certificates';
import { authority, nextEvent, recordEvents } from './helpers/pair';

const { CryptoError } = native;

type Alert = keyof typeof native.CryptoError;

/** A server, and what came to it. */
async function startServer(config: Partial<QUICServerConfigInput> = {}) {
  const server = new QUICServer({ config: { ...authority().issue(), ...config } });
  await server.start({ host: '127.0.0.1' });
  return { server, names: recordEvents(server), [Symbol.asyncDispose]: () => server.stop() };
}

function dial(server: QUICServer, config: QUICClientConfigInput = {}, serverName?: string) {
  return QUICClient.createQUICClient(
    {
      host: '127.0.0.1',
      port: server.port,
      localHost: '127.0.0.1',
      serverName,
      config: { ca: authority().ca, ...config },
    },
    { timer: 10_000 },
  );
}

/** The error that a client whose dial succeeded hears of. */
async function heardBy(client: QUICClient): Promise<Error> {
  return (await nextEvent<events.EventQUICClientError>(client, events.EventQUICClientError)).detail;
}

describe.each(['Ed25519', 'P-256', 'P-384', 'RSA'] as Algorithm[])('%s certificates', (algorithm) => {
  test('prove both sides by an authority', async () => {
    const { ca, issue } = createAuthority(algorithm);
    await using to = await startServer({ ...issue(), ca, verifyPeer: true });
    const admitted = nextEvent<events.EventQUICServerConnection>(to.server, events.EventQUICServerConnection);
    const mine = issue();
    await using client = await dial(to.server, { ca, ...mine });
    const { detail: far } = await admitted;
    await client.connection.confirmed;
    expect(far.getRemoteCertsChain()).toEqual(client.connection.getLocalCertsChain());
    expect(client.connection.getRemoteCertsChain()).toEqual(far.getLocalCertsChain());
    expect(client.connection.getRemoteCertsChain()).toHaveLength(1);
  });

  test('prove both sides by callback', async () => {
    const [a, b] = [createIdentity(algorithm), createIdentity(algorithm)];
    const chains: Uint8Array[][] = [];
    const verifyCallback: TLSVerifyCallback = async (certs) => {
      chains.push(certs);
      await Promise.resolve();
      return undefined;
    };
    await using to = await startServer({ ...a, verifyPeer: true, verifyCallback });
    await using client = await dial(to.server, { ...b, ca: undefined, verifyCallback });
    await client.connection.confirmed;
    expect(chains.map((chain) => chain.length)).toEqual([1, 1]);
    expect(chains[0]).toEqual(client.connection.getRemoteCertsChain());
    expect(chains[1]).toEqual(client.connection.getLocalCertsChain());
  });
});

describe('a client refuses', () => {
  test.each<[string, QUICClientConfigInput, string | undefined, Alert]>([
    ['a chain of another authority', { ca: createAuthority().ca }, undefined, 'UnknownCA'],
    ['the wrong name', {}, 'elsewhere', 'BadCertificate'],
    [
      'by callback, with its own alert',
      { verifyCallback: () => CryptoError.CertificateExpired },
      undefined,
      'CertificateExpired',
    ],
    [
      'by async callback',
      { verifyCallback: () => Promise.resolve(CryptoError.BadCertificate) },
      undefined,
      'BadCertificate',
    ],
  ])('%s', async (_, config, serverName, alert) => {
    await using to = await startServer();
    const error = await dial(to.server, config, serverName).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(errors.ErrorQUICConnectionLocalTLS);
    expect(error).toBeInstanceOf(errors.ErrorQUICConnectionLocal);
    expect(error).toMatchObject({ code: 'ConnectionLocalTLS', data: { isApp: false, errorCode: CryptoError[alert] } });
    await to.server.stop();
    expect(to.names).not.toContain('EventQUICServerConnection');
  });

  test('a self-signed certificate, where nobody said whom to trust', async () => {
    await using to = await startServer(createIdentity());
    const error = await dial(to.server, { ca: undefined }).catch((error: unknown) => error);
    expect(error).toMatchObject({ name: 'ErrorQUICConnectionLocalTLS', data: { errorCode: CryptoError.UnknownCA } });
  });
});

test('a client that does not verify takes anybody', async () => {
  await using to = await startServer(createIdentity());
  await using client = await dial(to.server, { ca: undefined, verifyPeer: false });
  expect(client.connection.getRemoteCertsChain()).toHaveLength(1);
});

describe('a server refuses', () => {
  test.each<[string, Partial<QUICServerConfigInput>, QUICClientConfigInput, Alert]>([
    ['no certificate', {}, {}, 'CertificateRequired'],
    ['a chain of another authority', {}, createAuthority().issue(), 'UnknownCA'],
    ['by callback', { verifyCallback: () => CryptoError.BadCertificate }, createIdentity(), 'BadCertificate'],
    [
      'by callback, late',
      {
        verifyCallback: (): Promise<native.CryptoError> =>
          new Promise<native.CryptoError>((resolve) => setTimeout(resolve, 50, CryptoError.AccessDenied)),
      },
      createIdentity(),
      'AccessDenied',
    ],
    ['no certificate, with a callback', { verifyCallback: () => undefined }, {}, 'CertificateRequired'],
  ])('%s, and the client hears of it on its live connection', async (_, config, credentials, alert) => {
    await using to = await startServer({ ca: authority().ca, verifyPeer: true, ...config });
    await using client = await dial(to.server, credentials);
    const confirmed = expect(client.connection.confirmed).rejects.toThrow(errors.ErrorQUICConnectionPeerTLS);
    const error = await heardBy(client);
    expect(error).toBeInstanceOf(errors.ErrorQUICConnectionPeerTLS);
    expect(error).toBeInstanceOf(errors.ErrorQUICConnectionPeer);
    expect(error).not.toBeInstanceOf(errors.ErrorQUICConnectionLocal);
    expect(error).toMatchObject({ data: { isApp: false, errorCode: CryptoError[alert] } });
    await confirmed;
    await to.server.stop();
    expect(to.names.filter((name) => !name.startsWith('EventQUICSocket'))).toEqual([
      'EventQUICServerStop',
      'EventQUICServerClose',
      'EventQUICServerStopped',
    ]);
  });

  test('and shows nothing of what its client sent meanwhile', async () => {
    const asked = utils.promise();
    const verdict = utils.promise<native.CryptoError>();
    const verifyCallback = (): Promise<native.CryptoError> => {
      asked.resolveP();
      return verdict.p;
    };
    await using to = await startServer({ verifyPeer: true, verifyCallback });
    await using client = await dial(to.server, createIdentity());
    const stream = client.connection.newStream();
    await stream.end(Buffer.from('let me in'));
    const error = heardBy(client);
    await asked.p;
    verdict.resolveP(CryptoError.BadCertificate);
    await error;
    await expect(stream.read()).rejects.toThrow(errors.ErrorQUICConnectionPeerTLS);
    expect(to.names).toEqual([]);
  });
});

describe('a callback fails closed', () => {
  const hang = () => new Promise<undefined>(() => undefined);

  const fail = (reason: unknown) => (): never => {
    throw reason;
  };
  const reject = (reason: unknown) => () => {
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- nobody keeps a callback from it
    return Promise.reject(reason);
  };
  const thenable = { then: fail(new Error('broken')) };
  const broken = expect.objectContaining({ message: 'broken' }) as unknown;
  const nonsense = (what: string): unknown =>
    expect.objectContaining({
      message: `verifyCallback answered with ${what}: expected undefined or a CryptoError`,
    });

  // What it does, the alert, and the cause that we are told.
  const failures: [string, () => unknown, Alert, unknown][] = [
    ['throws', fail(new Error('broken')), 'BadCertificate', broken],
    ['throws a text', fail('broken'), 'BadCertificate', 'broken'],
    ['throws null', fail(null), 'BadCertificate', null],
    ['throws undefined', fail(undefined), 'BadCertificate', undefined],
    ['throws an alert', fail(CryptoError.UnknownCA), 'BadCertificate', CryptoError.UnknownCA],
    ['rejects', reject(new Error('broken')), 'BadCertificate', broken],
    ['rejects with nothing', reject(undefined), 'BadCertificate', undefined],
    ['answers with a thenable that throws', () => thenable, 'BadCertificate', broken],
    ['gives true', () => true, 'InternalError', nonsense('a value of type boolean')],
    ['gives false', () => false, 'InternalError', nonsense('a value of type boolean')],
    ['gives null', () => null, 'InternalError', nonsense('a value of type object')],
    ['gives a promise of an object', async () => ({ ok: true }), 'InternalError', nonsense('a value of type object')],
    ['gives a text', () => 'BadCertificate', 'InternalError', nonsense('a value of type string')],
    ['gives a bigint', () => 298n, 'InternalError', nonsense('a value of type bigint')],
    ['gives 0', () => 0, 'InternalError', nonsense('the number 0')],
    ['gives a number that is no alert', () => 42, 'InternalError', nonsense('the number 42')],
    ['gives a promise of such', async () => 512, 'InternalError', nonsense('the number 512')],
    ['gives a fraction', () => 298.5, 'InternalError', nonsense('the number 298.5')],
    ['gives NaN', () => NaN, 'InternalError', nonsense('the number NaN')],
    ['gives an alert that TLS does not know', () => 0x1ff, 'InternalError', undefined],
  ];

  test.each(failures)('when a client %s', async (_, callback, alert, cause) => {
    await using to = await startServer();
    const verifyCallback = callback as TLSVerifyCallback;
    const error = await dial(to.server, { verifyCallback }).catch((error: unknown) => error);
    expect(error).toMatchObject({ name: 'ErrorQUICConnectionLocalTLS', data: { errorCode: CryptoError[alert] } });
    expect((error as Error).cause).toEqual(cause);
    await to.server.stop();
    expect(to.names).not.toContain('EventQUICServerConnection');
  });

  test.each(failures)('when a server %s', async (_, callback, alert) => {
    const verifyCallback = callback as TLSVerifyCallback;
    await using to = await startServer({ verifyPeer: true, verifyCallback });
    await using client = await dial(to.server, createIdentity());
    const error = await heardBy(client);
    expect(error).toMatchObject({ name: 'ErrorQUICConnectionPeerTLS', data: { errorCode: CryptoError[alert] } });
    expect(to.names).toEqual([]);
  });

  test('when a client never settles it', async () => {
    await using to = await startServer();
    let signal: AbortSignal | undefined;
    const verifyCallback: TLSVerifyCallback = (_certs, _ca, context) => {
      ({ signal } = context);
      return hang();
    };
    const dialled = dial(to.server, { verifyCallback, handshakeTimeout: 100 });
    await expect(dialled).rejects.toMatchObject({
      name: 'ErrorQUICClientCreateTimeout',
      message: expect.stringContaining('The peer answered') as string,
    });
    expect(signal?.aborted).toBe(true);
  });

  test('when a server never settles it', async () => {
    await using to = await startServer({ verifyPeer: true, verifyCallback: hang, handshakeTimeout: 100 });
    await using client = await dial(to.server, createIdentity());
    expect(await heardBy(client)).toBeInstanceOf(errors.ErrorQUICConnectionPeer);
    expect(to.names).not.toContain('EventQUICServerConnection');
  });

  test('minIdleTimeout shortens the handshake of newcomers', async () => {
    const config = { ...authority().issue(), verifyPeer: true, verifyCallback: hang };
    await using server = new QUICServer({ config, minIdleTimeout: 100 });
    await server.start({ host: '127.0.0.1' });
    await using client = await dial(server, createIdentity());
    expect(await heardBy(client)).toBeInstanceOf(errors.ErrorQUICConnectionPeer);
  });
});

test('a callback is told what it may want to know', async () => {
  const seen: Omit<TLSVerifyContext, 'signal'>[] = [];
  const cas: number[] = [];
  const verifyCallback: TLSVerifyCallback = (_certs, ca, { signal, ...context }) => {
    expect(signal.aborted).toBe(false);
    seen.push(context);
    cas.push(ca.length);
    return undefined;
  };
  await using to = await startServer({ verifyPeer: true, verifyCallback });
  await using client = await dial(to.server, { ...createIdentity(), verifyCallback }, 'some.name');
  await client.connection.confirmed;
  expect(seen).toEqual([
    { side: 'client', serverName: 'some.name', host: '127.0.0.1', port: to.server.port },
    { side: 'server', serverName: 'some.name', host: '127.0.0.1', port: client.localPort },
  ]);
  expect(cas).toEqual([1, 0]);
});

test('many verdicts can be awaited at once', async () => {
  const verifyCallback = () => new Promise<undefined>((resolve) => setTimeout(resolve, 20 * Math.random(), undefined));
  await using to = await startServer({ verifyPeer: true, verifyCallback });
  const identity = createIdentity();
  const clients = await Promise.all(Array.from({ length: 30 }, () => dial(to.server, { ...identity, verifyCallback })));
  await Promise.all(clients.map(({ connection }) => connection.confirmed));
  expect(to.server.connections).toHaveLength(30);
  await Promise.all(clients.map((client) => client.destroy()));
});
