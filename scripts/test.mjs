// Sets up what is missing, then runs every test and sums them up.
//
//   node scripts/test.mjs
//     --only rust [arguments of cargo test …]
//     --only js [arguments of jest …]
//     --only nat [arguments of jest …]                  real NATs, in network namespaces: needs Linux and root
//     --only nat-full [arguments of jest …]             the same with more tries and larger transfers
//     --only polykey [arguments of jest …]
//     --only polykey-original [arguments of jest …]     with @matrixai/quic itself, to see that the tests hold there
//
// The closing line, `N passed, N failed, N skipped`, is also left in .setup/test-counts for .ci/run.

import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';

import { stateDir } from './lib/process.mjs';
import { fail, say } from './lib/terminal.mjs';
import { runCargoTests, runJest, runNat, runPolykey, sumLine, summary } from './lib/tests.mjs';
import { setup } from './setup.mjs';

const args = process.argv.slice(2);
const only = args[0] === '--only' ? args.splice(0, 2)[1] : undefined;
if (only === undefined && args.length > 0)
  fail('arguments go to one suite: npm run test:rust -- …, test:js -- …, test:nat -- … or test:polykey -- …');

const countsFile = path.join(stateDir, 'test-counts');
fs.rmSync(countsFile, { force: true });

await setup(only === 'rust' ? { parts: ['quiche'] } : {});
const suites = [];
const wants = (suite) => only === undefined || only === suite;
if (wants('rust')) suites.push(await runCargoTests(args));
if (wants('js')) suites.push(await runJest(args));
if (wants('polykey')) suites.push(await runPolykey(args));
if (wants('nat')) suites.push(await runNat(args));
if (only === 'nat-full') suites.push(await runNat(args, { isFull: true }));
if (only === 'polykey-original') suites.push(await runPolykey(args, { which: 'theirs' }));

say(`\n${summary(suites)}\n`);
const line = sumLine(suites);
fs.writeFileSync(countsFile, `${line}\n`);
say(line);
if (suites.some((suite) => suite.failed > 0)) process.exitCode = 1;
