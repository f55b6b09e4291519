import type { Address } from '../../index.js';
import { Config, Connection, ConnectionErrorCode, CryptoError, Endpoint } from '../../index.js';

import { CLIENT, RawPair, SERVER, baseConfig, codeOf, newId } from '../helpers/rawPair';

const NOT_INTEGERS = [-1, 0.5, NaN, Infinity, -Infinity, 2 ** 53, 1e300];
const buffer = Buffer.alloc(2000);

describe('numbers are refused, never wrapped', () => {
  const setters: [string, (config: Config, value: number) => void][] = [
    ['setMaxIdleTimeout', (c, v) => c.setMaxIdleTimeout(v)],
    ['setMaxRecvUdpPayloadSize', (c, v) => c.setMaxRecvUdpPayloadSize(v)],
    ['setMaxSendUdpPayloadSize', (c, v) => c.setMaxSendUdpPayloadSize(v)],
    ['setInitialMaxData', (c, v) => c.setInitialMaxData(v)],
    ['setInitialMaxStreamDataBidiLocal', (c, v) => c.setInitialMaxStreamDataBidiLocal(v)],
    ['setInitialMaxStreamDataBidiRemote', (c, v) => c.setInitialMaxStreamDataBidiRemote(v)],
    ['setInitialMaxStreamDataUni', (c, v) => c.setInitialMaxStreamDataUni(v)],
    ['setInitialMaxStreamsBidi', (c, v) => c.setInitialMaxStreamsBidi(v)],
    ['setInitialMaxStreamsUni', (c, v) => c.setInitialMaxStreamsUni(v)],
    ['setAckDelayExponent', (c, v) => c.setAckDelayExponent(v)],
    ['setMaxAckDelay', (c, v) => c.setMaxAckDelay(v)],
    ['setActiveConnectionIdLimit', (c, v) => c.setActiveConnectionIdLimit(v)],
    ['setPathChallengeRecvMaxQueueLen', (c, v) => c.setPathChallengeRecvMaxQueueLen(v)],
    ['setMaxConnectionWindow', (c, v) => c.setMaxConnectionWindow(v)],
    ['setMaxStreamWindow', (c, v) => c.setMaxStreamWindow(v)],
    ['enableDgram, to receive', (c, v) => c.enableDgram(true, v, 1)],
    ['enableDgram, to send', (c, v) => c.enableDgram(true, 1, v)],
    ['enableTrackUnknownTransportParameters', (c, v) => c.enableTrackUnknownTransportParameters(v)],
    ['setMaxAmplificationFactor', (c, v) => c.setMaxAmplificationFactor(v)],
    ['setInitialCongestionWindowPackets', (c, v) => c.setInitialCongestionWindowPackets(v)],
    ['setMaxPacingRate', (c, v) => c.setMaxPacingRate(v)],
    ['setInitialRtt', (c, v) => c.setInitialRtt(v)],
    ['setPmtudMaxProbes', (c, v) => c.setPmtudMaxProbes(v)],
    ['setHandshakeTimeout', (c, v) => c.setHandshakeTimeout(v)],
    ['setKeepAliveInterval', (c, v) => c.setKeepAliveInterval(v)],
  ];

  test.each(setters)('by %s', (_name, set) => {
    const config = new Config();
    for (const bad of NOT_INTEGERS) expect(codeOf(() => set(config, bad))).toBe('OutOfRange');
    for (const bad of ['1', null, undefined, {}, 1n]) {
      expect(codeOf(() => set(config, bad as number))).toBe('NumberExpected');
    }
  });

  test.each<[string, (config: Config, value: number) => void, number[], number[]]>([
    ['setMaxSendUdpPayloadSize', (c, v) => c.setMaxSendUdpPayloadSize(v), [1200, 65_527], [1199, 65_528]],
    ['setMaxRecvUdpPayloadSize', (c, v) => c.setMaxRecvUdpPayloadSize(v), [1200, 65_527], [1199, 65_528]],
    ['setAckDelayExponent', (c, v) => c.setAckDelayExponent(v), [0, 20], [21]],
    ['setMaxAckDelay', (c, v) => c.setMaxAckDelay(v), [0, 16_383], [16_384]],
    ['setActiveConnectionIdLimit', (c, v) => c.setActiveConnectionIdLimit(v), [2, 1024], [1, 1025]],
    ['setInitialRtt', (c, v) => c.setInitialRtt(v), [1, 60_000], [0, 60_001]],
    ['setPmtudMaxProbes', (c, v) => c.setPmtudMaxProbes(v), [0, 255], [256]],
    ['setMaxAmplificationFactor', (c, v) => c.setMaxAmplificationFactor(v), [1, 1000], [0, 1001]],
    ['setSendCapacityFactor', (c, v) => c.setSendCapacityFactor(v), [0.01, 1000], [0, -1, NaN, 1001]],
    ['enableDgram', (c, v) => c.enableDgram(true, v, v), [1, 65_535], [0, 65_536]],
  ])('%s has its range', (_name, set, good, bad) => {
    const config = new Config();
    for (const value of good) set(config, value);
    for (const value of bad) expect(codeOf(() => set(config, value))).toBe('OutOfRange');
  });

  test('by streams', () => {
    const { client } = RawPair.connected();
    for (const bad of NOT_INTEGERS) {
      expect(codeOf(() => client.streamRead(bad, buffer))).toBe('OutOfRange');
      expect(codeOf(() => client.streamWrite(bad, buffer, false))).toBe('OutOfRange');
      expect(codeOf(() => client.streamShutdown(bad, 0, 0))).toBe('OutOfRange');
      expect(codeOf(() => client.streamShutdown(0, 0, bad))).toBe('OutOfRange');
      expect(codeOf(() => client.streamPriority(bad, 1, true))).toBe('OutOfRange');
      expect(codeOf(() => client.streamPriority(0, bad, true))).toBe('OutOfRange');
      expect(codeOf(() => client.streamWritable(0, bad))).toBe('OutOfRange');
      expect(codeOf(() => client.streamReadableLen(0, bad))).toBe('OutOfRange');
      expect(codeOf(() => client.streamDiscard(0, bad))).toBe('OutOfRange');
      expect(codeOf(() => client.close(true, bad, buffer))).toBe('OutOfRange');
      expect(codeOf(() => client.stream(bad))).toBe('OutOfRange');
    }
    for (const bad of [2, -1, NaN, 2 ** 32, 2 ** 32 + 1]) {
      expect(codeOf(() => client.streamShutdown(0, bad as 0, 0))).toBe('InvalidArgument');
    }
    // The largest id that JavaScript can name; quiche knows no more than 2^60.
    expect(client.streamRead(Number.MAX_SAFE_INTEGER, buffer)).toBe(-2);
  });
});

