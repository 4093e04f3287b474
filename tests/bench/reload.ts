import { measureOurs } from './measure.ts';
import { modelFolder } from './models.ts';

// prints what a reference read from disk costs beside a clone, each in its own process: node ... reload.ts
const steps = { tiny: '25', '0.1b': '8' } as const;
console.log('| model | reference | peak MiB | step ms, min | median |');
console.log('| --- | --- | --: | --: | --: |');
for (const model of ['tiny', '0.1b'] as const) {
  modelFolder(model);
  for (const reference of [[], ['memory'], ['memory', 'bfloat16'], ['disk'], ['disk', 'bfloat16']]) {
    const { rss_peak, min_ms, med_ms } = measureOurs('reload-step.ts', [model, steps[model], ...reference]);
    const figures = [rss_peak, min_ms, med_ms].map((figure) => figure.toFixed(0));
    console.log(`| ${[model, reference.length > 0 ? reference.join(', ') : 'clone', ...figures].join(' | ')} |`);
  }
}
