import type { LoggerLike, QUICClientConfigInput, QUICServerConfigInput } from '../../lib';
import { QUICClient, QUICServer, errors, events, native } from '../../lib';
import { createCertificate, generateKey } from '../../lib/x509';
import { createAuthority, createIdentity } from '../helpers/certificates';
import {
  authority,
  createPair,
  echo,
  listeningLogger,
  nextEvent,
  openStream,
  readAll,
  startSocket,
} from '../helpers/pair';

const { CryptoError } = native;

async function startServer(config: Partial<QUICServerConfigInput> = {}, logger?: LoggerLike): Promise<QUICServer> {
  const server = new QUICServer({ config: { ...authority().issue(), ...config }, logger });
  await server.start({ host: '127.0.0.1' });
  return server;
}

type Dial = { config?: QUICClientConfigInput; serverName?: string; session?: Uint8Array };

function dial(server: QUICServer, { config, ...options }: Dial = {}) {
  const all = { ca: authority().ca, ...config };
  return QUICClient.createQUICClient({
    host: '127.0.0.1',
    port: server.port,
    localHost: '127.0.0.1',
    config: all,
    ...options,
  });
}

const now = Math.floor(Date.now() / 1000);

/** A root, an intermediate and a leaf; `changes` make one of them bad. */
function createHierarchy(changes: { leaf?: object; intermediate?: object } = {}) {
  const valid = { notBefore: now - 3600, notAfter: now + 3600 };
  const keys = [0, 1, 2].map(() => generateKey('Ed25519'));
  const root = createCertificate({ key: keys[0], commonName: 'root', isCa: true, ...valid });
  const intermediate = createCertificate({
    key: keys[1],
    commonName: 'intermediate',
    isCa: true,
    ...valid,
    issuer: { certificate: root.pem, key: keys[0] },
    ...changes.intermediate,
  });
  const leaf = createCertificate({
    key: keys[2],
    commonName: 'leaf',
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1', '::1'],
    ...valid,
    issuer: { certificate: intermediate.pem, key: keys[1] },
    ...changes.leaf,
  });
  return {
    ca: root.pem,
    pems: { root: root.pem, intermediate: intermediate.pem, leaf: leaf.pem },
    key: keys[2],
    cert: leaf.pem + intermediate.pem,
  };
}

type Failure = { check: string; index: number; subject?: string };

