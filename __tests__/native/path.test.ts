import type { Address, PathEvent } from '../../index.js';

import type { Packet } from '../helpers/rawPair';
import { Endpoint } from '../../index.js';
import { CLIENT, RawPair, SERVER, baseConfig, codeOf, newId } from '../helpers/rawPair';

const ELSEWHERE: Address = { host: '10.0.0.7', port: 7777 };

/** A pair whose sides have given each other spare connection ids. */
function roomy(options: ConstructorParameters<typeof RawPair>[0] = {}): RawPair {
  const pair = RawPair.connected({
    ...options,
    client: (config) => {
      config.setActiveConnectionIdLimit(4);
      options.client?.(config);
    },
    server: (config) => {
      config.setActiveConnectionIdLimit(4);
      options.server?.(config);
    },
  });
  for (const side of [pair.client, pair.server]) {
    while (side.scidsLeft() > 0) side.newScid(newId(), newId(), false);
  }
  pair.flush();
  return pair;
}

function events(side: { pathEventNext(): PathEvent | null }): PathEvent[] {
  const all: PathEvent[] = [];
  for (let event = side.pathEventNext(); event !== null; event = side.pathEventNext()) all.push(event);
  return all;
}

describe('connection ids', () => {
  test('newScid gives the peer another one, as many as it keeps', () => {
    const pair = RawPair.connected({
      client: (config) => config.setActiveConnectionIdLimit(3),
      server: (config) => config.setActiveConnectionIdLimit(3),
    });
    const { client, server } = pair;
    expect([server.activeScids(), server.scidsLeft(), client.availableDcids()]).toEqual([1, 2, 0]);
    const [first, second] = [newId(), newId()];
    expect([server.newScid(first, newId(), false), server.newScid(second, newId(), false)]).toEqual([1, 2]);
    expect([server.activeScids(), server.scidsLeft()]).toEqual([3, 0]);
    expect(server.sourceIds()).toEqual([server.sourceId(), first, second]);
    pair.flush();
    expect(client.availableDcids()).toBe(2);
    expect(codeOf(() => server.newScid(newId(), newId(), false))).toBe('IdLimit');
  });

  test('retireIfNeeded makes room', () => {
    const pair = RawPair.connected();
    const { client, server } = pair;
    const [own, next] = [server.sourceId(), newId()];
    server.newScid(newId(), newId(), false);
    pair.flush();
    expect(server.newScid(next, newId(), true)).toBe(2);
    pair.flush();
    expect(server.retiredScids()).toBe(1);
    expect(server.retiredScidNext()).toEqual(own);
    expect([server.retiredScids(), server.retiredScidNext()]).toEqual([0, null]);
    expect(client.destinationId()).not.toEqual(own);
  });

  test('retireDcid gives one back', () => {
    const pair = roomy();
    const [before, spare] = [pair.client.destinationId(), pair.client.availableDcids()];
    pair.client.retireDcid(0);
    expect(pair.client.availableDcids()).toBe(spare - 1);
    expect(pair.client.destinationId()).not.toEqual(before);
    pair.flush();
    expect(pair.server.retiredScidNext()).toEqual(before);
    expect(codeOf(() => pair.client.retireDcid(0.5))).toBe('OutOfRange');
    expect(codeOf(() => RawPair.connected().client.retireDcid(0))).toBe('OutOfIdentifiers');
  });

  test('bad ids and tokens', () => {
    const { client } = roomy();
    expect(codeOf(() => client.newScid(newId(21), newId(), true))).toBe('InvalidArgument');
    expect(codeOf(() => client.newScid(newId(), newId(15), true))).toBe('InvalidArgument');
    expect(codeOf(() => client.newScid(client.sourceIds()[1], newId(), true))).toBe('InvalidState');
  });
});

