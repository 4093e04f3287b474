import { defineErrors } from 'mooring';

/** What can go wrong between ranks that are processes. */
export const failure = defineErrors({
  MPI_FAILED: {
    fact: '{call} of {library} failed: {reason}.',
    consequence: 'The ranks cannot go on together; what was saved before is whole.',
    remedy: 'See what mpirun says, and go on from the last checkpoint with --resume.',
  },
  MPI_LIBRARY_MISSING: {
    fact: 'This process was started by {launcher}, and none of its libraries can be loaded: {tried}.',
    consequence: 'The ranks cannot reach each other, so nothing ran.',
    remedy: 'Install it (Debian: libopenmpi3 or libmpich12), or set MOORING_MPI_LIBRARY to the path of libmpi.',
  },
  MPI_NOT_LAUNCHED: {
    fact: 'The transport is mpi, and no MPI launcher started this process.',
    consequence: 'There are no other ranks, so nothing ran.',
    remedy: 'Start it with `mpirun -n 2 mooring train run.yaml`, or leave out `transport`.',
  },
  MPI_RANKS_DIFFER: {
    fact: 'The run is to have {ranks} ranks, and the MPI launcher started {launched} processes.',
    consequence: 'Each process is one rank, so nothing ran.',
    remedy: 'Start {ranks} with `mpirun -n {ranks}`, or leave out `ranks`.',
  },
  MPI_WORLD_DIFFERS: {
    fact: '{launcher} started {ranks} ranks and this is rank {rank}, but {library} says rank {foundRank} of {foundRanks}.',
    consequence: 'The library is not of the launcher, so that each rank would train alone; nothing ran.',
    remedy: 'Start with the mpirun of {library}, or set MOORING_MPI_LIBRARY to the library of {launcher}.',
  },
});
