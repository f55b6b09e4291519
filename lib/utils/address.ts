import type { Class, Host, Port, ResolveHostname, SocketType } from '../types';
import dns from 'node:dns';
import net from 'node:net';
import os from 'node:os';
import * as errors from '../errors';

const MAPPED = '::ffff:';

function isIPv4(host: string): host is Host {
  return net.isIPv4(host);
}

/** IPv4-mapped addresses are IPv6 addresses too. */
function isIPv6(host: string): host is Host {
  return net.isIPv6(host);
}

/** `::ffff:127.0.0.1` or `::ffff:7f00:1`, in lower or upper case, in short or in full. */
function isIPv4MappedIPv6(host: string): host is Host {
  return mappedIPv4(host) !== undefined;
}

function isIPv4MappedIPv6Dec(host: string): host is Host {
  return isIPv4MappedIPv6(host) && host.includes('.');
}

function isIPv4MappedIPv6Hex(host: string): host is Host {
  return isIPv4MappedIPv6(host) && !host.includes('.');
}

/** `127.0.0.1` → `::ffff:127.0.0.1`. */
function toIPv4MappedIPv6Dec(host: string): Host {
  if (!isIPv4(host)) throw new TypeError('Invalid IPv4 address');
  return (MAPPED + host) as Host;
}

/** `127.0.0.1` → `::ffff:7f00:1`. */
function toIPv4MappedIPv6Hex(host: string): Host {
  if (!isIPv4(host)) throw new TypeError('Invalid IPv4 address');
  const [a = 0, b = 0, c = 0, d = 0] = host.split('.').map(Number);
  const group = (high: number, low: number) => ((high << 8) | low).toString(16);
  return `${MAPPED}${group(a, b)}:${group(c, d)}` as Host;
}

/** The IPv4 address inside an IPv4-mapped one. */
function fromIPv4MappedIPv6(host: string): Host {
  const ipv4 = mappedIPv4(host);
  if (ipv4 === undefined) throw new TypeError('Invalid IPv4 mapped IPv6 address');
  return ipv4;
}

function mappedIPv4(host: string): Host | undefined {
  // Most addresses are told apart by this, without a pattern.
  if (!host.includes(':') || host.includes('%') || !net.isIPv6(host)) return undefined;
  const tail = /^(?:::|(?:0{1,4}:){5})ffff:(.+)$/i.exec(host)?.[1];
  if (tail === undefined) return undefined;
  if (net.isIPv4(tail)) return tail as Host;
  const groups = tail.split(':');
  if (groups.length !== 2) return undefined;
  const bytes = groups.map((group) => parseInt(group, 16)).flatMap((group) => [group >> 8, group & 0xff]);
  return bytes.join('.') as Host;
}

/** Whether an address means every interface of this host. */
function isHostWildcard(host: string): boolean {
  return isZero(host);
}

function isZero(host: string): boolean {
  const ipv4 = net.isIPv4(host) ? host : mappedIPv4(host);
  if (ipv4 !== undefined) return ipv4 === '0.0.0.0';
  return net.isIPv6(host) && /^[0:]+$/.test(host);
}

/** IPv4-mapped addresses as IPv4; all others as they are. */
function toCanonicalIP(host: string): Host {
  const ipv4 = mappedIPv4(host);
  if (ipv4 !== undefined) return ipv4;
  if (isIPv4(host) || isIPv6(host)) return host;
  throw new TypeError('Invalid IP address');
}

/** The zero address, as a target, means this host. */
function resolvesZeroIP(host: Host): Host {
  if (!isZero(host)) return host;
  if (isIPv4(host)) return '127.0.0.1' as Host;
  return isIPv4MappedIPv6(host) ? toIPv4MappedIPv6Dec('127.0.0.1') : ('::1' as Host);
}

/** Resolves a name by the system, to all its addresses, the preferred first (RFC 6724). */
async function resolveHostnames(hostname: string): Promise<Host[]> {
  const found = await dns.promises.lookup(hostname, { family: 0, all: true, verbatim: true });
  return found.map(({ address }) => address as Host);
}

/** Resolves a name by the system, to the first address it gives. */
async function resolveHostname(hostname: string): Promise<Host> {
  const { address } = await dns.promises.lookup(hostname, { family: 0, all: false, verbatim: true });
  return address as Host;
}

/** An address, and which kind of socket speaks to it. */
type Resolved = [Host, 'udp4' | 'udp6'];

/** Resolves a host or a name to its addresses, of which those that are none are left out as long as there is another. */
async function resolveHosts(host: string, resolve: ResolveHostname): Promise<[Resolved, ...Resolved[]]> {
  return toResolved(host, net.isIP(host) === 0 ? await resolveName(host, resolve) : [host]);
}

