// A system that has no memory left for what is sent.

import { Lab } from '../../scripts/nat/lab.cjs';
import { Stage } from './agents';

const problem = Lab.problem();
const withLab = problem === undefined ? test : test.skip;

const KiB = 1024;

withLab('a datagram for which the system has no buffer is lost alone (ENOBUFS)', async () => {
  await using stage = new Stage(['none', 'none']);
  const { agents } = stage;
  // The least that Linux grants: not enough for all fragments of a large datagram, and seldom for a window of QUIC.
  const open = { host: '0.0.0.0', sendBufferSize: 1 };
  const [here, there] = await Promise.all(
    agents.map((agent) => agent.ask<{ end: number; port: number }>('open', open)),
  );
  const [{ host, port }] = await stage.observers();
  const send = agents[0].ask('send', { end: here.end, bytes: 20 * KiB, host, port });
  await expect(send).rejects.toMatchObject({ code: 'ENOBUFS' });
  // The socket goes on.
  await agents[0].ask('send', { end: here.end, text: 'still here', host, port });
  const seen = await agents[1].ask<{ host: string; port: number }>('observe', {
    ...there,
    host,
    port,
    timeout: 10_000,
  });
  const id = await agents[1].ask<string>('identity');
  expect(await agents[0].ask('dial', { end: here.end, host: seen.host, port: seen.port, id })).toBe(id);
  const bytes = 512 * KiB;
  expect(await agents[0].ask('upload', { end: here.end, bytes })).toEqual({ sent: bytes, isSame: true });
  expect(await agents[0].ask('download', { end: here.end, bytes })).toMatchObject({ isSame: true });
  const { socket } = await agents[0].ask<{ socket: { transport: { sendsFailed: number } } }>('stats', {
    end: here.end,
  });
  expect(socket.transport.sendsFailed).toBeGreaterThanOrEqual(1);
});

withLab.each([
  ['auto', 'descriptor with segmentation', true],
  ['portable', 'libuv', true],
  // It doesn't tell.
  ['dgram', 'dgram', false],
])('what the system has no room for yet waits for it (EAGAIN): %s', async (transport, kind, isTold) => {
  await using stage = new Stage(['none', 'none']);
  const { agents, lab } = stage;
  const open = { host: '0.0.0.0', sendBufferSize: 1, transport };
  const [here, there] = await Promise.all(
    agents.map((agent) => agent.ask<{ end: number; port: number }>('open', open)),
  );
  const [{ host, port }] = await stage.observers();
  const seen = await agents[1].ask<{ host: string; port: number }>('observe', {
    ...there,
    host,
    port,
    timeout: 10_000,
  });
  const id = await agents[1].ask<string>('identity');
  expect(await agents[0].ask('dial', { end: here.end, host: seen.host, port: seen.port, id })).toBe(id);
  // What waits for a slow link stays in the socket's buffer.
  lab.slow(1, '20mbit');
  const bytes = 512 * KiB;
  expect(await agents[0].ask('upload', { end: here.end, bytes })).toEqual({ sent: bytes, isSame: true });
  const { socket } = await agents[0].ask<{ socket: { transport: Record<string, unknown> } }>('stats', {
    end: here.end,
  });
  expect(socket.transport).toMatchObject({ kind, sendsFailed: 0 });
  if (isTold) expect(socket.transport['sendsBlocked']).toBeGreaterThan(0);
});
