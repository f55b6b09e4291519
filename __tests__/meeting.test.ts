// Two peers that dial each other at the same moment over the sockets on which they listen: both keep the same connection.

import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';

const ROUNDS = 50;

type Outcome = {
  ids: [string, string];
  dialled: [boolean, boolean];
  echoes: [boolean, boolean];
  kept: [boolean, boolean];
  shown: [number, number];
};

test(`both keep the same connection and nothing else, ${ROUNDS} times`, async () => {
  // A process of its own: it exits by itself only if nothing is left.
  const script = path.join(__dirname, 'helpers', 'meetings.mjs');
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [script, String(ROUNDS)], {
    timeout: 100_000,
  });
  const outcomes = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Outcome);
  expect(outcomes).toHaveLength(ROUNDS);
  for (const { ids, dialled, echoes, kept } of outcomes) {
    expect(ids[0]).toBe(ids[1]);
    expect([...dialled].sort()).toEqual([false, true]);
    expect({ echoes, kept }).toEqual({ echoes: [true, true], kept: [true, true] });
  }
  // There was something to agree on: both connections came up, and now the one was kept, now the other.
  expect(outcomes.filter(({ shown }) => shown.every((count) => count === 2)).length).toBeGreaterThan(ROUNDS / 2);
  expect(new Set(outcomes.map(({ dialled }) => dialled[0])).size).toBe(2);
  expect(stderr).toBe('');
}, 120_000);

test('who is introduced before anybody waits for it is not forgotten', async () => {
  const script = path.join(__dirname, 'helpers', 'introduced.mjs');
  const { stdout } = await promisify(execFile)(process.execPath, [script], { timeout: 20_000 });
  expect(JSON.parse(stdout)).toMatchObject({ id: 'early', port: 7 });
});
