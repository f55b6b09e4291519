import { setTimeout as sleep } from 'node:timers/promises';

import { Connection, ConnectionErrorCode, MIN_CLIENT_INITIAL_LEN } from '../../index.js';

import { identity } from '../helpers/rawCertificates';
import { CLIENT, RawPair, SERVER, baseConfig, codeOf, newId } from '../helpers/rawPair';

const buffer = Buffer.alloc(65_535);

describe('driving by hand', () => {
  test('send says from where to where, and null when there is nothing', () => {
    const { client } = new RawPair({ clientTls: { groups: 'X25519' } });
    const sent = client.send(buffer);
    expect(sent).toMatchObject({ from: CLIENT, to: SERVER, bytes: MIN_CLIENT_INITIAL_LEN, at: 0 });
    expect(client.send(buffer)).toBeNull();
  });

  test('recv answers how much it has processed, and takes strangers bytes for nothing', () => {
    const pair = RawPair.connected();
    pair.client.streamWrite(0, Buffer.from('.'), false);
    const [packet] = pair.take('client');
    const { data } = packet;
    expect(pair.server.recv(data, { from: CLIENT, to: SERVER })).toBe(data.length);
    expect(pair.server.streamReadable(0)).toBe(true);
    expect(pair.server.recv(Buffer.alloc(50, 0x55), { from: CLIENT, to: SERVER })).toBe(50);
    // A packet from an address that the client has never sent to is nobody's.
    expect(pair.client.recv(Buffer.alloc(50, 0x55), { from: { host: '10.9.9.9', port: 1 }, to: CLIENT })).toBe(50);
    expect([pair.client.isClosed(), pair.server.isClosed()]).toEqual([false, false]);
  });

  test('empty buffers are too short', () => {
    const { client } = new RawPair();
    expect(codeOf(() => client.send(Buffer.alloc(0)))).toBe('BufferTooShort');
    expect(codeOf(() => client.recv(Buffer.alloc(0), { from: SERVER, to: CLIENT }))).toBe('BufferTooShort');
  });

  test('a first packet that is rubbish throws what is wrong with it', () => {
    const { client, server } = new RawPair();
    client.send(buffer);
    buffer[1199] ^= 1;
    expect(codeOf(() => server.recv(buffer.subarray(0, 1200), { from: CLIENT, to: SERVER }))).toBe('CryptoFail');
  });

  test('sendOnPath sends on that path only', () => {
    const { client } = new RawPair();
    const elsewhere = { host: '10.9.9.9', port: 9 };
    expect(codeOf(() => client.sendOnPath(buffer, CLIENT, elsewhere))).toBe('InvalidState');
    expect(client.sendOnPath(buffer, CLIENT, SERVER)).toMatchObject({ from: CLIENT, to: SERVER });
    const another = new RawPair().client;
    expect(another.sendOnPath(buffer, CLIENT)).toMatchObject({ to: SERVER });
    expect(new RawPair().client.sendOnPath(buffer, null, SERVER)).toMatchObject({ from: CLIENT });
  });

  test('timeout and onTimeout send again what was lost', async () => {
    const pair = new RawPair({ client: (config) => config.setInitialRtt(100) });
    expect(pair.client.timeout()).toBeNull();
    pair.take('client');
    const timeout = pair.client.timeout()!;
    expect(timeout).toBeGreaterThan(0);
    expect(Number.isInteger(timeout)).toBe(true);
    pair.client.onTimeout();
    expect(pair.take('client')).toEqual([]);
    // Node's timers may come a moment early.
    for (let left: number | null = timeout; left; left = pair.client.timeout()) await sleep(left);
    pair.client.onTimeout();
    expect(pair.take('client')).not.toEqual([]);
  });

  test('a packet lost on the way is sent again', async () => {
    const pair = RawPair.connected();
    pair.filter = () => false;
    pair.client.streamWrite(0, Buffer.from('hello'), true);
    pair.flush();
    pair.filter = () => true;
    await pair.until(() => pair.server.streamReadable(0));
    expect(pair.server.streamRead(0, buffer)).toBe(5 * 2 + 1);
    expect(pair.client.stats().lost + pair.client.pathStats()[0].totalPtoCount).toBeGreaterThan(0);
  });

  test('connectWithDcid begins with that destination id', () => {
    const dcid = newId(11);
    const connect = (id: Buffer): Connection =>
      Connection.connectWithDcid(baseConfig('client'), 'server', newId(), id, CLIENT, SERVER);
    expect(connect(dcid).destinationId()).toEqual(dcid);
    expect(codeOf(() => connect(newId(7)))).toBe('InvalidDcidInitialization');
    expect(codeOf(() => connect(newId(21)))).toBe('InvalidArgument');
  });

  test('ids have at most 20 bytes', () => {
    expect(codeOf(() => Connection.connect(baseConfig('client'), null, newId(21), CLIENT, SERVER))).toBe(
      'InvalidArgument',
    );
    expect(codeOf(() => Connection.accept(baseConfig('server'), newId(21), SERVER, CLIENT))).toBe('InvalidArgument');
    const empty = Connection.connect(baseConfig('client'), null, Buffer.alloc(0), CLIENT, SERVER);
    expect(empty.sourceId()).toHaveLength(0);
  });
});

