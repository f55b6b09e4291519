// Runs the two test suites, shown live, and counts what they say.

import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';

import { installPolykey } from './polykey.mjs';
import { installNatTools } from './tools.mjs';
import { excerpt, nodeTool, root, run, stateDir } from './process.mjs';
import { duration, say, startStep, table, yellow } from './terminal.mjs';

/** A suite that is still running after this long hangs. */
const DEADLINE_MS = 15 * 60_000;
/** What jest may take to end after its report is written. If it takes longer, a test has left something open. */
const EXIT_MS = 10_000;

/** Compiles and runs all Rust tests: units, tests/, and the examples in doc comments. */
export async function runCargoTests(args = []) {
  const locked = process.env.CI ? ['--locked'] : [];
  const step = startStep('Compiling the Rust tests');
  const build = await run(['cargo', 'test', '--no-run', ...locked], {
    log: path.join(stateDir, 'cargo-test.log'),
    onLine: (line) => step.note(line.trim()),
  });
  if (build.code !== 0) {
    step.failed();
    say(excerpt(build.output, 60, 60));
    return suite('cargo test', { failed: 1 });
  }
  step.done();

  const colour = process.stdout.isTTY ? ['--color', 'always'] : [];
  const start = Date.now();
  const counts = { passed: 0, failed: 0, skipped: 0, failures: [], unfinished: 0 };
  const { code } = await run(['cargo', 'test', '--no-fail-fast', ...locked, ...colour, ...separated(args, colour)], {
    show: true,
    stopWhen: overdue('cargo test'),
    onLine: (line) => addCargoCounts(counts, line),
  });
  counts.failed += counts.unfinished;
  return suite('cargo test', withCrash(counts, code), Date.now() - start);
}

/** Runs jest on lib/ and the addon; `node` is another Node's path, `args` go to jest. */
export async function runJest(args = [], { node = process.execPath, name = 'jest', env = {} } = {}) {
  // Not for the tests with NATs alone: the demo can have some as well.
  await installNatTools();
  const report = path.join(stateDir, `${name.replaceAll(/[^a-z0-9.]+/gi, '-')}.json`);
  fs.rmSync(report, { force: true });
  const isOverdue = overdue('jest');
  const start = Date.now();
  const jest = nodeTool('jest', 'bin/jest.js')[1];
  const { code } = await run([node, jest, '--json', `--outputFile=${report}`, ...args], {
    show: true,
    capture: false,
    env,
    stopWhen: () => hasLeftSomethingOpen(report) ?? isOverdue(),
  });
  const ms = Date.now() - start;
  const result = readJson(report);
  if (result === undefined) return suite(name, { failed: 1 }, ms);
  const counts = {
    passed: result.numPassedTests,
    failed: result.numFailedTests + result.numRuntimeErrorTestSuites,
    skipped: result.numPendingTests + result.numTodoTests,
  };
  return { ...suite(name, withCrash(counts, code), ms), failures: failuresOf(result) };
}

/** Runs the README's example, on dist/ and the addon, as the last argument of a command. */
export async function runExample(command, { name, env }) {
  const [, source] = /\n```js\n([^]*?)\n```\n/.exec(fs.readFileSync(path.join(root, 'README.md'), 'utf8'));
  const start = Date.now();
  const end = start + EXIT_MS;
  const stopWhen = () => (Date.now() > end ? `the example still runs after ${duration(EXIT_MS)}` : undefined);
  const { code, output } = await run([...command, source], { env, stopWhen });
  const ms = Date.now() - start;
  if (code === 0 && output === 'bob says hello\n') return suite(name, { passed: 1 }, ms);
  say(excerpt(output, 30, 30));
  return suite(name, { failed: 1, failures: ["the README's example"] }, ms);
}

/**
 * Runs whole Polykey agents, `which`: 'ours' or 'theirs' as in polykey.mjs. Where Polykey can't be installed, all of these
 * tests count as skipped.
 */
export async function runPolykey(args = [], { which = 'ours' } = {}) {
  const { directory, problem } = await installPolykey(which);
  if (problem !== undefined)
    say(`${yellow('-')} The tests with Polykey are skipped: it could not be installed\n${problem}`);
  const env = directory === undefined ? {} : { POLYKEY_INSTALLED: directory, POLYKEY_WITH: which };
  const name = which === 'ours' ? 'Polykey' : 'Polykey with @matrixai/quic';
  return runJest(['--config', 'jest.polykey.config.cjs', ...args], { name, env });
}

/**
 * Runs the tests with real NATs; `isFull`: with more tries and larger transfers. Where there can be none, all of them count
 * as skipped, and they say why.
 */
export async function runNat(args = [], { isFull = false } = {}) {
  const env = isFull ? { NAT_FULL: '1', NAT_TRIES: '20' } : {};
  return runJest(['--config', 'jest.nat.config.cjs', ...args], { name: 'NATs', env });
}

/** The suites' counts as a table, and their sum as the one line that other programs read. */
export function summary(suites) {
  const rows = suites.map(({ name, passed, failed, skipped, ms }) => [
    name,
    `${passed} passed`,
    `${failed} failed`,
    `${skipped} skipped`,
    duration(ms),
  ]);
  return table(rows);
}

export function sumLine(suites) {
  const sum = (key) => suites.reduce((total, each) => total + each[key], 0);
  return `${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped`;
}

/** Answers, once it is so, that a suite begun now should have ended long ago. */
function overdue(name) {
  const end = Date.now() + DEADLINE_MS;
  return () => (Date.now() > end ? `${name} still runs after ${duration(DEADLINE_MS)}` : undefined);
}

function hasLeftSomethingOpen(report) {
  const written = fs.statSync(report, { throwIfNoEntry: false })?.mtimeMs ?? Infinity;
  return Date.now() - written > EXIT_MS ? 'jest is done but does not end, a test has left something open' : undefined;
}

function suite(name, counts, ms = 0) {
  return { name, passed: 0, failed: 0, skipped: 0, failures: [], ...counts, ms };
}

/** A runner that failed without a failed test has crashed or hung: that counts as one. */
function withCrash(counts, code) {
  return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}

/** Adds what one line of `cargo test` says. A program of tests that starts and gives no result has crashed. */
function addCargoCounts(counts, line) {
  if (/^\s+(Running|Doc-tests) /.test(line)) counts.unfinished += 1;
  const failure = /^test (.+) \.\.\. FAILED/.exec(line);
  if (failure !== null) counts.failures.push(failure[1]);
  const match = /^test result: .* (\d+) passed; (\d+) failed; (\d+) ignored;/.exec(line);
  if (match === null) return;
  counts.unfinished -= 1;
  counts.passed += Number(match[1]);
  counts.failed += Number(match[2]);
  counts.skipped += Number(match[3]);
}

/** Our arguments, with libtest's colours behind their `--`. */
function separated(args, colour) {
  const index = args.indexOf('--');
  if (index === -1) return [...args, '--', ...colour];
  return [...args.slice(0, index + 1), ...colour, ...args.slice(index + 1)];
}

function failuresOf(result) {
  return result.testResults.flatMap((file) => {
    const name = path.relative(root, file.name);
    const failed = file.assertionResults.filter((test) => test.status === 'failed');
    if (failed.length === 0 && file.status === 'failed') return [name];
    return failed.map((test) => `${name}: ${test.fullName}`);
  });
}

function readJson(file) {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}
