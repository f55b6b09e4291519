/**
 * Certificates, for applications that judge peers by rules of their own in a `verifyCallback`: read them, make them,
 * verify chains. Byte arrays are DER, chains are leaf first, times are seconds since the Unix epoch.
 */
/* eslint-disable no-restricted-imports -- certificates are apart from connections: this is native.ts for them */
import * as native from '../index.js';

export {
  createCertificate,
  derToPem,
  generateKey,
  parseCertificates,
  pemToDer,
  publicKeyFingerprint,
  TrustAnchors,
} from '../index.js';
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

/** As of the addon, but `at` is now unless it is given. */
type AtNow<Options extends { at: number }> = Omit<Options, 'at'> & { at?: number };

/** What `verifyChain` judges by. */
export type VerifyChainOptions = AtNow<native.VerifyChainOptions>;

/** What `verifySuccessorChain` judges by. */
export type VerifySuccessorChainOptions = AtNow<native.VerifySuccessorChainOptions>;

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
  return native.verifyChain(chain, withTime(options));
}

/** Does what `verifyChain` does without holding up JavaScript: for long chains of RSA or P-384 signatures. */
export async function verifyChainAsync(
  chain: Uint8Array[],
  options: VerifyChainOptions,
): Promise<native.VerifiedChain | native.RefusedChain> {
  return await native.verifyChainAsync(chain, withTime(options));
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
  return native.verifySuccessorChain(chain, withTime(options));
}

function withTime<Options extends { at?: number }>(options: Options): Options & { at: number } {
  return { ...options, at: options.at ?? Date.now() / 1000 };
}