describe('other bad arguments', () => {
  const connect = (local: unknown, peer: unknown): Connection =>
    Connection.connect(baseConfig('client'), null, newId(), local as Address, peer as Address);

  test('addresses', () => {
    for (const host of ['localhost', '', '1.2.3', '[::1]', '256.1.1.1']) {
      expect(codeOf(() => connect({ host, port: 1 }, SERVER))).toBe('InvalidArgument');
      expect(codeOf(() => connect(CLIENT, { host, port: 1 }))).toBe('InvalidArgument');
    }
    for (const port of [-1, 65_536, NaN, 1.5]) {
      expect(codeOf(() => connect({ host: '::1', port }, SERVER))).toBe('OutOfRange');
    }
    expect(connect({ host: '::ffff:10.0.0.1', port: 1 }, SERVER).localAddress()).toEqual({ host: '10.0.0.1', port: 1 });
    expect(connect({ host: 'fe80::1%2', port: 1 }, { host: '::1', port: 2 }).localAddress().host).toBe('fe80::1%2');
  });

  test('wrong types', () => {
    const { client } = RawPair.connected();
    const wrong = (value: unknown): never => value as never;
    for (const value of [null, undefined, 'text', 7, {}]) {
      expect(codeOf(() => client.streamWrite(0, wrong(value), false))).toBe('InvalidArg');
      expect(codeOf(() => client.streamRead(0, wrong(value)))).toBe('InvalidArg');
      expect(codeOf(() => client.recv(wrong(value), { from: SERVER, to: CLIENT }))).toBe('InvalidArg');
      expect(codeOf(() => client.dgramSend(wrong(value)))).toBe('InvalidArg');
    }
    expect(codeOf(() => client.streamRead(0, wrong(new Uint16Array(4))))).toBe('InvalidArg');
    expect(codeOf(() => client.streamWrite(0, buffer, wrong(1)))).toBe('BooleanExpected');
    expect(codeOf(() => client.setKeylog(wrong(1)))).toBe('StringExpected');
    expect(codeOf(() => connect('10.0.0.1:1', SERVER))).toMatch(/Expected|InvalidArg/);
    expect(codeOf(() => connect({ host: 1, port: 1 }, SERVER))).toBe('StringExpected');
    expect(codeOf(() => Connection.connect(wrong({}), null, newId(), CLIENT, SERVER))).toBe('InvalidArg');
    expect(() => client.dgramPurgeOutgoing(wrong('no function'))).toThrow();
  });

  test('methods want their own object', () => {
    const { client } = RawPair.connected();
    expect(() => client.isClosed.call({} as never)).toThrow();
    expect(() => client.isClosed.call(new Config() as never)).toThrow();
    expect(() => new (Connection as unknown as new () => Connection)()).toThrow();
  });

  test('empty and detached buffers are empty', () => {
    const { client, server } = RawPair.connected();
    const detached = new Uint8Array(10);
    structuredClone(detached.buffer, { transfer: [detached.buffer] });
    expect(client.streamWrite(0, detached, false)).toBe(0);
    expect(client.streamWrite(0, new Uint8Array(0), true)).toBe(0);
    expect(server.streamRead(0, detached)).toBe(-2);
    expect(codeOf(() => client.send(detached))).toBe('BufferTooShort');
  });
});

