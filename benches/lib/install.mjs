// Installs what adapters need beside this package: packages of npm, each peer's in a folder of its own, and bare quiche.
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { excerpt, npm, root, run, stateDir } from '../../scripts/lib/process.mjs';
import { startStep } from '../../scripts/lib/terminal.mjs';
import { checkRust, installTools, missingTools } from '../../scripts/lib/tools.mjs';
import { NATIVE_LIMIT, PACKAGES, nativeDir, peersDir } from './peers.mjs';

/** Does what isn't done yet. Answers the adapters that have what they need; why others haven't is told. */
export async function installFor(adapters) {
  const needsOf = (adapter) => adapter.needs ?? [];
  const lacking = new Set();
  for (const need of new Set(Object.values(adapters).flatMap(needsOf))) {
    const isThere = await (need === NATIVE_LIMIT ? buildNativeLimit() : installPackages(need));
    if (!isThere) lacking.add(need);
  }
  const [able, unable] = [[], []];
  for (const entry of Object.entries(adapters)) {
    (needsOf(entry[1]).some((need) => lacking.has(need)) ? unable : able).push(entry);
  }
  for (const [name] of unable) process.stderr.write(`left out: ${name}\n`);
  return Object.fromEntries(able);
}

async function installPackages(need) {
  const specs = PACKAGES[need];
  const folder = path.join(peersDir, need);
  const stamp = path.join(folder, 'stamp');
  if (fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === specs.join(' ')) return true;
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'package.json'), '{ "private": true }\n');
  const install = [...npm(), 'install', '--no-audit', '--no-fund', `--prefix=${folder}`, ...specs];
  const isDone = await doStep(`Installing ${specs.join(', ')} from npm`, install);
  if (isDone) fs.writeFileSync(stamp, specs.join(' '));
  return isDone;
}

/** Cargo knows whether there is anything to do. */
async function buildNativeLimit() {
  await checkRust();
  const missing = missingTools();
  if (missing.length > 0) await installTools(missing);
  const manifest = path.join(root, 'benches', 'native-limit', 'Cargo.toml');
  const command = ['cargo', 'build', '--release', '--locked', '--manifest-path', manifest, '--target-dir', nativeDir];
  return doStep('Building bare quiche, to compare with', command);
}

async function doStep(title, command) {
  const step = startStep(title, process.stderr);
  const log = path.join(stateDir, 'peers.log');
  const { code, output } = await run(command, { log, onLine: (line) => step.note(line.trim()) });
  if (code === 0) step.done();
  else {
    step.failed();
    process.stderr.write(`${excerpt(output)}\nall of its output is in ${path.relative(root, log)}\n`);
  }
  return code === 0;
}
