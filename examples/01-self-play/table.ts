import path from 'node:path';
import type { TrainResult } from 'mooring';
import type { Report } from './report.ts';

/** Prints what the run came to: figures before and after, what it cost, and three samples of each. */
export function printTable(
  { before, after, klPerToken, tokensPerSecond, referenceBytes }: Report,
  { seconds, steps, written }: TrainResult,
  { prompts, output }: { prompts: readonly string[]; output: string },
): void {
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  const rows: [string, string, string][] = [
    ['', 'before', 'after'],
    ['held-out reward accuracy (a tie counts half)', before.accuracy.toFixed(3), after.accuracy.toFixed(3)],
    ['held-out reward margin', before.margin.toFixed(3), after.margin.toFixed(3)],
    ['KL(policy || reference), nats a token, own samples', '0', klPerToken?.toFixed(4) ?? ''],
    ['bytes that only the reference holds', '0', mebibytes(referenceBytes)],
    ['peak memory of the process', '', mebibytes(peakBytes)],
    ['tokens per second', '', tokensPerSecond.toFixed(0)],
    ['steps, seconds', '', `${steps}, ${seconds.toFixed(0)}`],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  console.log('');
  for (const [name, first, second] of rows)
    console.log(`${name.padEnd(width)}  ${first.padStart(8)}  ${second.padStart(10)}`);
  for (let index = 0; index < 3; index++) {
    console.log(`\n${index + 1}. ${oneLine(prompts[index])}`);
    console.log(`   before: ${oneLine(before.samples[index])}`);
    console.log(`   after:  ${oneLine(after.samples[index])}`);
  }
  console.log(`\nwritten: ${[...written, path.join(output, 'metrics.jsonl')].join(', ')}`);
  console.log('next: your own pairs and model in a run file, then `npx mooring train run.yaml`; see README.md');
}

/** Bytes for people. */
export function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/** The beginning of a text, on one line. */
function oneLine(text: string | undefined): string {
  const line = (text ?? '').replaceAll('\n', ' / ').trim();
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}
