/** @type {import('jest').Config} */
module.exports = {
  roots: ['<rootDir>/__tests__'],
  testMatch: ['**/*.test.ts'],
  // These need Polykey, or network namespaces: jest.polykey.config.cjs and jest.nat.config.cjs run them.
  testPathIgnorePatterns: ['/node_modules/', '<rootDir>/__tests__/polykey/', '<rootDir>/__tests__/nat/'],
  testEnvironment: 'node',
  // lib/ runs directly; types are `npm run types`' business.
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: { target: 'es2022', parser: { syntax: 'typescript' }, keepClassNames: true },
        module: { type: 'commonjs' },
        sourceMaps: 'inline',
      },
    ],
  },
  // Loopback handshakes take milliseconds; a test that needs more than this says so.
  testTimeout: 20_000,
  // Neither forceExit nor detectOpenHandles: what a test leaves open has to show.
  collectCoverageFrom: ['lib/**/*.ts'],
  coverageDirectory: 'coverage',
};
