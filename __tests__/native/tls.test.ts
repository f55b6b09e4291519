import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { Config, CryptoError } from '../../index.js';

import { identity } from '../helpers/rawCertificates';
import { RawPair, baseConfig, codeOf } from '../helpers/rawPair';

let directory: string;

beforeAll(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'raw-tls-'));
});

afterAll(() => fs.rmSync(directory, { recursive: true }));

function write(name: string, content: Uint8Array | string): string {
  const file = path.join(directory, name);
  fs.writeFileSync(file, content);
  return file;
}

/** Both sides' errors after a handshake that must fail, as each saw them. */
function failure(pair: RawPair) {
  pair.flush();
  return {
    client: pair.client.localError()?.errorCode ?? pair.client.peerError()?.errorCode,
    server: pair.server.localError()?.errorCode ?? pair.server.peerError()?.errorCode,
  };
}

describe('credentials from files', () => {
  test('loadCertChainFromPemFile and loadPrivKeyFromPemFile', () => {
    const { key, cert, der } = identity('server');
    const config = baseConfig('server', {});
    config.loadCertChainFromPemFile(write('cert.pem', cert));
    config.loadPrivKeyFromPemFile(write('key.pem', key));
    const pair = RawPair.connected({ serverConfig: config });
    expect(pair.client.peerCert()).toEqual(der);
  });

  test('a file that is missing, or holds something else, is named', () => {
    const missing = path.join(directory, 'missing.pem');
    const rubbish = write('rubbish.pem', 'rubbish');
    const other = identity('client');
    const config = new Config();
    for (const file of [missing, rubbish]) {
      expect(() => config.loadCertChainFromPemFile(file)).toThrow(file);
      expect(() => config.loadPrivKeyFromPemFile(file)).toThrow(file);
      expect(() => config.loadVerifyLocationsFromFile(file)).toThrow(file);
      expect(codeOf(() => config.loadCertChainFromPemFile(file))).toBe('InvalidConfig');
      expect(codeOf(() => config.loadPrivKeyFromPemFile(file))).toBe('InvalidConfig');
      expect(codeOf(() => config.loadVerifyLocationsFromFile(file))).toBe('InvalidConfig');
    }
    config.loadCertChainFromPemFile(write('cert.pem', identity('server').cert));
    expect(codeOf(() => config.loadPrivKeyFromPemFile(write('other.pem', other.key)))).toBe('InvalidConfig');
    expect(codeOf(() => config.loadCertChainFromPemFile('nul\0byte'))).toBe('InvalidConfig');
  });
});

describe('credentials from memory', () => {
  const { key, cert } = identity('server');
  const bad: [string, Parameters<typeof Config.withTls>[0]][] = [
    ['a key of another certificate', { credentials: [{ key: identity('client').key, cert }] }],
    ['a key that is none', { credentials: [{ key: Buffer.from('rubbish'), cert }] }],
    ['an empty chain', { credentials: [{ key, cert: Buffer.alloc(0) }] }],
    ['anchors that are none', { ca: [Buffer.from('rubbish')] }],
    ['DER anchors that are none', { caDer: [Buffer.from('rubbish')] }],
    ['unknown signature algorithms', { sigalgs: 'rot13' }],
    ['unknown groups', { groups: 'rot13' }],
  ];

  test.each(bad)('refused: %s', (_name, settings) => {
    expect(codeOf(() => Config.withTls(settings))).toBe('InvalidConfig');
  });

  test('sigalgs decides which keys will do', () => {
    const pair = new RawPair({ clientTls: { sigalgs: 'ECDSA+SHA256' } });
    expect(failure(pair)).toEqual({ client: CryptoError.HandshakeFailure, server: CryptoError.HandshakeFailure });
    RawPair.connected({ clientTls: { sigalgs: 'ed25519' } });
  });

  test('groups, and setCurvesList, need one in common', () => {
    const { key, cert } = identity('server');
    const serverTls = { credentials: [{ key, cert }], groups: 'P-384' };
    const pair = new RawPair({ serverTls, clientTls: { groups: 'X25519' } });
    expect(failure(pair).client).toBe(CryptoError.HandshakeFailure);
    RawPair.connected({ serverTls, clientTls: { groups: 'X25519:P-384' } });
    RawPair.connected({ serverTls, clientTls: { groups: 'X25519' }, client: (c) => c.setCurvesList('P-384') });
    expect(codeOf(() => new Config().setCurvesList('rot13'))).toBe('InvalidConfig');
  });
});

