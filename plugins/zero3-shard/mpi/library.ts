import koffi, { type LibraryHandle } from 'koffi';
import { type Abi, type Handle, libraryNames, mpich, openMpi } from './abi.ts';
import type { MpiCall } from './calls.ts';
import type { MpiEnvironment } from './environment.ts';
import type { Flaw } from './orders.ts';

/** Calls of MPI that were started together. Their counts must stay in memory until they are done. */
export interface Started {
  readonly requests: BigUint64Array | Int32Array;
  readonly calls: readonly MpiCall[];
}

/** A message that lies ready. */
export interface Waiting {
  readonly source: number;
  readonly tag: number;
  readonly bytes: number;
}

/**
 * An MPI library, called by the thread that initialises it. Its errors are returned and become MPI_FAILED with the
 * library's own words.
 */
export class Mpi {
  readonly name: string;
  private readonly abi: Abi;
  private readonly library: LibraryHandle;
  private readonly functions = new Map<string, ReturnType<LibraryHandle['func']>>();
  private readonly status = new Int32Array(6);
  private readonly answer = new Int32Array(1);

  constructor(library: LibraryHandle, abi: Abi) {
    this.library = library;
    this.abi = abi;
    this.name = abi.name;
  }

  /** Joins the others; gives this rank and how many there are, as the library sees them. */
  initialize(): { readonly rank: number; readonly ranks: number } {
    const onlyThisThread = 1; // MPI_THREAD_FUNNELED
    this.call('MPI_Init_thread', ['void *', 'void *', 'int', 'void *'], [null, null, onlyThisThread, this.answer]);
    const { world, handle } = this.abi;
    this.call('MPI_Comm_set_errhandler', [handle, handle], [world, this.abi.errorsReturn]);
    this.call('MPI_Comm_rank', [handle, 'void *'], [world, this.answer]);
    const rank = this.answer[0] as number;
    this.call('MPI_Comm_size', [handle, 'void *'], [world, this.answer]);
    return { rank, ranks: this.answer[0] as number };
  }

  /** A communicator of all ranks whose messages meet no others. Waits for all. */
  communicator(): Handle {
    const made = this.abi.requests(1);
    this.call('MPI_Comm_dup', [this.abi.handle, 'void *'], [this.abi.world, made]);
    return made[0] as Handle;
  }

  /** Starts calls on a communicator, in this order. */
  start(calls: readonly MpiCall[], on: Handle): Started {
    const requests = this.abi.requests(calls.length);
    calls.forEach((call, index) => {
      const { types, values } = this.argumentsOf(call);
      const last = [on, requests.subarray(index, index + 1)];
      this.call(call.name, [...types, this.abi.handle, 'void *'], [...values, ...last]);
    });
    return { requests, calls };
  }

  /** Whether all of them are done; moves them on where they are not. */
  test({ requests }: Started): boolean {
    const types = ['int', 'void *', 'void *', 'void *'];
    this.call('MPI_Testall', types, [requests.length, requests, this.answer, this.abi.ignored]);
    return this.answer[0] !== 0;
  }

  /** The message that came first and was not received yet. */
  probe(on: Handle): Waiting | undefined {
    const { handle, anySource, anyTag, statusSource } = this.abi;
    const types = ['int', 'int', handle, 'void *', 'void *'];
    this.call('MPI_Iprobe', types, [anySource, anyTag, on, this.answer, this.status]);
    if (this.answer[0] === 0) return undefined;
    this.call('MPI_Get_count', ['void *', handle, 'void *'], [this.status, this.abi.bytes, this.answer]);
    const [source, tag] = this.status.subarray(statusSource);
    return { source: source as number, tag: tag as number, bytes: this.answer[0] as number };
  }

  /** Receives a message that lies ready. */
  receive({ source, tag, bytes }: Waiting, on: Handle): Uint8Array {
    const { handle } = this.abi;
    const message = new Uint8Array(bytes);
    const types = ['void *', 'int', handle, 'int', 'int', handle, 'void *'];
    this.call('MPI_Recv', types, [message, bytes, this.abi.bytes, source, tag, on, this.abi.ignored]);
    return message;
  }

