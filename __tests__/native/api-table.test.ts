import fs from 'node:fs';
import path from 'node:path';
import ts from 'typescript';

const root = path.join(__dirname, '..', '..');

/** One row of a table: the cells without their code marks. */
type Row = string[];

/** The tables of docs/quiche-api.md by their headings. */
function tables(): Map<string, Row[]> {
  const text = fs.readFileSync(path.join(root, 'docs', 'quiche-api.md'), 'utf8');
  const sections = text.split(/^## /m).slice(1);
  return new Map(
    sections.map((section) => {
      const rows = section.split('\n').filter((line) => line.startsWith('| `'));
      const cells = rows.map((row) => row.split('|').slice(1, -1));
      return [unmark(section.split('\n')[0]), cells.map((row) => row.map(unmark))];
    }),
  );
}

function unmark(cell: string): string {
  const trimmed = cell.trim();
  return /^`[^`]*`$/.test(trimmed) ? trimmed.slice(1, -1) : trimmed;
}

/** Members of the generated classes as `Class.member`, and the other exports by their names. */
function generated(): Set<string> {
  const file = path.join(root, 'index.d.ts');
  const source = ts.createSourceFile(file, fs.readFileSync(file, 'utf8'), ts.ScriptTarget.Latest);
  const names = source.statements.flatMap((statement) => {
    if (ts.isFunctionDeclaration(statement)) return [statement.name!.text];
    if (!ts.isClassDeclaration(statement)) return [];
    return statement.members.map((member) => {
      const name = ts.isConstructorDeclaration(member) ? 'constructor' : (member.name as ts.Identifier).text;
      return `${statement.name!.text}.${name}`;
    });
  });
  return new Set(names);
}

const NONE = '–';

test('every name in the table exists, and every method has a name or a reason', () => {
  const [all, known] = [tables(), generated()];
  for (const section of ['Config', 'Connection', 'Functions']) {
    expect(all.get(section)!.length).toBeGreaterThan(9);
    for (const [quiche, name, note] of all.get(section)!) {
      if (name === NONE) expect([quiche, note]).toEqual([quiche, expect.stringMatching(/\w+ \w+ \w+/)]);
      else expect(known).toContain(section === 'Functions' ? name : `${section}.${name}`);
    }
  }
  for (const [name] of all.get('Added')!) expect(known).toContain(name);
});

test('every method of Config and Connection is in the table', () => {
  const all = tables();
  const listed = new Set([
    ...['Config', 'Connection'].flatMap((section) => all.get(section)!.map(([, name]) => `${section}.${name}`)),
    ...all.get('Functions')!.map(([, name]) => name),
    ...all.get('Added')!.map(([name]) => name),
  ]);
  const methods = [...generated()].filter((name) => /^(Config|Connection)\./.test(name));
  expect(methods.length).toBeGreaterThan(150);
  expect(methods.filter((name) => !listed.has(name))).toEqual([]);
});

test('names are the ones of quiche in camelCase, or the table says what differs', () => {
  for (const section of ['Config', 'Connection']) {
    for (const [quiche, name, note] of tables().get(section)!) {
      const camel = quiche.replace(/_(\w)/g, (_match, letter: string) => letter.toUpperCase());
      if (name !== NONE && name !== camel && quiche !== 'set_qlog_with_level') expect([quiche, note]).not.toContain('');
    }
  }
});

test('every method that has an effect is called in a test', () => {
  const config = tables().get('Config')!;
  const inert = new Set(config.filter(([, , note]) => note.endsWith('no effect here')).map(([, name]) => name));
  expect(inert.size).toBe(1);
  const tests = fs.readdirSync(__dirname).map((file) => fs.readFileSync(path.join(__dirname, file), 'utf8'));
  const text = tests.join('\n');
  const isCalled = (name: string): boolean => new RegExp(`\\.${name}\\b`).test(text);
  const classes = /^(Config|Connection|Stream|Header)\.(?!constructor)/;
  const names = [...generated()].filter((name) => classes.test(name)).map((name) => name.split('.')[1]);
  expect(names.filter((name) => !isCalled(name) && !inert.has(name))).toEqual([]);
});
