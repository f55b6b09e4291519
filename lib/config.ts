import type { QUICConfig } from './types';
import type { PEMTexts } from './tlsSettings';
import { createHash } from 'node:crypto';
import { isUint8Array } from 'node:util/types';
import * as errors from './errors';
import { NativeConfig, messageOf, nativeCode } from './native';
import { strangeName } from './utils/closest';
import { describe, isSet } from './utils/expect';
import { earlyDataContext, needsRoots, tlsSettings } from './tlsSettings';
import { certificatesIn, collectPEMs } from './utils/pem';

const MiB = 1024 * 1024;

/** Defaults of a connection, client's side; every setting is among them. */
const clientDefault: { [name in keyof Required<QUICConfig>]: QUICConfig[name] } = {
  // Node's roots, where nothing else judges the peer.
  ca: undefined,
  key: undefined,
  cert: undefined,
  // The addon's list: Ed25519, ECDSA with SHA-256, 384, 512, RSA-PSS and RSA with the same.
  sigalgs: undefined,
  // BoringSSL's own: X25519MLKEM768, X25519, P-256, P-384.
  groups: undefined,
  verifyPeer: true,
  verifyCallback: undefined,
  // Tickets, but not where a callback judges.
  resumption: undefined,
  ticketLifetime: 3_600_000,
  // Random ones of BoringSSL, which changes them every two days.
  ticketKeys: undefined,
  logKeys: undefined,
  qlogDirectory: undefined,
  grease: true,
  keepAliveIntervalTime: undefined,
  maxIdleTimeout: 0,
  // Punching through a NAT takes time.
  handshakeTimeout: 30_000,
  maxRecvUdpPayloadSize: 65_527,
  maxSendUdpPayloadSize: 1350,
  initialMaxData: 10 * MiB,
  initialMaxStreamDataBidiLocal: MiB,
  initialMaxStreamDataBidiRemote: MiB,
  initialMaxStreamDataUni: MiB,
  initialMaxStreamsBidi: 100,
  initialMaxStreamsUni: 100,
  maxConnectionWindow: 24 * MiB,
  maxStreamWindow: 16 * MiB,
  // 0: as many as the addon thinks fit.
  enableDgram: [true, 0, 0],
  // What is late is worth the least; who sends too much is told.
  dgramDrop: ['oldest', 'newest'],
  disableActiveMigration: true,
  followServer: false,
  discoverPmtu: false,
  // A placeholder: name your own protocol.
  applicationProtos: ['quic'],
  enableEarlyData: true,
  // It can be replayed.
  earlyData: false,
  // More than a turn takes in: what came with it is one chunk.
  readableChunkSize: 512 * 1024,
  congestionControl: 'cubic',
};

/** Defaults of a connection, server's side: its clients need no certificate. */
const serverDefault: QUICConfig = { ...clientDefault, verifyPeer: false };

/** Milliseconds that a handshake of an accepted connection may take, unless a server says otherwise: no limit of its own. */
const minIdleTimeout = Infinity;

/** quiche retires an abandoned path's id late: with its default, 2, the second NAT rebinding kills a connection. */
const ACTIVE_CONNECTION_ID_LIMIT = 8;

/** Datagrams that may wait, where the settings leave it open. */
const DATAGRAM_QUEUE = 1024;

/** The largest value of a transport parameter that we can write as a number. */
const MAX = Number.MAX_SAFE_INTEGER;

/** Whole numbers among the settings, with what they may be. */
const ranges = {
  maxIdleTimeout: [0, MAX],
  handshakeTimeout: [0, MAX],
  // RFC 8446 §4.6.1: at most seven days.
  ticketLifetime: [1000, 604_800_000],
  maxRecvUdpPayloadSize: [1200, 65_527],
  maxSendUdpPayloadSize: [1200, 65_527],
  initialMaxData: [0, MAX],
  initialMaxStreamDataBidiLocal: [0, MAX],
  initialMaxStreamDataBidiRemote: [0, MAX],
  initialMaxStreamDataUni: [0, MAX],
  // RFC 9000 §4.6: 2^60 is the protocol's limit; 2^53-1 is ours.
  initialMaxStreamsBidi: [0, MAX],
  initialMaxStreamsUni: [0, MAX],
  maxConnectionWindow: [0, MAX],
  maxStreamWindow: [0, MAX],
  readableChunkSize: [1, 64 * MiB],
} as const satisfies Partial<Record<keyof QUICConfig, readonly [number, number]>>;