/** The addresses of a host, as `resolveHosts` gives them. */
function toResolved(host: string, addresses: readonly string[]): [Resolved, ...Resolved[]] {
  if (addresses.length === 0) throw new errors.ErrorQUICHostInvalid(`${host} resolves to no address`);
  return collectValid(addresses, (address): Resolved => {
    if (isIPv4(address)) return [address, 'udp4'];
    if (isIPv6(address)) return [withScope(address), 'udp6'];
    throw new errors.ErrorQUICHostInvalid(`${host} resolves to ${address}, which is no IP address`);
  });
}

/** The first address of a host or a name. */
async function resolveHost(host: string, resolve: ResolveHostname): Promise<Resolved> {
  const [first] = await resolveHosts(host, resolve);
  return first;
}

/** What `make` makes of those for which it doesn't throw; throws the first error if it does for all. */
function collectValid<T, U>(all: readonly T[], make: (one: T) => U): [U, ...U[]] {
  const made: U[] = [];
  const failures: unknown[] = [];
  for (const one of all) {
    try {
      made.push(make(one));
    } catch (error) {
      failures.push(error);
    }
  }
  const [first, ...others] = made;
  if (first === undefined) throw failures[0];
  return [first, ...others];
}

/** A link-local address with the number of its interface, which the addon knows it by; all others as they are. */
function withScope(address: Host): Host {
  const [ip, scope] = address.split('%', 2) as [string, string | undefined];
  if (!/^fe[89ab]/i.test(ip) || /^\d+$/.test(scope ?? '')) return address;
  if (scope === undefined) {
    throw new errors.ErrorQUICHostInvalid(`${ip} is link-local: name the interface as well, as in ${ip}%eth0`);
  }
  const number = os.networkInterfaces()[scope]?.find((each) => each.family === 'IPv6' && each.scopeid > 0);
  if (number?.family !== 'IPv6')
    throw new errors.ErrorQUICHostInvalid(`${address}: there is no interface ${scope} for it`);
  return `${ip}%${number.scopeid}` as Host;
}

async function resolveName(hostname: string, resolve: ResolveHostname): Promise<readonly string[]> {
  try {
    return [await resolve(hostname)].flat();
  } catch (error) {
    throw new errors.ErrorQUICHostInvalid(`${hostname} can't be resolved`, { cause: error });
  }
}

function isPort(port: unknown): port is Port {
  return typeof port === 'number' && Number.isInteger(port) && port >= 0 && port <= 65535;
}

function toPort(port: unknown): Port {
  if (!isPort(port)) throw new errors.ErrorQUICPortInvalid(`${String(port)} is no integer from 0 to 65535`);
  return port;
}

/** `127.0.0.1:4433`, `[::1]:4433`. */
function buildAddress(host: string, port = 0): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

/** What a socket bound to this address speaks. */
function socketType(host: Host, ipv6Only: boolean): SocketType {
  if (isIPv4(host)) return 'ipv4';
  return isZero(host) && !ipv6Only ? 'ipv4&ipv6' : 'ipv6';
}

/**
 * The address to dial for a target, in its canonical form, if a socket of this type reaches it.
 * `socketHost` and `targetUdpType` follow from the others; they stand here for callers of the old signature.
 */
function validateTarget(
  socketHost: Host,
  type: SocketType,
  targetHost: Host,
  _targetUdpType: 'udp4' | 'udp6',
  errorClass: Class<Error>,
): Host {
  const target = toCanonicalIP(resolvesZeroIP(targetHost));
  const isReached = type === 'ipv4&ipv6' || (type === 'ipv4') === isIPv4(target);
  if (!isReached) {
    throw new errorClass(`${target} can't be reached from ${socketHost}, a socket for ${type} alone`);
  }
  return target;
}

/** Of the addresses of a target, those that a socket of this type reaches; if it reaches none, the error of the first. */
function validateTargets(
  socketHost: Host,
  type: SocketType,
  targets: readonly Resolved[],
  errorClass: Class<Error>,
): [Host, ...Host[]] {
  return collectValid(targets, ([host, udpType]) => validateTarget(socketHost, type, host, udpType, errorClass));
}

export type { Resolved };
export {
  isIPv4,
  isIPv6,
  isIPv4MappedIPv6,
  isIPv4MappedIPv6Hex,
  isIPv4MappedIPv6Dec,
  toIPv4MappedIPv6Dec,
  toIPv4MappedIPv6Hex,
  fromIPv4MappedIPv6,
  isHostWildcard,
  toCanonicalIP,
  resolvesZeroIP,
  resolveHostname,
  resolveHostnames,
  resolveHost,
  resolveHosts,
  toResolved,
  isPort,
  toPort,
  buildAddress,
  socketType,
  validateTarget,
  validateTargets,
};
