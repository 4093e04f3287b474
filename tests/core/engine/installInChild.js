// Runs an install in a process that a test may kill. The fake Node of the test stands in for the proof.
import { delimiter, join } from 'node:path';
import '../../../core/cli/register.js';

process.execPath = join(process.env.PATH.split(delimiter)[0], 'node');
const { installEngine } = await import('../../../core/engine/install/install.ts');
await installEngine();