describe('application protocols', () => {
  test('the first of the client that the server has is taken', () => {
    const pair = RawPair.connected({
      client: (config) => config.setApplicationProtos(['b', Buffer.from('a')]),
      server: (config) => config.setApplicationProtos(['a', 'b']),
    });
    expect([pair.client.applicationProto().toString(), pair.server.applicationProto().toString()]).toEqual(['b', 'b']);
  });

  test('setApplicationProtosWireFormat', () => {
    const wire = Buffer.from('\x03one\x03two');
    const pair = RawPair.connected({
      client: (config) => config.setApplicationProtosWireFormat(wire),
      server: (config) => config.setApplicationProtos(['two']),
    });
    expect(pair.client.applicationProto().toString()).toBe('two');
    expect(codeOf(() => new Config().setApplicationProtosWireFormat(wire.subarray(0, 6)))).toBe('InvalidConfig');
  });

  test('without one in common there is no connection', () => {
    const pair = new RawPair({ client: (config) => config.setApplicationProtos(['other']) });
    const { NoApplicationProtocol } = CryptoError;
    expect(failure(pair)).toEqual({ client: NoApplicationProtocol, server: NoApplicationProtocol });
  });

  test('names have 1 to 255 bytes', () => {
    expect(codeOf(() => new Config().setApplicationProtos(['']))).toBe('InvalidConfig');
    expect(codeOf(() => new Config().setApplicationProtos(['a'.repeat(256)]))).toBe('InvalidConfig');
    new Config().setApplicationProtos(['a'.repeat(255)]);
  });
});

describe("BoringSSL's judgement of the peer", () => {
  const server = identity('server');

  test('verifyPeer refuses an unknown peer, and loadVerifyLocationsFromFile makes it known', () => {
    const strict = (): Config => {
      const config = new Config();
      config.setApplicationProtos(['raw']);
      config.verifyPeer(true);
      return config;
    };
    expect(failure(new RawPair({ clientConfig: strict() })).client).toBe(CryptoError.UnknownCA);
    const informed = strict();
    informed.loadVerifyLocationsFromFile(write('ca.pem', server.cert));
    RawPair.connected({ clientConfig: informed });
    const lax = strict();
    lax.verifyPeer(false);
    RawPair.connected({ clientConfig: lax });
  });

  test('loadVerifyLocationsFromDirectory finds anchors by the hash of their name', () => {
    const anchors = path.join(directory, 'anchors');
    fs.mkdirSync(anchors);
    fs.writeFileSync(path.join(anchors, `${subjectHash('server')}.0`), server.cert);
    const config = new Config();
    config.setApplicationProtos(['raw']);
    config.verifyPeer(true);
    config.loadVerifyLocationsFromDirectory(anchors);
    RawPair.connected({ clientConfig: config });
  });

  test('setVerification Chain checks the name as well', () => {
    const clientTls = { ca: [server.cert] };
    const client = (config: Config): void => config.setVerification('Chain');
    RawPair.connected({ clientTls, client });
    RawPair.connected({ clientTls: { caDer: [server.der] }, client });
    RawPair.connected({ clientTls, client, serverName: '10.0.0.2' });
    for (const serverName of ['other', '10.0.0.3']) {
      const pair = new RawPair({ clientTls, client, serverName });
      expect(failure(pair).client).toBe(CryptoError.BadCertificate);
      expect(pair.errors).toContainEqual({ by: 'client', code: 'TlsFail' });
    }
  });

  test('a server that verifies wants a certificate', () => {
    const demand = { server: (config: Config) => config.setVerification('Chain') };
    const pair = new RawPair({ ...demand, clientTls: {} });
    expect(failure(pair).server).toBe(CryptoError.CertificateRequired);
    const client = identity('client');
    const { key, cert } = server;
    const known = RawPair.connected({ ...demand, serverTls: { credentials: [{ key, cert }], ca: [client.cert] } });
    expect(known.server.peerCert()).toEqual(client.der);
  });

  test('with verifyPeer alone it lets clients without one in', () => {
    const pair = RawPair.connected({ clientTls: {}, server: lax });
    expect(pair.server.peerCert()).toBeNull();
    expect(pair.server.peerCertChain()).toBeNull();
    function lax(config: Config): void {
      config.verifyPeer(true);
    }
  });

  test('an unknown judge is refused', () => {
    expect(codeOf(() => new Config().setVerification('Nobody' as 'None'))).toBe('InvalidArg');
  });
});

test('a server name that can be no name is refused', () => {
  expect(codeOf(() => new RawPair({ serverName: 'a'.repeat(300) }))).toBe('InvalidConfig');
});

test('the server sees the name that the client asked for', () => {
  expect(RawPair.connected({ serverName: 'wanted.example' }).server.serverName()).toBe('wanted.example');
  expect(RawPair.connected({ serverName: null }).server.serverName()).toBeNull();
  // RFC 6066 §3: no addresses in SNI.
  expect(RawPair.connected({ serverName: '10.0.0.2' }).server.serverName()).toBeNull();
});

