import type { TransportParams } from '../../index.js';
import { CongestionControlAlgorithm, Config, PROTOCOL_VERSION } from '../../index.js';

import { RawPair, codeOf } from '../helpers/rawPair';

/** A setter by its name: what a table can hold. */
type Setter = (config: Config, value: number) => void;

describe('what is told to the peer', () => {
  const cases: [name: string, set: Setter, value: number, seen: keyof TransportParams][] = [
    ['setMaxIdleTimeout', (c, v) => c.setMaxIdleTimeout(v), 12_345, 'maxIdleTimeout'],
    ['setMaxRecvUdpPayloadSize', (c, v) => c.setMaxRecvUdpPayloadSize(v), 1234, 'maxUdpPayloadSize'],
    ['setInitialMaxData', (c, v) => c.setInitialMaxData(v), 54_321, 'initialMaxData'],
    [
      'setInitialMaxStreamDataBidiLocal',
      (c, v) => c.setInitialMaxStreamDataBidiLocal(v),
      2 ** 40,
      'initialMaxStreamDataBidiLocal',
    ],
    [
      'setInitialMaxStreamDataBidiRemote',
      (c, v) => c.setInitialMaxStreamDataBidiRemote(v),
      Number.MAX_SAFE_INTEGER,
      'initialMaxStreamDataBidiRemote',
    ],
    ['setInitialMaxStreamDataUni', (c, v) => c.setInitialMaxStreamDataUni(v), 777, 'initialMaxStreamDataUni'],
    ['setInitialMaxStreamsBidi', (c, v) => c.setInitialMaxStreamsBidi(v), 3, 'initialMaxStreamsBidi'],
    ['setInitialMaxStreamsUni', (c, v) => c.setInitialMaxStreamsUni(v), 4, 'initialMaxStreamsUni'],
    ['setAckDelayExponent', (c, v) => c.setAckDelayExponent(v), 7, 'ackDelayExponent'],
    ['setMaxAckDelay', (c, v) => c.setMaxAckDelay(v), 99, 'maxAckDelay'],
    ['setActiveConnectionIdLimit', (c, v) => c.setActiveConnectionIdLimit(v), 8, 'activeConnIdLimit'],
  ];

  test.each(cases)('%s', (_name, set, value, seen) => {
    const pair = RawPair.connected({ client: (config) => set(config, value) });
    expect(pair.server.peerTransportParams()![seen]).toBe(value);
    expect(pair.client.peerTransportParams()![seen]).not.toBe(value);
  });

  test('setDisableActiveMigration', () => {
    const pair = RawPair.connected({ server: (config) => config.setDisableActiveMigration(true) });
    expect(pair.client.peerTransportParams()!.disableActiveMigration).toBe(true);
    expect(pair.server.peerTransportParams()!.disableActiveMigration).toBe(false);
  });

  test('enableDgram', () => {
    const pair = RawPair.connected({ server: (config) => config.enableDgram(true, 5, 5) });
    expect(pair.client.peerTransportParams()!.maxDatagramFrameSize).toBe(65_536);
    expect(pair.server.peerTransportParams()!.maxDatagramFrameSize).toBeNull();
  });

  test('setStatelessResetToken goes out from servers', () => {
    const token = Buffer.from('00112233445566778899aabbccddeeff', 'hex');
    const set = (config: Config): void => config.setStatelessResetToken(token);
    const pair = RawPair.connected({ client: set, server: set });
    expect(pair.client.peerTransportParams()!.statelessResetToken).toEqual(token);
    expect(pair.server.peerTransportParams()!.statelessResetToken).toBeNull();
    const without = RawPair.connected({
      server: (config) => {
        set(config);
        config.setStatelessResetToken(null);
      },
    });
    expect(without.client.peerTransportParams()!.statelessResetToken).toBeNull();
  });

  test('ids of the handshake are shown', () => {
    const pair = RawPair.connected();
    const params = pair.client.peerTransportParams()!;
    expect(params.initialSourceConnectionId).toEqual(pair.server.sourceId());
    expect(params.originalDestinationConnectionId).toHaveLength(16);
    expect(params.retrySourceConnectionId).toBeNull();
  });

  test('enableTrackUnknownTransportParameters', () => {
    const pair = RawPair.connected({ client: (config) => config.enableTrackUnknownTransportParameters(1000) });
    expect(pair.client.peerTransportParams()!.unknown).toEqual([]);
    expect(pair.server.peerTransportParams()!.unknown).toBeNull();
  });
});

