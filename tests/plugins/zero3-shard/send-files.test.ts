import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { inRanks } from 'mooring/testing';
import { receiveFiles, sendFiles } from '../../../plugins/zero3-shard/share/send-files.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'mooring-send-files-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('a file that has become shorter since it was listed is refused, and not sent', async () => {
  writeFileSync(path.join(folder, 'model.safetensors'), 'alpha');
  const listed = [{ name: 'model.safetensors', bytes: 9 }];
  const sending = inRanks(2, (collectives) =>
    collectives.rank === 0 ? sendFiles(collectives, folder, listed) : receiveFiles(collectives, 0, listed),
  );
  await expect(sending).rejects.toMatchObject({ code: 'SHARED_FILE_SHRANK', details: { found: 5, bytes: 9 } });
});
