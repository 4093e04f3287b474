import { ensureEngine } from './ensure.ts';

// what `npm start` and `npm test` run first: the native engine, if it can be had
await ensureEngine();
