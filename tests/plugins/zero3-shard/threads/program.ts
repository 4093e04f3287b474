import { Collectives, definePlugin } from 'mooring';
import { zero3Shard } from 'mooring/plugins/zero3-shard';
import { toyRun } from 'mooring/testing';

// a run of as many ranks as the second argument says, in which the rank of the first does what the third says in step 2,
// and the others what the fourth says
const [, , faulty, ranks, fault = 'none', othersFault = 'none'] = process.argv;
const faults: Readonly<Record<string, () => unknown>> = {
  throws: () => Promise.reject(new RangeError('bravo is out of range')),
  exits: () => process.exit(3),
  'never goes on': () => new Promise(() => undefined),
  'throws later': () => setTimeout(() => Promise.reject(new RangeError('bravo came late'))),
  'runs on': () => {
    for (;;);
  },
};
const fail = definePlugin({
  name: 'fail',
  apiVersion: 1,
  uses: { collectives: Collectives },
  apply({ hooks, services }) {
    hooks.stepBegin.tap(async ({ step }) => {
      const own = services.collectives.rank === Number(faulty) ? fault : othersFault;
      if (step.index === 2) await faults[own]?.();
    });
  },
});

const { trainer, logged } = toyRun([zero3Shard({ ranks: Number(ranks) }), fail()], { steps: 3 });
try {
  const { record, steps } = await trainer.train();
  process.stdout.write(`${JSON.stringify({ steps, loss: record?.loss })}\n`);
} catch (error) {
  const { code, message } = error as { code?: string; message: string };
  process.stderr.write(`${code ?? 'UNEXPECTED'}: ${message}\n`);
  process.exitCode = 1;
}
for (const { level, message } of logged) if (level === 'error') process.stderr.write(`${message}\n`);
