import type { QUICConfig, QUICServerConfigInput } from '../lib';
import { QUICClient, QUICServer, clientDefault, errors, native, serverDefault } from '../lib';
import { resolveConfig } from '../lib/config';
import { createAuthority, createIdentity } from './helpers/certificates';
import { createPair } from './helpers/pair';

const { key, cert } = createIdentity();

describe('a setting is refused', () => {
  test.each<[string, Partial<QUICServerConfigInput>]>([
    ['a negative number', { maxIdleTimeout: -1 }],
    ['a fraction', { initialMaxData: 1.5 }],
    ['no number', { initialMaxData: NaN }],
    ['an infinite one', { maxStreamWindow: Infinity }],
    ['text for a number', { initialMaxStreamsBidi: '100' as unknown as number }],
    ['too small a payload', { maxSendUdpPayloadSize: 1199 }],
    ['too large a payload', { maxRecvUdpPayloadSize: 65_528 }],
    ['a key that is none', { key: 'not a key' }],
    ['a chain that is none', { cert: 'not a chain' }],
    ['anchors that are none', { ca: 'no anchors' }],
    ['a key of another chain', { key: createIdentity().key }],
    ['more keys than chains', { key: [key, key] }],
    ['more chains than keys', { cert: [cert, cert] }],
    ['no credentials', { key: [], cert: [] }],
    ['an unknown algorithm', { sigalgs: 'rot13' }],
    ['an unknown congestion control', { congestionControl: 'hope' }],
    ['an empty protocol name', { applicationProtos: [''] }],
    ['datagrams that are no tuple', { enableDgram: ['yes', 1, 1] as unknown as QUICConfig['enableDgram'] }],
    ['a negative queue', { enableDgram: [true, -1, 1] }],
    ['a callback that would not be asked', { verifyCallback: () => undefined }],
    ['a chunk of nothing', { readableChunkSize: 0 }],
    ['a negative keep-alive', { keepAliveIntervalTime: -1 }],
  ])('%s', async (_, config) => {
    expect(() => new QUICServer({ config: { key, cert, ...config } })).toThrow(errors.ErrorQUICConfig);
    if ('verifyCallback' in config || config.key?.length === 0) return;
    const dial = QUICClient.createQUICClient({ host: '127.0.0.1', port: 1, config: { key, cert, ...config } });
    await expect(dial).rejects.toThrow(errors.ErrorQUICConfig);
  });

  test('keep-alive rarer than the idle timeout', async () => {
    const config = { keepAliveIntervalTime: 1000, maxIdleTimeout: 1000 };
    expect(() => new QUICServer({ config: { key, cert, ...config } })).toThrow(errors.ErrorQUICConnectionConfigInvalid);
    const dial = QUICClient.createQUICClient({ host: '127.0.0.1', port: 1, config });
    await expect(dial).rejects.toThrow(errors.ErrorQUICConnectionConfigInvalid);
    expect(() => new QUICServer({ config: { key, cert, ...config, maxIdleTimeout: 0 } })).not.toThrow();
  });

  test('and the message names it', () => {
    const create = () => new QUICServer({ config: { key, cert, maxIdleTimeout: -1 } });
    expect(create).toThrow('maxIdleTimeout is -1');
  });
});

describe('a setting that there is not', () => {
  test.each([
    ['maxIdleTimout', ': did you mean maxIdleTimeout?'],
    ['maxidletimeout', ': did you mean maxIdleTimeout?'],
    ['verifycallback', ': did you mean verifyCallback?'],
    ['Ca', ': did you mean ca?'],
    ['serverName', ''],
    ['x', ''],
    ['toString', ''],
    ['__proto__', ''],
  ])('%s is refused, on both sides%s', async (name, hint) => {
    const config = { key, cert, ...(JSON.parse(`{"${name}": {}}`) as object) };
    const message = `there is no setting ${name}${hint}`;
    expect(() => new QUICServer({ config })).toThrow(errors.ErrorQUICConfig);
    expect(() => new QUICServer({ config })).toThrow(message);
    const dial = QUICClient.createQUICClient({ host: '127.0.0.1', port: 1, config });
    await expect(dial).rejects.toMatchObject({ code: 'Config', message });
  });

  test('may be there, and undefined', () => {
    const config = { key, cert, maxIdleTimout: undefined };
    expect(() => new QUICServer({ config })).not.toThrow();
  });
});

describe('credentials can be', () => {
  const { ca, issue } = createAuthority();
  const mine = issue();

  test.each([
    ['text', { ...mine, ca }],
    ['bytes', { key: Buffer.from(mine.key), cert: Buffer.from(mine.cert), ca: Buffer.from(ca) }],
    ['arrays of text', { key: [mine.key], cert: [mine.cert], ca: [ca] }],
    ['arrays of bytes', { key: [Buffer.from(mine.key)], cert: [Buffer.from(mine.cert)], ca: [Buffer.from(ca)] }],
    ['several, of several authorities', { ...mine, ca: createAuthority().ca + ca }],
    ['several, in an array', { ...mine, ca: [createAuthority('P-256').ca, ca] }],
    ['a chain with its authority', { ...mine, cert: mine.cert + ca, ca }],
  ])('%s', async (_, { ca, ...credentials }) => {
    await using pair = await createPair({
      server: { ...credentials, ca, verifyPeer: true },
      client: { ...credentials, ca },
    });
    await pair.near.confirmed;
    expect(pair.far.getRemoteCertsChain()).toEqual(pair.near.getLocalCertsChain());
    expect(pair.near.getLocalCACertsChain().length).toBeGreaterThan(0);
  });
});

