// Everything between a fresh clone and a program that runs: tools, packages, quiche's patched source, addon, dist/.
// Each part is done again only when what it is made from has changed, so a second run does nothing.
//
//   node scripts/setup.mjs                      do what is needed
//     --check                                   only tell what would be done; exit code 1 if anything would
//     --rebuild                                 build the addon and dist/ even if nothing changed
//     --addon-profile dev|release               dev builds faster and runs slower (also: ADDON_PROFILE=dev)
//     --tools                                   only what cargo needs: the tools and quiche's source; nothing is built
//     --quiet                                   say nothing if there is nothing to do

import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

import { withLock } from './lib/lock.mjs';
import { excerpt, nodeTool, npm, root, run, stateDir } from './lib/process.mjs';
import { QUICHE_INPUTS, QUICHE_SOURCE, copyQuiche, patchQuiche, placeQuiche } from './lib/quiche.mjs';
import { fail, say, startStep } from './lib/terminal.mjs';
import { checkCmakeVersion, checkNode, checkRust, installPlan, installTools, missingTools } from './lib/tools.mjs';

const DEFAULTS = {
  profile: process.env.ADDON_PROFILE ?? 'release',
  rebuild: false,
  /** Which parts are wanted; tools are always checked. */
  parts: ['packages', 'quiche', 'addon', 'dist'],
};

/** The parts, in order. `inputs()` is a hash of what it is made from; `outputs()` are the files it must leave. */
const PARTS = [
  {
    name: 'packages',
    title: 'Installing packages (npm ci)',
    inputs: () => hash([process.platform, process.arch, ...contents('package-lock.json')]),
    outputs: () => ['node_modules/.package-lock.json'],
    // Nothing that we install needs its install script, so none is run.
    command: () => [...npm(), 'ci', '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund'],
  },
  {
    name: 'quiche',
    title: 'Patching quiche',
    before: ({ toolchain }) => copyQuiche(/^host: (.+)$/m.exec(toolchain)[1]),
    inputs: () => hash(contents(...QUICHE_INPUTS)),
    outputs: () => QUICHE_SOURCE,
    command: () => patchQuiche.command,
    env: patchQuiche.env,
    after: placeQuiche,
  },
  {
    name: 'addon',
    title: 'Building the addon',
    isBuild: true,
    before: checkCmakeVersion,
    inputs: ({ profile, toolchain }) =>
      hash([
        profile,
        toolchain,
        process.env.RUSTFLAGS ?? '',
        ...addonSettings(),
        ...contents('src', 'Cargo.toml', 'Cargo.lock', 'build.rs', 'rust-toolchain.toml', '.cargo/config.toml'),
        ...contents(...QUICHE_SOURCE),
      ]),
    outputs: () => ['index.js', 'index.d.ts', ...addonBinaries()],
    command: ({ profile }) => [
      ...nodeTool('@napi-rs/cli', 'dist/cli.js'),
      'build',
      '--platform',
      ...(profile === 'release' ? ['--release'] : []),
      ...(process.env.CI ? ['--', '--locked'] : []),
    ],
  },
  {
    name: 'dist',
    title: 'Compiling lib/ to dist/',
    isBuild: true,
    before: () => fs.rmSync(path.join(root, 'dist'), { recursive: true, force: true }),
    inputs: () => hash(contents('lib', 'tsconfig.json', 'tsconfig.build.json', 'index.d.ts', 'package-lock.json')),
    outputs: () => ['dist/index.js', 'dist/index.d.ts'],
    command: () => [...nodeTool('typescript', 'bin/tsc'), '-p', 'tsconfig.build.json'],
  },
];

/** Does what is needed; resolves to the names of the parts that were done. */
export async function setup(options = {}) {
  const settings = { ...DEFAULTS, ...options };
  if (!['dev', 'release'].includes(settings.profile)) fail(`unknown addon profile: ${settings.profile}`);
  checkNode();
  const hasWork = async () => {
    settings.toolchain = await checkRust();
    return missingTools().length > 0 || partsToDo(settings).length > 0;
  };
  if (!(await hasWork())) return [];
  const onWait = (pid) => say(`Waiting for another set-up (process ${pid})`);
  return withLock(path.join(stateDir, 'lock'), onWait, () => doParts(settings));
}

