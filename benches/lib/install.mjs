// Installs what adapters need beside this package: packages of npm, each peer's in a folder of its own, and bare quiche.
import fs from 'node:fs';
import path from 'node:path';
import { excerpt, npm, root, run, stateDir } from '../../scripts/lib/process.mjs';
import { fail, startStep } from '../../scripts/lib/terminal.mjs';
import { checkRust, installTools, missingTools } from '../../scripts/lib/tools.mjs';
import { NATIVE_LIMIT, PACKAGES, nativeDir, peersDir } from './peers.mjs';

/** Does what isn't done yet. Ends the program, and says why, where that fails. */
export async function installFor(adapters) {
  const needs = new Set(Object.values(adapters).flatMap((adapter) => adapter.needs ?? []));
  for (const need of needs) await (need === NATIVE_LIMIT ? buildNativeLimit() : installPackages(need));
}

async function installPackages(need) {
  const specs = PACKAGES[need];
  const folder = path.join(peersDir, need);
  const stamp = path.join(folder, 'stamp');
  if (fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === specs.join(' ')) return;
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'package.json'), '{ "private": true }\n');
  await doStep(`Installing ${specs.join(', ')} from npm`, [
    ...[...npm(), 'install', '--no-audit', '--no-fund', `--prefix=${folder}`],
    ...specs,
  ]);
  fs.writeFileSync(stamp, specs.join(' '));
}

/** Cargo knows whether there is anything to do. */
async function buildNativeLimit() {
  await checkRust();
  const missing = missingTools();
  if (missing.length > 0) await installTools(missing);
  const manifest = path.join(root, 'benches', 'native-limit', 'Cargo.toml');
  const command = ['cargo', 'build', '--release', '--locked', '--manifest-path', manifest, '--target-dir', nativeDir];
  await doStep('Building bare quiche, to compare with', command);
}

async function doStep(title, command) {
  const step = startStep(title);
  const log = path.join(stateDir, 'peers.log');
  const { code, output } = await run(command, { log, onLine: (line) => step.note(line.trim()) });
  if (code === 0) {
    step.done();
    return;
  }
  step.failed();
  fail(`${title} failed. --peers chooses others; all of the output is in ${path.relative(root, log)}`, excerpt(output));
}
