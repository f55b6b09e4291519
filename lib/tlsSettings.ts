import type { TlsSettings } from './native';
import type { QUICConfig } from './types';
import { createHash } from 'node:crypto';
import tls from 'node:tls';
import { certificatesIn } from './utils/pem';

/** Keys, chains and anchors, each element as PEM. */
type PEMTexts = { key: string[]; cert: string[]; ca: string[] };

/** What the addon makes a TLS context of. */
function tlsSettings(side: 'client' | 'server', settings: QUICConfig, pems: PEMTexts): TlsSettings {
  return {
    credentials: pems.key.map((key, i) => ({ key: Buffer.from(key), cert: Buffer.from(pems.cert[i] ?? '') })),
    ca: pems.ca.map((pem) => Buffer.from(pem)),
    caDer: needsRoots(settings, pems) ? nodeRoots() : undefined,
    sigalgs: settings.sigalgs,
    groups: settings.groups,
    sessionTickets: side === 'server' && allowsResumption(settings),
    ticketLifetime: settings.ticketLifetime / 1000,
    ticketKeys: side === 'server' ? settings.ticketKeys : undefined,
    sessionContext: side === 'server' ? judgementOf(settings, pems.ca) : undefined,
    verifyResumed: side === 'client' && settings.verifyPeer,
  };
}

/** Whether the peer is judged, and by nothing that the settings name. */
function needsRoots({ verifyPeer, verifyCallback }: QUICConfig, { ca }: PEMTexts): boolean {
  return verifyPeer && verifyCallback === undefined && ca.length === 0;
}

/** A client that resumes isn't judged again: a server that judges by callback has to want it. */
function allowsResumption({ resumption, verifyCallback }: QUICConfig): boolean {
  return verifyCallback === undefined ? resumption !== 'never' : resumption === 'trustTicket';
}

/**
 * Who judges clients, and by what: a ticket that was handed out under another judgement is none. It matters where ticket keys
 * outlive a configuration; that one callback is not another, nobody can tell.
 */
function judgementOf({ verifyPeer, verifyCallback }: QUICConfig, ca: string[]): Uint8Array {
  // A callback is told `ca`, and may judge by it.
  return digest(verifyPeer ? { hasCallback: verifyCallback !== undefined, ca } : 'nobody');
}

/** What clients remember of a server, and count on when they send early (RFC 9000 §7.4.1, RFC 9221 §3). */
function earlyDataContext(settings: QUICConfig): Uint8Array {
  const { initialMaxData, initialMaxStreamsBidi, initialMaxStreamsUni, enableDgram } = settings;
  const { initialMaxStreamDataBidiLocal: local, initialMaxStreamDataBidiRemote: remote } = settings;
  const streams = [initialMaxStreamsBidi, initialMaxStreamsUni, local, remote, settings.initialMaxStreamDataUni];
  return digest([initialMaxData, ...streams, enableDgram[0], settings.disableActiveMigration]);
}

function digest(value: unknown): Uint8Array {
  return createHash('sha256').update(JSON.stringify(value)).digest();
}

let roots: Uint8Array[] | undefined;

/** What Node itself trusts; before Node 22.15 it doesn't tell of `NODE_EXTRA_CA_CERTS`. */
function nodeRoots(): Uint8Array[] {
  const { getCACertificates } = tls as { getCACertificates?: (type: 'default') => string[] };
  roots ??= certificatesIn([...(getCACertificates?.('default') ?? tls.rootCertificates)]);
  return roots;
}

export type { PEMTexts };
export { earlyDataContext, needsRoots, tlsSettings };
