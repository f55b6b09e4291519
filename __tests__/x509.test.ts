import { createPrivateKey, createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import tls from 'node:tls';
import { types } from 'node:util';
import {
  createCertificate,
  derToPem,
  generateKey,
  type NewCertificateOptions,
  parseCertificates,
  pemToDer,
  publicKeyFingerprint,
  TrustAnchors,
  verifyChain,
  verifyChainAsync,
  verifySuccessorChain,
} from '../index.js';
import * as x509 from '../lib/x509';

const AT = 1_800_000_000;
const DAY = 86_400;

interface Party {
  key: string;
  der: Uint8Array;
  pem: string;
}

function makeKey(type: string): string {
  if (type !== 'RSA') return generateKey(type as 'Ed25519');
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
}

function party(commonName: string, issuer?: Party, options: Partial<NewCertificateOptions> = {}): Party {
  const key = (options.key as string | undefined) ?? generateKey('Ed25519');
  const certificate = createCertificate({
    commonName,
    key,
    notBefore: AT - DAY,
    notAfter: AT + DAY,
    ...(issuer && { issuer: { certificate: issuer.der, key: issuer.key } }),
    ...options,
  });
  return { key, ...certificate };
}

/** The code of what is thrown. */
function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    // Not by instanceof: jest has an Error of its own.
    expect(types.isNativeError(error)).toBe(true);
    return (error as Error & { code: string }).code;
  }
  return 'nothing was thrown';
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('parseCertificates', () => {
  test.each(['Ed25519', 'P-256', 'P-384', 'RSA'])(
    'agrees with node:crypto about a certificate with a key of %s',
    (type) => {
      const { der, pem } = party('alice', undefined, {
        key: makeKey(type),
        isCa: true,
        pathLength: 2,
        dnsNames: ['alice.example', '*.alice.example'],
        ipAddresses: ['127.0.0.1', '::1'],
        uris: ['pk://alice'],
        serialNumber: 'AB12',
      });
      const [info, ...others] = parseCertificates(pem);
      const theirs = new X509Certificate(der);
      expect(others).toHaveLength(0);
      expect(info).toMatchObject({
        version: 3,
        subject: 'CN=alice',
        subjectCommonName: 'alice',
        issuer: 'CN=alice',
        serialNumber: theirs.serialNumber,
        notBefore: Date.parse(theirs.validFrom) / 1000,
        notAfter: Date.parse(theirs.validTo) / 1000,
        keyType: type,
        isCa: theirs.ca,
        pathLength: 2,
        dnsNames: ['alice.example', '*.alice.example'],
        ipAddresses: ['127.0.0.1', '::1'],
        uris: ['pk://alice'],
        emailAddresses: [],
        keyUsage: ['digitalSignature', 'keyCertSign', 'cRLSign'],
      });
      expect(info.keyBits).toBe(type === 'RSA' ? 2048 : undefined);
      expect(info.extendedKeyUsage).toBeUndefined();
      expect(hex(info.der)).toBe(hex(theirs.raw));
      expect(hex(info.spki)).toBe(hex(theirs.publicKey.export({ type: 'spki', format: 'der' })));
      expect(info.fingerprint.toUpperCase()).toBe(theirs.fingerprint256.replaceAll(':', ''));
      expect(info.publicKeyFingerprint).toBe(publicKeyFingerprint(info.spki));
    },
  );

  test('gives extensions by object identifier', () => {
    const oid = '1.3.6.1.4.1.57167.2.2.2';
    const value = Buffer.from('0401ff', 'hex');
    const { der } = party('alice', undefined, { extensions: [{ oid, value, critical: true }] });
    const extension = parseCertificates(der)[0].extensions.find((one) => one.oid === oid);
    expect(extension).toMatchObject({ oid, critical: true });
    expect(hex(extension?.value ?? new Uint8Array())).toBe('0401ff');
  });

  test('reads text, bytes of text, DER, and lists of them, in their order', () => {
    const parties = ['a', 'b', 'c'].map((name) => party(name));
    const pem = parties.map((one) => one.pem).join('text between\r\n');
    const names = (input: Parameters<typeof parseCertificates>[0]) =>
      parseCertificates(input).map((info) => info.subjectCommonName);
    expect(names(pem)).toEqual(['a', 'b', 'c']);
    expect(names(Buffer.from(pem))).toEqual(['a', 'b', 'c']);
    expect(names([parties[0].der, parties[1].pem, Buffer.from(parties[2].pem)])).toEqual(['a', 'b', 'c']);
    expect(names([])).toEqual([]);
  });

  test('reads the roots that Node.js comes with', () => {
    const roots = new TrustAnchors([...tls.rootCertificates]);
    expect(roots.size).toBe(tls.rootCertificates.length);
    const subjects = parseCertificates([...tls.rootCertificates]).map((info) => info.isCa || info.version === 1);
    expect(subjects).not.toContain(false);
  });

  test('tells what is wrong with the input', () => {
    const { der, pem, key } = party('alice');
    const lines = pem.trimEnd().split('\n');
    const withoutEnd = lines.slice(0, -1).join('\n');
    const truncated = [...lines.slice(0, 2), lines[2].slice(0, -1), ...lines.slice(-1)].join('\n');
    expect(codeOf(() => parseCertificates(''))).toBe('NoCertificate');
    expect(codeOf(() => parseCertificates(key))).toBe('NoCertificate');
    expect(codeOf(() => parseCertificates(withoutEnd))).toBe('MissingPemEnd');
    expect(codeOf(() => parseCertificates(truncated))).toBe('TruncatedBase64');
    expect(codeOf(() => parseCertificates(pem.replace(lines[2], '*')))).toBe('InvalidBase64');
    expect(codeOf(() => parseCertificates(Buffer.from('garbage')))).toBe('MalformedCertificate');
    expect(codeOf(() => parseCertificates(der.subarray(1)))).toBe('MalformedCertificate');
    expect(codeOf(() => parseCertificates(der.subarray(0, -1)))).toBe('MalformedCertificate');
    expect(codeOf(() => parseCertificates(Buffer.concat([der, Buffer.from([0])])))).toBe('TrailingBytes');
    expect(codeOf(() => parseCertificates(Buffer.alloc(1 << 20, 0x30)))).toBe('CertificateTooLarge');
    expect(() => parseCertificates(5 as unknown as string)).toThrow();
  });
});

