import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  type PathLike,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeEach, expect, test } from '@jest/globals';
import { type Collectives, createTrainer, type Plugin } from 'mooring';
import { causalLm } from 'mooring/plugins/causal-lm';
import { dpo } from 'mooring/plugins/dpo';
import { peftLora } from 'mooring/plugins/peft-lora';
import { preferenceData } from 'mooring/plugins/preference-data';
import { refClone } from 'mooring/plugins/ref-clone';
import { refReload } from 'mooring/plugins/ref-reload';
import { tokenizer } from 'mooring/plugins/tokenizer';
import { zero3Shard } from 'mooring/plugins/zero3-shard';
import { givenRanks, inRanks } from 'mooring/testing';
import { createFileSharing } from '../../../plugins/zero3-shard/share/file-sharing.ts';
import { quiet } from '../../core/support.ts';
import { fixture } from '../causal-lm/support.ts';

const root = mkdtempSync(path.join(tmpdir(), 'mooring-sharing-'));
afterAll(() => rmSync(root, { recursive: true }));
const home = (host: string) => path.join(root, host);
/** What a host sees of all that is on the disk of this one. */
const seenOn = (host: string) => (file: PathLike) => String(file).startsWith(home(host)) && existsSync(file);
const disks = ['alpha', 'bravo', 'charlie'];
beforeEach(() => {
  for (const host of disks) {
    rmSync(home(host), { recursive: true, force: true });
    mkdirSync(home(host));
  }
});

/** What a rank found of a model's folder and of a file, each as the names and bytes that it reads there. */
async function findOn(host: string, collectives: Collectives) {
  const sharing = createFileSharing(collectives, quiet, seenOn(host));
  const folder = await sharing.find(path.join(home(host), 'model'), home(host));
  const file = await sharing.find(path.join(home(host), 'pairs.jsonl'), home(host));
  const absent = await sharing.find(undefined, home(host));
  await collectives.barrier('copies to be looked at');
  const seen = {
    folder,
    file,
    absent,
    files: readdirSync(folder).map((name) => [name, String(readFileSync(path.join(folder, name)))]),
    lines: readFileSync(file, 'utf8'),
    copies: readdirSync(home(host)).filter((name) => name.startsWith('.copy')),
  };
  await collectives.barrier('copies to be removed');
  sharing.dispose();
  return seen;
}

test('a host without the files gets one copy of each from the first rank that has them, until the end', async () => {
  writeFileSync(path.join(home('bravo'), 'pairs.jsonl'), 'lines');
  mkdirSync(path.join(home('bravo'), 'model'));
  const weights = Buffer.from(Array.from({ length: 999 }, (_, at) => at % 251));
  writeFileSync(path.join(home('bravo'), 'model', 'model.safetensors'), weights);
  writeFileSync(path.join(home('bravo'), 'model', 'config.json'), '');
  const hosts = ['alpha', 'alpha', 'bravo', 'charlie', 'bravo', 'charlie'];
  const found = await inRanks(6, (collectives) => findOn(hosts[collectives.rank] as string, collectives));
  for (const [rank, { folder, file, absent, files, lines, copies }] of found.entries()) {
    const host = hosts[rank] as string;
    expect({ files, lines, absent }).toEqual({
      files: [
        ['config.json', ''],
        ['model.safetensors', String(weights)],
      ],
      lines: 'lines',
      absent: undefined,
    });
    expect([path.basename(file), copies]).toEqual([
      'pairs.jsonl',
      host === 'bravo' ? [] : [expect.any(String), expect.any(String)],
    ]);
    expect(folder.startsWith(home(host)) && file.startsWith(home(host))).toBe(true);
  }
  for (const host of disks) expect(readdirSync(home(host)).filter((name) => name.startsWith('.copy'))).toEqual([]);
});

test('of a folder a copy has what a run reads, not what other programs keep there', async () => {
  const model = path.join(home('alpha'), 'model');
  mkdirSync(path.join(model, 'onnx.json'), { recursive: true });
  for (const name of ['config.json', 'pytorch_model.bin', 'README.md']) writeFileSync(path.join(model, name), '');
  const copies = await inRanks(2, async (collectives) => {
    const host = disks[collectives.rank] as string;
    const disk = home(host);
    const folder = await createFileSharing(collectives, quiet, seenOn(host)).find(path.join(disk, 'model'), disk);
    return readdirSync(folder);
  });
  expect(copies[1]).toEqual(['config.json']);
});

test('what is asked for again is copied once', async () => {
  mkdirSync(path.join(home('alpha'), 'model'));
  writeFileSync(path.join(home('alpha'), 'model', 'config.json'), '');
  const found = await inRanks(2, async (collectives) => {
    const host = disks[collectives.rank] as string;
    const sharing = createFileSharing(collectives, quiet, seenOn(host));
    const model = path.join(home(host), 'model');
    return [await sharing.find(model, home(host)), await sharing.findAll({ model }, home(host))];
  });
  for (const [once, again] of found) expect(again).toEqual({ model: once });
  expect(readdirSync(home('bravo'))).toHaveLength(1);
});

