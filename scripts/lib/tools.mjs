// The programs a build needs beyond Node: which are missing, and how this system installs them.

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';

import { excerpt, findProgram, root, run, stateDir } from './process.mjs';
import { fail, startStep } from './terminal.mjs';

/** The oldest Node that can build; the package itself asks for less. */
const NODE_VERSION = '20.17.0';
/** BoringSSL's. */
const CMAKE_VERSION = '3.22.0';

const RUST_HELP = [
  "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y",
  'then open a new shell and run the same command again',
];

const isWindows = process.platform === 'win32';
const isMac = process.platform === 'darwin';

/** What must be there, and the package that brings it with each package manager. */
const NEEDS = [
  {
    name: 'a C compiler',
    isMet: () => isWindows || Boolean(process.env.CC) || hasAny('cc', 'gcc', 'clang'),
    packages: { apt: ['gcc', 'libc6-dev'], dnf: ['gcc'], pacman: ['gcc'], apk: ['gcc', 'musl-dev'] },
  },
  {
    name: 'a C++ compiler',
    isMet: () => isWindows || Boolean(process.env.CXX) || hasAny('c++', 'g++', 'clang++'),
    packages: { apt: ['g++'], dnf: ['gcc-c++'], pacman: ['gcc'], apk: ['g++'] },
  },
  {
    name: 'make',
    isMet: () => isWindows || hasAny('make', 'gmake', 'ninja'),
    packages: { apt: ['make'], dnf: ['make'], pacman: ['make'], apk: ['make'] },
  },
  {
    name: 'git',
    isMet: () => hasAny('git'),
    packages: { apt: ['git'], dnf: ['git'], pacman: ['git'], apk: ['git'], brew: ['git'], winget: ['Git.Git'] },
  },
  {
    name: 'cmake',
    isMet: () => Boolean(process.env.CMAKE) || hasAny('cmake'),
    packages: same('cmake', 'Kitware.CMake'),
  },
  {
    name: 'libclang',
    isMet: () => findLibclang() !== undefined,
    packages: {
      apt: ['clang', 'libclang-dev'],
      dnf: ['clang-devel'],
      pacman: ['clang'],
      apk: ['clang-dev'],
      brew: ['llvm'],
      winget: ['LLVM.LLVM'],
    },
  },
  {
    name: 'nasm',
    isMet: () => !isWindows || process.arch !== 'x64' || hasAny('nasm'),
    packages: { winget: ['NASM.NASM'] },
  },
];

/** What only the tests with real NATs need, which are skipped without: installed where root may, and never asked for. */
const WISHES = [
  {
    name: 'iproute2',
    isMet: () => hasAny('ip') && hasAny('tc'),
    packages: { apt: ['iproute2'] },
  },
  {
    name: 'nftables',
    isMet: () => hasAny('nft'),
    packages: { apt: ['nftables'] },
  },
];

/** Waits for other users of the package database, as there are on a machine that has just started. */
const APT = ['apt-get', '-o', 'DPkg::Lock::Timeout=300'];

/** In the order in which they are looked for. `command` lists what is added before the packages. */
const MANAGERS = [
  { name: 'apt', program: 'apt-get', command: [...APT, 'install', '-y', '--no-install-recommends'], asRoot: true },
  { name: 'dnf', program: 'dnf', command: ['dnf', 'install', '-y'], asRoot: true },
  { name: 'pacman', program: 'pacman', command: ['pacman', '-S', '--needed', '--noconfirm'], asRoot: true },
  { name: 'apk', program: 'apk', command: ['apk', 'add'], asRoot: true },
  { name: 'brew', program: 'brew', command: ['brew', 'install'], asRoot: false },
  { name: 'winget', program: 'winget', command: ['winget', 'install', '--exact'], asRoot: false },
];

/** Managers that may be run without asking; for the others the command is shown. */
const RUN_UNASKED = new Set(['apt', 'brew']);