/** What the others are, where they are set; lists and callbacks are checked one by one. */
const types = {
  verifyPeer: 'boolean',
  grease: 'boolean',
  disableActiveMigration: 'boolean',
  followServer: 'boolean',
  discoverPmtu: 'boolean',
  enableEarlyData: 'boolean',
  earlyData: 'boolean',
  sigalgs: 'string',
  groups: 'string',
  logKeys: 'string',
  qlogDirectory: 'string',
  congestionControl: 'string',
  keepAliveIntervalTime: 'number',
  verifyCallback: 'function',
} as const satisfies Partial<Record<keyof QUICConfig, string>>;

/** Settings as the user gives them. */
type ConfigInput = Partial<QUICConfig>;

/** Settings that were checked, and what is made of them once for all connections that share them. */
type ResolvedConfig = {
  readonly settings: QUICConfig;
  readonly native: NativeConfig;
  /** Our own chain and our trust anchors, DER. */
  readonly certs: Uint8Array[];
  readonly ca: Uint8Array[];
};

/** Checks settings and hands them to the addon. */
function resolveConfig(
  side: 'client' | 'server',
  defaults: QUICConfig,
  input: ConfigInput,
  handshakeTimeout = Infinity,
): ResolvedConfig {
  const known = side === 'client' ? latest?.deref() : undefined;
  const made = known === undefined ? undefined : madeOf.get(known);
  const settings = withDefaults(defaults, input);
  if (known !== undefined && made !== undefined && isSame(input, made.input)) {
    return { settings, native: known, certs: made.certs, ca: made.ca };
  }
  expectKnown(input, Object.keys(clientDefault));
  check(settings);
  const pems = { key: pemsOf('key', settings), cert: pemsOf('cert', settings), ca: pemsOf('ca', settings) };
  if (Array.isArray(settings.ca) && pems.ca.length === 0 && needsRoots(settings, pems)) {
    throw new errors.ErrorQUICConfig(
      'ca is an empty list, by which nobody could be trusted: leave it out for the roots of Node',
    );
  }
  if (pems.key.length !== pems.cert.length) {
    throw new errors.ErrorQUICConfig(`${pems.key.length} keys don't match ${pems.cert.length} certificate chains`);
  }
  if (side === 'server' && pems.cert.length === 0) {
    throw new errors.ErrorQUICConfig('a server needs a key and a certificate chain');
  }
  const make = () =>
    refusalsNamed(() => {
      const config = NativeConfig.withTls(tlsSettings(side, settings, pems));
      apply(side, config, settings, handshakeTimeout);
      return config;
    });
  // A server's has secrets of its own, for tickets, which new settings are to end.
  if (side === 'server') return { settings, native: make(), ...certificatesOf(pems) };
  const native = shared(settings, pems, make);
  const { certs, ca } = madeOf.get(native) ?? certificatesOf(pems);
  // Anew: the same settings may have been given in another form before.
  madeOf.set(native, { certs, ca, input: comparable(input) });
  latest = new WeakRef(native);
  return { settings, native, certs, ca };
}

/** What a client's configuration was made of: an `undefined` input can't be compared. */
type Made = Pick<ResolvedConfig, 'certs' | 'ca'> & { input: ConfigInput | undefined };

const madeOf = new WeakMap<NativeConfig, Made>();

/** The configuration of the last dial: most dials are like the one before. */
let latest: WeakRef<NativeConfig> | undefined;

function certificatesOf({ cert, ca }: PEMTexts): Pick<ResolvedConfig, 'certs' | 'ca'> {
  return { certs: certificatesIn(cert), ca: certificatesIn(ca) };
}

/** A copy of settings that the user can't change; `undefined` where files are opened with each configuration, or for bytes. */
function comparable(input: ConfigInput): ConfigInput | undefined {
  if (opensFiles(input)) return undefined;
  const copy: Record<string, unknown> = { ...input };
  for (const [name, value] of Object.entries(copy)) {
    if (Array.isArray(value) && !value.some(isObject)) copy[name] = [...(value as unknown[])];
    else if (isObject(value)) return undefined;
    // It would hold on to all that the user's callback knows.
    else if (typeof value === 'function') copy[name] = someCallback;
  }
  return copy;
}

function someCallback(): void {
  // Only stands for one.
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

/** Whether settings are those of a copy. Callbacks are not the configuration's: only whether there is one is. */
function isSame(input: ConfigInput, copy: ConfigInput | undefined): boolean {
  if (copy === undefined) return false;
  const [now, before] = [input as Record<string, unknown>, copy as Record<string, unknown>];
  const names = Object.keys(now);
  if (names.length !== Object.keys(before).length) return false;
  for (const name of names) {
    // What is there and undefined isn't what isn't there: another name has taken its place.
    if (!Object.hasOwn(before, name)) return false;
    const [value, was] = [now[name], before[name]];
    const isAlike =
      value === was ||
      (typeof value === 'function' && typeof was === 'function') ||
      (Array.isArray(value) && Array.isArray(was) && isSameList(value, was));
    if (!isAlike) return false;
  }
  return true;
}

function isSameList(a: unknown[], b: unknown[]): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}