test('a rank that names no file takes part in what others get', async () => {
  writeFileSync(path.join(home('alpha'), 'pairs.jsonl'), 'lines');
  const found = await inRanks(3, ({ rank, ...collectives }) => {
    const host = disks[rank] as string;
    const disk = home(host);
    return createFileSharing({ ...collectives, rank }, quiet, seenOn(host)).find(
      rank === 1 ? undefined : path.join(disk, 'pairs.jsonl'),
      disk,
    );
  });
  expect([found[1], readFileSync(found[2] as string, 'utf8')]).toEqual([undefined, 'lines']);
});

test('what no rank has is where it was said to be, for who reads it to say that it is missing', async () => {
  const places = await inRanks(3, (collectives) => createFileSharing(collectives, quiet).find('/nowhere', root));
  expect(places).toEqual(['/nowhere', '/nowhere', '/nowhere']);
});

test('a rank that cannot write its copy ends all, and leaves nothing half-written', async () => {
  writeFileSync(path.join(home('alpha'), 'pairs.jsonl'), 'lines');
  const place = (host: string) => path.join(home(host), 'pairs.jsonl');
  writeFileSync(path.join(home('bravo'), 'taken'), '');
  const running = inRanks(2, ({ rank, ...collectives }) => {
    const host = disks[rank] as string;
    const broadcast: Collectives['broadcast'] = async (...given) => {
      const values = await collectives.broadcast(...given);
      if (rank === 1) rmSync(home('bravo'), { recursive: true }); // the disk goes away
      return values;
    };
    return createFileSharing({ ...collectives, rank, broadcast }, quiet, seenOn(host)).find(place(host), home(host));
  });
  await expect(running).rejects.toMatchObject({ code: 'WRITE_FAILED' });
  expect(existsSync(home('bravo'))).toBe(false);
});

/** The first host has all that runs read. */
function fillFirstHost() {
  const model = path.join(home('alpha'), 'model');
  cpSync(fixture('qwen2'), model, { recursive: true });
  cpSync(path.resolve(fixture('qwen2'), '../../trl/tokenizer'), model, { recursive: true });
  cpSync(path.resolve(fixture('qwen2'), '../../trl/pairs.jsonl'), path.join(home('alpha'), 'pairs.jsonl'));
  cpSync(model, path.join(home('alpha'), 'reference'), { recursive: true });
  cpSync(path.resolve(fixture('qwen2'), '../../peft/qwen2_attention'), path.join(home('alpha'), 'adapter'), {
    recursive: true,
  });
}

/** Trains on a host, by paths to its own disk. */
async function trainOn(host: string, collectives: Collectives, reference: Plugin, output?: string) {
  const folder = home(host);
  const data = path.join(folder, 'pairs.jsonl');
  const train = {
    steps: 2,
    batchSize: 2,
    maxLength: 40,
    evalEverySteps: 2,
    learningRate: 1e-3,
    engine: 'wasm',
  } as const;
  const trainer = createTrainer(
    { model: path.join(folder, 'model'), data, evalData: data, folder, output, train },
    { log: quiet },
  );
  trainer.use(causalLm(), tokenizer(), preferenceData(), dpo(), reference);
  const { record, evaluation } = await trainer.use(zero3Shard(), givenRanks(collectives, 'zero3-shard')).train();
  return { record, evaluation };
}

test.each<[string, () => Plugin]>([
  ['the model and the data', refClone],
  ['the model that a plugin reloads', () => refReload({ model: 'reference' })],
  ['the adapter that a plugin trains', () => peftLora({ adapter: 'adapter', allowRawBase: true })],
])('a run trains on ranks without %s as on those that have them, and leaves no copy', async (_, reference) => {
  fillFirstHost();
  const run = (collectives: Collectives) => trainOn(disks[collectives.rank] as string, collectives, reference());
  const before = readdirSync(tmpdir());
  const [whole] = await inRanks(1, run);
  const found = await inRanks(2, run);
  expect(found[1]).toEqual(found[0]);
  expect(found[0]?.record?.loss).toBeCloseTo(whole?.record?.loss as number, 5);
  const own = readdirSync(tmpdir()).filter((name) => name.startsWith('.copy') && name.includes(`-${process.pid}-`));
  expect(own.filter((name) => !before.includes(name))).toEqual([]);
});

test('a saved adapter names its base as the run does, where the rank that saves it had a copy too', async () => {
  fillFirstHost();
  const output = path.join(home('charlie'), 'output');
  await inRanks(2, (ranks) => trainOn(['bravo', 'alpha'][ranks.rank] as string, ranks, peftLora({}), output));
  const saved = JSON.parse(readFileSync(path.join(output, 'adapter', 'adapter_config.json'), 'utf8'));
  expect(saved).toMatchObject({ base_model_name_or_path: path.join(home('bravo'), 'model') });
});
