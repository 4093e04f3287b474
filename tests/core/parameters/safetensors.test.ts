import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MooringError, openSafetensors, openWeights, writeSafetensors } from 'mooring';
import { toBfloat16, toFloat16 } from '../../../core/parameters/safetensors/dtype.ts';
import { failureOf } from '../support.ts';

const fixtures = path.resolve(import.meta.dirname, '../../fixtures');
const folder = mkdtempSync(path.join(tmpdir(), 'mooring-safetensors-'));
const file = (name: string) => path.join(folder, name);
const theirs = JSON.parse(readFileSync(path.join(fixtures, 'safetensors/mixed.json'), 'utf8'));

/** A file of the given header and bytes of data. */
function made(name: string, header: object | string, dataBytes: number, claimed?: number): string {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(claimed ?? text.length));
  writeFileSync(file(name), Buffer.concat([length, text, Buffer.alloc(dataBytes)]));
  return file(name);
}

/** A file of one I64. */
function madeOf(value: bigint): string {
  const name = made('integer', { alpha: tensor(0, 8, 'I64', [1]) }, 8);
  const bytes = readFileSync(name);
  bytes.writeBigInt64LE(value, bytes.length - 8);
  writeFileSync(name, bytes);
  return name;
}

const tensor = (begin: number, end: number, dtype = 'F32', shape = [(end - begin) / 4]) => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

test('reads every type that the Python library writes to the values that torch has', async () => {
  const source = await openSafetensors(path.join(fixtures, 'safetensors/mixed.safetensors'));
  for (const [name, { shape, values }] of Object.entries<{ shape: number[]; values: string[] }>(theirs.tensors)) {
    expect(source.entries.get(name)?.shape).toEqual(shape);
    expect(Array.from(await source.readTensor(name), String)).toEqual(values.map(asJavaScript));
  }
  expect(Array.from(await source.readTensor('ids'))).toEqual([1, -2, 2 ** 31 - 1, -(2 ** 31)]);
  expect(source.metadata).toEqual({ format: 'pt' });
  await source.close();
});

test.each(['safetensors/mixed.safetensors', 'models/llama-bf16-sharded/model-00001-of-00004.safetensors'])(
  'writes %s again byte for byte as the Python library did, whatever the order',
  async (name) => {
    const original = path.join(fixtures, name);
    const source = await openSafetensors(original);
    const names = { F32: 'float32', BF16: 'bfloat16', F16: 'float16', I32: 'int32' } as const;
    const specs = Array.from(source.entries, ([tensor, { dtype, shape }]) => {
      return { name: tensor, dtype: names[dtype as keyof typeof names], shape };
    });
    await writeSafetensors(file('again'), specs.reverse(), source.readTensor, source.metadata);
    await source.close();
    expect(readFileSync(file('again')).equals(readFileSync(original))).toBe(true);
  },
);

test('rounds to bfloat16 and float16 as torch does', () => {
  const floats = Float32Array.from(
    theirs.floats.map(Number.parseFloat).map((value: number, at: number) => special(theirs.floats[at], value)),
  );
  const wide = (bits: Uint16Array, dtype: 'BF16' | 'F16') =>
    Array.from(bits, (each) => (dtype === 'BF16' ? brain(each) : half(each)));
  const equal = (ours: number[], name: string) =>
    expect(ours.map(String)).toEqual(theirs.tensors[name].values.map(asJavaScript));
  equal(wide(toBfloat16(floats), 'BF16'), 'brain');
  equal(wide(toFloat16(floats), 'F16'), 'half');
});

