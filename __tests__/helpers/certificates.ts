import { generateKeyPairSync } from 'node:crypto';
import { createCertificate, generateKey } from '../../lib/x509';

/** A key with the chain that proves it, PEM. */
type Credentials = { key: string; cert: string };

type Algorithm = 'Ed25519' | 'P-256' | 'P-384' | 'RSA';

const YEAR = 365 * 24 * 3600;

/** Signs certificates; `ca` is what its customers trust. */
type Names = { dnsNames?: string[]; ipAddresses?: string[] };

type Authority = { ca: string; issue: (names?: Names) => Credentials };

/** A certificate authority of its own, with leaves of the same algorithm. */
function createAuthority(algorithm: Algorithm = 'Ed25519'): Authority {
  const key = newKey(algorithm);
  const ca = createCertificate({ key, ...validity(), commonName: 'test authority', isCa: true }).pem;
  return {
    ca,
    issue(names = { dnsNames: ['localhost'], ipAddresses: ['127.0.0.1', '::1'] }) {
      const leaf = newKey(algorithm);
      const issuer = { certificate: ca, key };
      const cert = createCertificate({ key: leaf, ...validity(), commonName: 'test leaf', ...names, issuer }).pem;
      return { key: leaf, cert };
    },
  };
}

/** A key and a certificate that it signed itself. */
function createIdentity(algorithm: Algorithm = 'Ed25519'): Credentials {
  const key = newKey(algorithm);
  const names = { dnsNames: ['localhost'], ipAddresses: ['127.0.0.1', '::1'] };
  return { key, cert: createCertificate({ key, ...validity(), commonName: 'test identity', ...names }).pem };
}

/** A key with a chain of certificates by other keys, each signed by the next; `padding` bytes make each longer. */
function createChain(algorithms: Algorithm[], padding = 0): Credentials {
  const extensions = [{ oid: '1.3.6.1.4.1.55555.2', critical: false, value: new Uint8Array(padding) }];
  const names = { dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'] };
  let issuer: { certificate: string; key: string } | undefined;
  const pems: string[] = [];
  for (const [number, algorithm] of [...algorithms].reverse().entries()) {
    const key = newKey(algorithm);
    const isCa = number < algorithms.length - 1;
    const options = { key, ...validity(), commonName: `link ${number}`, isCa, issuer, ...names };
    const { pem } = createCertificate(padding > 0 ? { ...options, extensions } : options);
    pems.unshift(pem);
    issuer = { certificate: pem, key };
  }
  return { key: issuer!.key, cert: pems.join('') };
}

function newKey(algorithm: Algorithm): string {
  if (algorithm !== 'RSA') return generateKey(algorithm);
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

function validity(): { notBefore: number; notAfter: number } {
  const now = Math.floor(Date.now() / 1000);
  return { notBefore: now - YEAR, notAfter: now + YEAR };
}

export type { Algorithm, Authority, Credentials };
export { createAuthority, createChain, createIdentity };
