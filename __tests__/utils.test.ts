import { createHmac } from 'node:crypto';
import type { Callback, ConnectionIdString, Host, QUICServerCrypto, StreamId } from '../lib';
import { QUICConnectionId, errors, native, utils } from '../lib';
import ChurnMap from '../lib/utils/churnMap';
import { createIdentity } from './helpers/certificates';

describe('addresses', () => {
  test.each([
    ['127.0.0.1', true, false, false],
    ['::1', false, true, false],
    ['::ffff:127.0.0.1', false, true, true],
    ['::ffff:7f00:1', false, true, true],
    ['::FFFF:127.0.0.1', false, true, true],
    ['0:0:0:0:0:ffff:127.0.0.1', false, true, true],
    ['::fffe:127.0.0.1', false, true, false],
    ['fe80::1%eth0', false, true, false],
    ['localhost', false, false, false],
    ['127.0.0.256', false, false, false],
  ])('%s', (host, isIPv4, isIPv6, isMapped) => {
    expect(utils.isIPv4(host)).toBe(isIPv4);
    expect(utils.isIPv6(host)).toBe(isIPv6);
    expect(utils.isIPv4MappedIPv6(host)).toBe(isMapped);
  });

  test('are mapped and back', () => {
    expect(utils.toIPv4MappedIPv6Dec('127.0.0.1')).toBe('::ffff:127.0.0.1');
    expect(utils.toIPv4MappedIPv6Hex('127.0.0.1')).toBe('::ffff:7f00:1');
    expect(utils.fromIPv4MappedIPv6('::ffff:127.0.0.1')).toBe('127.0.0.1');
    expect(utils.fromIPv4MappedIPv6('::ffff:c0a8:ff01')).toBe('192.168.255.1');
    expect(utils.isIPv4MappedIPv6Dec('::ffff:127.0.0.1')).toBe(true);
    expect(utils.isIPv4MappedIPv6Hex('::ffff:7f00:1')).toBe(true);
    expect(() => utils.toIPv4MappedIPv6Dec('::1')).toThrow(TypeError);
    expect(() => utils.fromIPv4MappedIPv6('::1')).toThrow(TypeError);
  });

  test.each([
    ['0.0.0.0', '127.0.0.1'],
    ['::', '::1'],
    ['::0', '::1'],
    ['::ffff:0.0.0.0', '::ffff:127.0.0.1'],
    ['10.0.0.0', '10.0.0.0'],
  ])('%s as a target is %s', (host, target) => {
    expect(utils.isHostWildcard(host)).toBe(host !== target);
    expect(utils.resolvesZeroIP(host as Host)).toBe(target);
  });

  test('print with their port', () => {
    expect(utils.buildAddress('127.0.0.1', 1)).toBe('127.0.0.1:1');
    expect(utils.buildAddress('::1', 1)).toBe('[::1]:1');
  });

  test('are canonical or refused', () => {
    expect(utils.toCanonicalIP('::ffff:7f00:1')).toBe('127.0.0.1');
    expect(utils.toCanonicalIP('::1')).toBe('::1');
    expect(() => utils.toCanonicalIP('localhost')).toThrow(TypeError);
  });

  test('of names come from the resolver', async () => {
    expect(await utils.resolveHost('here', () => '::1')).toEqual(['::1', 'udp6']);
    expect(await utils.resolveHost('localhost', utils.resolveHostname)).toHaveLength(2);
    await expect(utils.resolveHost('here', () => 'there')).rejects.toThrow(errors.ErrorQUICHostInvalid);
    await expect(utils.resolveHost('x', () => Promise.reject(new Error('no')))).rejects.toMatchObject({
      cause: { message: 'no' },
    });
  });

  test('ports are integers from 0 to 65535', () => {
    expect([0, 1, 65_535].map((port) => utils.toPort(port))).toEqual([0, 1, 65_535]);
    for (const port of [-1, 65_536, 1.5, NaN, '1', undefined]) {
      expect(() => utils.toPort(port)).toThrow(errors.ErrorQUICPortInvalid);
    }
  });
});

test('a map of what comes and goes holds what is there', () => {
  const map = new ChurnMap<number, string>();
  for (const key of [2, 1, 3]) map.set(key, `value ${key}`);
  map.set(2, 'another value');
  map.delete(1);
  map.delete(4);
  expect([map.size, map.get(1), map.get(2), map.get(4)]).toEqual([2, undefined, 'another value', undefined]);
  expect([...map.values()]).toEqual(['another value', 'value 3']);
});

