// quiche's source with our patch: fetched by cargo, copied, patched. Cargo.toml's `[patch.crates-io]` builds on it.

import fs from 'node:fs';
import path from 'node:path';

import { excerpt, root, run, stateDir } from './process.mjs';
import { fail } from './terminal.mjs';

/** What the patched source is made from. */
export const QUICHE_INPUTS = ['patches'];

/** The patched source, as far as cargo builds on it. */
export const QUICHE_SOURCE = ['.setup/quiche/Cargo.toml', '.setup/quiche/src'];

const PATCH = 'patches/quiche-0.30.0.patch';
const FETCH = 'patches/fetch/Cargo.toml';

const PLACE = path.join(stateDir, 'quiche');

/** Where the source is patched; it goes to its place as a whole, so that cargo never builds on one without the patch. */
const COPY = path.join(stateDir, 'quiche.new');

/**
 * The command that patches the copy. git is there: it is one of the tools that the set-up asks for.
 * In a folder below a repository it would skip what isn't the repository's, without a word, so it must not find one.
 */
export const patchQuiche = {
  command: ['git', '-C', COPY, '-c', 'core.autocrlf=false', 'apply', path.join(root, PATCH)],
  env: { GIT_CEILING_DIRECTORIES: stateDir },
};

/** Copies quiche's source, as it was published, to be patched. `host` is this machine's target triple. */
export async function copyQuiche(host) {
  for (const folder of [PLACE, COPY]) fs.rmSync(folder, { recursive: true, force: true });
  // Times are not kept: cargo tells by them that it has to build anew.
  fs.cpSync(await findQuiche(host), COPY, { recursive: true });
}

/** Lets cargo find the patched source. */
export function placeQuiche() {
  fs.renameSync(COPY, PLACE);
}

/** The folder to which cargo unpacks quiche. It is downloaded unless it is there, and its checksum compared. */
async function findQuiche(host) {
  const command = ['cargo', 'metadata', '--quiet', '--locked', '--format-version', '1', '--filter-platform', host];
  const { code, output } = await run([...command, '--manifest-path', path.join(root, FETCH)]);
  if (code !== 0) fail("cargo could not fetch quiche's source:", ...excerpt(output).split('\n'));
  const { packages } = JSON.parse(output);
  return path.dirname(packages.find(({ name }) => name === 'quiche').manifest_path);
}
