// Exit 0 when node_modules holds what package-lock.json names, so that `npm ci` (which deletes all of
// it first) is not needed. Runs on the host's Node, which may be as old as 18: CommonJS, no syntax of today.
const { readFileSync } = require('node:fs');

const packagesOf = (file) => JSON.parse(readFileSync(file, 'utf8')).packages;

try {
  const wanted = packagesOf('package-lock.json');
  const installed = packagesOf('node_modules/.package-lock.json');
  const agrees = Object.entries(wanted).every(([path, entry]) => {
    if (path === '') return true;
    const found = installed[path];
    // Optional packages are for other systems, mostly; npm has decided that when it installed.
    if (!found) return entry.optional === true;
    return found.version === entry.version && found.integrity === entry.integrity;
  });
  const none = Object.keys(installed).every((path) => path in wanted);
  process.exitCode = agrees && none ? 0 : 1;
} catch (error) {
  process.exitCode = 1;
}
