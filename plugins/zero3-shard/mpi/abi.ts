/** What an MPI library calls a communicator, a datatype or a request: an address, or a number. */
export type Handle = bigint | number;

/** What the families of MPI libraries compile differently: MPI fixes what its names mean, not what they are. */
export interface Abi {
  readonly name: 'Open MPI' | 'MPICH';
  /** The C type of handles. */
  readonly handle: 'void *' | 'int';
  readonly world: Handle;
  /** The datatype MPI_BYTE. */
  readonly bytes: Handle;
  /** The error handler MPI_ERRORS_RETURN. */
  readonly errorsReturn: Handle;
  readonly anySource: number;
  readonly anyTag: number;
  /** MPI_STATUS_IGNORE and MPI_STATUSES_IGNORE. */
  readonly ignored: bigint;
  /** MPI_IN_PLACE. */
  readonly inPlace: bigint;
  /** Where a status of at most 24 bytes says the source of a message, counted in ints; its tag comes next. */
  readonly statusSource: number;
  /** Makes room for requests. */
  readonly requests: (count: number) => BigUint64Array | Int32Array;
}

/** Open MPI's handles are addresses of what the library exports: `addressOf` looks them up. */
export const openMpi = (addressOf: (symbol: string) => bigint): Abi => ({
  name: 'Open MPI',
  handle: 'void *',
  world: addressOf('ompi_mpi_comm_world'),
  bytes: addressOf('ompi_mpi_byte'),
  errorsReturn: addressOf('ompi_mpi_errors_return'),
  anySource: -1,
  anyTag: -1,
  ignored: 0n,
  inPlace: 1n,
  statusSource: 0,
  requests: (count) => new BigUint64Array(count),
});

/** MPICH's ABI, which Intel MPI, Cray MPICH and MVAPICH share. */
export const mpich: Abi = {
  name: 'MPICH',
  handle: 'int',
  world: 0x44000000,
  bytes: 0x4c00010d,
  errorsReturn: 0x54000001,
  anySource: -2,
  anyTag: -1,
  ignored: 1n,
  inPlace: 0xffff_ffff_ffff_ffffn,
  statusSource: 2,
  requests: (count) => new Int32Array(count),
};

/** Names under which the libraries are found, the likelier first. `MOORING_MPI_LIBRARY` goes before all. */
export const libraryNames = {
  'Open MPI': ['libmpi.so.40', 'libmpi.40.dylib'],
  MPICH: ['libmpich.so.12', 'libmpi.so.12', 'libmpi.12.dylib'],
  Slurm: ['libmpi.so.40', 'libmpich.so.12', 'libmpi.so.12'],
} as const;
