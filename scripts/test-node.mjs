// Runs the jest suite, on the addon as it is built, under other versions of Node. Their binaries come from npm.
//
//   node scripts/test-node.mjs [version …] [-- arguments of jest …]      by default 22, 24 and 26

import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';

import { excerpt, npm, run, stateDir } from './lib/process.mjs';
import { fail, say, startStep } from './lib/terminal.mjs';
import { runJest, sumLine, summary } from './lib/tests.mjs';
import { setup } from './setup.mjs';

const args = process.argv.slice(2);
const separator = args.indexOf('--');
const jestArgs = separator === -1 ? [] : args.splice(separator).slice(1);
const versions = args.length > 0 ? args : ['22', '24', '26'];

await setup();
const suites = [];
for (const version of versions) {
  const node = await installNode(version);
  const { output } = await run([node, '--version']);
  say(`\nNode ${output.trim()}`);
  suites.push(await runJest(jestArgs, { node, name: `Node ${output.trim()}` }));
}

say(`\n${summary(suites)}\n\n${sumLine(suites)}`);
if (suites.some((suite) => suite.failed > 0)) process.exitCode = 1;

/** The path of that Node; installed on first use, in a folder that git ignores. */
async function installNode(version) {
  const directory = path.join(stateDir, 'node', version);
  const binary = path.join(
    directory,
    'node_modules',
    'node',
    'bin',
    process.platform === 'win32' ? 'node.exe' : 'node',
  );
  if (fs.existsSync(binary)) return binary;
  const step = startStep(`Installing Node ${version} from npm`);
  fs.mkdirSync(directory, { recursive: true });
  fs.writeFileSync(path.join(directory, 'package.json'), '{ "private": true }\n');
  const { code, output } = await run([
    ...npm(),
    'install',
    '--no-audit',
    '--no-fund',
    `--prefix=${directory}`,
    `node@${version}`,
  ]);
  if (code !== 0 || !fs.existsSync(binary)) {
    step.failed();
    fail(`could not install Node ${version}:`, excerpt(output, 10, 10));
  }
  step.done();
  return binary;
}
