import {
  Config,
  Connection,
  Header,
  MAX_CONN_ID_LEN,
  MIN_CLIENT_INITIAL_LEN,
  PROTOCOL_VERSION,
  negotiateVersion,
  retry,
  versionIsSupported,
} from '../../index.js';

import { identity } from '../helpers/rawCertificates';
import { CLIENT, RawPair, SERVER, baseConfig, codeOf, newId } from '../helpers/rawPair';

test('fixed sizes and the version', () => {
  expect([PROTOCOL_VERSION, MAX_CONN_ID_LEN, MIN_CLIENT_INITIAL_LEN]).toEqual([1, 20, 1200]);
  expect([versionIsSupported(1), versionIsSupported(0), versionIsSupported(0xbabababa)]).toEqual([true, false, false]);
  for (const bad of [-1, 1.5, NaN, 2 ** 32 + 1]) expect(codeOf(() => versionIsSupported(bad))).toBe('OutOfRange');
});

describe('Header.parse', () => {
  test('an Initial', () => {
    const pair = new RawPair();
    const [packet] = pair.take('client');
    const header = Header.parse(packet.data, 16)!;
    expect([header.type, header.version, header.token, header.versions]).toEqual(['Initial', 1, Buffer.alloc(0), null]);
    expect([header.scid, header.dcid]).toEqual([pair.client.sourceId(), pair.client.destinationId()]);
  });

  test('a handshake packet', () => {
    const { key, cert } = identity('server');
    // A chain that is longer than one datagram.
    const pair = new RawPair({ serverTls: { credentials: [{ key, cert: Buffer.concat([cert, cert, cert, cert]) }] } });
    pair.deliver(pair.take('client'));
    const types = pair.take('server').map((packet) => Header.parse(packet.data, 16)!.type);
    expect([types[0], types.at(-1)]).toEqual(['Initial', 'Handshake']);
  });

  test('a short header, which carries no source id and no length of its ids', () => {
    const connected = RawPair.connected();
    connected.client.streamWrite(0, Buffer.from('.'), false);
    const [packet] = connected.take('client');
    const header = Header.parse(packet.data, 16)!;
    expect([header.type, header.version, header.scid, header.token]).toEqual(['Short', 0, Buffer.alloc(0), null]);
    expect(header.dcid).toEqual(connected.server.sourceId());
    expect(Header.parse(packet.data, 3)!.dcid).toEqual(connected.server.sourceId().subarray(0, 3));
  });

  test('it leaves the bytes as they are', () => {
    const [packet] = new RawPair().take('client');
    const before = Buffer.from(packet.data);
    Header.parse(packet.data, 16);
    expect(packet.data).toEqual(before);
  });

  test('what is no QUIC packet is null', () => {
    for (const bytes of [Buffer.alloc(0), Buffer.from([0xc0]), Buffer.alloc(5, 0x40), Buffer.alloc(8, 0xff)]) {
      expect(Header.parse(bytes, 16)).toBeNull();
    }
  });

  test('ids have 0 to 20 bytes', () => {
    for (const bad of [-1, 21, 0.5, NaN]) expect(codeOf(() => Header.parse(Buffer.alloc(50), bad))).toBe('OutOfRange');
  });
});

describe('version negotiation', () => {
  test('a client of another version learns ours', () => {
    const config = new Config(0xbabababa);
    config.setApplicationProtos(['raw']);
    const client = Connection.connect(config, null, newId(), CLIENT, SERVER);
    const buffer = Buffer.alloc(1500);
    const sent = client.send(buffer)!;
    const header = Header.parse(buffer.subarray(0, sent.bytes), 16)!;
    expect([header.version, versionIsSupported(header.version)]).toEqual([0xbabababa, false]);

    const answer = negotiateVersion(header.scid, header.dcid);
    const negotiation = Header.parse(answer, 16)!;
    expect([negotiation.type, negotiation.version, negotiation.versions]).toEqual(['VersionNegotiation', 0, [1]]);
    expect([negotiation.dcid, negotiation.scid]).toEqual([header.scid, header.dcid]);

    client.recv(answer, { from: SERVER, to: CLIENT });
    client.send(buffer);
    expect(Header.parse(buffer, 16)!.version).toBe(1);
  });

  test('bad ids', () => {
    expect(codeOf(() => negotiateVersion(newId(21), newId()))).toBe('InvalidArgument');
    expect(codeOf(() => negotiateVersion(newId(), newId(21)))).toBe('InvalidArgument');
  });
});

describe('Retry', () => {
  test('the client comes back with the token, and is accepted with both ids', () => {
    const pair = new RawPair();
    const [initial] = pair.take('client');
    const first = Header.parse(initial.data, 16)!;
    const [newScid, token] = [newId(), Buffer.from('a token')];
    const packet = retry(first.scid, first.dcid, newScid, token, first.version);
    const seen = Header.parse(packet, 16)!;
    expect([seen.type, seen.token, seen.scid, seen.dcid]).toEqual(['Retry', token, newScid, first.scid]);

    pair.client.recv(packet, { from: SERVER, to: CLIENT });
    const again = pair.take('client');
    const second = Header.parse(again[0].data, 16)!;
    expect([second.type, second.token, second.dcid]).toEqual(['Initial', token, newScid]);

    const ids = { originalDestination: first.dcid, retrySource: newScid };
    const server = Connection.accept(baseConfig('server'), newId(), SERVER, CLIENT, ids);
    const resumed = Object.assign(pair, { server });
    resumed.deliver(again);
    resumed.flush();
    expect([resumed.errors, resumed.client.isEstablished(), server.isEstablished()]).toEqual([[], true, true]);
    expect(pair.client.peerTransportParams()).toMatchObject({
      originalDestinationConnectionId: first.dcid,
      retrySourceConnectionId: newScid,
    });
  });

  test('a server that does not name the ids is refused', () => {
    const pair = new RawPair();
    const first = Header.parse(pair.take('client')[0].data, 16)!;
    const packet = retry(first.scid, first.dcid, newId(), Buffer.from('t'), 1);
    pair.client.recv(packet, { from: SERVER, to: CLIENT });
    pair.flush();
    expect(pair.errors).toContainEqual({ by: 'client', code: 'InvalidTransportParam' });
  });

  test('bad arguments', () => {
    const [id, token] = [newId(), Buffer.from('t')];
    expect(codeOf(() => retry(newId(21), id, id, token, 1))).toBe('InvalidArgument');
    expect(codeOf(() => retry(id, newId(21), id, token, 1))).toBe('InvalidArgument');
    expect(codeOf(() => retry(id, id, newId(21), token, 1))).toBe('InvalidArgument');
    expect(codeOf(() => retry(id, id, id, Buffer.alloc(0), 1))).toBe('InvalidArgument');
    expect(codeOf(() => retry(id, id, id, token, 2))).toBe('UnknownVersion');
    expect(codeOf(() => retry(id, id, id, token, -1))).toBe('OutOfRange');
  });

  test('a token may be long', () => {
    const token = newId(5000);
    expect(Header.parse(retry(newId(20), newId(20), newId(20), token, 1), 16)!.token).toEqual(token);
  });
});
