// HOST:PORT, with brackets around an IPv6 host.

import { isIPv6 } from 'node:net';

export function formatAddress({ host, port }) {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

export function parseAddress(text) {
  const { host, ipv6, port } = /^(?:\[(?<ipv6>[^\]]+)\]|(?<host>[^:]+)):(?<port>\d{1,5})$/.exec(text)?.groups ?? {};
  if (port === undefined || Number(port) > 65_535) throw new TypeError(`${text} is no HOST:PORT`);
  return { host: ipv6 ?? host, port: Number(port) };
}
