// What a merge has to pass, as one command; .ci/run runs the same.
//
//   node scripts/ready.mjs [--no-tests]

import process from 'node:process';

import { excerpt, findProgram, nodeTool, run } from './lib/process.mjs';
import { say, startStep, yellow } from './lib/terminal.mjs';
import { setup } from './setup.mjs';

const CHECKS = [
  { name: 'prettier', command: [...nodeTool('prettier', 'bin/prettier.cjs'), '--check', '.'] },
  { name: 'cargo fmt', command: ['cargo', 'fmt', '--check', '--', '-l'] },
  { name: 'eslint', command: [...nodeTool('eslint', 'bin/eslint.js'), '.', '--max-warnings', '0'] },
  { name: 'tsc', command: nodeTool('typescript', 'bin/tsc') },
  { name: 'clippy', command: ['cargo', 'clippy', '--all-targets', '--', '-D', 'warnings'] },
  {
    name: 'rustdoc',
    command: ['cargo', 'doc', '--no-deps', '--document-private-items'],
    env: { RUSTDOCFLAGS: '-D warnings' },
  },
  {
    name: 'index.js and index.d.ts are committed as built',
    command: ['git', 'status', '--porcelain', '--', 'index.js', 'index.d.ts'],
    isSilent: true,
  },
];

/** Advisories are not asked for: they need the network and change without us. The audit workflow does. */
const DENY = { name: 'cargo deny', command: ['cargo', 'deny', 'check', 'bans', 'licenses', 'sources'] };

await setup();
const failed = [];
for (const check of CHECKS) {
  if (!(await passes(check))) failed.push(check.name);
}
if (findProgram('cargo-deny') === undefined) say(`${yellow('-')} cargo deny (skipped: cargo install cargo-deny)`);
else if (!(await passes(DENY))) failed.push(DENY.name);

if (!process.argv.includes('--no-tests')) {
  const { code } = await run([process.execPath, 'scripts/test.mjs'], { show: true, capture: false });
  if (code !== 0) failed.push('tests');
}
say(failed.length === 0 ? '\nReady' : `\nNot ready: ${failed.join(', ')}`);
if (failed.length > 0) process.exitCode = 1;

/** Runs one check in silence; shows what it said if it failed. A silent one passes by saying nothing. */
async function passes({ name, command, env, isSilent }) {
  const step = startStep(name);
  const { code, output } = await run(command, { env, onLine: (line) => step.note(line.trim()) });
  const isPassed = code === 0 && !(isSilent && output !== '');
  if (isPassed) step.done();
  else {
    step.failed();
    say(excerpt(output, 60, 60));
  }
  return isPassed;
}
