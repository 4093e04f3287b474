import { measureOurs } from './measure.ts';
import { modelFolder } from './models.ts';
import type { StorageRun } from './storage-step.ts';

// prints what a frozen base costs stored as float32 and as bfloat16, each in its own process: node ... storage.ts
const steps = { tiny: '25', '0.1b': '8' } as const;
console.log('| model | base | mode | weights MiB | loading MiB | peak MiB | step ms, min | median | processor ms |');
console.log('| --- | --- | --- | --: | --: | --: | --: | --: | --: |');
for (const model of ['tiny', '0.1b'] as const) {
  modelFolder(model);
  for (const mode of ['compiled', 'eager']) {
    for (const storage of ['float32', 'bfloat16']) {
      const args = [model, steps[model], '--mode', mode, ...(storage === 'bfloat16' ? [storage] : [])];
      const { weights, loaded, rss_peak, min_ms, med_ms, cpu_ms } = measureOurs<StorageRun>('storage-step.ts', args);
      const figures = [weights, loaded, rss_peak, min_ms, med_ms, cpu_ms].map((figure) => figure.toFixed(0));
      console.log(`| ${[model, storage, mode, ...figures].join(' | ')} |`);
    }
  }
}