describe('a connection that an endpoint drives', () => {
  function newEndpoint(): Endpoint {
    const endpoint = new Endpoint();
    endpoint.setLocalAddress(CLIENT.host, CLIENT.port);
    endpoint.setChangesBuffer(new Float64Array(300));
    return endpoint;
  }

  function driven(): { endpoint: Endpoint; connection: Connection } {
    const endpoint = newEndpoint();
    const connection = endpoint.connect(baseConfig('client'), SERVER.host, SERVER.port);
    return { endpoint, connection };
  }

  test('has a key, and refuses what only its driver may do', () => {
    const { connection } = driven();
    expect(connection.key).toEqual(expect.any(Number));
    const calls: (() => unknown)[] = [
      () => connection.recv(buffer, { from: SERVER, to: CLIENT }),
      () => connection.send(buffer),
      () => connection.sendOnPath(buffer, CLIENT, SERVER),
      () => connection.onTimeout(),
      () => connection.migrate(CLIENT, SERVER),
      () => connection.migrateSource(CLIENT),
      () => connection.probePath(CLIENT, SERVER),
      () => connection.newScid(newId(), newId(), true),
      () => connection.retireDcid(0),
      () => connection.retiredScidNext(),
      () => connection.streamReadableNext(),
      () => connection.streamWritableNext(),
    ];
    for (const call of calls) expect(codeOf(call)).toBe('DrivenByEndpoint');
    expect(connection.isClosed()).toBe(false);
  });

  test('keeps its statistics and names when the endpoint has let go, and nothing else', () => {
    const { endpoint, connection } = driven();
    endpoint.transmit(Buffer.alloc(10_000), new Int32Array(30));
    const name = connection.traceId();
    endpoint.close();
    expect(connection.stats().sent).toBeGreaterThan(0);
    expect([connection.pathStats()[0].peer, connection.remoteAddress(), connection.localAddress()]).toEqual([
      SERVER,
      SERVER,
      CLIENT,
    ]);
    expect([connection.localError(), connection.peerError(), connection.isTimedOut()]).toEqual([null, null, false]);
    expect([connection.isClosed(), connection.isDraining(), connection.isEstablished()]).toEqual([true, false, false]);
    expect([connection.key, connection.traceId(), connection.isServer()]).toEqual([null, name, false]);
    const calls: (() => unknown)[] = [
      () => connection.streamWrite(0, buffer, false),
      () => connection.streamRead(0, buffer),
      () => connection.stream(0).write(buffer),
      () => connection.dgramSend(buffer),
      () => connection.close(true, 0, buffer),
      () => connection.send(buffer),
      () => connection.recv(buffer, { from: SERVER, to: CLIENT }),
      () => connection.timeout(),
      () => connection.sourceId(),
      () => connection.peerTransportParams(),
      () => connection.setQlog('never', '', ''),
      () => connection.pathEventNext(),
      () => connection.settleVerification(),
    ];
    for (const call of calls) expect(codeOf(call)).toBe('Closed');
  });

  test('setHandshakeTimeout is its timer until the handshake is complete', () => {
    const endpoint = newEndpoint();
    const timeout = (set: (config: Config) => void): number => {
      const config = baseConfig('client');
      config.setInitialRtt(60_000);
      set(config);
      endpoint.connect(config, SERVER.host, SERVER.port);
      do {
        // A packet that pacing holds back for a moment is due at once.
        endpoint.onTimeout();
        while (endpoint.transmit(Buffer.alloc(10_000), new Int32Array(30)) > 0);
      } while (endpoint.timeout() === 0);
      return endpoint.timeout();
    };
    expect(timeout((config) => config.setHandshakeTimeout(0))).toBeGreaterThan(50_000);
    expect(timeout(() => undefined)).toBeLessThanOrEqual(30_000);
    expect(timeout((config) => config.setHandshakeTimeout(700))).toBeLessThanOrEqual(700);
  });

  test('setKeepAliveInterval is its timer afterwards', () => {
    const timeout = (ms: number): number => {
      const [client, server] = [CLIENT, SERVER].map((address) => {
        const endpoint = new Endpoint();
        endpoint.setLocalAddress(address.host, address.port);
        endpoint.setChangesBuffer(new Float64Array(300));
        return { endpoint, address };
      }) as [Socketless, Socketless];
      server.endpoint.listen(baseConfig('server'));
      const config = baseConfig('client');
      config.setKeepAliveInterval(ms);
      const connection = client.endpoint.connect(config, SERVER.host, SERVER.port);
      for (let moved = true; moved;) moved = move(client, server) || move(server, client);
      expect(connection.isEstablished()).toBe(true);
      return client.endpoint.timeout();
    };
    expect(timeout(0)).toBe(-1);
    expect(timeout(5000)).toBeGreaterThan(4000);
    expect(timeout(5000)).toBeLessThanOrEqual(5000);
  });
});

