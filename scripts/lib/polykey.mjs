// Installs Polykey for the tests in __tests__/polykey, each time in a folder of its own that git ignores:
// `ours` with this package, packed, in the place of @matrixai/quic; `theirs` with @matrixai/quic itself.

import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';

import { excerpt, npm, root, run, stateDir } from './process.mjs';
import { fail, say, startStep } from './terminal.mjs';

const source = path.join(root, '__tests__', 'polykey', 'install');
const INSTALL = ['install', '--ignore-scripts', '--omit-lockfile-registry-resolved', '--no-audit', '--no-fund'];
const PACK = ['pack', '--ignore-scripts', '--json'];

/** Resolves to `{ directory }`, or to `{ problem }` where the registry didn't give what is needed. */
export async function installPolykey(which) {
  const directory = path.join(stateDir, 'polykey', which);
  fs.mkdirSync(directory, { recursive: true });
  const manifest = JSON.parse(fs.readFileSync(path.join(source, 'package.json'), 'utf8'));
  const lock = JSON.parse(fs.readFileSync(path.join(source, 'package-lock.json'), 'utf8'));
  const files = which === 'ours' ? packageFiles() : [];
  const stamp = hash([
    JSON.stringify(manifest),
    JSON.stringify(lock),
    process.platform,
    process.arch,
    ...files.map(read),
  ]);
  const stampFile = path.join(directory, 'stamp');
  if (fs.existsSync(stampFile) && fs.readFileSync(stampFile, 'utf8') === stamp) return { directory };

  const step = startStep(`Installing Polykey with ${which === 'ours' ? 'this package' : '@matrixai/quic'}`);
  fs.rmSync(stampFile, { force: true });
  if (which === 'ours') {
    const packed = await packAll(directory);
    if (packed === undefined) {
      step.failed();
      fail('this package could not be packed');
    }
    // A whole path: npm looks for another from where the package that asks for it will be.
    manifest.overrides['@matrixai/quic'] = `file:${path.join(directory, packed.main)}`;
    manifest.dependencies[packed.platformName] = `file:${packed.platform}`;
    // Told what to replace, npm replaces nothing: it has to find the place empty.
    const entries = Object.entries(lock.packages).filter(([name]) => !/^$|@matrixai\/quic/.test(name));
    lock.packages = Object.fromEntries(entries);
  }
  fs.writeFileSync(path.join(directory, 'package.json'), JSON.stringify(manifest, null, 2));
  fs.writeFileSync(path.join(directory, 'package-lock.json'), JSON.stringify(lock, null, 2));
  const { code, output } = await run([...npm(), ...INSTALL, `--prefix=${directory}`], {
    log: path.join(stateDir, `polykey-${which}.log`),
    onLine: (line) => step.note(line.trim()),
  });
  if (code !== 0) {
    step.failed();
    return { problem: excerpt(output, 6, 6) };
  }
  fs.writeFileSync(stampFile, stamp);
  step.done();
  return { directory };
}

/**
 * Packs what a release would hold, into files whose names tell their contents: npm takes a file of the same name for the
 * same package. The addon goes into the package of this platform, as in a release.
 */
async function packAll(directory) {
  const addon = addonFile();
  const platform = /^polykey-quic\.(.+)\.node$/.exec(addon)[1];
  const staged = path.join(directory, 'platform');
  fs.rmSync(staged, { recursive: true, force: true });
  fs.cpSync(path.join(root, 'npm', platform), staged, { recursive: true });
  fs.copyFileSync(path.join(root, addon), path.join(staged, addon));
  for (const name of fs.readdirSync(directory)) if (name.endsWith('.tgz')) fs.rmSync(path.join(directory, name));
  const packed = [await pack(directory, root), await pack(directory, staged)];
  if (packed.includes(undefined)) return undefined;
  return { main: packed[0], platform: packed[1], platformName: `polykey-quic-${platform}` };
}

async function pack(directory, folder) {
  const { code, output } = await run([...npm(), ...PACK, `--pack-destination=${directory}`, folder]);
  const filename = /"filename": "([^"]+)"/.exec(output)?.[1];
  if (code !== 0 || filename === undefined) {
    say(excerpt(output));
    return undefined;
  }
  const file = path.join(directory, filename);
  const named = filename.replace(/\.tgz$/, `-${hash([fs.readFileSync(file)]).slice(0, 16)}.tgz`);
  fs.renameSync(file, path.join(directory, named));
  return named;
}

/** All that gets into the packages. */
function packageFiles() {
  const { files } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));
  const listed = files.flatMap((name) => {
    const isFolder = fs.statSync(path.join(root, name), { throwIfNoEntry: false })?.isDirectory() ?? false;
    if (!isFolder) return [name];
    const inside = fs.readdirSync(path.join(root, name), { recursive: true, withFileTypes: true });
    return inside
      .filter((entry) => entry.isFile())
      .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)));
  });
  return ['package.json', addonFile(), ...listed.sort()];
}

function addonFile() {
  const name = fs.readdirSync(root).find((each) => /^polykey-quic\..+\.node$/.test(each));
  if (name === undefined) fail('the addon is not built');
  return name;
}

function read(name) {
  return fs.existsSync(path.join(root, name)) ? fs.readFileSync(path.join(root, name)) : `${name}: none`;
}

function hash(items) {
  const digest = crypto.createHash('sha256');
  for (const item of items) digest.update(`${item.length}:`).update(item);
  return digest.digest('hex');
}
