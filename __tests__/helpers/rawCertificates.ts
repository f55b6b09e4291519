import { createCertificate, generateKey } from '../../index.js';

/** A key with its certificate, as files would hold them, and the certificate's DER. */
export interface Identity {
  key: Buffer;
  cert: Buffer;
  der: Buffer;
}

const cache = new Map<string, Identity>();

/** A self-signed Ed25519 identity, which can be its own trust anchor; the same name gives the same one within a test file. */
export function identity(name: string): Identity {
  let made = cache.get(name);
  if (made === undefined) {
    made = selfSigned(name);
    cache.set(name, made);
  }
  return made;
}

function selfSigned(name: string): Identity {
  const key = generateKey('Ed25519');
  const now = Math.floor(Date.now() / 1000);
  const { der, pem } = createCertificate({
    key,
    commonName: name,
    dnsNames: [name],
    ipAddresses: ['10.0.0.2'],
    isCa: true,
    notBefore: now - 3600,
    notAfter: now + 3600,
  });
  return { key: Buffer.from(key), cert: Buffer.from(pem), der: Buffer.from(der) };
}