describe('migration', () => {
  test('migrateSource goes over to another address of ours', () => {
    const pair = roomy();
    expect(pair.client.migrateSource(ELSEWHERE)).toBe(1);
    expect(pair.client.localAddress()).toEqual(ELSEWHERE);
    pair.client.streamWrite(0, Buffer.from('.'), false);
    pair.flush();
    expect(pair.server.remoteAddress()).toEqual(ELSEWHERE);
    const path = { local: SERVER, peer: ELSEWHERE };
    expect(events(pair.server)).toEqual([
      { type: 'New', ...path },
      { type: 'Validated', ...path },
      { type: 'PeerMigrated', ...path },
    ]);
    expect(events(pair.server)).toEqual([]);
    expect(pair.client.stats().pathChallengeRxCount).toBeGreaterThan(0);
  });

  test('migrate goes over to a path, and back', () => {
    const pair = roomy();
    pair.client.migrate(ELSEWHERE, SERVER);
    pair.flush();
    expect([pair.client.localAddress(), pair.client.stats().pathsCount]).toEqual([ELSEWHERE, 2]);
    expect(pair.client.migrate(CLIENT, SERVER)).toBe(0);
    expect(pair.client.localAddress()).toEqual(CLIENT);
    expect(pair.client.pathStats().map(({ local, active }) => [local.port, active])).toEqual([
      [CLIENT.port, true],
      [ELSEWHERE.port, false],
    ]);
  });

  test('it needs spare ids, and is for clients', () => {
    expect(codeOf(() => RawPair.connected().client.migrate(ELSEWHERE, SERVER))).toBe('OutOfIdentifiers');
    expect(codeOf(() => RawPair.connected().client.migrateSource(ELSEWHERE))).toBe('OutOfIdentifiers');
    expect(codeOf(() => roomy().server.migrate(ELSEWHERE, CLIENT))).toBe('InvalidState');
    expect(codeOf(() => roomy().server.probePath(ELSEWHERE, CLIENT))).toBe('InvalidState');
  });

  test('probePath tries a path without going over', () => {
    const pair = roomy();
    expect(pair.client.probePath(ELSEWHERE, SERVER)).toBe(1);
    expect(pair.client.isPathValidated(ELSEWHERE, SERVER)).toBe(false);
    expect(pair.client.pathsIter(ELSEWHERE)).toEqual([SERVER]);
    expect(pair.client.pathsIter({ host: '10.8.8.8', port: 8 })).toEqual([]);
    pair.flush();
    expect(pair.client.isPathValidated(ELSEWHERE, SERVER)).toBe(true);
    expect(pair.client.localAddress()).toEqual(CLIENT);
    expect(events(pair.client)).toEqual([{ type: 'Validated', local: ELSEWHERE, peer: SERVER }]);
    expect(codeOf(() => pair.client.isPathValidated(SERVER, ELSEWHERE))).toBe('InvalidState');
  });

  test('a path that does not answer fails', async () => {
    const pair = roomy({ client: (config) => config.setInitialRtt(5) });
    pair.filter = (packet) => packet.from.port !== ELSEWHERE.port;
    pair.client.probePath(ELSEWHERE, SERVER);
    const seen: PathEvent[] = [];
    await pair.until(() => {
      seen.push(...events(pair.client));
      return seen.some(({ type }) => type === 'FailedValidation');
    });
    expect(pair.client.isPathValidated(ELSEWHERE, SERVER)).toBe(false);
  });

  test('setPathChallengeRecvMaxQueueLen 0 answers no challenge', () => {
    const pair = roomy({ server: (config) => config.setPathChallengeRecvMaxQueueLen(0) });
    pair.client.probePath(ELSEWHERE, SERVER);
    pair.flush();
    expect(pair.client.isPathValidated(ELSEWHERE, SERVER)).toBe(false);
  });
});

describe('NAT rebinding', () => {
  /** Lets the client's next packets arrive from another port. */
  function rebind(pair: RawPair, port: number): void {
    const inside = (packet: Packet): Packet => ({ ...packet, from: { ...packet.from, port } });
    const outside = (packet: Packet): Packet => ({ ...packet, to: { ...packet.to, port: CLIENT.port } });
    for (let moved = true; moved;) {
      const [up, down] = [pair.take('client').map(inside), pair.take('server').map(outside)];
      pair.deliver(up);
      pair.deliver(down);
      moved = up.length + down.length > 0;
    }
  }

  test('the server follows, and says that an id was used again', () => {
    const pair = roomy();
    pair.client.streamWrite(0, Buffer.from('.'), false);
    rebind(pair, 2222);
    expect(pair.server.remoteAddress().port).toBe(2222);
    const moved = { local: SERVER, peer: { ...CLIENT, port: 2222 } };
    expect(events(pair.server)).toContainEqual({
      type: 'ReusedSourceConnectionId',
      sequence: 0,
      old: { local: SERVER, peer: CLIENT },
      ...moved,
    });
  });

  test('setDisableDcidReuse stalls it when there is no spare id', () => {
    const answered = (disable: boolean): boolean => {
      const pair = RawPair.connected({ server: (config) => config.setDisableDcidReuse(disable) });
      pair.client.streamWrite(0, Buffer.from('.'), false);
      rebind(pair, 2222);
      return pair.sent.some((packet) => packet.by === 'server' && packet.to.port === 2222);
    };
    expect([answered(false), answered(true)]).toEqual([true, false]);
  });
});

