import type { TLSVerifyCallback } from '../../lib';
import { QUICClient, QUICServer, errors, events, native } from '../../lib';
import type { Algorithm, Credentials } from '../helpers/certificates';
import { createChain } from '../helpers/certificates';
import { listeningLogger, nextEvent, readAll, recordEvents } from '../helpers/pair';

const { ConnectionErrorCode, CryptoError } = native;

const keyTypes: [string, Algorithm[]][] = [
  ['Ed25519', ['Ed25519', 'Ed25519']],
  ['P-256', ['P-256', 'P-256']],
  ['P-384', ['P-384', 'P-384']],
  ['RSA', ['RSA', 'RSA']],
  ['mixed', ['Ed25519', 'P-256', 'P-384', 'RSA']],
];

/** What a callback does, and the code that both ends then have; `undefined` for none. */
const outcomes: [string, () => unknown, number | undefined][] = [
  ['accepts', () => undefined, undefined],
  ['accepts late', () => new Promise((resolve) => setTimeout(resolve, 10, undefined)), undefined],
  ['answers with an alert', () => CryptoError.CertificateRevoked, CryptoError.CertificateRevoked],
  [
    'throws',
    () => {
      throw new Error('broken');
    },
    CryptoError.BadCertificate,
  ],
  ['rejects', () => Promise.reject(new Error('broken')), CryptoError.BadCertificate],
  ['answers nonsense', () => ({ trusted: true }), CryptoError.InternalError],
  ['never answers', () => new Promise(() => undefined), ConnectionErrorCode.ConnectionRefused],
];

const trustAll: TLSVerifyCallback = () => undefined;

type Play = { answer: () => unknown; timeout: number };

/** A server and how to dial it, with a chain of each kind at both ends; `side` judges as `play` says. */
async function stage(side: 'client' | 'server', credentials: Credentials[], { answer, timeout }: Play) {
  const chains: Uint8Array[][] = [];
  const signals: AbortSignal[] = [];
  const judge = ((certs, _ca, { signal }) => {
    chains.push(certs);
    signals.push(signal);
    return answer();
  }) as TLSVerifyCallback;
  const configOf = (end: 'client' | 'server') => ({
    ...credentials[end === 'client' ? 0 : 1],
    verifyPeer: true,
    verifyCallback: end === side ? judge : trustAll,
    handshakeTimeout: end === side ? timeout : 10_000,
  });
  const { logger, refusal: heard } = listeningLogger();
  const server = new QUICServer({ config: configOf('server'), logger });
  await server.start({ host: '127.0.0.1' });
  const dial = () =>
    QUICClient.createQUICClient({
      host: '127.0.0.1',
      port: server.port,
      localHost: '127.0.0.1',
      config: configOf('client'),
    });
  return { server, names: recordEvents(server), heard, dial, chains, signals };
}

const credentials = new Map(keyTypes.map(([name, algorithms]) => [name, [0, 1].map(() => createChain(algorithms))]));

describe.each(keyTypes)('chains of %s', (name, algorithms) => {
  const cases = outcomes.flatMap(([what, answer, code]) =>
    (['client', 'server'] as const).map((side) => ({ side, what, answer, code })),
  );

  test.each(cases)('the $side $what', async ({ side, what, answer, code }) => {
    const timeout = what === 'never answers' ? 1000 : 10_000;
    const to = await stage(side, credentials.get(name)!, { answer, timeout });
    try {
      if (code === undefined) await expectTrust(to);
      else if (side === 'client') await expectRefusalByClient(to, what, code);
      else await expectRefusalByServer(to, code);
      expect(to.chains.map((chain) => chain.length)).toEqual([algorithms.length]);
      expect(to.signals[0].aborted).toBe(what === 'never answers');
    } finally {
      await to.server.stop();
    }
  });
});

type Stage = Awaited<ReturnType<typeof stage>>;

async function expectTrust(to: Stage): Promise<void> {
  const admitted = nextEvent<events.EventQUICServerConnection>(to.server, events.EventQUICServerConnection);
  await using client = await to.dial();
  const stream = client.connection.newStream();
  await stream.end(Buffer.from('hello'));
  const { detail: far } = await admitted;
  const opened = nextEvent<events.EventQUICConnectionStream>(far, events.EventQUICConnectionStream);
  expect((await readAll((await opened).detail)).toString()).toBe('hello');
  await client.connection.confirmed;
  expect(far.getRemoteCertsChain()).toEqual(client.connection.getLocalCertsChain());
  expect(client.connection.getRemoteCertsChain()).toEqual(far.getLocalCertsChain());
}

async function expectRefusalByClient(to: Stage, what: string, code: number): Promise<void> {
  const error: unknown = await to.dial().catch((reason: unknown) => reason);
  if (what === 'never answers') {
    expect(error).toBeInstanceOf(errors.ErrorQUICClientCreateTimeout);
    expect((error as Error).cause).toBeInstanceOf(errors.ErrorQUICConnectionStartTimeout);
  } else {
    expect(error).toBeInstanceOf(errors.ErrorQUICConnectionLocalTLS);
    expect(error).toMatchObject({ code: 'ConnectionLocalTLS', data: { isApp: false, errorCode: code } });
  }
  // The server's application has seen nothing; its log knows the code that came.
  expect(await to.heard).toContain(what === 'never answers' ? `transport code ${code}` : `(${code})`);
  expect(to.names).toEqual([]);
}

async function expectRefusalByServer(to: Stage, code: number): Promise<void> {
  await using client = await to.dial();
  const ended = nextEvent<events.EventQUICConnectionError>(client.connection, events.EventQUICConnectionError);
  // TLS 1.3: the client can't know yet. What it sends now must reach nobody. (The refusal may be here before all is sent.)
  const stream = client.connection.newStream();
  client.connection.sendDatagram(Buffer.from('let me in'));
  await stream.end(Buffer.from('let me in')).catch(() => undefined);
  const isTLS = code >= 0x100;
  const { detail: error } = await ended;
  expect(error).toBeInstanceOf(isTLS ? errors.ErrorQUICConnectionPeerTLS : errors.ErrorQUICConnectionPeer);
  expect(error).toMatchObject({
    code: isTLS ? 'ConnectionPeerTLS' : 'ConnectionPeer',
    data: { isApp: false, errorCode: code },
  });
  await expect(client.connection.confirmed).rejects.toBe(error);
  await expect(stream.read()).rejects.toBeInstanceOf(errors.ErrorQUICConnection);
  expect(await to.heard).toMatch(isTLS ? `We refused the handshake: ${CryptoError[code]}` : 'not complete in time');
  expect(to.names).toEqual([]);
}