describe('PEM', () => {
  test('goes to DER and back', () => {
    const { der, pem, key } = party('alice');
    expect(derToPem(der)).toBe(pem);
    expect(pemToDer(`${pem}${key}`).map((block) => block.length)).toEqual([der.length, 48]);
    expect(hex(pemToDer(`${key}${pem}`, 'CERTIFICATE')[0])).toBe(hex(der));
    expect(derToPem(pemToDer(key)[0], 'PRIVATE KEY')).toBe(key);
  });

  test('tells what is wrong', () => {
    expect(codeOf(() => pemToDer('no block'))).toBe('NoPemBlock');
    expect(codeOf(() => pemToDer(party('alice').pem, 'PRIVATE KEY'))).toBe('NoPemBlock');
    expect(codeOf(() => derToPem(Buffer.from([1]), 'lower case'))).toBe('InvalidPemLabel');
  });
});

describe('keys', () => {
  test.each([
    ['Ed25519', 'ed25519'],
    ['P-256', 'ec'],
    ['P-384', 'ec'],
  ])('generateKey(%s) makes a key that node:crypto reads', (type, theirs) => {
    const key = generateKey(type as 'Ed25519');
    expect(createPrivateKey(key).asymmetricKeyType).toBe(theirs);
    expect(generateKey(type as 'Ed25519')).not.toBe(key);
  });

  test('a key has one fingerprint, whatever holds it', () => {
    const { key, der, pem } = party('alice');
    const publicKey = createPublicKey(key);
    const expected = parseCertificates(der)[0].publicKeyFingerprint;
    expect(expected).toMatch(/^[0-9a-f]{64}$/);
    const holders = [
      key,
      pem,
      der,
      publicKey.export({ type: 'spki', format: 'pem' }) as string,
      publicKey.export({ type: 'spki', format: 'der' }),
      createPrivateKey(key).export({ type: 'pkcs8', format: 'der' }),
    ];
    expect(holders.map((holder) => publicKeyFingerprint(holder))).toEqual(holders.map(() => expected));
  });

  test('RSA is declined with the way out, and what is no key is refused', () => {
    expect(() => generateKey('RSA' as 'Ed25519')).toThrow(/node:crypto/);
    expect(codeOf(() => generateKey('RSA' as 'Ed25519'))).toBe('UnknownKeyAlgorithm');
    expect(codeOf(() => publicKeyFingerprint(Buffer.from('garbage')))).toBe('NoKey');
    const { privateKey } = generateKeyPairSync('ed25519');
    const encrypted = privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-128-cbc', passphrase: 'secret' });
    expect(codeOf(() => publicKeyFingerprint(encrypted))).toBe('EncryptedPrivateKey');
  });
});

