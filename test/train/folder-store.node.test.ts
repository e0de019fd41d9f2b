/** Checkpoints in a folder: what is there after each save, after a failure of each call to the file system, and on a full disk. */
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createRuntime } from '../../src/index.js';
import { folderStore, writeAtomic } from '../../src/node.js';
import { Trainer } from '../../src/train/index.js';
import { drain, inBatches, lossOf, makeLora, makeRows, textOf } from '../support/training.js';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'lora-wasm-store-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const filesOf = (value: number, folder = 'second/'): Map<string, Uint8Array> =>
  new Map([
    ['a.bin', new Uint8Array(100).fill(value)],
    [`${folder}b.bin`, new Uint8Array(50).fill(value + 1)],
  ]);

test('the newest checkpoint is given back as it was saved, the older ones as many as are to stay', async () => {
  const folder = join(root, 'deep/down');
  const store = folderStore(folder, { keep: 3 });
  expect(await store.latest()).toBeNull();
  for (const step of [1, 2, 9, 10, 11]) {
    await store.save(step, filesOf(step));
    expect(await store.latest()).toEqual({ step, files: filesOf(step) });
  }
  expect((await readdir(folder)).sort()).toEqual(['step-00000009', 'step-00000010', 'step-00000011']);
  expect((await readdir(join(folder, 'step-00000011'))).sort()).toEqual(['a.bin', 'second']);
  // A step that is saved again stands beside the first until it is whole.
  await store.save(11, filesOf(40));
  expect(await store.latest()).toEqual({ step: 11, files: filesOf(40) });
  await store.save(11, filesOf(41));
  expect((await readdir(folder)).sort()).toEqual(['step-00000011', 'step-00000011.1', 'step-00000011.2']);
  const huge = folderStore(folder, { keep: 1 });
  await huge.save(123_456_789, filesOf(5));
  expect(await readdir(folder)).toEqual(['step-123456789']);
});

test('what a killed program left is taken away, and what is no checkpoint stays', async () => {
  const folder = join(root, 'left');
  await mkdir(join(folder, '.step-00000003.1234.tmp'), { recursive: true });
  await writeFile(join(folder, '.step-00000003.1234.tmp/a.bin'), 'half');
  await mkdir(join(folder, 'step-of-mine'));
  await writeFile(join(folder, 'notes.txt'), 'mine');
  const store = folderStore(folder);
  expect(await store.latest()).toBeNull();
  await store.save(4, filesOf(4));
  expect((await readdir(folder)).sort()).toEqual(['notes.txt', 'step-00000004', 'step-of-mine']);
});

test('a wrong folder, count, step or file is refused, and nothing is written', async () => {
  expect(() => folderStore(7 as never)).toThrow('folderStore: folder is 7');
  expect(() => folderStore('x', { keep: 0 })).toThrow('folderStore: keep is 0, expected an integer from 1');
  expect(() => folderStore('x', { kept: 1 } as never)).toThrow("folderStore: unknown option 'kept'");
  const folder = join(root, 'refused');
  const store = folderStore(folder);
  const save = (name: string, bytes: unknown) => store.save(1, new Map([[name, bytes as Uint8Array]]));
  for (const name of ['../a', '/a', 'a/../b', 'a/b/c', '', '.a', 'a\\b'])
    await expect(save(name, new Uint8Array(1)), name).rejects.toThrow('folderStore.save: a file is named ');
  await expect(save('a', 'text')).rejects.toThrow("folderStore.save: a is 'text', expected bytes");
  await expect(store.save(-1, new Map())).rejects.toThrow('folderStore.save: step is -1');
  await expect(store.save(1, {} as never)).rejects.toThrow(
    'folderStore.save: files is Object, expected a Map',
  );
  expect(await folderStore(folder).latest()).toBeNull();
});

/** Counts calls to the file system, and lets one of them fail. */
function failing(at: number): { readonly calls: () => number; readonly end: () => void } {
  const { promises } = fs;
  const { mkdir, open, rename, rm } = promises;
  let calls = 0;
  const counted = async <T>(call: () => Promise<T>): Promise<T> => {
    if (calls++ === at)
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), {
        code: 'ENOSPC',
        syscall: 'write',
      });
    return call();
  };
  promises.mkdir = ((...given: Parameters<typeof mkdir>) => counted(() => mkdir(...given))) as typeof mkdir;
  promises.rename = (...given) => counted(() => rename(...given));
  promises.rm = (...given) => counted(() => rm(...given));
  promises.open = async (...given) => {
    const handle = await counted(() => open(...given));
    const { writeFile, sync } = handle;
    handle.writeFile = (data) => counted(() => writeFile.call(handle, data));
    handle.sync = () => counted(() => sync.call(handle));
    return handle;
  };
  syncBuiltinESMExports();
  const end = (): void => {
    Object.assign(promises, { mkdir, open, rename, rm });
    syncBuiltinESMExports();
  };
  return { calls: () => calls, end };
}