function opensFiles({ logKeys, qlogDirectory }: ConfigInput): boolean {
  return isSet(logKeys) || isSet(qlogDirectory);
}

/** Clients' configurations in use, by a hash of all they are made of: who dials again needs no new TLS context. */
const inUse = new Map<string, WeakRef<NativeConfig>>();
const unused = new FinalizationRegistry<string>((id) => {
  if (inUse.get(id)?.deref() === undefined) inUse.delete(id);
});

function shared(settings: QUICConfig, pems: PEMTexts, make: () => NativeConfig): NativeConfig {
  if (opensFiles(settings)) return make();
  const parts = { ...settings, ...pems, verifyCallback: settings.verifyCallback !== undefined };
  const id = createHash('sha256').update(JSON.stringify(parts)).digest('base64');
  const known = inUse.get(id)?.deref();
  if (known !== undefined) return known;
  const made = make();
  inUse.set(id, new WeakRef(made));
  unused.register(made, id);
  return made;
}

function withDefaults(defaults: QUICConfig, input: ConfigInput): QUICConfig {
  const settings: Record<string, unknown> = { ...defaults, ...input };
  for (const name of Object.keys(input)) {
    if (!isSet(settings[name])) settings[name] = defaults[name as keyof QUICConfig];
  }
  return settings as QUICConfig;
}

/** A setting that is misspelt would be left at its default without a word. */
function expectKnown(input: object, known: readonly string[]): void {
  const strange = strangeName(input, known);
  if (strange !== undefined) throw new errors.ErrorQUICConfig(`there is no setting ${strange}`);
}

function pemsOf(name: 'key' | 'cert' | 'ca', settings: QUICConfig): string[] {
  try {
    return collectPEMs(settings[name]);
  } catch (cause) {
    throw new errors.ErrorQUICConfig(`${name} is expected to be PEM, as text or bytes, or a list of such`, { cause });
  }
}

function check(settings: QUICConfig): void {
  for (const [name, [least, most]] of Object.entries(ranges)) {
    const value = settings[name as keyof typeof ranges];
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new errors.ErrorQUICConfig(`${name} is ${String(value)}: expected an integer from ${least} to ${most}`);
    }
  }
  for (const [name, type] of Object.entries(types)) {
    const value: unknown = settings[name as keyof typeof types];
    if (value !== undefined && typeof value !== type) {
      throw new errors.ErrorQUICConfig(`${name} is ${describe(value)}: expected a ${type}`);
    }
  }
  if (settings.verifyCallback !== undefined && !settings.verifyPeer) {
    throw new errors.ErrorQUICConfig('verifyCallback without verifyPeer would never be asked');
  }
  if (![undefined, 'never', 'trustTicket'].includes(settings.resumption)) {
    throw new errors.ErrorQUICConfig(`resumption is ${settings.resumption}: expected 'never' or 'trustTicket'`);
  }
  if (settings.ticketKeys !== undefined && !isListOfBytes(settings.ticketKeys)) {
    throw new errors.ErrorQUICConfig('ticketKeys is expected to be a list of Uint8Arrays, of 32 random bytes each');
  }
  if (settings.earlyData && !settings.enableEarlyData) {
    throw new errors.ErrorQUICConfig('earlyData without enableEarlyData would have no effect');
  }
  // RFC 9001 §8.1: without a protocol in common there is no connection.
  if (!Array.isArray(settings.applicationProtos) || settings.applicationProtos.length === 0) {
    throw new errors.ErrorQUICConfig('applicationProtos is expected to be a list of at least one protocol');
  }
  if (!settings.applicationProtos.every((protocol: unknown) => typeof protocol === 'string')) {
    throw new errors.ErrorQUICConfig('applicationProtos is expected to be a list of strings');
  }
  checkKeepAlive(settings);
  checkDgram(settings.enableDgram);
  const rules: unknown[] = settings.dgramDrop;
  if (!Array.isArray(rules) || rules.length !== 2 || !rules.every((rule) => rule === 'oldest' || rule === 'newest')) {
    throw new errors.ErrorQUICConfig("dgramDrop is expected to be two of 'oldest' and 'newest'");
  }
}

function isListOfBytes(list: unknown): boolean {
  return Array.isArray(list) && list.length > 0 && list.every(isUint8Array);
}

