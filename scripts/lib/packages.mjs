// Packages of npm in folders of their own, apart from the project's.

import fs from 'node:fs';
import path from 'node:path';

import { excerpt, npm, run } from './process.mjs';
import { startStep } from './terminal.mjs';

/** Installs them, unless they are there. Shows the step on `out`. Resolves to what npm said where it failed, else to nothing. */
export async function installFromNpm(directory, specs, out) {
  const wanted = specs.join(' ');
  const stamp = path.join(directory, 'stamp');
  if (fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === wanted) return undefined;
  const step = startStep(`Installing ${specs.join(', ')} from npm`, out);
  fs.rmSync(directory, { recursive: true, force: true });
  fs.mkdirSync(directory, { recursive: true });
  fs.writeFileSync(path.join(directory, 'package.json'), '{ "private": true }\n');
  const command = [...npm(), 'install', '--no-audit', '--no-fund', `--prefix=${directory}`, ...specs];
  const { code, output } = await run(command, { onLine: (line) => step.note(line.trim()) });
  if (code !== 0) {
    step.failed();
    return excerpt(output, 10, 10);
  }
  fs.writeFileSync(stamp, wanted);
  step.done();
  return undefined;
}