interface Socketless {
  endpoint: Endpoint;
  address: Address;
}

/** Carries one batch of datagrams from one endpoint to the other; answers whether there was any. */
function move(from: Socketless, to: Socketless): boolean {
  const [data, layout] = [Buffer.alloc(20_000), new Int32Array(30)];
  const count = from.endpoint.transmit(data, layout);
  const sender = to.endpoint.internAddress(from.address.host, from.address.port);
  for (let n = 0; n < count; n += 1) layout[n * 3 + 2] = sender;
  to.endpoint.receive(data, layout, count);
  return count > 0;
}

test('handles may be collected while the connection lives', () => {
  const pair = RawPair.connected();
  for (let n = 0; n < 10_000; n += 1) pair.client.stream(n * 4);
  pair.client.streamWrite(0, Buffer.from('still here'), true);
  pair.flush();
  expect(pair.server.streamRead(0, buffer)).toBe(10 * 2 + 1);
});

test('error codes on the wire have their numbers', () => {
  expect([ConnectionErrorCode.NoError, ConnectionErrorCode.ConnectionRefused]).toEqual([0, 2]);
  expect([ConnectionErrorCode.ApplicationError, ConnectionErrorCode.NoViablePath]).toEqual([12, 16]);
  const names = Object.keys(CryptoError).filter((name) => Number.isNaN(Number(name)));
  expect(names).toHaveLength(27);
  expect([CryptoError.CloseNotify, CryptoError.BadCertificate, CryptoError.NoApplicationProtocol]).toEqual([
    0x100,
    0x100 + 42,
    0x100 + 120,
  ]);
  expect(CryptoError[0x100 + 116]).toBe('CertificateRequired');
});