describe('createCertificate', () => {
  test.each(['Ed25519', 'P-256', 'P-384', 'RSA'])('node:crypto verifies what a key of %s has signed', (type) => {
    const issuer = party('issuer', undefined, { key: makeKey(type), isCa: true });
    const leaf = party('leaf', issuer, { dnsNames: ['leaf.example'] });
    const [theirs, theirIssuer] = [new X509Certificate(leaf.der), new X509Certificate(issuer.der)];
    expect(theirs.verify(theirIssuer.publicKey)).toBe(true);
    expect(theirs.checkIssued(theirIssuer)).toBe(true);
    expect(theirs.checkHost('leaf.example')).toBe('leaf.example');
    expect(theirs.checkPrivateKey(createPrivateKey(leaf.key))).toBe(true);
  });

  test('takes keys and certificates as PEM and as DER', () => {
    const issuer = party('issuer', undefined, { isCa: true });
    const { der } = party('leaf', undefined, {
      key: Buffer.from(pemToDer(generateKey('P-256'))[0]),
      issuer: { certificate: issuer.pem, key: Buffer.from(issuer.key) },
    });
    expect(parseCertificates(der)[0].issuer).toBe('CN=issuer');
  });

  test.each<[string, Partial<NewCertificateOptions>]>([
    ['OutOfRange', { notBefore: -1 }],
    ['OutOfRange', { notAfter: Number.NaN }],
    ['OutOfRange', { notAfter: AT * 1000 }],
    ['InvalidValidity', { notAfter: AT - 2 * DAY }],
    ['OutOfRange', { isCa: true, pathLength: 256 }],
    ['OutOfRange', { isCa: true, pathLength: 0.5 }],
    ['InvalidArgument', { pathLength: 1 }],
    ['InvalidArgument', { serialNumber: 'xyz' }],
    ['InvalidArgument', { serialNumber: 'aé' }],
    ['InvalidArgument', { serialNumber: '00'.repeat(21) }],
    ['InvalidSerial', { serialNumber: '00' }],
    ['InvalidArgument', { ipAddresses: ['localhost'] }],
    ['InvalidName', { dnsNames: ['bücher.example'] }],
    ['InvalidOid', { extensions: [{ oid: '1', value: Buffer.alloc(0) }] }],
    ['NoPrivateKey', { key: 'no key' }],
    ['UnsupportedKey', { key: Buffer.from('garbage') }],
  ])('throws %s for %j', (code, options) => {
    expect(codeOf(() => party('alice', undefined, options))).toBe(code);
  });

  test("refuses an issuer's key that is not the one in its certificate", () => {
    const [issuer, other] = [party('issuer'), party('other')];
    expect(codeOf(() => party('leaf', { ...issuer, key: other.key }))).toBe('IssuerKeyMismatch');
  });

  test('refuses keys in other formats with the way out', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const key = privateKey.export({ type: 'sec1', format: 'pem' });
    expect(codeOf(() => party('alice', undefined, { key }))).toBe('NotPkcs8');
    expect(() => party('alice', undefined, { key })).toThrow(/pkcs8/);
  });
});

