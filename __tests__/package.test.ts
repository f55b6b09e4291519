import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import ts from 'typescript';

const run = promisify(execFile);
const root = path.join(__dirname, '..');

/** What npm would put into the package. */
async function packedFiles(): Promise<string[]> {
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const options = { cwd: root, shell: process.platform === 'win32' };
  const { stdout } = await run(npm, ['pack', '--dry-run', '--json', '--ignore-scripts'], options);
  const [{ files }] = JSON.parse(stdout) as [{ files: { path: string }[] }];
  return files.map((file) => file.path.replaceAll('\\', '/')).sort();
}

/** Each module of lib/ becomes a script, its map, and its types. */
function compiledFiles(): string[] {
  const modules = fs.readdirSync(path.join(root, 'lib'), { recursive: true, encoding: 'utf8' });
  return modules
    .filter((file) => file.endsWith('.ts'))
    .map((file) => `dist/${file.replaceAll('\\', '/').slice(0, -'.ts'.length)}`)
    .flatMap((file) => [`${file}.d.ts`, `${file}.js`, `${file}.js.map`]);
}

/** Runs a program in a Node of its own, in the package's folder, where the package may be imported by its name. */
async function evaluate(inputType: 'commonjs' | 'module', source: string): Promise<unknown> {
  const { stdout } = await run(process.execPath, [`--input-type=${inputType}`, '--eval', source], { cwd: root });
  return JSON.parse(stdout);
}

test('the package holds what users need and nothing else', async () => {
  const pages = fs.readdirSync(path.join(root, 'docs')).map((name) => `docs/${name}`);
  const documents = ['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json', ...pages];
  const addon = ['index.d.ts', 'index.js'];
  expect(await packedFiles()).toEqual([...documents, ...addon, ...compiledFiles()].sort());
});

test("it depends on what has to be the application's own copy, and on nothing else", () => {
  const { dependencies } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8')) as {
    dependencies: object;
  };
  expect(dependencies).toEqual({ '@matrixai/errors': '^1.2.0', '@matrixai/events': '^3.2.3' });
});

// If a class is missing from the imported names: of `export { default as X } from './X'`, tsc makes code in which Node's
// ESM loader does not see X. Write `import X from './X'; export { X };` instead.
test.each(['polykey-quic', 'polykey-quic/native'])('%s gives the same names to require and to import', async (name) => {
  const required = await evaluate('commonjs', `console.log(JSON.stringify(Object.keys(require('${name}')).sort()))`);
  const imported = await evaluate(
    'module',
    `import * as names from '${name}';
     const own = Object.keys(names).filter((key) => !['default', 'module.exports', '__esModule'].includes(key));
     console.log(JSON.stringify(own.sort()));`,
  );
  expect(required).not.toHaveLength(0);
  expect(imported).toEqual(required);
});

test('modules below dist/ load with and without the extension, and are the same objects', async () => {
  const same = await evaluate(
    'commonjs',
    `const short = require('polykey-quic/dist/native');
     console.log(short === require('polykey-quic/dist/native.js') && short === require('polykey-quic').native)`,
  );
  expect(same).toBe(true);
});

/** Names as a program uses them: classes, namespaces, types, the deep path and the raw addon. */
const program = `
  import { QUICClient, QUICConnectionMap, QUICServer, errors, events, native, utils, x509 } from 'polykey-quic';
  import type { Host, QUICClientConfigInput, QUICStream, TLSVerifyCallback } from 'polykey-quic';
  import { CryptoError } from 'polykey-quic/dist/native';
  import { Config } from 'polykey-quic/native';
  const verifyCallback: TLSVerifyCallback = async (certs) => (certs.length === 0 ? CryptoError.CertificateRequired : undefined);
  const config: QUICClientConfigInput = { verifyPeer: true, verifyCallback };
  const same: typeof native.CryptoError = CryptoError;
  const server = new QUICServer({ config: { key: '', cert: '' } });
  server.addEventListener(events.EventQUICServerConnection.name, ({ detail }: events.EventQUICServerConnection) => {
    const stream: QUICStream = detail.newStream();
    stream.cancel(new errors.ErrorQUICConnectionPeer('', { data: { isApp: true, errorCode: 0, reason: new Uint8Array() } }));
  });
  const host: Host = utils.resolvesZeroIP('::' as Host);
  void QUICClient.createQUICClient({ host, port: 1, config }).cancel();
  void [same, x509.generateKey('Ed25519'), new QUICConnectionMap().size, new Config(1), native.quiche.MAX_CONN_ID_LEN];
`;