/** OpenSSL's hash of a subject that is only a common name: SHA-1 of its canonical form, the first four bytes reversed. */
function subjectHash(commonName: string): string {
  const string = Buffer.concat([Buffer.from([0x0c, commonName.length]), Buffer.from(commonName.toLowerCase())]);
  const attribute = Buffer.concat([Buffer.from('0603550403', 'hex'), string]);
  const sequence = Buffer.concat([Buffer.from([0x30, attribute.length]), attribute]);
  const set = Buffer.concat([Buffer.from([0x31, sequence.length]), sequence]);
  return crypto.createHash('sha1').update(set).digest().subarray(0, 4).reverse().toString('hex');
}

describe('what was agreed on', () => {
  test('cipher and group', () => {
    const tls = (side: 'client' | 'server', groups: string) => {
      const { key, cert } = identity(side);
      return { credentials: [{ key, cert }], groups };
    };
    const pair = RawPair.connected({ clientTls: tls('client', 'X25519:P-256'), serverTls: tls('server', 'P-256') });
    for (const end of [pair.client, pair.server]) {
      expect(end.group()).toBe('P-256');
      expect(end.cipher()).toMatch(/^TLS_(AES_|CHACHA20_)/);
    }
    expect([new RawPair().client.group(), new RawPair().client.cipher()]).toEqual([null, null]);
  });

  test('handshake', () => {
    expect(new RawPair().client.handshake()).toBeNull();
    const { client, server } = RawPair.connected();
    for (const end of [client, server]) {
      expect(end.handshake()).toEqual({
        sourceId: end.sourceId(),
        destinationId: end.destinationId(),
        peerCertChain: end.peerCertChain(),
        cipher: end.cipher(),
        group: end.group(),
        applicationProto: end.applicationProto(),
        serverName: end.serverName(),
        isResumed: false,
      });
    }
  });

  test('exportKeyingMaterial', () => {
    const { client, server } = RawPair.connected();
    const context = Buffer.from('context');
    const ours = client.exportKeyingMaterial('EXPORTER-test', context, 48);
    expect(ours).toHaveLength(48);
    expect(server.exportKeyingMaterial('EXPORTER-test', context, 48)).toEqual(ours);
    expect(server.exportKeyingMaterial('EXPORTER-test', Buffer.alloc(0), 48)).not.toEqual(ours);
    expect(server.exportKeyingMaterial('EXPORTER-else', context, 48)).not.toEqual(ours);
    expect(RawPair.connected().client.exportKeyingMaterial('EXPORTER-test', context, 48)).not.toEqual(ours);
    for (const length of [0, -1, 1.5, 4097, NaN]) {
      expect(codeOf(() => client.exportKeyingMaterial('x', context, length))).toBe('OutOfRange');
    }
    expect(codeOf(() => client.exportKeyingMaterial('x'.repeat(250), context, 32))).toBe('InvalidArgument');
    expect(codeOf(() => new RawPair().client.exportKeyingMaterial('x', context, 32))).toBe('InvalidState');
  });
});

describe('chainFailure', () => {
  const judging = (ca: Buffer[]) => ({
    clientTls: { ca },
    client: (config: Config) => config.setVerification('Chain'),
  });

  test('says which check failed on which certificate', () => {
    const pair = new RawPair(judging([identity('client').cert]));
    expect(failure(pair)).toEqual({ client: CryptoError.UnknownCA, server: CryptoError.UnknownCA });
    expect(pair.client.chainFailure()).toMatchObject({ check: 'Untrusted', index: 0, subject: 'CN=server' });
    expect(pair.server.chainFailure()).toBeNull();
  });

  test('is null for a chain that passes', () => {
    const pair = RawPair.connected(judging([identity('server').cert]));
    expect(pair.client.chainFailure()).toBeNull();
  });
});

describe('tickets', () => {
  const { key, cert } = identity('server');
  const server = (ticketLifetime: number) =>
    baseConfig('server', { credentials: [{ key, cert }], sessionTickets: true, ticketLifetime });

  test('ticketLifetime is a second to seven days', () => {
    for (const lifetime of [0, -1, 604_801, NaN]) expect(codeOf(() => server(lifetime))).toBe('OutOfRange');
    expect(RawPair.connected({ serverConfig: server(1.5) }).client.session()).not.toBeNull();
  });

  test('verifyResumed judges the chain of the session', () => {
    const serverConfig = server(3600);
    const session = RawPair.connected({ serverConfig }).client.session()!;
    const judging = (ca: Buffer) =>
      new RawPair({
        serverConfig,
        clientTls: { ca: [ca], verifyResumed: true },
        client: (config) => config.setVerification('Chain'),
        before: ({ client }) => client.setSession(session),
      });
    const trusting = judging(cert);
    trusting.flush();
    expect([trusting.client.isEstablished(), trusting.client.isResumed()]).toEqual([true, true]);
    expect(failure(judging(identity('client').cert)).client).toBe(CryptoError.UnknownCA);
  });
});