describe('who and what', () => {
  test('names and sides', () => {
    const { client, server } = RawPair.connected();
    expect([client.isServer(), server.isServer()]).toEqual([false, true]);
    expect(client.traceId()).toBe(client.sourceId().toString('hex'));
    expect(client.destinationId()).toEqual(server.sourceId());
    expect([client.localAddress(), client.remoteAddress()]).toEqual([CLIENT, SERVER]);
    expect([server.localAddress(), server.remoteAddress()]).toEqual([SERVER, CLIENT]);
    expect(client.key).toBeNull();
    expect([client.closeCause(), server.closeCause()]).toEqual([null, null]);
  });

  test('the handshake, from its begin to its end', () => {
    const pair = new RawPair();
    const { client, server } = pair;
    expect([client.isEstablished(), client.peerTransportParams(), client.applicationProto()]).toEqual([
      false,
      null,
      Buffer.alloc(0),
    ]);
    expect([client.isResumed(), client.isInEarlyData(), client.isDraining(), client.isClosed()]).toEqual([
      false,
      false,
      false,
      false,
    ]);
    pair.flush();
    expect([client.isEstablished(), server.isEstablished()]).toEqual([true, true]);
    expect(client.applicationProto().toString()).toBe('raw');
  });

  test('statistics count', () => {
    const pair = RawPair.connected();
    pair.client.streamWrite(0, Buffer.alloc(5000), false);
    pair.flush();
    const [near, far] = [pair.client.stats(), pair.server.stats()];
    expect([near.sent, near.sentBytes]).toEqual([far.recv, far.recvBytes]);
    expect(near.sentBytes).toBeGreaterThan(5000);
    expect(near.ackedBytes).toBeGreaterThan(5000);
    expect(near.txBufferedConsistent).toBe(true);
    expect(near.bytesInFlightDuration).toBeGreaterThan(0);
    expect([near.pathsCount, pair.client.pathStats()]).toMatchObject([
      1,
      [{ active: true, local: CLIENT, peer: SERVER }],
    ]);
    expect(pair.client.pathStats()[0].minRtt).toBeGreaterThan(0);
    expect(pair.client.pathStats()[0]).toMatchObject({
      validationState: 'Validated',
      sentBytes: near.sentBytes,
      maxBandwidth: null,
      startupExit: null,
    });
  });

  test('sendAckEliciting makes the peer answer', () => {
    const pair = RawPair.connected();
    pair.flush();
    expect(pair.take('client')).toEqual([]);
    const before = pair.server.stats().recv;
    pair.client.sendAckEliciting();
    pair.flush();
    expect(pair.server.stats().recv).toBe(before + 1);
    pair.client.sendAckElicitingOnPath(CLIENT, SERVER);
    pair.flush();
    expect(pair.server.stats().recv).toBe(before + 2);
    expect(codeOf(() => pair.client.sendAckElicitingOnPath(SERVER, CLIENT))).toBe('InvalidState');
  });

  test('sizes follow the settings', () => {
    const pair = new RawPair({ client: (config) => config.setMaxSendUdpPayloadSize(1400) });
    expect(pair.client.maxSendUdpPayloadSize()).toBe(1200);
    pair.flush();
    expect([pair.client.maxSendUdpPayloadSize(), pair.server.maxSendUdpPayloadSize()]).toEqual([1400, 1200]);
    pair.client.streamWrite(0, Buffer.alloc(5000), false);
    expect(Math.max(...pair.take('client').map(({ bytes }) => bytes))).toBe(1400);
  });

  test('pacing tells when and how much', () => {
    const { client } = RawPair.connected();
    expect(client.sendQuantum()).toBeGreaterThanOrEqual(1200);
    expect(client.sendQuantumOnPath(CLIENT, SERVER)).toBe(client.sendQuantum());
    expect(client.sendQuantumOnPath(SERVER, CLIENT)).toBe(0);
    expect(client.maxReleaseIntoFuture()).toBeGreaterThanOrEqual(1);
    expect(client.getNextReleaseTime()).toEqual({ delay: 0, canBurst: false });
  });
});

