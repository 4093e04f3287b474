import { existsSync } from 'node:fs';
import { formatBytes } from './byte-count.ts';
import { type Choice, choose } from './choose.ts';
import type { Running } from './kept.ts';
import { type Mechanism, mechanisms } from './mechanisms.ts';
import { type MemoryPrediction, predictMemory, type Setting } from './predict-memory.ts';
import { predictSeconds } from './predict-time.ts';
import { type Demands, refusalOf } from './refusal.ts';
import type { Shapes } from './shapes.ts';
import type { Workload } from './workload.ts';

/** What advice is asked for. */
export interface Question extends Demands {
  readonly shapes: Shapes;
  /** Bytes that a process, each rank by itself, may hold. */
  readonly memory: number;
  readonly ranks: number;
  readonly workload: Workload;
  readonly running: Running;
  readonly adapterRank: number;
}

/** What is said of a mechanism. */
export interface Assessment {
  readonly mechanism: Mechanism;
  /** Ranks that it runs on: 1 unless it is sharded. */
  readonly ranks: number;
  /** Of each rank. */
  readonly bytes: MemoryPrediction;
  /** Of a step, where full training with a clone takes 1. */
  readonly time: number;
  /** Why it cannot be had here, as sentences; it fits where there are none. */
  readonly obstacles: readonly string[];
  /** Plugins of it that this release does not have. */
  readonly missing: readonly string[];
}

/** What `mooring advise` says. */
export interface Advice {
  readonly question: Question;
  readonly assessments: readonly Assessment[];
  readonly choice: Choice;
}

/** Predicts every mechanism and chooses one: a pure function of shapes and numbers, but for which plugins there are. */
export function advise(question: Question): Advice {
  const assessments = mechanisms.map((mechanism) => assess(question, mechanism));
  return { question, assessments, choice: choose(question, assessments) };
}

function assess(question: Question, mechanism: Mechanism): Assessment {
  const { shapes } = question;
  const setting: Setting = { ...question, mechanism };
  const full: Setting = { ...question, mechanism: mechanisms[0] as Mechanism };
  const bytes = predictMemory(shapes, setting);
  return {
    mechanism,
    ranks: mechanism.stage > 0 ? question.ranks : 1,
    bytes,
    time: predictSeconds(shapes, setting) / predictSeconds(shapes, full),
    obstacles: obstaclesOf(question, mechanism, bytes),
    missing: Object.keys(mechanism.plugins).filter((name) => !existsSync(new URL(`../${name}/`, import.meta.url))),
  };
}

function obstaclesOf(question: Question, mechanism: Mechanism, { resident }: MemoryPrediction): string[] {
  const { shapes, memory, ranks } = question;
  const obstacles: string[] = [];
  const isSharded = mechanism.stage > 0;
  if (isSharded && ranks < 2) obstacles.push('One rank has nobody to share with.');
  if (resident > memory) {
    const each = isSharded ? 'Each rank' : 'It';
    obstacles.push(`${each} needs ${formatBytes(resident)}, and there are ${formatBytes(memory)}.`);
  }
  const refusal = refusalOf(mechanism, shapes, question);
  return refusal === undefined ? obstacles : [...obstacles, refusal];
}
