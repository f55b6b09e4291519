// A small X.509 v3 certificate builder on top of node:crypto (no openssl binary
// needed). Only what the benchmark needs: one CA, leaf certificates for it.
import { generateKeyPairSync, createPublicKey, sign, randomBytes } from 'node:crypto';

const tlv = (tag, ...parts) => {
  const body = Buffer.concat(parts.map((p) => Buffer.from(p)));
  let len;
  if (body.length < 0x80) len = Buffer.from([body.length]);
  else if (body.length < 0x100) len = Buffer.from([0x81, body.length]);
  else len = Buffer.from([0x82, body.length >> 8, body.length & 0xff]);
  return Buffer.concat([Buffer.from([tag]), len, body]);
};
const seq = (...p) => tlv(0x30, ...p);
const set = (...p) => tlv(0x31, ...p);
const ctx = (n, ...p) => tlv(0xa0 | n, ...p);
const octets = (b) => tlv(0x04, b);
const bits = (b, unused = 0) => tlv(0x03, Buffer.from([unused]), b);
const bool = (v) => tlv(0x01, Buffer.from([v ? 0xff : 0]));
const utf8 = (s) => tlv(0x0c, Buffer.from(s));
const int = (v) => {
  let b = Buffer.isBuffer(v) ? v : Buffer.from([v]);
  if (b[0] & 0x80) b = Buffer.concat([Buffer.from([0]), b]);
  return tlv(0x02, b);
};
const oid = (text) => {
  const [a, b, ...rest] = text.split('.').map(Number);
  const out = [a * 40 + b];
  for (const n of rest) {
    const chunk = [n & 0x7f];
    for (let v = n >>> 7; v > 0; v >>>= 7) chunk.unshift((v & 0x7f) | 0x80);
    out.push(...chunk);
  }
  return tlv(0x06, Buffer.from(out));
};
const utcTime = (d) => tlv(0x17, Buffer.from(d.toISOString().replace(/[-:T]/g, '').slice(2, 14) + 'Z'));
const name = (cn) => seq(set(seq(oid('2.5.4.3'), utf8(cn))));

const ALGS = {
  p256: {
    generate: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    id: () => seq(oid('1.2.840.10045.4.3.2')),
    sign: (data, key) => sign('sha256', data, key),
  },
  ed25519: {
    generate: () => generateKeyPairSync('ed25519'),
    id: () => seq(oid('1.3.101.112')),
    sign: (data, key) => sign(null, data, key),
  },
};

const pem = (der) =>
  `-----BEGIN CERTIFICATE-----\n${der
    .toString('base64')
    .match(/.{1,64}/g)
    .join('\n')}\n-----END CERTIFICATE-----\n`;

function makeCert({ alg, subject, publicKey, issuer, issuerKey, ca }) {
  const a = ALGS[alg];
  const ext = (id, critical, value) => seq(oid(id), ...(critical ? [bool(true)] : []), octets(value));
  const exts = [
    ext('2.5.29.19', true, ca ? seq(bool(true)) : seq()),
    // keyUsage: CA = keyCertSign|cRLSign|digitalSignature, leaf = digitalSignature
    ext('2.5.29.15', true, ca ? bits(Buffer.from([0x86]), 1) : bits(Buffer.from([0x80]), 7)),
  ];
  if (!ca) {
    exts.push(
      ext('2.5.29.17', false, seq(tlv(0x82, Buffer.from('localhost')), tlv(0x87, Buffer.from([127, 0, 0, 1])))),
      ext('2.5.29.37', false, seq(oid('1.3.6.1.5.5.7.3.1'), oid('1.3.6.1.5.5.7.3.2'))),
    );
  }
  const now = Date.now();
  const tbs = seq(
    ctx(0, int(2)),
    int(Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    a.id(),
    name(issuer),
    seq(utcTime(new Date(now - 3600e3)), utcTime(new Date(now + 7 * 86400e3))),
    name(subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    ctx(3, seq(...exts)),
  );
  return pem(seq(tbs, a.id(), bits(a.sign(tbs, issuerKey))));
}

/** Ephemeral CA + one server and one client leaf. alg: 'p256' | 'ed25519'. */
export function makePki(alg = 'p256') {
  const caKeys = ALGS[alg].generate();
  const ca = makeCert({
    alg,
    subject: 'bench-ca',
    issuer: 'bench-ca',
    ca: true,
    publicKey: caKeys.publicKey,
    issuerKey: caKeys.privateKey,
  });
  const leaf = (cn) => {
    const keys = ALGS[alg].generate();
    return {
      cert: makeCert({
        alg,
        subject: cn,
        issuer: 'bench-ca',
        ca: false,
        publicKey: createPublicKey(keys.privateKey),
        issuerKey: caKeys.privateKey,
      }),
      key: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    };
  };
  return { ca, server: leaf('localhost'), client: leaf('bench-client') };
}