describe('TypeScript finds the types', () => {
  let user: string;

  beforeAll(async () => {
    user = await fs.promises.mkdtemp(path.join(os.tmpdir(), 'polykey-quic-user-'));
    await fs.promises.mkdir(path.join(user, 'node_modules'));
    await fs.promises.symlink(root, path.join(user, 'node_modules', 'polykey-quic'), 'junction');
  });

  afterAll(async () => {
    await fs.promises.rm(path.join(user, 'node_modules', 'polykey-quic'));
    await fs.promises.rm(user, { recursive: true });
  });

  const resolutions = [
    ['node10', ts.ModuleResolutionKind.Node10, undefined],
    ['node16, from CommonJS', ts.ModuleResolutionKind.Node16, ts.ModuleKind.CommonJS],
    ['node16, from ESM', ts.ModuleResolutionKind.Node16, ts.ModuleKind.ESNext],
    ['bundler', ts.ModuleResolutionKind.Bundler, undefined],
  ] as const;

  test.each(resolutions)('with %s', (_, moduleResolution, mode) => {
    const options = { moduleResolution, module: ts.ModuleKind.ESNext };
    const find = (name: string) =>
      ts.resolveModuleName(name, path.join(user, 'user.ts'), options, ts.sys, undefined, undefined, mode).resolvedModule
        ?.resolvedFileName;
    expect(find('polykey-quic')).toBe(path.join(root, 'dist/index.d.ts'));
    expect(find('polykey-quic/native')).toBe(path.join(root, 'index.d.ts'));
    expect(find('polykey-quic/dist/native')).toBe(path.join(root, 'dist/native.d.ts'));
  });

  // As `attw` does: a program of each kind has to compile, our declarations included.
  test.each<[string, string, ts.CompilerOptions]>([
    ['node10', 'ts', { module: ts.ModuleKind.CommonJS, moduleResolution: ts.ModuleResolutionKind.Node10 }],
    [
      'node16, from CommonJS',
      'cts',
      { module: ts.ModuleKind.Node16, moduleResolution: ts.ModuleResolutionKind.Node16 },
    ],
    ['node16, from ESM', 'mts', { module: ts.ModuleKind.Node16, moduleResolution: ts.ModuleResolutionKind.Node16 }],
    ['bundler', 'ts', { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler }],
  ])(
    'and compiles against them with %s',
    async (_, extension, options) => {
      const file = path.join(user, `program.${extension}`);
      await fs.promises.writeFile(file, program);
      const created = ts.createProgram([file], {
        ...options,
        target: ts.ScriptTarget.ES2022,
        lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
        strict: true,
        noEmit: true,
        typeRoots: [path.join(root, 'node_modules/@types')],
        types: ['node'],
      });
      const complaints = ts
        .getPreEmitDiagnostics(created)
        .filter(({ file: at }) => at === undefined || at.fileName === file || at.fileName.startsWith(`${root}/dist/`));
      expect(complaints.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '))).toEqual([]);
      // A name that isn't there is a complaint: the program was looked at.
      expect(created.getSourceFiles().map(({ fileName }) => fileName)).toContain(path.join(root, 'dist/index.d.ts'));
    },
    60_000,
  );
});

describe('the package of each platform', () => {
  type Manifest = { version: string; os: string[]; cpu: string[]; libc?: string[]; main: string; files: string[] };
  const read = (file: string): unknown => JSON.parse(fs.readFileSync(path.join(root, file), 'utf8'));
  const { napi, version } = read('package.json') as { napi: { targets: string[] }; version: string };

  const platforms: [target: string, name: string, os: string, cpu: string, libc: string | undefined][] = [
    ['x86_64-unknown-linux-gnu', 'linux-x64-gnu', 'linux', 'x64', 'glibc'],
    ['x86_64-unknown-linux-musl', 'linux-x64-musl', 'linux', 'x64', 'musl'],
    ['aarch64-unknown-linux-gnu', 'linux-arm64-gnu', 'linux', 'arm64', 'glibc'],
    ['aarch64-unknown-linux-musl', 'linux-arm64-musl', 'linux', 'arm64', 'musl'],
    ['x86_64-apple-darwin', 'darwin-x64', 'darwin', 'x64', undefined],
    ['aarch64-apple-darwin', 'darwin-arm64', 'darwin', 'arm64', undefined],
    ['x86_64-pc-windows-msvc', 'win32-x64-msvc', 'win32', 'x64', undefined],
    ['aarch64-pc-windows-msvc', 'win32-arm64-msvc', 'win32', 'arm64', undefined],
    ['aarch64-linux-android', 'android-arm64', 'android', 'arm64', undefined],
  ];

  test('there is one for each target, and no other', () => {
    expect(napi.targets).toEqual(platforms.map(([target]) => target));
    expect(fs.readdirSync(path.join(root, 'npm')).sort()).toEqual(platforms.map(([, name]) => name).sort());
  });

  test.each(platforms)('%s installs only there', (_, name, os, cpu, libc) => {
    const binary = `polykey-quic.${name}.node`;
    const manifest = read(`npm/${name}/package.json`) as Manifest;
    expect(manifest).toMatchObject({ name: `polykey-quic-${name}`, version, main: binary, files: [binary] });
    expect([manifest.os, manifest.cpu, manifest.libc]).toEqual([[os], [cpu], libc && [libc]]);
  });
});
