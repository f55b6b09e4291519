// How the end of a connection is told: at both ends, by which events in which order, and by which error.

import type { Pair } from '../helpers/pair';
import { errors, events, native } from '../../lib';
import { createPair, recordEvents, startSocket } from '../helpers/pair';

type Told = { near: string[]; client: string[]; far: string[]; server: string[] };

/** An end by us stops, then tells why; an end that comes from elsewhere is told first. */
const BY_US = ['ConnectionStop', 'ConnectionError', 'ConnectionClose', 'ConnectionStopped'];
const TO_US = ['ConnectionError', 'ConnectionClose', 'ConnectionStop', 'ConnectionStopped'];
const CLIENT_FAILS = ['ClientError', 'ClientClose'];
const CLIENT_GOES = ['ClientDestroy', 'ClientDestroyed'];

type Ending = {
  end: (pair: Pair) => Promise<unknown>;
  near: keyof typeof errors;
  far: keyof typeof errors;
  /** What both errors have as data. */
  data?: object;
  told: Told;
};

const bye = { isApp: true, errorCode: 7, reason: Buffer.from('bye') };
const refused = { isApp: false, errorCode: native.ConnectionErrorCode.ConnectionRefused };

const endings: Record<string, Ending> = {
  'stop of the near connection': {
    end: ({ near }) => near.stop(bye),
    near: 'ErrorQUICConnectionLocal',
    far: 'ErrorQUICConnectionPeer',
    data: bye,
    told: { near: BY_US, client: [...CLIENT_FAILS, ...CLIENT_GOES], far: TO_US, server: [] },
  },
  'stop of the near connection, by a code of QUIC itself': {
    end: ({ near }) => near.stop({ isApp: false, errorCode: refused.errorCode }),
    near: 'ErrorQUICConnectionLocal',
    far: 'ErrorQUICConnectionPeer',
    data: refused,
    told: { near: BY_US, client: [...CLIENT_FAILS, ...CLIENT_GOES], far: TO_US, server: [] },
  },
  'stop of the far connection': {
    end: ({ far }) => far.stop(bye),
    near: 'ErrorQUICConnectionPeer',
    far: 'ErrorQUICConnectionLocal',
    data: bye,
    told: { near: TO_US, client: [...CLIENT_FAILS, ...CLIENT_GOES], far: BY_US, server: [] },
  },
  'destroy of the client': {
    end: ({ client }) => client.destroy(bye),
    near: 'ErrorQUICConnectionLocal',
    far: 'ErrorQUICConnectionPeer',
    data: bye,
    told: { near: BY_US, client: ['ClientDestroy', ...CLIENT_FAILS, 'ClientDestroyed'], far: TO_US, server: [] },
  },
  'stop of the server': {
    end: ({ server }) => server.stop(bye),
    near: 'ErrorQUICConnectionPeer',
    far: 'ErrorQUICConnectionLocal',
    data: bye,
    told: {
      near: TO_US,
      client: [...CLIENT_FAILS, ...CLIENT_GOES],
      far: BY_US,
      server: ['ServerStop', 'ServerClose', 'ServerStopped'],
    },
  },
  'silence, as at a suspended peer': {
    end: async ({ near, far }) => Promise.all([near.closedP, far.closedP]),
    near: 'ErrorQUICConnectionIdleTimeout',
    far: 'ErrorQUICConnectionIdleTimeout',
    told: { near: TO_US, client: [...CLIENT_FAILS, ...CLIENT_GOES], far: TO_US, server: [] },
  },
};

/** The first error an object tells, and the names of its own events, without `EventQUIC`. */
function listen(target: Parameters<typeof recordEvents>[0], own: 'Connection' | 'Client' | 'Server') {
  const names = recordEvents(target);
  const error = new Promise<Error>((resolve) =>
    target.addEventListener(`EventQUIC${own}Error`, ({ detail }: { detail: Error }) => resolve(detail), { once: true }),
  );
  const told = () => {
    const all = names.map((name) => name.slice('EventQUIC'.length)).filter((name) => name.startsWith(own));
    // Tickets to resume with may come before the end; never after it.
    return all.slice(all.findIndex((name) => name !== 'ConnectionSession'));
  };
  return { error, told };
}

test.each(Object.entries(endings))('%s', async (_, { end, near, far, data, told }) => {
  // Without tickets: a session is told when it comes.
  const quiet = { maxIdleTimeout: 500, resumption: 'never' as const };
  await using pair = await createPair({ client: quiet, server: quiet });
  const heard = {
    near: listen(pair.near, 'Connection'),
    client: listen(pair.client, 'Client'),
    far: listen(pair.far, 'Connection'),
    server: listen(pair.server, 'Server'),
  };
  await end(pair);
  await Promise.all([pair.near.closedP, pair.far.closedP, pair.client.closedP]);
  // Who awaits `closedP` may do so before the last event is told.
  await Promise.all([pair.near.stop(), pair.far.stop(), pair.client.destroy()]);
  const [nearError, clientError, farError] = await Promise.all([heard.near.error, heard.client.error, heard.far.error]);
  expect([nearError.constructor, farError.constructor]).toEqual([errors[near], errors[far]]);
  expect(clientError).toBe(nearError);
  if (data !== undefined) expect([nearError, farError]).toMatchObject([{ data }, { data }]);
  expect({
    near: heard.near.told(),
    client: heard.client.told(),
    far: heard.far.told(),
    server: heard.server.told(),
  }).toEqual(told);
});

test('a code of QUIC itself arrives even in the turn in which the client connects', async () => {
  for (let i = 0; i < 20; i++) {
    await using pair = await createPair();
    const { error } = listen(pair.far, 'Connection');
    void pair.near.stop(refused);
    expect(await error).toMatchObject({ data: refused });
  }
});

describe('a shared socket that is stopped by force', () => {
  test.each(['client', 'server'] as const)(
    'under the %s ends its side at once, and the other by silence',
    async (of) => {
      await using socket = await startSocket();
      const quiet = { maxIdleTimeout: 500, resumption: 'never' as const };
      await using pair = await createPair({ [`${of}Socket`]: socket, client: quiet, server: quiet });
      const [mine, other] = of === 'client' ? [pair.near, pair.far] : [pair.far, pair.near];
      const owner = of === 'client' ? listen(pair.client, 'Client') : listen(pair.server, 'Server');
      const heard = [listen(mine, 'Connection'), listen(other, 'Connection')] as const;
      await socket.stop({ force: true });
      const Gone = of === 'client' ? errors.ErrorQUICClientSocketNotRunning : errors.ErrorQUICServerSocketNotRunning;
      expect(await owner.error).toBeInstanceOf(Gone);
      expect(await heard[0].error).toMatchObject({ data: { isApp: false, errorCode: 1 } });
      expect(await heard[1].error).toBeInstanceOf(errors.ErrorQUICConnectionIdleTimeout);
      await Promise.all([mine.stop(), other.stop()]);
      expect(heard.map(({ told }) => told())).toEqual([TO_US, TO_US]);
    },
  );
});

describe('late listeners', () => {
  test('hear nothing of an end that is over, and dispatching on what is gone harms nobody', async () => {
    const pair = await createPair();
    const names = recordEvents(pair.near);
    await pair[Symbol.asyncDispose]();
    const before = names.length;
    const late = recordEvents(pair.near);
    await Promise.all([pair.near.stop(), pair.client.destroy(), pair.server.stop()]);
    expect([names.length, late]).toEqual([before, []]);
    pair.client.dispatchEvent(new events.EventQUICClientError({ detail: new errors.ErrorQUICClientInternal() }));
    await pair.client.destroy();
  });
});