describe('congestion control and pacing', () => {
  test('setCcAlgorithm and setCcAlgorithmName choose it', () => {
    const byNumber = new RawPair({ client: (c) => c.setCcAlgorithm(CongestionControlAlgorithm.Bbr2Gcongestion) });
    expect(byNumber.client.gcongestionEnabled()).toBe(true);
    for (const name of ['bbr', 'bbr2', 'bbr2_gcongestion']) {
      expect(new RawPair({ client: (c) => c.setCcAlgorithmName(name) }).client.gcongestionEnabled()).toBe(true);
    }
    for (const name of ['reno', 'cubic']) {
      expect(new RawPair({ client: (c) => c.setCcAlgorithmName(name) }).client.gcongestionEnabled()).toBe(false);
    }
    const back = new RawPair({
      client: (config) => {
        config.setCcAlgorithmName('bbr2');
        config.setCcAlgorithm(CongestionControlAlgorithm.Cubic);
      },
    });
    expect(back.client.gcongestionEnabled()).toBe(false);
    expect(codeOf(() => new Config().setCcAlgorithmName('vegas'))).toBe('InvalidConfig');
    for (const bad of [2, 3, 5, NaN, 2 ** 32]) {
      expect(codeOf(() => new Config().setCcAlgorithm(bad as never))).toBe('InvalidArgument');
    }
  });

  test('setInitialCongestionWindowPackets', () => {
    const pair = new RawPair({ client: (config) => config.setInitialCongestionWindowPackets(25) });
    expect(pair.client.pathStats()[0].cwnd).toBe(25 * 1200);
    expect(pair.server.pathStats()[0].cwnd).toBe(10 * 1200);
  });

  test('setInitialRtt', () => {
    const pair = new RawPair({ client: (config) => config.setInitialRtt(77) });
    expect(pair.client.pathStats()[0].rtt).toBe(77);
    expect(pair.server.pathStats()[0].rtt).toBe(333);
  });

  test('setSendCapacityFactor', () => {
    const capacity = (factor?: number): number => {
      const pair = RawPair.connected({
        client: (config) => {
          if (factor !== undefined) config.setSendCapacityFactor(factor);
        },
      });
      pair.client.streamWrite(0, Buffer.from('.'), false);
      return pair.client.streamCapacity(0);
    };
    expect(capacity(2)).toBeGreaterThan(1.9 * capacity());
    expect(capacity(0.5)).toBeLessThan(0.6 * capacity());
  });

  test('enablePacing', () => {
    expect(new RawPair().client.pacingEnabled()).toBe(true);
    expect(new RawPair({ client: (config) => config.enablePacing(false) }).client.pacingEnabled()).toBe(false);
  });

  test('setMaxPacingRate spreads packets over time', () => {
    const pair = RawPair.connected({
      client: (config) => {
        config.setCcAlgorithmName('bbr2');
        config.setMaxPacingRate(1);
        config.setInitialCongestionWindowPackets(100);
      },
    });
    pair.client.streamWrite(0, Buffer.alloc(100_000), false);
    const latest = Math.max(...pair.take('client').map((packet) => packet.at));
    // 100 kB take 800 ms at 1 Mbit/s; on this link without a limit, none.
    expect(latest).toBeGreaterThan(300);
    expect(pair.client.getNextReleaseTime()!.delay).toBeGreaterThan(100);
  });

  test('setEnableSendStreamsBlocked tells the peer of its limit', () => {
    const blocked = (tell: boolean): number => {
      const pair = RawPair.connected({
        client: (config) => config.setEnableSendStreamsBlocked(tell),
        server: (config) => config.setInitialMaxStreamsBidi(1),
      });
      pair.client.streamWrite(0, Buffer.from('.'), false);
      expect(pair.client.streamWrite(4, Buffer.from('.'), false)).toBe(0);
      pair.flush();
      return pair.server.stats().streamsBlockedBidiRecvCount;
    };
    expect(blocked(true)).toBe(1);
    expect(blocked(false)).toBe(0);
  });
});

describe('versions', () => {
  test('a configuration is for a version that is spoken, or reserved', () => {
    expect(new Config(PROTOCOL_VERSION)).toBeInstanceOf(Config);
    expect(new Config(0xbabababa)).toBeInstanceOf(Config);
    expect(Config.withTls({}, PROTOCOL_VERSION)).toBeInstanceOf(Config);
    expect(codeOf(() => new Config(2))).toBe('UnknownVersion');
    expect(codeOf(() => Config.withTls({}, 2))).toBe('UnknownVersion');
    expect(codeOf(() => new Config(2 ** 32 + 1))).toBe('OutOfRange');
  });
});
