// Runs the jest suite, on the addon as it is built, under other versions of Node, and the README's example under Bun. Their
// binaries come from npm.
//
//   node scripts/test-node.mjs [version … | bun] [-- arguments of jest …]      by default 22, 24, 26 and bun

import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';

import { installFromNpm } from './lib/packages.mjs';
import { run, stateDir } from './lib/process.mjs';
import { fail, say } from './lib/terminal.mjs';
import { runExample, runJest, sumLine, summary } from './lib/tests.mjs';
import { setup } from './setup.mjs';

const args = process.argv.slice(2);
const separator = args.indexOf('--');
const jestArgs = separator === -1 ? [] : args.splice(separator).slice(1);
const versions = args.length > 0 ? args : ['22', '24', '26', 'bun'];

await setup();
const suites = [];
for (const version of versions) suites.push(await (version === 'bun' ? testBun() : testNode(version)));

say(`\n${summary(suites)}\n\n${sumLine(suites)}`);
if (suites.some((suite) => suite.failed > 0)) process.exitCode = 1;

async function testNode(version) {
  const file = process.platform === 'win32' ? 'node.exe' : 'node';
  const node = await install('Node', `node@${version}`, path.join('node', 'bin', file));
  const name = await nameOf('Node', node);
  return runJest(jestArgs, { node, name });
}

/** Bun has no part of libuv that the addon could use, and can't run jest: what it shows is that it runs a program. */
async function testBun() {
  const bun = await install('Bun', 'bun@1', path.join('bun', 'bin', 'bun.exe'));
  const name = await nameOf('Bun', bun);
  return runExample([bun, '-e'], { name, env: { POLYKEY_QUIC_TRANSPORT: 'portable' } });
}

async function nameOf(runtime, program) {
  const { output } = await run([program, '--version']);
  const name = `${runtime} ${output.trim()}`;
  say(`\n${name}`);
  return name;
}

/** The path of a runtime's `file`; installed on first use, in a folder that git ignores. */
async function install(runtime, spec, file) {
  const directory = path.join(stateDir, ...spec.split('@'));
  const binary = path.join(directory, 'node_modules', file);
  const problem = await installFromNpm(directory, [spec]);
  if (problem !== undefined) fail(`could not install ${runtime} (${spec}):`, problem);
  if (!fs.existsSync(binary)) fail(`${runtime} (${spec}) came without ${file}`);
  return binary;
}