describe('path MTU discovery', () => {
  /** A pair that probes up to 1500 bytes over a link that carries less. */
  function probing(carries: number, probes?: number): RawPair {
    const pair = new RawPair({
      client: (config) => {
        config.setMaxSendUdpPayloadSize(1500);
        config.discoverPmtu(true);
        config.setInitialRtt(5);
        if (probes !== undefined) config.setPmtudMaxProbes(probes);
      },
    });
    pair.filter = ({ bytes }) => bytes <= carries;
    return pair;
  }

  test('finds what the path carries, and tells it', async () => {
    const pair = probing(1500);
    await pair.until(() => pair.client.pmtu() !== null);
    expect(pair.client.pmtu()).toBe(1500);
    expect(events(pair.client)).toEqual([{ type: 'PmtuUpdated', local: CLIENT, peer: SERVER, pmtu: 1500 }]);
    expect(RawPair.connected().client.pmtu()).toBeNull();
  });

  test('setPmtudMaxProbes says how often a size is tried', async () => {
    const tried = async (probes: number): Promise<number> => {
      const pair = probing(1400, probes);
      await pair.until(() => pair.sent.some(({ bytes }) => bytes > 1200 && bytes < 1500));
      return pair.sent.filter(({ bytes }) => bytes === 1500).length;
    };
    expect([await tried(1), await tried(4)]).toEqual([1, 4]);
  });

  test('revalidatePmtu tries again', async () => {
    const pair = probing(1500);
    await pair.until(() => pair.client.pmtu() === 1500);
    const before = pair.sent.length;
    pair.client.revalidatePmtu();
    pair.flush();
    expect(pair.sent.slice(before).map(({ bytes }) => bytes)).toContain(1500);
  });
});

test.each([true, false])('an endpoint follows its server to another address: %s', (follows) => {
  const [client, server] = [new Endpoint(), new Endpoint()];
  for (const endpoint of [client, server]) endpoint.setChangesBuffer(new Float64Array(3 * 64));
  client.setLocalAddress(CLIENT.host, CLIENT.port);
  server.setLocalAddress(SERVER.host, SERVER.port);
  server.listen(baseConfig('server'));
  const config = baseConfig('client');
  config.setFollowServer(follows);
  const connection = client.connect(config, SERVER.host, SERVER.port);
  let serverIs = SERVER;
  const [data, layout] = [Buffer.alloc(65_536), new Int32Array(3 * 32)];
  const carry = (from: Endpoint, to: Endpoint, seenAs: Address): boolean => {
    const count = from.transmit(data, layout);
    for (let i = 0; i < count; i++) layout[3 * i + 2] = to.internAddress(seenAs.host, seenAs.port);
    return to.receive(data, layout, count) >= 0 && count > 0;
  };
  const run = (): void => {
    while (carry(client, server, CLIENT) || carry(server, client, serverIs));
  };
  run();
  expect(connection.isEstablished()).toBe(true);
  serverIs = ELSEWHERE;
  const [key] = Array.from({ length: 8 }, (_, i) => i).filter((i) => isConnection(server, i));
  server.connection(key).sendAckEliciting();
  run();
  expect(connection.remoteAddress()).toEqual(follows ? ELSEWHERE : SERVER);
});

function isConnection(endpoint: Endpoint, key: number): boolean {
  try {
    return endpoint.connection(key).isEstablished();
  } catch {
    return false;
  }
}
