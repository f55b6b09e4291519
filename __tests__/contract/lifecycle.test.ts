import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const root = path.join(__dirname, '..', '..');

/** Runs a program in a process of its own, on the compiled package; rejects unless it ends by itself, and well. */
async function live(program: string, argument: string | number): Promise<string> {
  const args = [path.join(__dirname, program), root, String(argument)];
  const { stdout } = await run(process.execPath, args, { timeout: 30_000 });
  return stdout.trim();
}

test.each(['dialling', 'client verifying', 'server verifying', 'idle', 'streams open', 'buffers full', 'winding down'])(
  'whatever is ended, by whom and how, all that was begun settles, and each end is told once (%s)',
  async (moment) => {
    expect(await live('ends.cjs', moment)).toBe('ended');
  },
  40_000,
);

// A seed that fails once fails, if not every time, then often: node __tests__/contract/chaos.cjs . <seed>
test.each([1, 2, 3, 4, 5, 6])(
  'whatever is done at whatever moment, all settles and the process ends by itself (seed %i)',
  async (seed) => {
    expect(await live('chaos.cjs', seed)).toBe('settled');
  },
  40_000,
);
