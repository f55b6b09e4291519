// What a merge has to pass, as one command. CI runs the same (.ci/run, .github/workflows/ci.yml).
//
//   node scripts/ready.mjs [--no-tests]

import process from 'node:process';

import { findProgram, run } from './lib/process.mjs';
import { excerpt, nodeTool } from './lib/process.mjs';
import { say, startStep, yellow } from './lib/terminal.mjs';
import { setup } from './setup.mjs';

const CHECKS = [
  ['prettier', [...nodeTool('prettier', 'bin/prettier.cjs'), '--check', '.']],
  ['cargo fmt', ['cargo', 'fmt', '--check']],
  ['eslint', [...nodeTool('eslint', 'bin/eslint.js'), '.', '--max-warnings', '0']],
  ['tsc', nodeTool('typescript', 'bin/tsc')],
  ['clippy', ['cargo', 'clippy', '--all-targets', '--', '-D', 'warnings']],
  ['rustdoc', ['cargo', 'doc', '--no-deps', '--document-private-items'], { RUSTDOCFLAGS: '-D warnings' }],
  ['index.js and index.d.ts as committed', ['git', 'diff', '--exit-code', 'HEAD', '--', 'index.js', 'index.d.ts']],
];

await setup();
const failed = [];
for (const [name, command, env] of CHECKS) {
  if (!(await passes(name, command, env))) failed.push(name);
}
if (findProgram('cargo-deny') === undefined) say(`${yellow('-')} cargo deny (skipped: cargo install cargo-deny)`);
else if (!(await passes('cargo deny', ['cargo', 'deny', 'check']))) failed.push('cargo deny');

if (!process.argv.includes('--no-tests')) {
  const { code } = await run([process.execPath, 'scripts/test.mjs'], { show: true, capture: false });
  if (code !== 0) failed.push('tests');
}
say(failed.length === 0 ? '\nReady' : `\nNot ready: ${failed.join(', ')}`);
if (failed.length > 0) process.exitCode = 1;

/** Runs one check in silence; shows what it said if it failed. */
async function passes(name, command, env) {
  const step = startStep(name);
  const { code, output } = await run(command, { env, onLine: (line) => step.note(line.trim()) });
  if (code === 0) step.done();
  else {
    step.failed();
    say(excerpt(output, 60, 60));
  }
  return code === 0;
}