export function checkNode() {
  if (!isAtLeast(process.versions.node, NODE_VERSION)) {
    fail(`Node ${process.versions.node} is too old: building needs ${NODE_VERSION} or newer`);
  }
}

/** Finds cargo, also where rustup puts it; answers with what `rustc -vV` says, the toolchain's identity. */
export async function checkRust() {
  const cargoHome = path.join(process.env.CARGO_HOME ?? path.join(os.homedir(), '.cargo'), 'bin');
  if (findProgram('cargo') === undefined) process.env.PATH = [process.env.PATH, cargoHome].join(path.delimiter);
  if (findProgram('cargo') === undefined || findProgram('rustc') === undefined) {
    fail('cargo is missing: install Rust with', ...RUST_HELP);
  }
  const { code, output } = await run(['rustc', '-vV']);
  const version = /^release: (\d+\.\d+\.\d+)/m.exec(output)?.[1];
  if (code !== 0 || version === undefined) fail('rustc does not run:', ...excerpt(output, 5, 0).split('\n'));
  const wanted = /^rust-version = "(.+)"/m.exec(fs.readFileSync(path.join(root, 'Cargo.toml'), 'utf8'))[1];
  if (!isAtLeast(version, wanted)) {
    const update = findProgram('rustup') ? ['rustup update stable'] : RUST_HELP;
    fail(`Rust ${version} is too old: ${wanted} or newer is needed. Get it with`, ...update);
  }
  return output;
}

/** cmake's version is asked only before a build, since asking takes longer than looking. */
export async function checkCmakeVersion() {
  const { output } = await run([process.env.CMAKE ?? 'cmake', '--version']);
  const version = /cmake version (\d+\.\d+(\.\d+)?)/.exec(output)?.[1];
  if (version !== undefined && !isAtLeast(version, CMAKE_VERSION)) {
    fail(
      `cmake ${version} is too old: BoringSSL needs ${CMAKE_VERSION} or newer`,
      'pip install cmake   # has a newer one',
    );
  }
}

export function missingTools() {
  return NEEDS.filter((need) => !need.isMet());
}

/** Installs what the tests with real NATs need, if it can be had without asking. Answers nothing: they look for themselves. */
export async function installNatTools() {
  const missing = WISHES.filter((wish) => !wish.isMet());
  if (process.platform !== 'linux' || process.getuid?.() !== 0 || missing.length === 0) return;
  const plan = await installPlan(missing);
  if (plan?.isAllowed !== true) return;
  const step = startStep(`Installing ${missing.map((wish) => wish.name).join(', ')} for the NAT tests`);
  const log = path.join(stateDir, 'install.log');
  for (const command of plan.commands)
    await run(command, { env: { DEBIAN_FRONTEND: 'noninteractive' }, log, onLine: step.note });
  if (missing.every((wish) => wish.isMet())) step.done();
  else step.failed();
}

/** Installs what is missing, or tells the user the exact command and ends the program. */
export async function installTools(missing) {
  const names = missing.map((need) => need.name).join(', ');
  const plan = await installPlan(missing);
  if (plan === undefined) fail(`missing: ${names}. Install them, then run the same command again`, ...macHelp());
  if (!plan.isAllowed) fail(`missing: ${names}. Install with`, plan.text);

  const step = startStep(`Installing ${names} with ${plan.manager}`);
  const log = path.join(stateDir, 'install.log');
  const env = { DEBIAN_FRONTEND: 'noninteractive', HOMEBREW_NO_AUTO_UPDATE: '1' };
  let result;
  // Only the last command decides: a package list that can't be refreshed may still be good enough.
  for (const command of plan.commands) result = await run(command, { env, log, onLine: step.note });
  const still = missingTools();
  if (result.code !== 0 || still.length > 0) {
    step.failed();
    const left = still.map((need) => need.name).join(', ') || names;
    fail(`could not install ${left}. Try it by hand`, plan.text, '', excerpt(result.output, 0, 10));
  }
  step.done();
}

