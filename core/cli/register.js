// Lets this thread import TypeScript, and `mooring` from everywhere. For programs: `node --import mooring/register main.ts`.
// Worker threads import it too.
import { register } from 'node:module';

register('./hooks.js', import.meta.url);
process.setSourceMapsEnabled(true);