describe('PEM', () => {
  const { cert } = createIdentity();

  test('to DER and back', () => {
    const der = utils.pemToDER(cert);
    expect(der[0]).toBe(0x30);
    expect(utils.derToPEM(der).trim()).toBe(cert.trim());
    expect(() => utils.pemToDER('nothing')).toThrow(TypeError);
  });

  test('is collected from text, bytes and arrays', () => {
    const expected = cert.trimEnd() + '\n';
    expect(utils.collectPEMs()).toEqual([]);
    expect(utils.collectPEMs(cert)).toEqual([expected]);
    expect(utils.collectPEMs(Buffer.from(cert))).toEqual([expected]);
    expect(utils.collectPEMs([cert, cert])).toEqual([expected, expected]);
  });
});

test('connection ids print as hexadecimal', () => {
  const id = QUICConnectionId.fromBuffer(Buffer.from('00ff10', 'hex'));
  expect([id.toString(), id.string, String(id)]).toEqual(['00ff10', '00ff10', '00ff10']);
  expect(QUICConnectionId.fromString('00ff10')).toEqual(id);
  expect(id.toBuffer()).toEqual(Buffer.from('00ff10', 'hex'));
  expect(id.slice(1)).toHaveLength(2);
  expect(utils.decodeConnectionId('00ff' as ConnectionIdString)).toEqual(Buffer.from('00ff', 'hex'));
});

test('stream ids tell initiator and kind', () => {
  const ids = [0, 1, 2, 3] as StreamId[];
  expect(ids.map((id) => utils.isStreamServerInitiated(id))).toEqual([false, true, false, true]);
  expect(ids.map((id) => utils.isStreamClientInitiated(id))).toEqual([true, false, true, false]);
  expect(ids.map((id) => utils.isStreamUnidirectional(id))).toEqual([false, false, true, true]);
  expect(ids.map((id) => utils.isStreamBidirectional(id))).toEqual([true, true, false, false]);
});

test('errors are told with class, description and message', () => {
  expect(utils.formatError(new errors.ErrorQUICConfig('why'))).toBe('ErrorQUICConfig: QUIC config error - why');
  expect(utils.formatError(new Error('why'))).toBe('Error - why');
});

test('callbacks become promises', async () => {
  const add = utils.promisify((a: number, b: number, callback: Callback<[number]>) => {
    callback(null, a + b);
  });
  expect(await add(1, 2)).toBe(3);
  const fail = utils.promisify((callback: Callback) => {
    callback(new Error('no'));
  });
  await expect(fail()).rejects.toThrow('no');
});

test('bytes are wrapped without a copy', () => {
  const bytes = new Uint8Array([1, 2, 3]);
  const wrapped = utils.bufferWrap(bytes);
  wrapped[0] = 9;
  expect(bytes[0]).toBe(9);
  expect(utils.bufferWrap(bytes.buffer, 1)).toHaveLength(2);
});

test('codes are told by name, and names by code', () => {
  expect(native.CryptoError.BadCertificate).toBe(298);
  expect(native.CryptoError[298]).toBe('BadCertificate');
  expect(native.ConnectionErrorCode[2]).toBe('ConnectionRefused');
});

describe('of the old list', () => {
  const key = Buffer.from('a key of the application');
  const sign = (data: ArrayBuffer) => createHmac('sha256', key).update(new Uint8Array(data)).digest();
  const crypto: QUICServerCrypto = {
    key,
    ops: {
      sign: async (_key, data) => new Uint8Array(sign(data)).buffer,
      verify: async (_key, data, sig) => sign(data).equals(new Uint8Array(sig)),
    },
  };

  test('tokens name the connection id of the host they were made for', async () => {
    const id = QUICConnectionId.fromString('00ff10');
    const host = '127.0.0.1' as Host;
    const token = await utils.mintToken(id, host, crypto);
    expect(await utils.validateToken(token, host, crypto)).toEqual(id);
    expect(await utils.validateToken(token, '127.0.0.2' as Host, crypto)).toBeUndefined();
    for (const other of ['', 'null', '{}', '{"msg":"","sig":""}', token.toString().replace('msg":"', 'msg":"A')]) {
      expect(await utils.validateToken(Buffer.from(other), host, crypto)).toBeUndefined();
    }
  });

  test('errors of quiche tell the code of a stream', () => {
    expect(utils.isStreamStopped(new Error('StreamStopped(7)'))).toBe(7);
    expect(utils.isStreamReset(new Error('StreamReset(0)'))).toBe(0);
    expect(utils.isStreamReset(new Error('StreamStopped(7)'))).toBe(false);
  });
});