function checkKeepAlive({ keepAliveIntervalTime: interval, maxIdleTimeout }: QUICConfig): void {
  if (interval === undefined) return;
  if (!(interval >= 0)) throw new errors.ErrorQUICConfig(`keepAliveIntervalTime is ${interval}: expected milliseconds`);
  if (maxIdleTimeout !== 0 && interval >= maxIdleTimeout) {
    throw new errors.ErrorQUICConnectionConfigInvalid('`keepAliveIntervalTime` must be less than `maxIdleTimeout`');
  }
}

function checkDgram(enableDgram: QUICConfig['enableDgram']): void {
  const [isEnabled, ...lengths] = (Array.isArray(enableDgram) ? enableDgram : []) as unknown[];
  if (typeof isEnabled !== 'boolean' || lengths.length !== 2 || !lengths.every(isLength)) {
    throw new errors.ErrorQUICConfig('enableDgram is expected to be [boolean, queue length, queue length]');
  }
}

function isLength(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0;
}

/** Anything the addon refuses is a setting of the user. */
function refusalsNamed<T>(build: () => T): T {
  try {
    return build();
  } catch (error) {
    if (nativeCode(error) === undefined) throw error;
    throw new errors.ErrorQUICConfig(messageOf(error), { cause: error });
  }
}

function apply(side: 'client' | 'server', config: NativeConfig, settings: QUICConfig, handshakeTimeout: number): void {
  config.setVerification(
    !settings.verifyPeer ? 'None' : settings.verifyCallback === undefined ? 'Chain' : 'Application',
  );
  config.setHandshakeTimeout(shorter(settings.handshakeTimeout, handshakeTimeout));
  config.setKeepAliveInterval(Math.ceil(settings.keepAliveIntervalTime ?? 0));
  if (settings.qlogDirectory !== undefined) config.setQlogDirectory(settings.qlogDirectory);
  if (settings.logKeys !== undefined) config.setKeyLogFile(settings.logKeys);
  config.grease(settings.grease);
  config.setMaxIdleTimeout(settings.maxIdleTimeout);
  config.setMaxRecvUdpPayloadSize(settings.maxRecvUdpPayloadSize);
  config.setMaxSendUdpPayloadSize(settings.maxSendUdpPayloadSize);
  config.setInitialMaxData(settings.initialMaxData);
  config.setInitialMaxStreamDataBidiLocal(settings.initialMaxStreamDataBidiLocal);
  config.setInitialMaxStreamDataBidiRemote(settings.initialMaxStreamDataBidiRemote);
  config.setInitialMaxStreamDataUni(settings.initialMaxStreamDataUni);
  config.setInitialMaxStreamsBidi(settings.initialMaxStreamsBidi);
  config.setInitialMaxStreamsUni(settings.initialMaxStreamsUni);
  config.setMaxConnectionWindow(settings.maxConnectionWindow);
  config.setMaxStreamWindow(settings.maxStreamWindow);
  const [takesDatagrams, ...lengths] = settings.enableDgram;
  const [toReceive, toSend] = lengths.map((length) => (length === 0 ? DATAGRAM_QUEUE : length));
  // quiche drops the oldest, whatever the rule: it gets room for what one turn brings, and `Datagrams` keeps the bound.
  if (takesDatagrams) config.enableDgram(true, receiveRoom(toReceive), toSend);
  config.setDisableActiveMigration(settings.disableActiveMigration);
  config.setFollowServer(settings.followServer);
  config.discoverPmtu(settings.discoverPmtu);
  config.setActiveConnectionIdLimit(ACTIVE_CONNECTION_ID_LIMIT);
  config.setApplicationProtos(settings.applicationProtos);
  config.setCcAlgorithmName(settings.congestionControl);
  // A client would offer what it doesn't send.
  if (settings.enableEarlyData && (side === 'server' || settings.earlyData)) config.enableEarlyData();
  config.setConnectsEarly(settings.earlyData);
  config.setEarlyDataContext(earlyDataContext(settings));
}

/** How many received datagrams quiche may keep until they are taken, at the end of the turn. */
function receiveRoom(queueLength: number): number {
  return Math.max(queueLength, DATAGRAM_QUEUE);
}

/** The shorter of two limits, of which the first has 0 and the second Infinity for none; 0 for none. */
function shorter(ms: number, other: number): number {
  if (!Number.isFinite(other)) return ms;
  return ms === 0 ? Math.ceil(other) : Math.min(ms, Math.ceil(other));
}

export type { ResolvedConfig };
export {
  DATAGRAM_QUEUE,
  receiveRoom,
  clientDefault,
  serverDefault,
  minIdleTimeout,
  expectKnown,
  refusalsNamed,
  resolveConfig,
};