test('whichever call to the file system fails, the newest checkpoint is whole, and the next save goes well', async () => {
  const counting = join(root, 'counting');
  await folderStore(counting, { keep: 1 }).save(1, filesOf(1));
  const count = failing(-1);
  await folderStore(counting, { keep: 1 }).save(2, filesOf(2));
  count.end();
  expect(count.calls()).toBeGreaterThan(12);
  for (let at = 0; at < count.calls(); at++) {
    const folder = join(root, `failing-${at}`);
    const store = folderStore(folder, { keep: 1 });
    await store.save(1, filesOf(1));
    const fault = failing(at);
    await expect(store.save(2, filesOf(2)), `call ${at}`).rejects.toThrow('ENOSPC');
    fault.end();
    // The one before, or the new one where only what is old could not be taken away.
    const { step, files } = (await store.latest())!;
    expect(files, `call ${at}`).toEqual(filesOf(step));
    await store.save(3, filesOf(3));
    expect(await store.latest()).toEqual({ step: 3, files: filesOf(3) });
    expect(await readdir(folder)).toEqual(['step-00000003']);
  }
});

test('a run says that its folder is gone or is a file, and goes on where there is one again', async () => {
  using rt = await createRuntime({ kernels: 'simd', threads: 1, seed: 7 });
  const folder = join(root, 'gone');
  await writeFile(folder, 'a file');
  const lora = makeLora(rt);
  const trainer = new Trainer(lora, inBatches(makeRows(12), [4, 4, 4]), {
    ...{ loss: lossOf(rt), store: folderStore(folder), saveEvery: 1 },
    loss: lossOf(rt),
  });
  await expect(drain(trainer.run())).rejects.toThrow('ENOTDIR');
  expect(trainer.step).toBe(0);
  await rm(folder);
  const saved: number[] = [];
  for await (const event of trainer.run()) {
    if (event.type !== 'checkpoint') continue;
    saved.push(event.step);
    // The folder vanishes; the next save makes it again.
    if (event.step === 1) await rm(folder, { recursive: true });
  }
  expect(saved).toEqual([1, 2, 3]);
  expect(textOf((await folderStore(folder).latest())!.files)).toEqual(textOf(trainer.save()));
});

const isRoot = process.getuid?.() === 0;

test.skipIf(isRoot || process.platform === 'win32')(
  'a folder that may not be written is an error, its checkpoint whole',
  async () => {
    const folder = join(root, 'read-only');
    const store = folderStore(folder);
    await store.save(1, filesOf(1));
    await chmod(folder, 0o500);
    await expect(store.save(2, filesOf(2))).rejects.toThrow('EACCES');
    expect(await store.latest()).toEqual({ step: 1, files: filesOf(1) });
    await chmod(folder, 0o700);
  },
);

/** How to run a command with a small file system of its own at /mnt, read-only or not; null where that may not be. */
const UNSHARE = ['unshare', '-rm', 'sh', '-c'] as const;
const canMount = ((): boolean => {
  const [command, ...flags] = UNSHARE;
  return spawnSync(command, [...flags, 'mount -t tmpfs -o size=64k none /mnt']).status === 0;
})();

test.skipIf(!canMount)(
  'on a full disk, and on a read-only one, a save is an error and the checkpoint before it whole',
  () => {
    const script = `
    import { readdir, writeFile } from 'node:fs/promises';
    import { execFileSync } from 'node:child_process';
    import { folderStore } from 'lora-wasm/node';
    const store = folderStore('/mnt/checkpoints', { keep: 1 });
    const files = (step, size) => new Map([['a.bin', new Uint8Array(size).fill(step)], ['b.bin', new Uint8Array(1000).fill(step)]]);
    const said = [];
    const attempt = async (step, size) => {
      try { await store.save(step, files(step, size)); said.push('saved'); } catch (error) { said.push(error.code); }
      const { step: newest, files: found } = await store.latest();
      said.push(newest, [...found].map(([name, bytes]) => [name, bytes.length, bytes.every((byte) => byte === newest)]));
      said.push(await readdir('/mnt/checkpoints'));
    };
    await attempt(1, 20000);
    await attempt(2, 60000);
    await attempt(3, 10000);
    execFileSync('mount', ['-o', 'remount,ro', '/mnt']);
    await attempt(4, 10000);
    console.log(JSON.stringify(said));
  `;
    const [command, ...flags] = UNSHARE;
    const output = execFileSync(
      command,
      [
        ...flags,
        `mount -t tmpfs -o size=64k none /mnt && exec "$0" --input-type=module -e "$1"`,
        process.execPath,
        script,
      ],
      { encoding: 'utf8', cwd: fileURLToPath(new URL('../../', import.meta.url)) },
    );
    const whole = (step: number, size: number) => [
      step,
      [
        ['a.bin', size, true],
        ['b.bin', 1000, true],
      ],
      [`step-0000000${step}`],
    ];
    expect(JSON.parse(output)).toEqual([
      ...['saved', ...whole(1, 20000)],
      ...['ENOSPC', ...whole(1, 20000)],
      ...['saved', ...whole(3, 10000)],
      ...['EROFS', ...whole(3, 10000)],
    ]);
  },
);

test('a file that writeAtomic could not sync or rename is as before, and nothing is left', async () => {
  const folder = join(root, 'atomic');
  await mkdir(folder);
  const path = join(folder, 'file');
  await writeAtomic(path, Uint8Array.of(1, 2));
  for (let at = 0; at < 4; at++) {
    const fault = failing(at);
    await expect(writeAtomic(path, Uint8Array.of(3)), `call ${at}`).rejects.toThrow('ENOSPC');
    fault.end();
    expect([...(await readFile(path))]).toEqual([1, 2]);
    expect(await readdir(folder)).toEqual(['file']);
  }
});
