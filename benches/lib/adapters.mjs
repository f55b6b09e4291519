// Which adapters there are, and the ones that are asked for.
import { readdirSync } from 'node:fs';
import { fail } from '../../scripts/lib/terminal.mjs';
import { TARGET_PEERS } from './targets.mjs';

const folder = new URL('../adapters/', import.meta.url);
export const ALL_PEERS = readdirSync(folder)
  .filter((file) => file.endsWith('.mjs'))
  .map((file) => file.slice(0, -4))
  .sort();

/** The adapters of these names, a list with commas; of those that the targets speak of, if nothing is said. */
export async function loadAdapters(text) {
  const names = text === undefined ? TARGET_PEERS : text === 'all' ? ALL_PEERS : text.split(',').filter(Boolean);
  const unknown = names.filter((name) => !ALL_PEERS.includes(name));
  if (unknown.length > 0) fail(`no such peer: ${unknown.join(', ')}`, `there are: ${ALL_PEERS.join(', ')}`);
  const load = async (name) => [name, (await import(new URL(`${name}.mjs`, folder))).default];
  return Object.fromEntries(await Promise.all(names.map(load)));
}
