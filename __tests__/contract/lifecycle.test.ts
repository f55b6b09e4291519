import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const root = path.join(__dirname, '..', '..');

/** Runs chaos.cjs in a process of its own, on the compiled package; rejects unless it ends by itself, and well. */
async function live(seed: number): Promise<string> {
  const { stdout } = await run(process.execPath, [path.join(__dirname, 'chaos.cjs'), root, String(seed)], {
    timeout: 30_000,
  });
  return stdout.trim();
}

// A seed that fails once fails, if not every time, then often: node __tests__/contract/chaos.cjs . <seed>
test.each([1, 2, 3, 4, 5, 6])(
  'whatever is done at whatever moment, all settles and the process ends by itself (seed %i)',
  async (seed) => {
    expect(await live(seed)).toBe('settled');
  },
  40_000,
);
