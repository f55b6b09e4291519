import crypto from 'node:crypto';

import type { Config } from '../../index.js';
import { Connection } from '../../index.js';

import { identity } from '../helpers/rawCertificates';
import { CLIENT, RawPair, SERVER, baseConfig, codeOf, newId } from '../helpers/rawPair';

/** `ssl_early_data_reason_t` of BoringSSL. */
const ACCEPTED = 2;

const ticketKey = crypto.randomBytes(48);
const buffer = Buffer.alloc(1000);

function serverConfig(early = false): Config {
  const { key, cert } = identity('server');
  const config = baseConfig('server', { credentials: [{ key, cert }], sessionTickets: true });
  if (early) config.enableEarlyData();
  return config;
}

/** The session of a first connection. */
function ticket(config: Config, early = false): Buffer {
  const pair = RawPair.connected({ serverConfig: config, client: (c) => early && c.enableEarlyData() });
  const session = pair.client.session();
  expect(session).not.toBeNull();
  expect(pair.server.session()).toBeNull();
  return session!;
}

/** A second connection, before its first packet. */
function returning(config: Config, session: Buffer, early = false): RawPair {
  return new RawPair({
    serverConfig: config,
    client: (c) => early && c.enableEarlyData(),
    before: ({ client }) => client.setSession(session),
  });
}

test('a session is resumed', () => {
  const config = serverConfig();
  const pair = returning(config, ticket(config));
  pair.flush();
  expect([pair.errors, pair.client.isResumed(), pair.server.isResumed()]).toEqual([[], true, true]);
  const without = RawPair.connected({ serverConfig: config });
  expect([without.client.isResumed(), without.server.isResumed()]).toEqual([false, false]);
});

test('without sessionTickets there is none', () => {
  expect(RawPair.connected().client.session()).toBeNull();
});

describe('setTicketKey', () => {
  /** Whether a ticket of one server serves at another. */
  function serves(first: Buffer, second: Buffer): boolean {
    const [one, other] = [serverConfig(), serverConfig()];
    one.setTicketKey(first);
    other.setTicketKey(second);
    const pair = returning(other, ticket(one));
    pair.flush();
    expect([pair.client.isEstablished(), pair.server.isEstablished()]).toEqual([true, true]);
    return pair.client.isResumed();
  }

  test('servers with the same key know their tickets', () => {
    expect([serves(ticketKey, ticketKey), serves(ticketKey, crypto.randomBytes(48))]).toEqual([true, false]);
  });

  test('a key has 48 bytes', () => {
    for (const length of [0, 47, 49]) {
      expect(codeOf(() => serverConfig().setTicketKey(Buffer.alloc(length)))).toBe('InvalidConfig');
    }
  });
});

describe('enableEarlyData', () => {
  test('lets data go with the first packet', () => {
    const config = serverConfig(true);
    const pair = returning(config, ticket(config, true), true);
    const { client, server } = pair;
    pair.deliver(pair.take('client'));
    expect([client.isEstablished(), client.isInEarlyData()]).toEqual([false, true]);
    expect(client.streamWrite(0, Buffer.from('early'), true)).toBe(5);
    pair.deliver(pair.take('client'));
    expect([server.isEstablished(), server.isInEarlyData(), server.streamReadable(0)]).toEqual([false, true, true]);
    expect(server.streamRead(0, buffer)).toBe(5 * 2 + 1);
    pair.flush();
    expect([client.isEstablished(), client.earlyDataReason(), server.earlyDataReason()]).toEqual([
      true,
      ACCEPTED,
      ACCEPTED,
    ]);
  });

  test('without it there is none', () => {
    const config = serverConfig();
    const pair = returning(config, ticket(config));
    pair.deliver(pair.take('client'));
    expect(pair.client.isInEarlyData()).toBe(false);
    pair.client.streamWrite(0, Buffer.from('early'), true);
    expect(pair.take('client')).toEqual([]);
    pair.flush();
    expect(pair.client.earlyDataReason()).not.toBe(ACCEPTED);
  });
});

describe('setEarlyDataContext', () => {
  test('refuses early data from a session of another context, but not the session', () => {
    const limits = (bytes: string): Config => {
      const config = serverConfig(true);
      config.setTicketKey(ticketKey);
      config.setEarlyDataContext(Buffer.from(bytes));
      return config;
    };
    const session = ticket(limits('small'), true);
    for (const [bytes, accepts] of [
      ['small', true],
      ['large', false],
    ] as const) {
      const pair = returning(limits(bytes), session, true);
      pair.flush();
      expect([pair.client.isResumed(), pair.client.earlyDataReason() === ACCEPTED]).toEqual([true, accepts]);
    }
  });

  test('takes 1 to 255 bytes, or null', () => {
    for (const length of [0, 256]) {
      expect(codeOf(() => serverConfig().setEarlyDataContext(Buffer.alloc(length)))).toBe('InvalidConfig');
    }
    serverConfig().setEarlyDataContext(Buffer.alloc(255));
    serverConfig().setEarlyDataContext(null);
  });
});

test('setConnectsEarly leaves connections that are driven by hand as they are', () => {
  const config = serverConfig(true);
  config.setConnectsEarly(true);
  const pair = returning(config, ticket(config, true), true);
  pair.flush();
  expect(pair.errors).toEqual([]);
  expect(pair.client.earlyDataReason()).toBe(ACCEPTED);
});

describe('setSession', () => {
  test('must come before the first packet', () => {
    const config = serverConfig();
    const session = ticket(config);
    const pair = new RawPair({ serverConfig: config });
    pair.take('client');
    expect(codeOf(() => pair.client.setSession(session))).toBe('InvalidState');
    pair.flush();
    expect(codeOf(() => pair.client.setSession(session))).toBe('InvalidState');
  });

  test('is for clients', () => {
    const server = Connection.accept(serverConfig(), newId(), SERVER, CLIENT);
    expect(codeOf(() => server.setSession(ticket(serverConfig())))).toBe('InvalidState');
  });

  test('refuses what is no session', () => {
    const session = ticket(serverConfig());
    const cut = session.subarray(0, session.length - 1);
    const huge = Buffer.concat([Buffer.alloc(8, 0xff), session.subarray(8)]);
    for (const bytes of [Buffer.alloc(0), Buffer.from('rubbish'), cut, huge]) {
      const { client } = new RawPair();
      expect(codeOf(() => client.setSession(bytes))).toBe('InvalidArgument');
    }
  });
});
