// Who a peer is: an Ed25519 key. The fingerprint of its public half is the peer's name.

import { native, x509 } from 'polykey-quic';

const DAY = 24 * 60 * 60;

/** A new key with a certificate that it signed itself; `id` is SHA-256 of the public key in hexadecimal. */
export function createIdentity(commonName) {
  const now = Math.floor(Date.now() / 1000);
  const key = x509.generateKey('Ed25519');
  // Clocks differ: what was made now should also be valid where it is a little earlier.
  const certificate = x509.createCertificate({ key, commonName, notBefore: now - DAY, notAfter: now + DAY });
  return { id: idOf(certificate.der), key, cert: certificate.pem };
}

/** The name of whoever holds the key of a certificate. TLS has made sure that the peer does. */
export function idOf(certificate) {
  return x509.publicKeyFingerprint(certificate);
}

/** A `verifyCallback` that trusts one peer alone; `wanted()` is asked at each handshake and may answer `undefined`. */
export function trustOnly(wanted) {
  return (chain) => {
    const id = wanted();
    if (id === undefined) return native.CryptoError.BadCertificate;
    return judge(chain, { publicKeyFingerprints: [id] });
  };
}

/** A `verifyCallback` that trusts anybody who has a key and a valid certificate: who it is can be read afterwards. */
export function trustAnyKey() {
  return (chain) => judge(chain, { wholeChain: true });
}

function judge(chain, wanted) {
  const verdict = x509.verifySuccessorChain(chain, wanted);
  return verdict.ok ? undefined : verdict.cryptoError;
}