describe('without a callback', () => {
  const expired = { notBefore: now - 7200, notAfter: now - 3600 };

  test('a chain is built to a root, an intermediate, or the peer itself', async () => {
    const { key, cert, pems } = createHierarchy();
    await using server = await startServer({ key, cert });
    for (const ca of Object.values(pems)) await (await dial(server, { config: { ca } })).destroy();
    await using pinned = await startServer(createIdentity());
    await expect(dial(pinned, { config: { ca: pems.root } })).rejects.toMatchObject({
      data: { errorCode: CryptoError.UnknownCA },
    });
  });

  test('a self-signed peer can be its own anchor, on either side', async () => {
    const [mine, theirs] = [createIdentity(), createIdentity('P-256')];
    await using server = await startServer({ ...theirs, verifyPeer: true, ca: mine.cert });
    await using client = await dial(server, { config: { ...mine, ca: theirs.cert } });
    await client.connection.confirmed;
    const stranger = await dial(server, { config: { ...createIdentity(), ca: theirs.cert } });
    await expect(stranger.connection.confirmed).rejects.toMatchObject({ data: { errorCode: CryptoError.UnknownCA } });
    await stranger.destroy();
  });

  test.each([
    ['localhost', true],
    ['LOCALHOST', true],
    ['127.0.0.1', true],
    ['::1', true],
    ['127.0.0.2', false],
    ['::2', false],
    ['elsewhere', false],
  ])('the server has to be %s: %s', async (serverName, isRight) => {
    const { key, cert, ca } = createHierarchy();
    await using server = await startServer({ key, cert });
    const dialled = dial(server, { config: { ca }, serverName });
    if (isRight) await (await dialled).destroy();
    else {
      await expect(dialled).rejects.toMatchObject({
        data: { errorCode: CryptoError.BadCertificate, chainFailure: { check: 'NameMismatch', index: 0 } },
      });
    }
  });

  test.each<[string, Parameters<typeof createHierarchy>[0], Failure, native.CryptoError]>([
    ['an expired leaf', { leaf: expired }, { check: 'CertificateExpired', index: 0 }, CryptoError.CertificateExpired],
    [
      'an expired intermediate',
      { intermediate: expired },
      { check: 'CertificateExpired', index: 1, subject: 'CN=intermediate' },
      CryptoError.CertificateExpired,
    ],
    [
      'a leaf of the future',
      { leaf: { notBefore: now + 1800, notAfter: now + 3600 } },
      { check: 'CertificateNotYetValid', index: 0, subject: 'CN=leaf' },
      CryptoError.CertificateExpired,
    ],
  ])('%s is named to us, and to the peer only by the alert', async (_, changes, chainFailure, errorCode) => {
    const { ca, key, cert } = createHierarchy(changes);
    // On a client …
    await using bad = await startServer({ key, cert });
    const error: unknown = await dial(bad, { config: { ca } }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(errors.ErrorQUICConnectionLocalTLS);
    expect(error).toMatchObject({ data: { isApp: false, errorCode, chainFailure } });
    // … and on a server.
    const log = listeningLogger();
    await using server = await startServer({ verifyPeer: true, ca }, log.logger);
    await using client = await dial(server, { config: { key, cert } });
    const told: unknown = await client.connection.confirmed.catch((reason: unknown) => reason);
    expect(told).toBeInstanceOf(errors.ErrorQUICConnectionPeerTLS);
    const { data } = told as errors.ErrorQUICConnectionPeerTLS;
    expect(data).toEqual({ isApp: false, errorCode, reason: new Uint8Array(0) });
    const { check, index, subject = 'CN=leaf' } = chainFailure;
    expect(await log.refusal).toContain(`${check}, certificate ${index} (${subject})`);
  });
});

test('a connection tells what its handshake told when it is gone, to who asks then for the first time', async () => {
  await using pair = await createPair();
  const { near, far } = pair;
  const ports = [near.localPort, far.localPort];
  await Promise.all([near.stop(), far.closedP]);
  expect([near.closed, far.closed]).toEqual([true, true]);
  expect(near.connectionIdShared.toString()).toBe(far.connectionIdShared.toString());
  expect(near.connectionId.toString()).toBe(far.connectionIdPeer.toString());
  expect(near.getRemoteCertsChain()).toEqual(far.getLocalCertsChain());
  expect(near.tls).toMatchObject({ applicationProtocol: 'quic', peerCertificate: far.getLocalCertsChain()[0] });
  expect([far.remotePort, near.remotePort]).toEqual(ports);
});

test('a connection tells what TLS agreed on', async () => {
  await using pair = await createPair({ server: { groups: 'P-256' }, client: { groups: 'X25519:P-256' } });
  await using server = await startServer();
  await using client = await dial(server, { serverName: 'localhost' });
  await client.connection.confirmed;
  const both = { group: 'P-256', applicationProtocol: 'quic', isResumed: false };
  for (const { tls } of [pair.near, pair.far]) {
    expect(tls).toMatchObject(both);
    expect(tls?.cipher).toMatch(/^TLS_/);
  }
  expect(pair.near.tls?.peerCertificate).toEqual(pair.near.getRemoteCertsChain()[0]);
  expect([pair.near.tls?.serverName, pair.far.tls?.peerCertificate]).toEqual([null, null]);
  expect([client.connection.tls?.serverName, server.connections[0]?.tls?.serverName]).toEqual([
    'localhost',
    'localhost',
  ]);
  await client.destroy();
  expect(client.connection.tls?.serverName).toBe('localhost');
});

test('both ends export the same keying material, and no other connection does', async () => {
  await using pair = await createPair();
  await using other = await createPair();
  const ours = pair.near.exportKeyingMaterial('EXPORTER-channel-binding', Buffer.from('alice to bob'), 64);
  expect(ours).toHaveLength(64);
  expect(pair.far.exportKeyingMaterial('EXPORTER-channel-binding', Buffer.from('alice to bob'), 64)).toEqual(ours);
  expect(other.far.exportKeyingMaterial('EXPORTER-channel-binding', Buffer.from('alice to bob'), 64)).not.toEqual(ours);
  expect(pair.far.exportKeyingMaterial('EXPORTER-channel-binding')).toHaveLength(32);
  expect(() => pair.far.exportKeyingMaterial('x'.repeat(250))).toThrow('label');
  await pair.client.destroy();
  expect(() => pair.near.exportKeyingMaterial('x')).toThrow(errors.ErrorQUICConnectionNotRunning);
});

test('a server shows the certificate that is for the name asked for', async () => {
  const { ca, issue } = createAuthority();
  const [first, second] = ['first.example', 'second.example'].map((name) => issue({ dnsNames: [name] }));
  await using server = await startServer({ key: [first.key, second.key], cert: [first.cert, second.cert] });
  for (const serverName of ['first.example', 'second.example']) {
    await (await dial(server, { config: { ca }, serverName })).destroy();
  }
  await expect(dial(server, { config: { ca }, serverName: 'third.example' })).rejects.toMatchObject({
    data: { chainFailure: { check: 'NameMismatch' } },
  });
});

test('updateConfig swaps keys, chains and anchors for newcomers, and leaves live connections alone', async () => {
  const [old, renewed] = [createAuthority(), createAuthority()];
  await using server = await startServer(old.issue());
  const live = await dial(server, { config: { ca: old.ca } });
  await live.connection.confirmed;
  const [far] = server.connections;
  echo(far);
  const [mine] = await openStream(live.connection, far, 'before');
  server.updateConfig(renewed.issue());
  await expect(dial(server, { config: { ca: old.ca } })).rejects.toThrow(errors.ErrorQUICConnectionLocalTLS);
  await using client = await dial(server, { config: { ca: renewed.ca } });
  await mine.end(Buffer.from(' and after'));
  expect((await readAll(mine)).toString()).toBe('before and after');
  expect(live.connection.getRemoteCertsChain()).not.toEqual(client.connection.getRemoteCertsChain());
  expect(() => server.updateConfig({ key: 'no key' })).toThrow(errors.ErrorQUICConfig);
  await (await dial(server, { config: { ca: renewed.ca } })).destroy();
  await live.destroy();
});

describe('groups', () => {
  test('may be post-quantum', async () => {
    const groups = 'X25519MLKEM768';
    await using pair = await createPair({ server: { groups }, client: { groups: `${groups}:X25519` } });
    expect(pair.near.tls?.group).toBe(groups);
  });

  test('are post-quantum by default, where both ends can', async () => {
    await using pair = await createPair();
    expect(pair.near.tls?.group).toBe('X25519MLKEM768');
    await using other = await createPair({ server: { groups: 'X25519' } });
    expect(other.near.tls?.group).toBe('X25519');
  });

  test('without one in common there is no connection', async () => {
    await using server = await startServer({ groups: 'P-384' });
    await expect(dial(server, { config: { groups: 'X25519' } })).rejects.toMatchObject({
      code: 'ConnectionPeerTLS',
      data: { errorCode: CryptoError.HandshakeFailure },
    });
  });

  test('that are unknown are refused', async () => {
    expect(() => new QUICServer({ config: { ...authority().issue(), groups: 'rot13' } })).toThrow(
      errors.ErrorQUICConfig,
    );
  });
});

/** The session that a connection's server hands out. */
async function sessionOf(client: QUICClient): Promise<Uint8Array> {
  const event = await nextEvent<events.EventQUICConnectionSession>(
    client.connection,
    events.EventQUICConnectionSession,
  );
  return event.detail;
}

describe('resumption', () => {
  const me = createIdentity();

  test('a client resumes by the session that it heard of', async () => {
    await using server = await startServer();
    const first = await dial(server);
    const session = await sessionOf(first);
    await first.destroy();
    const admitted = nextEvent<events.EventQUICServerConnection>(server, events.EventQUICServerConnection);
    await using client = await dial(server, { session });
    expect(client.connection.tls?.isResumed).toBe(true);
    expect(client.connection.getRemoteCertsChain()).toEqual(first.connection.getRemoteCertsChain());
    expect((await admitted).detail.tls?.isResumed).toBe(true);
  });

  test('what is no session is refused', async () => {
    await using server = await startServer();
    const dialled = dial(server, { session: Buffer.from('rubbish') });
    await expect(dialled).rejects.toThrow(errors.ErrorQUICClientInvalidArgument);
    await (await dial(server)).destroy();
  });

  test('what is no session disturbs nobody on the same socket', async () => {
    const socket = await startSocket();
    // What begins here and has no owner isn't a newcomer.
    const server = new QUICServer({ socket, config: authority().issue() });
    await server.start();
    const { host, port } = server;
    for (let round = 0; round < 3; round++) {
      const dialled = QUICClient.createQUICClient({ host, port, socket, session: Buffer.from('rubbish') });
      await expect(dialled).rejects.toThrow(errors.ErrorQUICClientInvalidArgument);
      await new Promise(setImmediate);
    }
    expect(server.connections).toEqual([]);
    await (await dial(server)).destroy();
    await server.stop();
    await socket.stop();
  });

  test('none, where a callback judges, or none is wanted', async () => {
    for (const config of [{ verifyPeer: true, verifyCallback: () => undefined }, { resumption: 'never' as const }]) {
      await using server = await startServer(config);
      await using client = await dial(server, { config: me });
      const heard: unknown[] = [];
      client.connection.addEventListener(events.EventQUICConnectionSession.name, (event) => heard.push(event));
      await client.connection.confirmed;
      const [far] = server.connections;
      echo(far);
      const [mine] = await openStream(client.connection, far);
      await mine.end();
      await readAll(mine);
      expect(heard).toEqual([]);
    }
  });

  test("'trustTicket' lets an earlier verdict stand, until updateConfig", async () => {
    let asked = 0;
    const verifyCallback = () => {
      asked += 1;
      return undefined;
    };
    const config = { verifyPeer: true, verifyCallback, resumption: 'trustTicket' as const };
    await using server = await startServer(config);
    const first = await dial(server, { config: me });
    const session = await sessionOf(first);
    const second = await dial(server, { config: me, session });
    await second.connection.confirmed;
    expect([asked, second.connection.tls?.isResumed]).toEqual([1, true]);
    const far = server.connections.find(({ tls }) => tls?.isResumed === true);
    expect(far?.getRemoteCertsChain()).toEqual(first.connection.getLocalCertsChain());
    server.updateConfig({});
    const third = await dial(server, { config: me, session });
    await third.connection.confirmed;
    expect([asked, third.connection.tls?.isResumed]).toEqual([2, false]);
    await Promise.all([first, second, third].map((client) => client.destroy()));
  });

  test("a client's callback is asked about the server all the same", async () => {
    await using server = await startServer();
    const chains: Uint8Array[][] = [];
    const judging = (verdict?: native.CryptoError): QUICClientConfigInput => ({
      verifyCallback: (certs) => {
        chains.push(certs);
        return verdict;
      },
    });
    const config = judging();
    const first = await dial(server, { config });
    const session = await sessionOf(first);
    await using client = await dial(server, { config, session });
    expect(client.connection.tls?.isResumed).toBe(true);
    expect([chains.length, chains[1]]).toEqual([2, first.connection.getRemoteCertsChain()]);
    const errorCode = CryptoError.CertificateRevoked;
    const refused = dial(server, { config: judging(errorCode), session });
    await expect(refused).rejects.toMatchObject({ data: { errorCode } });
    await first.destroy();
  });

  test('a session of a server that nobody judged is judged', async () => {
    await using server = await startServer(createIdentity());
    const trusting = await dial(server, { config: { verifyPeer: false } });
    const session = await sessionOf(trusting);
    await trusting.destroy();
    await expect(dial(server, { session })).rejects.toMatchObject({ data: { errorCode: CryptoError.UnknownCA } });
  });

  test.each([{ resumption: 'sometimes' as never }, { ticketLifetime: 999 }, { ticketLifetime: 604_800_001 }])(
    '%j is refused',
    (config) => {
      const create = () => new QUICServer({ config: { ...authority().issue(), ...config } });
      expect(create).toThrow(errors.ErrorQUICConfig);
    },
  );
});
