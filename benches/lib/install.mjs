// Installs what adapters need beside this package: packages of npm, each peer's in a folder of its own, and bare quiche.
import path from 'node:path';
import process from 'node:process';
import { installFromNpm } from '../../scripts/lib/packages.mjs';
import { excerpt, root, run } from '../../scripts/lib/process.mjs';
import { startStep } from '../../scripts/lib/terminal.mjs';
import { checkRust, installTools, missingTools } from '../../scripts/lib/tools.mjs';
import { NATIVE_LIMIT, PACKAGES, nativeDir, peersDir } from './peers.mjs';

/** Does what isn't done yet. Answers the adapters that have what they need; why others haven't is told. */
export async function installFor(adapters) {
  const needsOf = (name) => adapters[name].needs ?? [];
  const names = Object.keys(adapters);
  const lacking = new Set();
  for (const need of new Set(names.flatMap(needsOf))) {
    const problem = await (need === NATIVE_LIMIT
      ? buildNativeLimit()
      : installFromNpm(path.join(peersDir, need), PACKAGES[need], process.stderr));
    if (problem === undefined) continue;
    lacking.add(need);
    process.stderr.write(`${problem}\n`);
  }
  const lacks = (name) => needsOf(name).some((need) => lacking.has(need));
  for (const name of names.filter(lacks)) process.stderr.write(`left out: ${name}\n`);
  return Object.fromEntries(names.filter((name) => !lacks(name)).map((name) => [name, adapters[name]]));
}

/** Cargo knows whether there is anything to do. Resolves to what it said where it failed, else to nothing. */
async function buildNativeLimit() {
  await checkRust();
  const missing = missingTools();
  if (missing.length > 0) await installTools(missing);
  const step = startStep('Building bare quiche, to compare with', process.stderr);
  const manifest = path.join(root, 'benches', 'native-limit', 'Cargo.toml');
  const command = ['cargo', 'build', '--release', '--locked', '--manifest-path', manifest, '--target-dir', nativeDir];
  const { code, output } = await run(command, { onLine: (line) => step.note(line.trim()) });
  if (code !== 0) {
    step.failed();
    return excerpt(output);
  }
  step.done();
  return undefined;
}
