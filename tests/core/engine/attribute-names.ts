import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { openEngine } from '../../../core/engine/engine.ts';

// two threads that in lockstep give TensorFlow's operations attributes of the same new names, which the binding keeps
const threads = 2;
if (isMainThread) {
  const arrived = new Int32Array(new SharedArrayBuffer(4));
  for (let thread = 0; thread < threads; thread++) new Worker(new URL(import.meta.url), { workerData: { arrived } });
} else {
  const { arrived } = workerData as { arrived: Int32Array };
  const { native } = await openEngine('native');
  if (native === undefined) throw new Error('no native engine');
  const { backend } = native;
  for (let name = 0; name < 20_000; name++) {
    const attribute = { name: `attribute ${name}`, type: backend.binding.TF_ATTR_INT, value: 1 };
    Atomics.add(arrived, 0, 1);
    while (Atomics.load(arrived, 0) < threads * (name + 1));
    try {
      backend.executeSingleOutput('NoOp', [attribute], []);
    } catch {
      // no operation has such an attribute; its name is kept before that is found
    }
  }
}
