// The search for the largest packet that a path carries, over links of the kernel that carry less than is asked for.

import type { Kind } from '../../scripts/nat/lab.cjs';
import { Lab } from '../../scripts/nat/lab.cjs';
import { Stage } from './agents';

const problem = Lab.problem();
const withLab = problem === undefined ? test : test.skip;

const MiB = 1024 * 1024;
/** Headers of IP and UDP. */
const OVERHEAD = { v4: 28, v6: 48 };
/** What an Ethernet carries over IPv4, and one of jumbo frames. */
const ETHERNET = 1500 - OVERHEAD.v4;
const JUMBO = 9000 - OVERHEAD.v4;

const searching = { discoverPmtu: true, maxSendUdpPayloadSize: JUMBO };

type Stats = {
  connection: { paths: { active: boolean; pmtu: number }[] };
  socket: { transport: { kind: string } };
  maxDatagramSize: number;
};

/** Both ends' path MTU, as soon as it is at least so large, or, on a path that got worse, at most. */
async function found(
  stage: Stage,
  ends: [number, number],
  isFound: (pmtu: number) => boolean,
): Promise<[number, number]> {
  const pmtus: number[] = [];
  for (const [index, end] of ends.entries()) {
    let pmtu: number | undefined;
    while (pmtu === undefined || !isFound(pmtu)) {
      const { connection } = await stage.agents[index as 0 | 1].ask<Stats>('stats', { end });
      pmtu = connection.paths.find((path) => path.active)?.pmtu;
    }
    pmtus.push(pmtu);
  }
  return pmtus as [number, number];
}

/** Whether the kernel still cuts bursts. */
async function isCutting(stage: Stage, ends: [number, number]): Promise<boolean[]> {
  const stats = ends.map((end, index) => stage.agents[index as 0 | 1].ask<Stats>('stats', { end }));
  return (await Promise.all(stats)).map(({ socket }) => socket.transport.kind === 'descriptor with segmentation');
}

withLab.each<[what: string, kinds: [Kind, Kind], mtus: [number, number], carried: number]>([
  ['an Ethernet', ['none', 'none'], [1500, 1500], ETHERNET],
  ['jumbo frames all the way', ['none', 'none'], [9000, 9000], JUMBO],
  ['a narrow link at the far end', ['none', 'none'], [1500, 1280], 1280 - OVERHEAD.v4],
  ['a narrow link and a NAT', ['none', 'port-restricted'], [1280, 9000], 1280 - OVERHEAD.v4],
  ['firewalls and IPv6', ['firewall', 'firewall'], [1500, 1400], 1400 - OVERHEAD.v6],
])('both ends find what is carried by %s', async (_, kinds, mtus, carried) => {
  await using stage = new Stage(kinds);
  mtus.forEach((mtu, index) => stage.lab.limit(index + 1, mtu));
  const { ends } = await stage.meet(searching);
  expect(await found(stage, ends, (pmtu) => pmtu >= carried)).toEqual([carried, carried]);
  const [one] = stage.agents;
  const [end] = ends;
  // One that is as large as it may be fills the packet, but for what protects it, and comes back.
  const size = await one.ask<number>('datagram', { end });
  expect(size).toBeLessThan(carried);
  expect(size).toBeGreaterThan(carried - 50);
  expect(await one.ask('upload', { end, bytes: 2 * MiB })).toEqual({ sent: 2 * MiB, isSame: true });
  expect(await found(stage, ends, () => true)).toEqual([carried, carried]);
  // Probes too large for the link have cost nobody the bursts.
  expect(await isCutting(stage, ends)).toEqual([true, true]);
});

withLab.each<[when: string, largest: number, isOver: boolean]>([
  // The first probe ends the search.
  ['after the search', ETHERNET, true],
  ['in the middle of it', JUMBO, false],
])('a link that gets narrow in a transfer, %s, stops nothing', async (_, largest, isOver) => {
  await using stage = new Stage(['none', 'none']);
  const carried = 1280 - OVERHEAD.v4;
  const { ends } = await stage.meet({ ...searching, maxSendUdpPayloadSize: largest });
  await found(stage, ends, (pmtu) => pmtu > 1200);
  stage.lab.slow(1, '20mbit');
  const [one] = stage.agents;
  const [end] = ends;
  const bytes = 5 * MiB;
  const transfers = Promise.all([one.ask('upload', { end, bytes }), one.ask('download', { end, bytes })]);
  await one.ask('echo', { end });
  const before = await found(stage, ends, () => true);
  expect(before.map((pmtu) => pmtu === ETHERNET)).toEqual([isOver, isOver]);
  stage.lab.limit(2, 1280);
  expect(await transfers).toEqual([
    { sent: bytes, isSame: true },
    { received: bytes, isSame: true },
  ]);
  expect(await found(stage, ends, (pmtu) => pmtu === carried)).toEqual([carried, carried]);
});

withLab('packets of a fixed size get through where the host knows that the link is narrow', async () => {
  await using stage = new Stage(['none', 'none']);
  stage.lab.limit(1, 1280);
  stage.lab.limit(2, 1280);
  const { ends } = await stage.meet();
  const [end] = ends;
  expect(await stage.agents[0].ask('upload', { end, bytes: MiB })).toEqual({ sent: MiB, isSame: true });
});