test('what is written is read again, whatever the names, shapes and types', async () => {
  const entry = fc.record({
    name: fc.string({ minLength: 1 }).filter((name) => name !== '__metadata__'),
    dtype: fc.constantFrom('float32', 'int32'),
    shape: fc.array(fc.nat(4), { maxLength: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(entry, { selector: ({ name }) => name, maxLength: 5 }),
      fc.nat(),
      async (specs, seed) => {
        const values = new Map(
          specs.map(({ name, dtype, shape }, at) => {
            const size = shape.reduce((product, each) => product * each, 1);
            const list = Array.from({ length: size }, (_, index) => ((seed + at * 31 + index * 7) % 1000) - 500);
            return [name, dtype === 'int32' ? Int32Array.from(list) : Float32Array.from(list)];
          }),
        );
        await writeSafetensors(file('any'), specs as never, (name) => values.get(name) as Float32Array);
        const source = await openSafetensors(file('any'));
        for (const { name, shape } of specs) {
          expect(source.entries.get(name)?.shape).toEqual(shape);
          expect(Array.from(await source.readTensor(name))).toEqual(Array.from(values.get(name) as Float32Array));
        }
        await source.close();
      },
    ),
    { numRuns: 60 },
  );
});

test('the bytes do not depend on the order of the tensors', async () => {
  const specs = ['bravo', 'alpha', 'charlie'].map((name) => ({ name, dtype: 'float32', shape: [2] }) as const);
  const values = (name: string) => Float32Array.of(name.length, 1);
  await writeSafetensors(file('one'), specs, values);
  await writeSafetensors(file('other'), specs.toReversed(), values);
  expect(readFileSync(file('one')).equals(readFileSync(file('other')))).toBe(true);
});

describe('a file that lies gets its own error', () => {
  const cases: Record<string, [code: string, make: () => string]> = {
    'not there': ['SAFETENSORS_UNREADABLE', () => file('absent')],
    empty: ['SAFETENSORS_TRUNCATED', emptied],
    'header longer than the file': ['SAFETENSORS_TRUNCATED', () => made('long', {}, 0, 1000)],
    'header of a petabyte': ['SAFETENSORS_HEADER_TOO_LARGE', () => made('vast', {}, 0, 2 ** 50)],
    'header that is no JSON': ['SAFETENSORS_HEADER_MALFORMED', () => made('nojson', '{"alpha"', 0)],
    'the same name twice': [
      'SAFETENSORS_NAME_DUPLICATE',
      () =>
        made(
          'twice',
          '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
          4,
        ),
    ],
    'an unknown type': ['SAFETENSORS_DTYPE_UNSUPPORTED', () => made('dtype', { alpha: tensor(0, 4, 'F37') }, 4)],
    'ranges that overlap': [
      'SAFETENSORS_RANGES_OVERLAP',
      () => made('overlap', { alpha: tensor(0, 8), bravo: tensor(4, 12) }, 12),
    ],
    'a gap between ranges': [
      'SAFETENSORS_BYTES_UNNAMED',
      () => made('gap', { alpha: tensor(0, 4), bravo: tensor(8, 12) }, 12),
    ],
    'bytes after the last tensor': ['SAFETENSORS_BYTES_UNNAMED', () => made('trailing', { alpha: tensor(0, 4) }, 8)],
    'a range that ends before it begins': [
      'SAFETENSORS_ENTRY_MALFORMED',
      () => made('reverse', { alpha: tensor(8, 4) }, 8),
    ],
    'a range outside the data': ['SAFETENSORS_RANGE_OUTSIDE', () => made('outside', { alpha: tensor(0, 400) }, 4)],
    'a shape that does not fit the bytes': [
      'SAFETENSORS_SIZE_MISMATCH',
      () => made('shape', { alpha: tensor(0, 4, 'F32', [2]) }, 4),
    ],
  };
  function emptied(): string {
    writeFileSync(file('nothing'), '');
    return file('nothing');
  }
  test.each(Object.entries(cases))('%s', async (_, [code, make]) => {
    const made = make();
    const error = await failureOf(() => openSafetensors(made));
    expect({ code: error.code, namesFile: error.message.includes(made) }).toEqual({ code, namesFile: true });
  });

  test('a type that cannot be read, and a tensor that is not there, name the tensor', async () => {
    const source = await openSafetensors(path.join(fixtures, 'safetensors/other-types.safetensors'));
    expect(Array.from(await source.readTensor('long'))).toEqual([5, -6]);
    expect((await failureOf(() => source.readTensor('double'))).code).toBe('SAFETENSORS_DTYPE_UNSUPPORTED');
    expect((await failureOf(() => source.readTensor('flog'))).message).toContain('"flag"');
    await source.close();
  });
});

test('an integer beyond 32 bits is refused, not cut', async () => {
  const source = await openSafetensors(madeOf(2n ** 31n));
  const error = await failureOf(() => source.readTensor('alpha'));
  expect({ code: error.code, value: error.details.value }).toEqual({
    code: 'SAFETENSORS_INTEGER_TOO_LARGE',
    value: '2147483648',
  });
  await source.close();
});

test('a file cut off anywhere, or with any byte of its header changed, is read right or refused', async () => {
  const whole = readFileSync(path.join(fixtures, 'safetensors/mixed.safetensors'));
  const headerBytes = Number(whole.readBigUInt64LE(0)) + 8;
  const readAll = async (bytes: Buffer) => {
    writeFileSync(file('fuzz'), bytes);
    const source = await openSafetensors(file('fuzz'));
    try {
      for (const name of source.entries.keys()) await source.readTensor(name);
    } finally {
      await source.close();
    }
  };
  const isRefused = async (bytes: Buffer) => {
    const error: unknown = await readAll(bytes).catch((caught: unknown) => caught);
    if (error !== undefined) expect(error).toBeInstanceOf(MooringError);
    return error !== undefined;
  };
  await fc.assert(
    fc.asyncProperty(fc.nat(whole.length - 1), async (length) =>
      expect(await isRefused(whole.subarray(0, length))).toBe(true),
    ),
    { numRuns: 100 },
  );
  await fc.assert(
    fc.asyncProperty(fc.nat(headerBytes - 1), fc.nat(255), async (at, byte) => {
      const changed = Buffer.from(whole);
      changed[at] = byte;
      await isRefused(changed);
    }),
    { numRuns: 300 },
  );
});

test('a write that fails leaves the old file and nothing beside it', async () => {
  const alone = mkdtempSync(path.join(tmpdir(), 'mooring-write-'));
  const target = path.join(alone, 'model.safetensors');
  writeFileSync(target, 'old');
  const specs = [{ name: 'alpha', dtype: 'float32', shape: [4] } as const];
  expect((await failureOf(() => writeSafetensors(target, specs, () => Float32Array.of(1)))).code).toBe(
    'SAFETENSORS_VALUES_MISFIT',
  );
  expect((await failureOf(() => writeSafetensors(target, specs, () => Int32Array.of(1, 2, 3, 4)))).code).toBe(
    'SAFETENSORS_VALUES_MISFIT',
  );
  const full = Object.assign(new RangeError('no space left on device'), { code: 'ENOSPC' });
  const error = await failureOf(() => writeSafetensors(target, specs, () => Promise.reject(full)));
  expect({ code: error.code, namesFile: error.message.includes(target) }).toEqual({
    code: 'DISK_FULL',
    namesFile: true,
  });
  expect(readFileSync(target, 'utf8')).toBe('old');
  expect(readdirSync(alone)).toEqual(['model.safetensors']);
});

describe('a folder in shards', () => {
  const copy = () => {
    const target = path.join(mkdtempSync(path.join(tmpdir(), 'mooring-shards-')), 'model');
    cpSync(path.join(fixtures, 'models/llama-bf16-sharded'), target, { recursive: true });
    return target;
  };
  const index = (target: string) => path.join(target, 'model.safetensors.index.json');

  test('a missing shard is named', async () => {
    const target = copy();
    const [shard] = readdirSync(target).filter((name) => name.includes('-00003-'));
    const text = readFileSync(index(target), 'utf8').replaceAll(String(shard), 'model-00007-of-00004.safetensors');
    writeFileSync(index(target), text);
    expect((await failureOf(() => openWeights(target))).message).toContain('model-00007-of-00004.safetensors');
  });

  test('an index that names a tensor its shard lacks, or is no index, is refused', async () => {
    const target = copy();
    const text = readFileSync(index(target), 'utf8');
    writeFileSync(index(target), text.replace('model.norm.weight', 'model.nrom.weight'));
    expect((await failureOf(() => openWeights(target))).message).toContain('model.nrom.weight');
    writeFileSync(index(target), text.slice(0, 40));
    expect((await failureOf(() => openWeights(target))).code).toBe('WEIGHTS_INDEX_MALFORMED');
    expect(existsSync(index(target))).toBe(true);
  });
});

function asJavaScript(value: string): string {
  const special: Record<string, string> = { inf: 'Infinity', '-inf': '-Infinity', nan: 'NaN' };
  return special[value] ?? String(Number(value));
}

function special(text: string, value: number): number {
  return text.endsWith('inf') ? (text.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY) : value;
}

function brain(bits: number): number {
  return new Float32Array(Uint32Array.of(bits << 16).buffer)[0] as number;
}

function half(bits: number): number {
  const exponent = (bits >>> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  const size =
    exponent === 0
      ? fraction * 2 ** -14
      : exponent === 31
        ? fraction
          ? Number.NaN
          : Number.POSITIVE_INFINITY
        : (1 + fraction) * 2 ** (exponent - 15);
  return bits & 0x8000 ? -size : size;
}
