import fs from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { installed, isOriginal, testPolykey } from './agents';

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
  const looked = program
    .getSourceFiles()
    .filter(({ fileName }) => fileName.endsWith('use.ts') || fileName.includes('/@matrixai/quic/'));
  return [program.getOptionsDiagnostics(), ...looked.map((each) => program.getSemanticDiagnostics(each))]
    .flat()
    .map(({ file: at, messageText }) => `${at?.fileName ?? ''}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`);
}

// Other ways to resolve the package: __tests__/package.test.ts.
testPolykey('the way Polykey calls compiles, and so do our declarations', () => {
  const options = { module: ts.ModuleKind.Node16, moduleResolution: ts.ModuleResolutionKind.Node16 };
  // Better on purpose: listeners of 1.3.0 only compile as Polykey itself does, without this check.
  const leniency = isOriginal ? { strictFunctionTypes: false } : {};
  expect(complaints({ ...options, ...leniency })).toEqual([]);
});
