/** Numbers that are added at a time: what they need stays in the processor's nearest cache. */
export const chunk = 4096;

const addendAt = 4 * chunk;

/**
 * Adds the first `bytes`, a multiple of 16, of the second 16 KiB of a memory to those of the first, four float32 numbers at
 * a time, of which JavaScript adds one.
 *
 *     (func (param $at i32)
 *       (loop $next
 *         (v128.store (local.tee $at (i32.sub (local.get $at) (i32.const 16)))
 *           (f32x4.add (v128.load (local.get $at)) (v128.load offset=16384 (local.get $at))))
 *         (br_if $next (local.get $at))))
 */
const code = [
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  ...[1, 5, 1, 0x60, 1, 0x7f, 0], // type
  ...[2, 8, 1, 1, 0x6d, 1, 0x6d, 2, 0, 1], // the memory `m.m`
  ...[3, 2, 1, 0, 7, 5, 1, 1, 0x61, 0, 0], // the function, exported as `a`
  ...[10, 39, 1, 37, 0, 3, 0x40, 0x20, 0, 0x41, 16, 0x6b, 0x22, 0, 0x20, 0, 0xfd, 0, 4, 0],
  ...[0x20, 0, 0xfd, 0, 4, 0x80, 0x80, 1, 0xfd, 0xe4, 1, 0xfd, 0x0b, 4, 0, 0x20, 0, 0x0d, 0, 0x0b, 0x0b],
];

/** What is used of it; TypeScript lists it among what browsers have. */
interface Wasm {
  readonly Memory: new (size: { initial: number }) => { readonly buffer: ArrayBuffer };
  readonly Module: new (code: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: { a(bytes: number): void } };
}

const { Memory, Module, Instance } = Reflect.get(globalThis, 'WebAssembly') as Wasm;
const memory = new Memory({ initial: 1 });
const { exports } = new Instance(new Module(Uint8Array.from(code)), { m: { m: memory } });

/** What `addend` is added to. */
export const sum = new Float32Array(memory.buffer, 0, chunk);

export const addend = new Float32Array(memory.buffer, addendAt, chunk);

/** Adds so many numbers of `addend` to those of `sum`, each in float32. */
export function add(count: number): void {
  if (count > 0) exports.a(16 * Math.ceil(count / 4));
}
