import { randomUUID } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { type Collectives, gatherTexts, type Log, token, writeFolderAside } from 'mooring';
import { filesOf } from './files-of.ts';
import { receiveFiles, type SentFile, sendFiles } from './send-files.ts';

/** Copies of files for hosts that lack them, which last as long as this. */
export interface FileSharing {
  /**
   * Where this rank finds a file, or what a run reads of a model's folder: at `place` where that exists, else in a copy of
   * what the first rank that has it has there, made in `folder`, one for all ranks of a host. Where no rank has it, it is
   * left to who reads it to say so. Every rank calls it. Throws RANK_FAILED, DISK_FULL and WRITE_FAILED.
   */
  find<Place extends string | undefined>(place: Place, folder: string): Promise<Place | string>;
  /** Removes the copies. */
  dispose(): void;
}

export const FileSharing = token<FileSharing>('FileSharing', 'zero3-shard');

/** Shares files among ranks; `host` is what ranks that see the same disk have in common. */
export function createFileSharing(collectives: Collectives, log: Log, host = hostname()): FileSharing {
  const { rank, ranks } = collectives;
  const copies: string[] = [];
  const tell = <Said>(own: Said, of: string) => gatherTexts(collectives, JSON.stringify(own), of).then(parsed<Said>);

  return {
    async find(place, folder) {
      if (ranks === 1) return place;
      const isThere = place !== undefined && existsSync(place);
      const said = await tell({ host, isThere, isLacking: place !== undefined && !isThere }, 'which files are where');
      const root = said.findIndex((each) => each.isThere);
      if (root < 0 || !said.some(({ isLacking }) => isLacking)) return place;

      const listed =
        (await tell(rank === root ? await list(place as string) : nothing, 'the list of files'))[root] ?? nothing;
      const { id, isFolder, files } = listed;
      const copy = path.join(folder, `.copy-${id}`);
      const writer = said.findIndex((each) => each.isLacking && each.host === host);
      if (rank === root) await sendFiles(collectives, parent(place as string, isFolder), files);
      else if (rank !== writer) await receiveFiles(collectives, root, files);
      else {
        await mkdir(folder, { recursive: true });
        copies.push(copy);
        await writeFolderAside(copy, (aside) => receiveFiles(collectives, root, files, aside));
        log.info({ place, copy }, `this host has no ${place}: for this run it has a copy of what rank ${root} has`);
      }
      await collectives.barrier('the copies of files');
      if (isThere || place === undefined) return place;
      return isFolder ? copy : path.join(copy, path.basename(place));
    },
    dispose() {
      for (const copy of copies.splice(0)) rmSync(copy, { recursive: true, force: true });
    },
  };
}

/** What is at a place, and a name for its copies. */
interface Listing {
  readonly id: string;
  readonly isFolder: boolean;
  readonly files: readonly SentFile[];
}

const nothing: Listing = { id: '', isFolder: false, files: [] };

async function list(place: string): Promise<Listing> {
  const isFolder = (await stat(place)).isDirectory();
  const names = isFolder ? await filesOf(place) : [path.basename(place)];
  const sized = async (name: string) => ({ name, bytes: (await stat(path.join(parent(place, isFolder), name))).size });
  return { id: randomUUID(), isFolder, files: await Promise.all(names.map(sized)) };
}

/** The folder that the files of a place are in. */
function parent(place: string, isFolder: boolean): string {
  return isFolder ? place : path.dirname(place);
}

function parsed<Said>(texts: readonly string[]): Said[] {
  return texts.map((text) => JSON.parse(text) as Said);
}