/** The commands that would install these tools here, and whether we may run them without asking. */
export async function installPlan(missing) {
  const manager = MANAGERS.find(({ program }) => findProgram(program));
  const packages = [...new Set(missing.flatMap((need) => need.packages[manager?.name] ?? []))];
  if (manager === undefined || packages.length === 0) return undefined;
  const isRoot = process.getuid?.() === 0;
  const prefix = manager.asRoot && !isRoot ? ['sudo'] : [];
  let isAllowed = RUN_UNASKED.has(manager.name);
  if (isAllowed && prefix.length > 0) {
    isAllowed = findProgram('sudo') !== undefined && (await run(['sudo', '-n', 'true'])).code === 0;
    if (isAllowed) prefix.push('-n');
  }
  const commands = [[...prefix, ...manager.command, ...packages]];
  if (manager.name === 'apt') commands.unshift([...prefix, ...APT, 'update']);
  return { manager: manager.program, commands, text: commands.map(shown).join(' && '), isAllowed };
}

/** Where bindgen will find libclang: the places that its loader, clang-sys, looks in. */
export function findLibclang() {
  const library = isWindows ? /^libclang\.dll$/ : isMac ? /^libclang\.dylib$/ : /^libclang(-[\d.]+)?\.so(\.[\d.]+)?$/; // but not libclang-cpp
  const asked = process.env.LIBCLANG_PATH;
  if (asked !== undefined) {
    return library.test(path.basename(asked)) && fs.existsSync(asked) ? asked : findFile(asked, library);
  }
  for (const directory of libclangDirectories()) {
    const found = findFile(directory, library);
    if (found !== undefined && (isWindows || isMac || hasClangHeaders())) return found;
  }
  return undefined;
}

function libclangDirectories() {
  if (isWindows) return ['C:\\Program Files\\LLVM\\bin', 'C:\\Program Files\\LLVM\\lib'];
  if (isMac) {
    return [
      '/Library/Developer/CommandLineTools/usr/lib',
      '/Applications/Xcode.app/Contents/Developer/Toolchains/XcodeDefault.xctoolchain/usr/lib',
      '/opt/homebrew/opt/llvm/lib',
      '/usr/local/opt/llvm/lib',
    ];
  }
  return [
    ...(process.env.LD_LIBRARY_PATH ?? '').split(':').filter(Boolean),
    ...children('/usr/lib', /^llvm/).map((directory) => path.join(directory, 'lib')),
    ...children('/usr/local', /^llvm/).map((directory) => path.join(directory, 'lib')),
    ...children('/usr/lib', /-linux-/),
    '/usr/lib64',
    '/usr/lib',
    '/usr/local/lib',
  ];
}

/** The library alone is not enough: bindgen needs clang's own headers (stddef.h …) beside it. */
function hasClangHeaders() {
  return (
    hasAny('clang') ||
    fs.existsSync('/usr/lib/clang') ||
    children('/usr/lib', /^llvm/).some((directory) => fs.existsSync(path.join(directory, 'lib', 'clang')))
  );
}

function children(directory, pattern) {
  try {
    const names = fs.readdirSync(directory).filter((name) => pattern.test(name));
    return names.map((name) => path.join(directory, name));
  } catch {
    return [];
  }
}

function findFile(directory, pattern) {
  return children(directory, pattern).find((file) => fs.existsSync(file));
}

function hasAny(...names) {
  return names.some((name) => findProgram(name) !== undefined);
}

function same(name, winget) {
  return { apt: [name], dnf: [name], pacman: [name], apk: [name], brew: [name], winget: [winget] };
}

function macHelp() {
  return isMac ? ['xcode-select --install   # compilers, make, git, libclang', 'and Homebrew for cmake'] : [];
}

function shown(command) {
  return command.join(' ').replace('sudo -n', 'sudo').replace(APT.join(' '), APT[0]);
}

function isAtLeast(version, wanted) {
  const [have, want] = [version, wanted].map((text) => text.split('.').map(Number));
  const different = want.findIndex((part, index) => (have[index] ?? 0) !== part);
  return different === -1 || (have[different] ?? 0) > want[different];
}