describe('verifyChain', () => {
  const root = party('root', undefined, { isCa: true });
  const middle = party('middle', root, { isCa: true });
  const leaf = party('leaf', middle, { dnsNames: ['leaf.example'], ipAddresses: ['10.0.0.1'] });
  const chain = [leaf.der, middle.der];
  const anchors = new TrustAnchors(root.pem);

  test('accepts a chain that leads to an anchor', () => {
    const verdict = verifyChain(chain, { anchors, at: AT, purpose: 'server', serverName: 'LEAF.example.' });
    const { publicKeyFingerprint } = parseCertificates(leaf.der)[0];
    expect(verdict).toEqual({ ok: true, length: 2, anchor: 0, publicKeyFingerprint });
  });

  test('takes anchors in all forms', () => {
    for (const form of [anchors, root.pem, root.der, Buffer.from(root.pem), [leaf.der, root.pem]]) {
      expect(verifyChain(chain, { anchors: form, at: AT }).ok).toBe(true);
    }
    expect(new TrustAnchors([root.der, Buffer.from('odd')], true)).toMatchObject({ size: 1, unreadable: 1 });
    expect(codeOf(() => new TrustAnchors([root.der, Buffer.from('odd')]))).toBe('MalformedCertificate');
    expect(codeOf(() => verifyChain(chain, { anchors: 'odd', at: AT }))).toBe('NoCertificate');
    expect(() => verifyChain(chain, { anchors: JSON.parse('{}') as TrustAnchors, at: AT })).toThrow();
  });

  const plain = party('plain', root);
  const shallow = party('shallow', undefined, { isCa: true, pathLength: 0 });
  const belowShallow = party('middle', shallow, { isCa: true });
  const strange = { oid: '1.2.3.4', value: Buffer.from('0500', 'hex'), critical: true };
  const onlySignsCertificates = { oid: '2.5.29.15', value: Buffer.from('03020204', 'hex') };

  test.each<[string, number | undefined, number, Uint8Array[], Partial<Parameters<typeof verifyChain>[1]>]>([
    ['EmptyChain', undefined, 372, [], {}],
    ['ChainTooLong', undefined, 298, chain, { maxLength: 1 }],
    ['ChainTooLong', undefined, 298, Array<Uint8Array>(65).fill(leaf.der), {}],
    ['ChainTooLarge', undefined, 298, Array<Uint8Array>(3).fill(Buffer.alloc(100_000)), {}],
    ['MalformedCertificate', 1, 298, [leaf.der, Buffer.from('garbage')], {}],
    ['ChainLoop', 2, 298, [middle.der, root.der, root.der], { anchors: plain.der }],
    ['IssuerMismatch', 0, 304, [leaf.der, root.der], {}],
    ['BadSignature', 0, 298, [leaf.der, belowShallow.der], { anchors: shallow.der }],
    ['CertificateNotYetValid', 0, 301, chain, { at: AT - 2 * DAY }],
    ['CertificateExpired', 0, 301, chain, { at: AT + 2 * DAY }],
    ['NotCa', 1, 298, [party('leaf', plain).der, plain.der], {}],
    ['PathLengthExceeded', 2, 298, [party('leaf', belowShallow).der, belowShallow.der], { anchors: shallow.der }],
    ['KeyUsage', 0, 298, [party('leaf', root, { extensions: [onlySignsCertificates] }).der], {}],
    ['UnknownCriticalExtension', 0, 298, [party('leaf', root, { extensions: [strange] }).der], {}],
    ['Untrusted', 0, 304, [party('self-signed').der], {}],
    ['NameMismatch', 0, 298, chain, { serverName: 'other.example' }],
    ['NameMismatch', 0, 298, chain, { serverName: '10.0.0.2' }],
  ])('refuses with %s, blaming certificate %s', (code, index, cryptoError, ders, options) => {
    const verdict = verifyChain(ders, { anchors, at: AT, ...options });
    expect(verdict).toMatchObject({ ok: false, code, cryptoError });
    if (verdict.ok) throw new Error('it was accepted');
    expect(verdict.index).toBe(index);
    expect(verdict.message).not.toBe('');
  });

  test('leaves critical extensions to a caller who says so', () => {
    const { der } = party('leaf', root, { extensions: [strange] });
    expect(verifyChain([der], { anchors, at: AT, acceptedCriticalExtensions: ['1.2.3.4'] }).ok).toBe(true);
  });

  test.each<[string, Partial<Parameters<typeof verifyChain>[1]>]>([
    ['OutOfRange', { at: Number.NaN }],
    ['OutOfRange', { at: -1 }],
    ['OutOfRange', { at: AT * 1000 }],
    ['OutOfRange', { maxLength: 0 }],
    ['OutOfRange', { maxLength: 65 }],
    ['OutOfRange', { maxLength: 1.5 }],
    ['InvalidArgument', { purpose: 'mail' as 'any' }],
    ['InvalidServerName', { serverName: 'a b' }],
  ])('throws %s for %j', async (code, options) => {
    expect(codeOf(() => verifyChain(chain, { anchors, at: AT, ...options }))).toBe(code);
    await expect(verifyChainAsync(chain, { anchors, at: AT, ...options })).rejects.toMatchObject({ code });
  });

  test('gives the same answers from another thread', async () => {
    for (const serverName of ['leaf.example', 'other.example']) {
      const options = { anchors, at: AT, serverName };
      expect(await verifyChainAsync(chain, options)).toEqual(verifyChain(chain, options));
    }
    const bytes = chain.map((der) => Buffer.from(der));
    const verdict = verifyChainAsync(bytes, { anchors, at: AT });
    for (const der of bytes) der.fill(0);
    expect((await verdict).ok).toBe(true);
  });

  test('lets JavaScript go on while another thread judges', async () => {
    const authority = party('authority', undefined, { key: makeKey('P-384'), isCa: true });
    const ders: Uint8Array[] = [];
    let issuer = authority;
    for (let number = 0; number < 60; number += 1) {
      issuer = party(`link ${number}`, issuer, { key: makeKey('P-384'), isCa: true });
      ders.unshift(issuer.der);
    }
    const options = { anchors: authority.der, at: AT };
    let isSettled = false;
    const verdicts = Promise.all(Array.from({ length: 4 }, () => verifyChainAsync(ders, options)));
    void verdicts.then(() => (isSettled = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect(isSettled).toBe(false);
    expect((await verdicts).map((verdict) => verdict.ok)).toEqual([true, true, true, true]);
  });
});

/**
 * Polykey's rule. A node is known by a public key; it may have taken new keys since, and renewed its certificates. Its
 * chain is leaf first; each certificate was signed by its successor's key.
 */
describe('verifySuccessorChain', () => {
  const first = party('first', undefined, { notBefore: AT - 9 * DAY, notAfter: AT - 8 * DAY });
  const second = party('second', first);
  const renewed = party('second', second, { key: second.key });
  const third = party('third', renewed);
  const parties = [third, renewed, second, first];
  const chain = parties.map((one) => one.der);
  const keys = chain.map((der) => parseCertificates(der)[0].publicKey);
  const at = AT;

  test('believes the leaf of a node that is known by an old key', () => {
    const verdict = verifySuccessorChain(chain, { publicKeys: [keys[3]], at });
    const { publicKey, publicKeyFingerprint } = parseCertificates(first.der)[0];
    expect(verdict).toEqual({ ok: true, index: 3, publicKey, publicKeyFingerprint });
  });

  test('stops at the first certificate with a wanted key', () => {
    const wanted = [Buffer.alloc(32), keys[3], keys[2]];
    expect(verifySuccessorChain(chain, { publicKeys: wanted, at })).toMatchObject({ ok: true, index: 1 });
    const publicKeyFingerprints = [publicKeyFingerprint(third.key)];
    const garbageBehind = [...chain.slice(0, 2), party('stranger').der];
    expect(verifySuccessorChain(garbageBehind, { publicKeyFingerprints, at })).toMatchObject({ ok: true, index: 0 });
  });

  test('follows any chain to its end if asked', () => {
    expect(verifySuccessorChain(chain, { wholeChain: true, at })).toMatchObject({ ok: true, index: 3 });
  });

  const thief = party('second');
  test.each<[string, number | undefined, Uint8Array[], Partial<Parameters<typeof verifySuccessorChain>[1]>]>([
    ['IdentityNotFound', undefined, chain, { publicKeys: [Buffer.alloc(32)] }],
    ['BadSignature', 0, [thief.der, ...chain.slice(1)], {}],
    ['IssuerMismatch', 0, [party('thief').der, ...chain.slice(1)], {}],
    ['IssuerMismatch', 0, [third.der, first.der], {}],
    ['CertificateExpired', 0, chain, { at: AT + 2 * DAY }],
    ['CertificateExpired', 3, chain, { dates: 'every' }],
    ['ChainLoop', 2, [third.der, renewed.der, renewed.der, second.der, first.der], {}],
    ['ChainTooLong', undefined, chain, { maxLength: 3 }],
    ['EmptyChain', undefined, [], {}],
  ])('refuses with %s, blaming certificate %s', (code, index, ders, options) => {
    const verdict = verifySuccessorChain(ders, { publicKeys: [keys[3]], at, ...options });
    expect(verdict).toMatchObject({ ok: false, code });
    if (verdict.ok) throw new Error('it was accepted');
    expect(verdict.index).toBe(index);
    expect(verdict.cryptoError).toBeGreaterThan(256);
  });

  test.each<[string, Partial<Parameters<typeof verifySuccessorChain>[1]>]>([
    ['InvalidArgument', {}],
    ['InvalidArgument', { publicKeys: [] }],
    ['InvalidArgument', { publicKeys: undefined, wholeChain: false }],
    ['InvalidArgument', { publicKeys: [keys[0]], wholeChain: true }],
    ['InvalidArgument', { publicKeyFingerprints: ['abc'] }],
    ['InvalidArgument', { wholeChain: true, dates: 'none' as 'every' }],
    ['OutOfRange', { wholeChain: true, at: Number.POSITIVE_INFINITY }],
  ])('throws %s for %j', (code, options) => {
    expect(codeOf(() => verifySuccessorChain(chain, { at, ...options }))).toBe(code);
  });
});

describe('lib/x509', () => {
  const now = Math.floor(Date.now() / 1000);
  const dates = { notBefore: now - DAY, notAfter: now + DAY };
  const past = { notBefore: now - 2 * DAY, notAfter: now - DAY };

  test('has all of the addon', () => {
    const all = {
      derToPem,
      generateKey,
      parseCertificates,
      pemToDer,
      publicKeyFingerprint,
      TrustAnchors,
    };
    expect(x509).toMatchObject(all);
  });

  test('judges at the present time unless told otherwise', async () => {
    const [fresh, old] = [party('fresh', undefined, dates), party('old', undefined, past)];
    const anchors = [fresh.der, old.der];
    expect(x509.verifyChain([fresh.der], { anchors }).ok).toBe(true);
    expect(x509.verifyChain([old.der], { anchors })).toMatchObject({ code: 'CertificateExpired' });
    expect(x509.verifyChain([old.der], { anchors, at: now - DAY - 1 }).ok).toBe(true);
    expect(await x509.verifyChainAsync([old.der], { anchors })).toMatchObject({ code: 'CertificateExpired' });
    expect(x509.verifySuccessorChain([fresh.der], { wholeChain: true }).ok).toBe(true);
    expect(x509.verifySuccessorChain([old.der], { wholeChain: true })).toMatchObject({ code: 'CertificateExpired' });
  });

  test('gives a verifyCallback its answer', () => {
    const known = party('known', undefined, past);
    const leaf = party('leaf', known, dates);
    const nodeId = parseCertificates(known.der)[0].publicKey;
    const verifyCallback = (certs: Uint8Array[]) => {
      const verdict = x509.verifySuccessorChain(certs, { publicKeys: [nodeId] });
      return verdict.ok ? undefined : verdict.cryptoError;
    };
    expect(verifyCallback([leaf.der, known.der])).toBeUndefined();
    expect(verifyCallback([party('impostor', undefined, dates).der])).toBe(298);
    expect(verifyCallback([])).toBe(372);
  });
});

describe('options', () => {
  const leaf = party('leaf');
  const valid = { key: leaf.key, notBefore: AT, notAfter: AT + DAY };

  test.each<[string, () => unknown]>([
    [
      'servername: did you mean serverName',
      () => x509.verifyChain([leaf.der], { anchors: leaf.pem, ...{ servername: 'a' } }),
    ],
    ['key', () => x509.verifySuccessorChain([leaf.der], { wholeChain: true, ...{ key: leaf.key } })],
    [
      'critcal: did you mean critical',
      () =>
        x509.createCertificate({
          ...valid,
          extensions: [{ oid: '1.2.3', value: new Uint8Array(2), ...{ critcal: true } }],
        }),
    ],
    ['dnsName: did you mean dnsNames', () => x509.createCertificate({ ...valid, ...{ dnsName: 'a' } })],
  ])('there is no option %s', (name, call) => {
    expect(call).toThrow(new TypeError(`there is no option ${name}${name.includes(':') ? '?' : ''}`));
  });

  test('of verifyChainAsync are checked as well', async () => {
    const verifying = x509.verifyChainAsync([leaf.der], { anchors: leaf.pem, ...{ servername: 'a' } });
    await expect(verifying).rejects.toThrow('there is no option servername: did you mean serverName?');
  });

  test.each([undefined, null, 'text'])('%s is none', (options) => {
    for (const call of [x509.createCertificate, x509.verifyChain.bind(null, [])]) {
      expect(() => (call as (options: unknown) => unknown)(options)).toThrow(TypeError);
      expect(() => (call as (options: unknown) => unknown)(options)).toThrow('has to be an object');
    }
  });

  test('that are unset may have any name', () => {
    expect(x509.createCertificate({ ...valid, ...{ nothing: undefined } }).der.length).toBeGreaterThan(0);
  });
});
