// Runs the tests over and over, to find those that fail only sometimes.
//
//   node scripts/test-repeat.mjs [times] [--only rust|js|nat|polykey] [-- arguments of the suite …]      by default 10 times, rust and js

import process from 'node:process';
import { parseArgs } from 'node:util';

import { say, table } from './lib/terminal.mjs';
import { runCargoTests, runJest, runNat, runPolykey, sumLine } from './lib/tests.mjs';
import { setup } from './setup.mjs';

const args = process.argv.slice(2);
const separator = args.indexOf('--');
const suiteArgs = separator === -1 ? [] : args.splice(separator).slice(1);
const { values, positionals } = parseArgs({ args, options: { only: { type: 'string' } }, allowPositionals: true });
const times = Number(positionals[0] ?? 10);

await setup();
const suites = [];
const failures = new Map();
for (let round = 1; round <= times; round++) {
  say(`\nRound ${round} of ${times}`);
  const wants = (suite) => values.only === undefined || values.only === suite;
  if (wants('rust')) suites.push(await runCargoTests(suiteArgs));
  if (wants('js')) suites.push(await runJest(suiteArgs));
  if (values.only === 'nat') suites.push(await runNat(suiteArgs));
  if (values.only === 'polykey') suites.push(await runPolykey(suiteArgs));
  for (const name of suites.flatMap((suite) => suite.failures.splice(0))) {
    failures.set(name, (failures.get(name) ?? 0) + 1);
  }
}

const rows = [...failures].sort(([, a], [, b]) => b - a).map(([name, count]) => [count, `of ${times}`, name]);
say(rows.length === 0 ? `\nNo test failed in ${times} rounds` : `\nFailed:\n${table(rows)}`);
say(`\n${sumLine(suites)}`);
if (suites.some((suite) => suite.failed > 0)) process.exitCode = 1;