test('the server names its one difference from the client', () => {
  expect(serverDefault).toEqual({ ...clientDefault, verifyPeer: false });
});

test('the defaults are those that programs count on', () => {
  const MiB = 1024 * 1024;
  expect(clientDefault).toMatchObject({
    verifyPeer: true,
    grease: true,
    keepAliveIntervalTime: undefined,
    maxIdleTimeout: 0,
    maxSendUdpPayloadSize: 1350,
    initialMaxData: 10 * MiB,
    initialMaxStreamDataBidiLocal: MiB,
    initialMaxStreamDataBidiRemote: MiB,
    initialMaxStreamDataUni: MiB,
    initialMaxStreamsBidi: 100,
    initialMaxStreamsUni: 100,
    maxConnectionWindow: native.quiche.MAX_CONNECTION_WINDOW,
    maxStreamWindow: native.quiche.MAX_STREAM_WINDOW,
    disableActiveMigration: true,
    applicationProtos: ['quic'],
    enableEarlyData: true,
  });
});

test('what is left undefined is as by default', async () => {
  await using pair = await createPair({ client: { maxIdleTimeout: undefined, sigalgs: undefined, key: undefined } });
  expect(pair.near.config.maxIdleTimeout).toBe(clientDefault.maxIdleTimeout);
});

test('what is null is as by default, as @matrixai/quic has it', async () => {
  const none = { ca: null, logKeys: null, verifyCallback: null } as unknown as QUICConfig;
  const { ca, issue } = createAuthority();
  const nobody = { ...none, key: null, cert: null } as unknown as QUICConfig;
  await using pair = await createPair({ server: { ...none, ...issue() }, client: { ...nobody, ca } });
  expect(pair.far.config).toMatchObject({ ca: undefined, logKeys: undefined, verifyCallback: undefined });
  expect(pair.far.getRemoteCertsChain()).toEqual([]);
  // Without a callback the chain is checked.
  const stranger = createAuthority().ca;
  await expect(createPair({ server: issue(), client: { ...nobody, ca: stranger } })).rejects.toThrow(
    errors.ErrorQUICConnectionLocalTLS,
  );
});

test('the settings of a connection can be looked at', async () => {
  await using pair = await createPair({ client: { maxIdleTimeout: 12_345 }, server: { initialMaxStreamsUni: 7 } });
  expect(pair.near.config.maxIdleTimeout).toBe(12_345);
  expect(pair.far.config.initialMaxStreamsUni).toBe(7);
});

describe('the configuration of the last dial', () => {
  const resolve = (input: Partial<QUICConfig>) => resolveConfig('client', clientDefault, input);

  test('is used again for equal settings, by whichever callback', () => {
    const [first, second] = [() => undefined, () => undefined];
    const before = resolve({ applicationProtos: ['a'], verifyCallback: first });
    const after = resolve({ applicationProtos: ['a'], verifyCallback: second });
    expect(after.native).toBe(before.native);
    expect(after.settings.verifyCallback).toBe(second);
    expect(resolve({ applicationProtos: ['a'] }).native).not.toBe(before.native);
  });

  test('is not, where a list was changed in place', () => {
    const input = { applicationProtos: ['a'] };
    const before = resolve(input);
    input.applicationProtos.push('b');
    expect(resolve(input).native).not.toBe(before.native);
  });

  test.each(['ca', 'key', 'nothing'])('is not, where %p that is undefined stands in the place of a setting', (name) => {
    const unsafe = resolve({ verifyPeer: false });
    const safe = resolve({ [name]: undefined });
    expect(safe.settings.verifyPeer).toBe(true);
    expect(safe.native).not.toBe(unsafe.native);
  });

  test('lets no setting through that is unknown', () => {
    resolve({ applicationProtos: ['a'] });
    expect(() => resolve({ applicationProtos: ['a'], maxIdleTimout: 1 } as object)).toThrow('maxIdleTimout');
  });
});

test.each<[string, unknown]>([
  ['verifyPeer', 0],
  ['verifyPeer', 'no'],
  ['enableEarlyData', 'x'],
  ['grease', 'yes'],
  ['followServer', 1],
  ['discoverPmtu', 1],
  ['disableActiveMigration', 'no'],
  ['earlyData', 1],
  ['keepAliveIntervalTime', '100'],
  ['congestionControl', 5],
  ['logKeys', 5],
  ['qlogDirectory', 5],
  ['groups', 5],
  ['sigalgs', 5],
  ['applicationProtos', [5]],
  ['enableDgram', [true]],
  ['dgramDrop', 'xy'],
])('%s can not be %p, and the message names it', (name, value) => {
  expect(() => resolveConfig('client', clientDefault, { [name]: value })).toThrow(errors.ErrorQUICConfig);
  expect(() => resolveConfig('client', clientDefault, { [name]: value })).toThrow(name);
});

test('an empty list of trust anchors is not a way to say: all of Node', () => {
  expect(() => resolveConfig('client', clientDefault, { ca: [] })).toThrow(/ca is an empty list/);
  expect(() => resolveConfig('client', clientDefault, { ca: [], verifyPeer: false })).not.toThrow();
  expect(() => resolveConfig('client', clientDefault, { ca: [], verifyCallback: () => undefined })).not.toThrow();
});
