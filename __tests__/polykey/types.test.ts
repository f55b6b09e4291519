import fs from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { installed, testPolykey } from './agents';

const folder = path.join(__dirname, 'types');

/** What tsc says of Polykey's way of calling, and of our own declarations: those of others are their business. */
function complaints(options: ts.CompilerOptions): string[] {
  // There, where the libraries are found.
  const file = path.join(installed!, 'use.ts');
  fs.copyFileSync(path.join(folder, 'use.ts'), file);
  const { config } = ts.readConfigFile(path.join(folder, 'tsconfig.json'), (name) => ts.sys.readFile(name)) as {
    config: object;
  };
  const { options: base } = ts.parseJsonConfigFileContent(config, ts.sys, installed!);
  const program = ts.createProgram([file], { ...base, ...options });
  return ts
    .getPreEmitDiagnostics(program)
    .filter(
      ({ file: at }) => at === undefined || at.fileName.endsWith('use.ts') || at.fileName.includes('/@matrixai/quic/'),
    )
    .map(({ file: at, messageText }) => `${at?.fileName ?? ''}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`);
}

const { ModuleKind, ModuleResolutionKind } = ts;

testPolykey.each<[string, ts.CompilerOptions]>([
  ['node10', { module: ModuleKind.CommonJS, moduleResolution: ModuleResolutionKind.Node10 }],
  ['node16, from CommonJS', { module: ModuleKind.Node16, moduleResolution: ModuleResolutionKind.Node16 }],
  ['bundler', { module: ModuleKind.ESNext, moduleResolution: ModuleResolutionKind.Bundler }],
])('the way Polykey calls compiles, and so do our declarations (%s)', (_, options) => {
  expect(complaints(options)).toEqual([]);
});