describe('the end', () => {
  test('close tells the peer whose code it is, and why', () => {
    const pair = RawPair.connected();
    expect(pair.client.close(true, 77, Buffer.from('enough'))).toBe(true);
    expect(pair.client.close(true, 78, Buffer.from('again'))).toBe(false);
    pair.flush();
    const reason = { isApp: true, errorCode: 77, reason: Buffer.from('enough') };
    expect([pair.client.localError(), pair.client.peerError()]).toEqual([reason, null]);
    expect([pair.server.localError(), pair.server.peerError()]).toEqual([null, reason]);
    expect([pair.client.closeCause(), pair.server.closeCause()]).toEqual(['Local', 'Peer']);
    expect([pair.client.isDraining(), pair.client.isClosed(), pair.server.isDraining()]).toEqual([true, false, true]);
  });

  test('draining ends', async () => {
    const pair = RawPair.connected();
    pair.client.close(false, ConnectionErrorCode.NoError, Buffer.alloc(0));
    pair.flush();
    expect(pair.client.isDraining()).toBe(true);
    await pair.until(() => pair.client.isClosed() && pair.server.isClosed());
    expect([pair.client.isTimedOut(), pair.client.timeout()]).toEqual([false, null]);
    expect(pair.client.peerError()).toBeNull();
    expect(pair.server.peerError()).toMatchObject({ isApp: false, errorCode: 0 });
  });

  test("before the handshake is complete the application's code is hidden", () => {
    const pair = new RawPair();
    pair.deliver(pair.take('client'));
    pair.deliver(pair.take('server').slice(0, 1));
    pair.client.close(true, 77, Buffer.from('secret'));
    pair.flush();
    const hidden = { isApp: false, errorCode: ConnectionErrorCode.ApplicationError, reason: Buffer.alloc(0) };
    expect(pair.server.peerError()).toEqual(hidden);
  });

  test('silence ends it', async () => {
    const pair = RawPair.connected({ client: (config) => config.setMaxIdleTimeout(50) });
    pair.filter = () => false;
    await pair.until(() => pair.client.isClosed());
    expect([pair.client.isTimedOut(), pair.client.closeCause()]).toEqual([true, 'IdleTimeout']);
  });

  test('setMaxIdleTimeout of a connection counts, before its first packet', async () => {
    const pair = RawPair.connected({ before: ({ client }) => client.setMaxIdleTimeout(60) });
    expect(pair.server.peerTransportParams()!.maxIdleTimeout).toBe(60);
    expect(codeOf(() => pair.client.setMaxIdleTimeout(70))).toBe('InvalidState');
    expect(codeOf(() => pair.server.setMaxIdleTimeout(70))).toBe('InvalidState');
    pair.filter = () => false;
    await pair.until(() => pair.client.isClosed());
    expect(pair.client.isTimedOut()).toBe(true);
  });
});

test('setMaxAmplificationFactor bounds what a server sends to an address that may be forged', () => {
  const { key, cert } = identity('server');
  const firstFlight = (factor: number): number => {
    const pair = new RawPair({
      clientTls: { groups: 'X25519' },
      serverTls: { credentials: [{ key, cert: Buffer.concat(Array<Buffer>(10).fill(cert)) }] },
      server: (config) => config.setMaxAmplificationFactor(factor),
    });
    pair.deliver(pair.take('client'));
    const bytes = pair.take('server').reduce((sum, packet) => sum + packet.bytes, 0);
    expect(pair.server.stats().amplificationLimitedCount > 0).toBe(bytes >= factor * 1200);
    return bytes;
  };
  expect([firstFlight(1), firstFlight(3)]).toEqual([1200, 3600]);
  expect(firstFlight(100)).toBeGreaterThan(3600);
});