  /** Begins to send a message, which must stay in memory until it is sent. */
  send(message: Uint8Array, to: number, tag: number, on: Handle): Started {
    const { handle, bytes } = this.abi;
    const requests = this.abi.requests(1);
    const types = ['void *', 'int', handle, 'int', 'int', handle, 'void *'];
    this.call('MPI_Isend', types, [message, message.length, bytes, to, tag, on, requests]);
    return { requests, calls: [] };
  }

  /** Ends MPI here. Waits for all. */
  finalize(): void {
    this.call('MPI_Finalize', [], []);
  }

  /** Has the launcher end all ranks, with an exit code. */
  abort(code: number): void {
    this.call('MPI_Abort', [this.abi.handle, 'int'], [this.abi.world, code]);
  }

  /** All but the communicator and the request, which every call has last. */
  private argumentsOf(call: MpiCall): { readonly types: readonly string[]; readonly values: readonly unknown[] } {
    const { handle, bytes, inPlace } = this.abi;
    switch (call.name) {
      case 'MPI_Ibarrier':
        return { types: [], values: [] };
      case 'MPI_Ibcast':
        return { types: ['void *', 'int', handle, 'int'], values: [call.address, call.bytes, bytes, call.root] };
      case 'MPI_Igather': {
        const types = ['void *', 'int', handle, 'void *', 'int', handle, 'int'];
        return { types, values: [call.send, call.bytes, bytes, call.receive, call.bytes, bytes, call.root] };
      }
      case 'MPI_Iallgatherv': {
        const types = ['void *', 'int', handle, 'void *', 'void *', 'void *', handle];
        const all = [call.address, koffi.address(call.counts), koffi.address(call.displacements), bytes];
        return { types, values: [inPlace, 0, bytes, ...all] };
      }
      case 'MPI_Ialltoallv': {
        const side = ['void *', 'void *', 'void *', handle];
        const sent = [call.send, koffi.address(call.sendCounts), koffi.address(call.sendDisplacements), bytes];
        const counts = [koffi.address(call.receiveCounts), koffi.address(call.receiveDisplacements)];
        return { types: [...side, ...side], values: [...sent, call.receive, ...counts, bytes] };
      }
    }
  }

  private call(name: string, types: readonly string[], values: readonly unknown[]): void {
    let bound = this.functions.get(name);
    if (bound === undefined) {
      bound = this.library.func(name, 'int', [...types]);
      this.functions.set(name, bound);
    }
    const code = bound(...values) as number;
    if (code === 0) return;
    const details = { call: name, library: this.name, reason: this.textOf(code) };
    throw { code: 'MPI_FAILED', details } satisfies Flaw;
  }

  private textOf(code: number): string {
    const text = new Uint8Array(1024);
    const describe = this.library.func('MPI_Error_string', 'int', ['int', 'void *', 'void *']);
    return describe(code, text, this.answer) === 0
      ? Buffer.from(text.subarray(0, this.answer[0])).toString().trim().replace(/\.$/, '')
      : `code ${code}`;
  }
}

/** Opens the library of the launcher, or that at `MOORING_MPI_LIBRARY`; which family it is of, it says itself. */
export function openLibrary(launcher: MpiEnvironment['launcher'], given = process.env.MOORING_MPI_LIBRARY): Mpi {
  const names = given === undefined || given === '' ? libraryNames[launcher] : [given];
  const reasons: string[] = [];
  for (const name of names)
    try {
      // Open MPI loads parts of its own, which look for its symbols among those of the whole process
      const library = koffi.load(name, { global: true });
      return new Mpi(library, abiOf(library));
    } catch (error) {
      reasons.push(`${name}: ${error instanceof Error ? error.message : error}`);
    }
  throw { code: 'MPI_LIBRARY_MISSING', details: { launcher, tried: reasons.join('; ') } } satisfies Flaw;
}

function abiOf(library: LibraryHandle): Abi {
  try {
    return openMpi((symbol) => library.symbol(symbol) as bigint);
  } catch {
    library.symbol('MPI_Init_thread'); // throws where it is no MPI library at all
    return mpich;
  }
}
