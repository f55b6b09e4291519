/**
 * Certificates, for applications that judge peers by rules of their own in a `verifyCallback`: read them, make them,
 * verify chains. Byte arrays are DER, chains are leaf first, times are seconds since the Unix epoch.
 */
/* eslint-disable no-restricted-imports -- certificates are apart from connections: this is native.ts for them */
import * as native from '../index.js';
import { strangeName } from './utils/closest';
import { notA } from './utils/expect';

export { derToPem, generateKey, parseCertificates, pemToDer, publicKeyFingerprint, TrustAnchors } from '../index.js';
export type {
  CertificateExtension,
  CertificateInfo,
  CertificateIssuer,
  NewCertificate,
  NewCertificateOptions,
  NewExtension,
  RefusedChain,
  VerifiedChain,
  VerifiedSuccessorChain,
} from '../index.js';

type Names<Options> = Record<keyof Required<Options>, true>;

const CERTIFICATE: Names<native.NewCertificateOptions> = {
  key: true,
  notBefore: true,
  notAfter: true,
  commonName: true,
  dnsNames: true,
  ipAddresses: true,
  uris: true,
  isCa: true,
  pathLength: true,
  serialNumber: true,
  extensions: true,
  issuer: true,
};

const EXTENSION: Names<native.NewExtension> = { oid: true, critical: true, value: true };

const CHAIN: Names<native.VerifyChainOptions> = {
  anchors: true,
  at: true,
  purpose: true,
  serverName: true,
  maxLength: true,
  acceptedCriticalExtensions: true,
};

const SUCCESSOR_CHAIN: Names<native.VerifySuccessorChainOptions> = {
  publicKeys: true,
  publicKeyFingerprints: true,
  wholeChain: true,
  at: true,
  dates: true,
  maxLength: true,
  acceptedCriticalExtensions: true,
};

/** As of the addon, but `at` is now unless it is given. */
type AtNow<Options extends { at: number }> = Omit<Options, 'at'> & { at?: number };

/** What `verifyChain` judges by. */
export type VerifyChainOptions = AtNow<native.VerifyChainOptions>;

/** What `verifySuccessorChain` judges by. */
export type VerifySuccessorChainOptions = AtNow<native.VerifySuccessorChainOptions>;

/**
 * Makes a certificate and signs it: an identity for a peer, a CA for tests, the next link of a chain.
 *
 * A CA's key may sign certificates, lists and handshakes; a leaf's key may sign handshakes, as server and as client. Throws
 * `OutOfRange` and `InvalidArgument` for numbers, addresses and hexadecimal, `InvalidValidity`, `InvalidSerial`,
 * `InvalidName`, `InvalidOid`, `DuplicateExtension`, `UnsupportedKey` or `NotPkcs8` for the rest of the options,
 * `IssuerKeyMismatch` if the issuer's key is not the one in its certificate, `UnsupportedIssuerName`, and the codes of
 * `pemToDer` and `parseCertificates` for the issuer's certificate.
 *
 * @throws {TypeError} there is no such option
 */
export function createCertificate(options: native.NewCertificateOptions): native.NewCertificate {
  expectKnown(options, CERTIFICATE);
  if (Array.isArray(options.extensions)) {
    for (const extension of options.extensions) expectKnown(extension, EXTENSION);
  }
  return native.createCertificate(options);
}

/**
 * Judges a chain by the rules of the web (RFC 5280), up to a trust anchor. A chain that fails is an answer, not an
 * exception: it says which check failed on which certificate.
 *
 * ```ts
 * const anchors = new TrustAnchors(caPem); // parsed once
 * const verifyCallback = (certs: Uint8Array[]) => {
 *   const verdict = verifyChain(certs, { anchors, purpose: 'server', serverName: 'node.example' });
 *   return verdict.ok ? undefined : verdict.cryptoError;
 * };
 * ```
 */
export function verifyChain(
  chain: Uint8Array[],
  options: VerifyChainOptions,
): native.VerifiedChain | native.RefusedChain {
  return native.verifyChain(chain, withTime(options, CHAIN));
}

/** Does what `verifyChain` does without holding up JavaScript: for long chains of RSA or P-384 signatures. */
export async function verifyChainAsync(
  chain: Uint8Array[],
  options: VerifyChainOptions,
): Promise<native.VerifiedChain | native.RefusedChain> {
  return await native.verifyChainAsync(chain, withTime(options, CHAIN));
}

/**
 * Judges a chain by the rule of peers whose keys change: each certificate was signed by its successor's key, up to the
 * first certificate with a wanted public key.
 *
 * Polykey's nodes prove themselves so. A client wants one node; a server takes any, and learns who it is:
 *
 * ```ts
 * const nodeId: Uint8Array = …; // the Ed25519 public key by which we know the node, maybe not its newest
 * const clientCallback = (certs: Uint8Array[]) => {
 *   const verdict = verifySuccessorChain(certs, { publicKeys: [nodeId] });
 *   return verdict.ok ? undefined : verdict.cryptoError;
 * };
 * const serverCallback = (certs: Uint8Array[]) => {
 *   const verdict = verifySuccessorChain(certs, { wholeChain: true });
 *   return verdict.ok ? undefined : verdict.cryptoError;
 * };
 * ```
 */
export function verifySuccessorChain(
  chain: Uint8Array[],
  options: VerifySuccessorChainOptions,
): native.VerifiedSuccessorChain | native.RefusedChain {
  return native.verifySuccessorChain(chain, withTime(options, SUCCESSOR_CHAIN));
}

function withTime<Options extends { at?: number }>(options: Options, known: object): Options & { at: number } {
  expectKnown(options, known);
  return { ...options, at: options.at ?? Date.now() / 1000 };
}

/** An option that is misspelt would leave something unsaid, or unverified, without a word. */
function expectKnown(options: unknown, known: object): void {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(notA('options', options, 'an object'));
  }
  const strange = strangeName(options, Object.keys(known));
  if (strange !== undefined) throw new TypeError(`there is no option ${strange}`);
}
