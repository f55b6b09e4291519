import { randomBytes } from 'node:crypto';
import type { QUICClientConfigInput, QUICServerConfigInput } from '../../lib';
import { QUICClient, QUICServer, errors, events } from '../../lib';
import { createAuthority, createIdentity } from '../helpers/certificates';
import { authority, nextEvent } from '../helpers/pair';

const own = authority().issue();
const [first, second, third] = [0, 1, 2].map(() => randomBytes(32));

async function startServer(config: Partial<QUICServerConfigInput>): Promise<QUICServer> {
  const server = new QUICServer({ config: { ...own, ...config } });
  await server.start({ host: '127.0.0.1' });
  return server;
}

/** Dials once: whether a session was resumed, and the one that the server handed out, if it did. */
async function visit(server: QUICServer, session?: Uint8Array, config: QUICClientConfigInput = {}) {
  await using client = await QUICClient.createQUICClient({
    host: '127.0.0.1',
    port: server.port,
    localHost: '127.0.0.1',
    config: { ca: authority().ca, ...config },
    session,
  });
  const { connection } = client;
  const isResumed = connection.tls?.isResumed;
  if (isResumed === true) return { isResumed, session };
  const told = await nextEvent<events.EventQUICConnectionSession>(connection, events.EventQUICConnectionSession);
  return { isResumed, session: told.detail };
}

describe('ticketKeys', () => {
  test('let several servers resume the sessions of one, and one after a restart', async () => {
    await using one = await startServer({ ticketKeys: [first] });
    await using other = await startServer({ ticketKeys: [first] });
    await using stranger = await startServer({});
    const { isResumed, session } = await visit(one);
    expect(isResumed).toBe(false);
    expect((await visit(other, session)).isResumed).toBe(true);
    expect((await visit(stranger, session)).isResumed).toBe(false);
    await one.stop();
    await one.start({ host: '127.0.0.1' });
    expect((await visit(one, session)).isResumed).toBe(true);
  });

  test('without them a restart ends the sessions', async () => {
    await using server = await startServer({});
    const { session } = await visit(server);
    expect((await visit(server, session)).isResumed).toBe(true);
    await server.stop();
    await server.start({ host: '127.0.0.1' });
    expect((await visit(server, session)).isResumed).toBe(false);
  });

  test('are rotated by updateConfig: the first encrypts, the others are still taken', async () => {
    await using server = await startServer({ ticketKeys: [first] });
    const { session: old } = await visit(server);
    server.updateConfig({ ticketKeys: [second, first] });
    expect((await visit(server, old)).isResumed).toBe(true);
    const { session: young } = await visit(server);
    server.updateConfig({ ticketKeys: [third, second] });
    expect((await visit(server, old)).isResumed).toBe(false);
    expect((await visit(server, young)).isResumed).toBe(true);
  });

  test('updateConfig of something else ends no session', async () => {
    await using server = await startServer({ ticketKeys: [first] });
    const { session } = await visit(server);
    server.updateConfig({ maxIdleTimeout: 10_000 });
    expect((await visit(server, session)).isResumed).toBe(true);
  });

  test('take nobody past another judgement', async () => {
    const me = createIdentity();
    const other = createAuthority();
    let asked = 0;
    const callback = { resumption: 'trustTicket', verifyCallback: () => void (asked += 1) } as const;
    const judges: [string, Partial<QUICServerConfigInput>][] = [
      ['nobody', {}],
      ['an authority', { verifyPeer: true, ca: me.cert }],
      ['another authority', { verifyPeer: true, ca: me.cert + other.ca }],
      ['a callback', { verifyPeer: true, ...callback }],
      ['a callback that is told an authority', { verifyPeer: true, ca: me.cert, ...callback }],
      ['a callback that is told another', { verifyPeer: true, ca: me.cert + other.ca, ...callback }],
    ];
    for (const [from, before] of judges) {
      await using server = await startServer({ ...before, ticketKeys: [first] });
      const { session } = await visit(server, undefined, me);
      for (const [to, after] of judges) {
        await using next = await startServer({ ...after, ticketKeys: [first] });
        const askedBefore = asked;
        expect([from, to, (await visit(next, session, me)).isResumed]).toEqual([from, to, from === to]);
        expect(asked - askedBefore).toBe('verifyCallback' in after && from !== to ? 1 : 0);
      }
    }
  });

  test.each<[string, unknown, RegExp]>([
    ['none', [], /^ticketKeys is expected to be a list/],
    ['no list', first, /^ticketKeys is expected to be a list/],
    ['text', ['0123456789abcdef0123456789abcdef'], /^ticketKeys is expected to be a list/],
    ['too short a key', [first, randomBytes(31)], /^ticketKeys: has to be keys of at least 32 random bytes each/],
    ['too many', Array.from({ length: 17 }, () => first), /^ticketKeys: are more than 16/],
  ])('%s are refused', (_, ticketKeys, message) => {
    const create = () => new QUICServer({ config: { ...own, ticketKeys: ticketKeys as Uint8Array[] } });
    expect(create).toThrow(errors.ErrorQUICConfig);
    expect(create).toThrow(message);
  });
});
