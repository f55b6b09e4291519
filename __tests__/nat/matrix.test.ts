// Which pairs of NATs let two peers connect directly: real NATs, in network namespaces.

import type { Kind } from '../../scripts/nat/lab.cjs';
import type { Agent } from './agents';
import { Lab } from '../../scripts/nat/lab.cjs';
import { AgentError, Stage } from './agents';

const problem = Lab.problem();
const withLab = problem === undefined ? describe : describe.skip;
if (problem !== undefined) process.stdout.write(`The NAT tests are skipped: ${problem}\n`);

const tries = Number(process.env['NAT_TRIES'] ?? 5);
/** How long to punch where there is no way. */
const VAIN_MS = 2_500;

const kinds: Kind[] = ['none', 'port-restricted', 'symmetric'];
const isDirect = (one: Kind, other: Kind): boolean =>
  one === 'none' || other === 'none' || (one === 'port-restricted' && other === 'port-restricted');

/** What a NAT does, as RFC 4787 describes it. */
async function classOf(stage: Stage, agent: Agent): Promise<Kind> {
  const [first, second] = await stage.observers();
  const { end, observed } = await stage.open(agent);
  const again = await agent.ask<{ host: string; port: number }>('observe', {
    end,
    host: second.host,
    port: second.port,
  });
  // From a port that was never spoken to, and after it from one that was.
  const { end: stranger } = await stage.world.ask<{ end: number }>('open', { host: first.host });
  await stage.world.ask('send', { end: stranger, text: 'stranger', ...observed });
  await agent.ask('observe', { end, host: first.host, port: first.port });
  const isOpen = (await agent.ask<string[]>('hear', { end })).includes('stranger');
  if (isOpen) return 'none';
  return observed.port === again.port ? 'port-restricted' : 'symmetric';
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1];

const table = new Map<string, string>();

afterAll(() => {
  if (table.size === 0) return;
  const names = [...kinds, 'firewall' as const].filter((kind) => [...table.keys()].some((key) => key.startsWith(kind)));
  const cell = (row: string, column: string): string => table.get(`${row} × ${column}`) ?? '';
  const width = 18;
  const lines = names.map((row) => [row, ...names.map((column) => cell(row, column))]);
  const text = [['dials ↓  answers →', ...names], ...lines].map((cells) =>
    cells.map((each) => each.padEnd(width)).join('  '),
  );
  process.stdout.write(`\nTime to the direct path, median of ${tries} tries:\n  ${text.join('\n  ')}\n\n`);
});

withLab('two peers', () => {
  describe.each(kinds)('the one who dials behind %s', (one) => {
    test.each(kinds)('and the other behind %s', async (other) => {
      await using stage = new Stage([one, other]);
      // The result is worth nothing if the NATs are not what they should be.
      expect(await classOf(stage, stage.agents[0])).toBe(one);
      expect(await classOf(stage, stage.agents[1])).toBe(other);
      const name = `${one} × ${other}`;
      if (isDirect(one, other)) {
        const times: number[] = [];
        for (let i = 0; i < tries; i++) times.push((await stage.meet()).ms);
        table.set(name, `${median(times).toFixed(0)} ms`);
        return;
      }
      const start = performance.now();
      const outcomes = await Promise.allSettled(Array.from({ length: tries }, () => stage.meet({}, VAIN_MS)));
      expect(outcomes.map((outcome) => (outcome.status === 'rejected' ? codeOf(outcome.reason) : 'direct'))).toEqual(
        Array.from({ length: tries }, () => 'SocketPunchTimeout'),
      );
      expect(performance.now() - start).toBeLessThan(VAIN_MS + 10_000);
      table.set(name, `none, ${VAIN_MS / 1000} s`);
    });
  });

  test('behind stateful firewalls, over IPv6', async () => {
    await using stage = new Stage(['firewall', 'firewall']);
    expect(await classOf(stage, stage.agents[0])).toBe('port-restricted');
    const times: number[] = [];
    for (let i = 0; i < tries; i++) times.push((await stage.meet()).ms);
    table.set('firewall × firewall', `${median(times).toFixed(0)} ms`);
  });
});

function codeOf(error: unknown): string | undefined {
  return error instanceof AgentError ? error.code : String(error);
}
