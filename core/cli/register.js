// Lets this thread import TypeScript, and `mooring` from everywhere. For programs: `node --import mooring/register main.ts`.
// Worker threads import it too.
import module, { register } from 'node:module';

register('./hooks.js', import.meta.url);
mapSources();

/** Errors name lines of TypeScript. The maps of packages stay unread: they are megabytes, and parsed while a package loads. */
function mapSources() {
  if (module.setSourceMapsSupport !== undefined) return module.setSourceMapsSupport(true, { nodeModules: false });
  process.setSourceMapsEnabled(true);
  const load = module._extensions['.js'];
  module._extensions['.js'] = (loaded, filename) => {
    if (!filename.includes('/node_modules/')) return load(loaded, filename);
    process.setSourceMapsEnabled(false);
    try {
      return load(loaded, filename);
    } finally {
      process.setSourceMapsEnabled(true);
    }
  };
}
