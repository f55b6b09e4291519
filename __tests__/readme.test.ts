import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { clientDefault, errors, events } from '../lib';

const root = path.join(__dirname, '..');
const readme = fs.readFileSync(path.join(root, 'README.md'), 'utf8');

/** The part below a heading, up to the next one of its level or above. */
function sectionOf(heading: string): string {
  const level = /^#+/.exec(heading)![0].length;
  const [, rest] = readme.split(`\n${heading}\n`);
  return rest.split(new RegExp(`\n#{1,${level}} `))[0];
}

/** What stands in code font in the first cells of the tables of a section. */
function namesIn(heading: string): string[] {
  const rows = sectionOf(heading)
    .split('\n')
    .filter((line) => line.startsWith('| `'));
  return rows.flatMap((row) => [...row.split(' | ')[0].matchAll(/`([^`]+)`/g)].map(([, name]) => name));
}

const sorted = (names: Iterable<string>) => [...names].sort();

describe('the example', () => {
  const [, source] = /\n```js\n([^]*?)\n```\n/.exec(readme)!;

  test('runs as printed', async () => {
    const args = ['--input-type=module', '--eval', source];
    const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { cwd: root });
    expect({ stdout, stderr }).toEqual({ stdout: 'bob says hello\n', stderr: '' });
  });

  test('is short', () => expect(source.split('\n').length).toBeLessThanOrEqual(30));
});

test('the table of classes names each error, and no other', () => {
  expect(sorted(namesIn('### Of the classes'))).toEqual(sorted(Object.keys(errors)));
});

test('the tables of codes name each of the addon, and no other', () => {
  const listed = [...namesIn('### Of the addon'), ...namesIn('### Of certificates')];
  expect(sorted(listed)).toEqual(sorted(nativeCodes()));
});

test('the tables of settings name those of connections', () => {
  const listed = new Set(namesIn('## Settings'));
  expect(Object.keys(clientDefault).filter((name) => !listed.has(name))).toEqual([]);
});

test('the events that are named exist', () => {
  const named = [...readme.matchAll(/`(EventQUIC\w+)`/g)].map(([, name]) => name);
  expect(named.filter((name) => !(name in events))).toEqual([]);
});

test('links within the repository lead somewhere', () => {
  const links = [...readme.matchAll(/\]\((?!https?:)([^)]+)\)/g)].map(([, link]) => link);
  const anchors = [...readme.matchAll(/^#+ (.+)$/gm)].map(
    ([, title]) => `#${title.toLowerCase().replaceAll(' ', '-')}`,
  );
  const isThere = (link: string) => anchors.includes(link) || fs.existsSync(path.join(root, link));
  expect(links.filter((link) => !isThere(link))).toEqual([]);
});

/** Every string code in the addon's sources: what a function `code` answers, and what is made as one in place. */
function nativeCodes(): Set<string> {
  const codes = new Set<string>();
  for (const file of rustSources()) {
    // Tests stand last, and make up codes of their own.
    const [source] = fs.readFileSync(file, 'utf8').split('#[cfg(test)]\nmod tests {');
    for (const body of bodiesOf(/fn (?:quiche_)?code\b[^{]*\{/g, source)) {
      for (const [, code] of body.matchAll(/"([A-Z]\w+)"/g)) codes.add(code);
    }
    for (const [, code] of source.matchAll(/\bCode(?:::new)?\("(\w+)"\)/g)) codes.add(code);
  }
  return codes;
}

function rustSources(): string[] {
  const folder = path.join(root, 'src');
  return fs
    .readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.rs') && path.basename(file) !== 'tests.rs')
    .map((file) => path.join(folder, file));
}

/** What stands between the braces of functions. */
function bodiesOf(start: RegExp, source: string): string[] {
  return [...source.matchAll(start)].map((match) => {
    const begin = match.index + match[0].length;
    let end = begin;
    for (let depth = 1; depth > 0; end++) {
      if (source[end] === '{') depth++;
      if (source[end] === '}') depth--;
    }
    return source.slice(begin, end);
  });
}
