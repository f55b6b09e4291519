import { CryptoError } from '../../index.js';

import { identity } from '../helpers/rawCertificates';
import { RawPair, codeOf } from '../helpers/rawPair';

/** A pair in which these sides' applications judge their peers, up to the question. */
function pending(...judges: ('client' | 'server')[]): RawPair {
  const pair = new RawPair({
    client: (config) => config.setVerification(judges.includes('client') ? 'Application' : 'None'),
    server: (config) => config.setVerification(judges.includes('server') ? 'Application' : 'None'),
  });
  expect(judges.map((side) => pair[side].isVerificationPending())).toEqual(judges.map(() => false));
  pair.flush();
  return pair;
}

test('the handshake waits for the verdict, and the chain can be read meanwhile', () => {
  const pair = pending('client');
  expect(pair.client.isVerificationPending()).toBe(true);
  expect([pair.client.isEstablished(), pair.server.isEstablished()]).toEqual([false, false]);
  expect(pair.client.peerCertChain()).toEqual([Buffer.from(identity('server').der)].map((der) => new Uint8Array(der)));
  expect(pair.client.peerCert()).toEqual(identity('server').der);
  pair.flush();
  expect(pair.client.isEstablished()).toBe(false);
  expect(pair.client.settleVerification()).toBe(true);
  expect(pair.client.settleVerification()).toBe(false);
  pair.flush();
  expect([pair.client.isVerificationPending(), pair.client.isEstablished()]).toEqual([false, true]);
  expect(pair.server.isEstablished()).toBe(true);
});

test('both sides can judge', () => {
  const pair = pending('client', 'server');
  expect([pair.client.isVerificationPending(), pair.server.isVerificationPending()]).toEqual([true, false]);
  pair.client.settleVerification(null);
  pair.flush();
  expect([pair.client.isVerificationPending(), pair.server.isVerificationPending()]).toEqual([false, true]);
  // TLS 1.3: a client is established before the server has judged it.
  expect([pair.client.isEstablished(), pair.server.isEstablished()]).toEqual([true, false]);
  pair.server.settleVerification();
  pair.flush();
  expect(pair.server.isEstablished()).toBe(true);
});

describe('a refusal reaches the peer as the TLS alert that was given', () => {
  const alerts: [alert: number, code: CryptoError][] = [
    [42, CryptoError.BadCertificate],
    [45, CryptoError.CertificateExpired],
    [48, CryptoError.UnknownCA],
    [49, CryptoError.AccessDenied],
  ];

  test.each(alerts)('%d, by the client', (alert, code) => {
    const pair = pending('client');
    pair.client.settleVerification(alert);
    pair.flush();
    expect(pair.errors).toEqual([{ by: 'client', code: 'TlsFail' }]);
    pair.flush();
    expect(pair.client.localError()).toMatchObject({ isApp: false, errorCode: code });
    expect(pair.server.peerError()).toMatchObject({ isApp: false, errorCode: code });
    expect([pair.client.isEstablished(), pair.server.isEstablished()]).toEqual([false, false]);
  });

  test.each(alerts)('%d, by the server', (alert, code) => {
    const pair = pending('server');
    expect(pair.server.settleVerification(alert)).toBe(true);
    pair.flush();
    pair.flush();
    expect(pair.server.localError()).toMatchObject({ errorCode: code });
    expect(pair.client.peerError()).toMatchObject({ errorCode: code });
  });
});

test('a number that is no alert is refused, and the question stays', () => {
  const pair = pending('client');
  expect(codeOf(() => pair.client.settleVerification(1))).toBe('InvalidArgument');
  expect(codeOf(() => pair.client.settleVerification(256))).toBe('OutOfRange');
  expect(codeOf(() => pair.client.settleVerification(-1))).toBe('OutOfRange');
  expect(pair.client.isVerificationPending()).toBe(true);
});

test('there is nothing to settle where nobody asked', () => {
  const { client } = RawPair.connected();
  expect([client.isVerificationPending(), client.settleVerification(), client.settleVerification(42)]).toEqual([
    false,
    false,
    false,
  ]);
});
