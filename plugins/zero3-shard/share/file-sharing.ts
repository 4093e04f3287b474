import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import {
  type Collectives,
  gatherTexts,
  type Log,
  makeTemporaryFolder,
  removeTemporaryFolder,
  together,
  token,
} from 'mooring';
import { filesOf } from './files-of.ts';
import { receiveFiles, type SentFile, sendFiles } from './send-files.ts';

/** Copies of files for hosts that lack them, which last as long as this. */
export interface FileSharing {
  /**
   * Where this rank finds a file, or what a run reads of a model's folder: at `place` where that exists, else in a copy of
   * what the first rank that has it has there, made in `folder`, one for all ranks that see the same disk, and for all that
   * ask for the same place. Where no rank has it, it is left to who reads it to say so. Every rank calls it. Throws
   * RANK_FAILED, DISK_FULL and WRITE_FAILED.
   */
  find<Place extends string | undefined>(place: Place, folder: string): Promise<Place | string>;
  /** The same of all places that any rank names: each gets those of its own names. */
  findAll(places: Readonly<Record<string, string>>, folder: string): Promise<Readonly<Record<string, string>>>;
  /** Removes the copies. */
  dispose(): void;
}

export const FileSharing = token<FileSharing>('FileSharing', 'zero3-shard');

/** Shares files among ranks; `isSeen` says whether this rank sees a folder: the names of hosts do not say who shares a disk. */
export function createFileSharing(collectives: Collectives, log: Log, isSeen = existsSync): FileSharing {
  const { rank, ranks } = collectives;
  const copies: string[] = [];
  const copyOf = new Map<string, string>();
  const tell = <Said>(own: Said, of: string) => gatherTexts(collectives, JSON.stringify(own), of).then(parsed<Said>);
  const makeFolder = async (parent: string) => {
    const folder = await makeTemporaryFolder(parent, '.copy');
    copies.push(folder);
    return folder;
  };

  const sharing: FileSharing = {
    async find(asked, folder) {
      if (ranks === 1) return asked;
      // a plugin may reload the very model that is trained
      const place = asked && (copyOf.get(path.resolve(asked)) ?? asked);
      const isThere = place !== undefined && existsSync(place);
      const isLacking = place !== undefined && !isThere;
      const said = await tell({ isThere, isLacking }, 'which files are where');
      const root = said.findIndex((each) => each.isThere);
      if (root < 0 || !said.some(({ isLacking }) => isLacking)) return place;

      const own = await together(collectives, 'folders for copies', async () => (isLacking ? makeFolder(folder) : ''));
      const made = await gatherTexts(collectives, own, 'the folders for copies');
      const listing = rank === root ? await list(place as string) : nothing;
      const { isFolder, files } = (await tell(listing, 'the list of files'))[root] ?? nothing;
      // of the ranks that see the same disk, each sees first what the first of them has made
      const copy = isLacking ? (made.find((each) => each !== '' && isSeen(each)) ?? own) : '';
      const isWriter = isLacking && copy === own;
      if (rank === root) await sendFiles(collectives, parent(place as string, isFolder), files);
      else await receiveFiles(collectives, root, files, isWriter ? copy : undefined);
      await collectives.barrier('the copies of files');
      if (place === undefined || isThere) return place;
      if (isWriter)
        log.info({ place, copy }, `this host has no ${place}: for this run it has a copy of what rank ${root} has`);
      else removeTemporaryFolder(own);
      const found = isFolder ? copy : path.join(copy, path.basename(place));
      copyOf.set(path.resolve(place), found);
      return found;
    },
    async findAll(places, folder) {
      // ranks that name others are refused later, by name
      const names = new Set((await tell(Object.keys(places), 'the folders that plugins read')).flat());
      const found = { ...places };
      for (const name of names) {
        const place = await sharing.find(places[name], folder);
        if (place !== undefined) found[name] = place;
      }
      return found;
    },
    dispose() {
      copyOf.clear();
      for (const copy of copies.splice(0)) removeTemporaryFolder(copy);
    },
  };
  return sharing;
}

/** What is at a place. */
interface Listing {
  readonly isFolder: boolean;
  readonly files: readonly SentFile[];
}

const nothing: Listing = { isFolder: false, files: [] };

async function list(place: string): Promise<Listing> {
  const isFolder = (await stat(place)).isDirectory();
  const names = isFolder ? await filesOf(place) : [path.basename(place)];
  const sized = async (name: string) => ({ name, bytes: (await stat(path.join(parent(place, isFolder), name))).size });
  return { isFolder, files: await Promise.all(names.map(sized)) };
}

/** The folder that the files of a place are in. */
function parent(place: string, isFolder: boolean): string {
  return isFolder ? place : path.dirname(place);
}

function parsed<Said>(texts: readonly string[]): Said[] {
  return texts.map((text) => JSON.parse(text) as Said);
}
