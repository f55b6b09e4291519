import type { PEMs } from '../types';

const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[^-]*-----END \1-----/g;

/** RFC 7468 §5.1 and an old name of the same, as BoringSSL reads them. */
const CERTIFICATES = new Set(['CERTIFICATE', 'X509 CERTIFICATE']);

/** The elements of a PEM setting as text, each ending with a line break. */
function collectPEMs(pems?: PEMs): string[] {
  if (pems === undefined) return [];
  const elements = Array.isArray(pems) ? pems : [pems];
  return elements.map((pem) => {
    const text = typeof pem === 'string' ? pem : Buffer.from(pem).toString('utf8');
    // Editors of Windows put a mark first, behind which BoringSSL doesn't see the first block.
    return text.replace(/^\uFEFF/, '').trimEnd() + '\n';
  });
}

/** The bytes of the first PEM block. */
function pemToDER(pem: string): Uint8Array {
  const der = pemsToDERs([pem]).at(0);
  if (der === undefined) throw new TypeError('Invalid PEM');
  return der;
}

/** The bytes of every PEM block, in order. */
function pemsToDERs(pems: string[]): Uint8Array[] {
  return pems.flatMap((pem) => [...pem.matchAll(BLOCK)]).map(([block]) => blockToDER(block));
}

/** The bytes of every certificate among the PEM blocks: a key that stands beside them stays where it is. */
function certificatesIn(pems: string[]): Uint8Array[] {
  const blocks = pems.flatMap((pem) => [...pem.matchAll(BLOCK)]);
  return blocks.filter(([, label]) => CERTIFICATES.has(label)).map(([block]) => blockToDER(block));
}

function blockToDER(block: string): Uint8Array {
  const lines = block.split(/\r?\n/).map((line) => line.trim());
  const isBody = (line: string) => line !== '' && !line.startsWith('-----') && !line.includes(':');
  // A copy: what Buffer.from makes is a view of a larger, shared ArrayBuffer.
  return new Uint8Array(Buffer.from(lines.filter(isBody).join(''), 'base64'));
}

/** A certificate as PEM. */
function derToPEM(der: Uint8Array): string {
  const base64 = Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString('base64');
  const lines = base64.match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}

export { collectPEMs, pemToDER, pemsToDERs, certificatesIn, derToPEM };