async function doParts(settings) {
  const missing = missingTools();
  if (missing.length > 0) await installTools(missing);
  const done = [];
  for (const part of PARTS) {
    // Asked one by one: a new index.d.ts of the addon is an input of dist/.
    if (!partsToDo(settings).includes(part)) continue;
    await doPart(part, settings);
    done.push(part.name);
  }
  return done;
}

function partsToDo({ rebuild, parts, ...settings }) {
  const isToDo = (part) => (rebuild && part.isBuild) || !isDone(part, settings);
  return PARTS.filter((part) => parts.includes(part.name) && isToDo(part));
}

/** The stamp goes before the work and comes back after it: what was interrupted is done again. */
async function doPart(part, settings) {
  fs.rmSync(stampFile(part), { force: true });
  await part.before?.(settings);
  const step = startStep(part.title);
  const inputs = part.inputs(settings);
  const log = path.join(stateDir, `${part.name}.log`);
  const onLine = (line) => step.note(line.trim());
  const { code, output } = await run(part.command(settings), { log, onLine, env: part.env });
  if (code === 0) part.after?.();
  const lost = part.outputs().filter((file) => !fs.existsSync(path.join(root, file)));
  if (code !== 0 || lost.length > 0) {
    step.failed();
    say(excerpt(output));
    const problem = code !== 0 ? 'failed' : `ended without ${lost.join(', ')}`;
    fail(`${part.title} ${problem}; all of its output is in ${path.relative(root, log)}`);
  }
  fs.writeFileSync(stampFile(part), stamp(part, inputs));
  step.done();
}

function isDone(part, settings) {
  let written;
  try {
    written = fs.readFileSync(stampFile(part), 'utf8');
  } catch {
    return false;
  }
  return written === stamp(part, part.inputs(settings));
}

/** What a finished part leaves: the hash of its inputs and of its outputs, so that lost or foreign outputs are seen. */
function stamp(part, inputs) {
  return `${inputs}\n${hash(contents(...part.outputs()))}\n`;
}

function stampFile(part) {
  return path.join(stateDir, `${part.name}.stamp`);
}

/** Of package.json, what gets into the addon's files. */
function addonSettings() {
  const { version, napi } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));
  const cli = contents('node_modules/@napi-rs/cli/package.json');
  return [version, JSON.stringify(napi), ...cli];
}

function addonBinaries() {
  return fs.readdirSync(root).filter((name) => /^polykey-quic\..*\.node$/.test(name));
}

/** Names and contents of files and of all files in folders; what does not exist counts as such. */
function contents(...names) {
  return names.flatMap((name) => {
    const file = path.join(root, name);
    const stats = fs.statSync(file, { throwIfNoEntry: false });
    if (stats === undefined) return [`${name}: none`];
    if (stats.isFile()) return [name, fs.readFileSync(file)];
    const entries = fs.readdirSync(file).sort();
    return contents(...entries.map((entry) => `${name}/${entry}`));
  });
}

function hash(items) {
  const digest = crypto.createHash('sha256');
  for (const item of items) digest.update(`${item.length}:`).update(item);
  return digest.digest('hex');
}

/** Tells what a set-up would do; resolves to whether there is anything. */
async function check(settings) {
  settings.toolchain = await checkRust();
  const missing = missingTools();
  for (const need of missing) say(`missing: ${need.name}`);
  if (missing.length > 0) {
    const plan = await installPlan(missing);
    if (plan !== undefined) say(`${plan.isAllowed ? 'would run' : 'please run'}: ${plan.text}`);
  }
  const parts = partsToDo(settings);
  for (const part of parts) say(`would do: ${part.title}`);
  return missing.length > 0 || parts.length > 0;
}

async function main() {
  const { values } = parseArgs({
    options: {
      check: { type: 'boolean' },
      rebuild: { type: 'boolean' },
      tools: { type: 'boolean' },
      quiet: { type: 'boolean' },
      'addon-profile': { type: 'string', default: DEFAULTS.profile },
    },
  });
  const settings = { ...DEFAULTS, profile: values['addon-profile'], rebuild: values.rebuild ?? false };
  if (values.tools) settings.parts = ['quiche'];
  if (values.check) {
    const hasWork = await check(settings);
    if (!hasWork) say('Everything is up to date');
    process.exit(hasWork ? 1 : 0);
  }
  const done = await setup(settings);
  if (done.length === 0 && !values.quiet) say('Everything is up to date');
}

if (import.meta.url === pathToFileURL(fs.realpathSync(process.argv[1])).href) {
  await main();
}
