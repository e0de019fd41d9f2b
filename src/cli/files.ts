/** The command's files: adapters found by path, the base of a GGUF adapter, and output that never half replaces what was there. */
import { open, readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { baseFromConfig, baseFromGguf, type GgufBase } from '../formats/gguf-base.js';
import { openGgufAs } from '../formats/gguf-file.js';
import type { AdapterFormat } from '../formats/lora-file.js';
import type { AdapterBytes } from '../formats/read-adapter.js';
import { writeAtomic } from '../node.js';
import { readRange } from '../platform/file-range.js';
import { makeFolder } from '../platform/make-folder.js';
import { checkPath, ofFile, UserError } from './name-errors.js';

const WEIGHTS = ['adapter_model.safetensors', 'adapters.safetensors'];
const PICKLED =
  'a pickle can run code; expected safetensors, so save the adapter again with safe serialization';

/** What is there; null for nothing. */
export async function kindOf(path: string): Promise<'file' | 'folder' | null> {
  try {
    return (await stat(path)).isDirectory() ? 'folder' : 'file';
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR'))
      return null;
    throw error;
  }
}

/**
 * Sees to it that a command's folder is new, or empty.
 * @param resume - whether it goes on from what is there; undefined for a command that cannot
 * @throws UserError
 */
export async function checkOut(out: string, resume?: boolean): Promise<void> {
  checkPath(out, '--out');
  const kind = await kindOf(out);
  if (kind === 'file') throw new UserError(`${out}: is a file, expected a new folder for --out`);
  if (kind === 'folder' && resume !== true && (await readdir(out)).length > 0)
    throw new UserError(
      `${out}: the folder is not empty, expected a new one${resume === undefined ? '' : ', or --resume to go on'}`,
    );
}

/** A file of text, read. */
export interface TextFile {
  readonly path: string;
  readonly text: string;
}

/** @param what - is expected in it @throws UserError for a folder, for nothing, and for what is no text; file system errors */
export async function readTextFile(path: string, what: string): Promise<TextFile> {
  const kind = await kindOf(path);
  if (kind !== 'file')
    throw new UserError(
      `${path}: ${kind === null ? 'there is no such file' : 'is a folder'}, expected ${what}`,
    );
  return { path, text: decoded(path, await readFile(path)) };
}

/** A byte order mark stays: who reads the text passes over it. @throws UserError naming the line that is no UTF-8 */
function decoded(path: string, bytes: Uint8Array): string {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  try {
    return decoder.decode(bytes);
  } catch {
    // No other letter of UTF-8 has a byte of a line's end in it.
    let [line, begin] = [1, 0];
    for (let end = bytes.indexOf(10); end >= 0 && isText(bytes.subarray(begin, end)); line++) {
      begin = end + 1;
      end = bytes.indexOf(10, begin);
    }
    throw new UserError(`${path}: line ${line}: is not UTF-8, expected a text saved as UTF-8`);
  }
}

function isText(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** An adapter's files with the paths that they were read from. */
export interface Input {
  readonly bytes: AdapterBytes;
  readonly weights: string;
  readonly config: string | null;
}

/**
 * An adapter from a file, with the config beside it, or from a folder.
 * @param name - of the argument or option that the path was given by
 * @throws UserError; file system errors
 */
export async function readInput(path: string, name = 'IN'): Promise<Input> {
  checkPath(path, name);
  const kind = await kindOf(path);
  if (kind === null)
    throw new UserError(`${path}: there is no such file or folder, expected an adapter for ${name}`);
  if (kind === 'folder') {
    for (const file of WEIGHTS)
      if ((await kindOf(join(path, file))) === 'file') return readInput(join(path, file), name);
    if ((await kindOf(join(path, 'adapter_model.bin'))) !== null)
      throw new UserError(`${join(path, 'adapter_model.bin')}: not read, since ${PICKLED}`);
    throw new UserError(`${path}: the folder has no ${WEIGHTS.join(' and no ')}`);
  }
  if (/\.(?:bin|pt|pth|ckpt)$/i.test(path)) throw new UserError(`${path}: not read, since ${PICKLED}`);
  const weights = new Uint8Array(await readFile(path));
  const beside = join(dirname(path), 'adapter_config.json');
  const config = (await kindOf(beside)) === 'file' ? new Uint8Array(await readFile(beside)) : null;
  return { bytes: { weights, config }, weights: path, config: config === null ? null : beside };
}

/** The base model: transformers' config.json, the folder that holds it, or a model in GGUF. @throws UserError, FormatError */
export async function readBase(path: string): Promise<GgufBase> {
  checkPath(path, '--base');
  const kind = await kindOf(path);
  if (kind === null) throw new UserError(`${path}: there is no such file or folder`);
  if (kind === 'folder') return readBase(join(path, 'config.json'));
  if (!path.toLowerCase().endsWith('.gguf')) {
    const text = await readFile(path, 'utf8');
    return ofFile(path, null, () => baseFromConfig(text));
  }
  const handle = await open(path);
  try {
    const { size } = await handle.stat();
    const read = (begin: number, end: number): Promise<Uint8Array> => readRange(handle, begin, end);
    return await ofFile(path, null, async () => baseFromGguf(await openGgufAs(path, { size, read })));
  } finally {
    await handle.close();
  }
}

/**
 * Writes PEFT's and MLX's files into a folder, others to a file.
 * @returns the paths written
 * @throws UserError where a file is there already and `overwrite` is not set
 */
export async function writeOutput(
  out: string,
  to: AdapterFormat,
  files: ReadonlyMap<string, Uint8Array>,
  overwrite: boolean,
): Promise<string[]> {
  checkPath(out, 'OUT');
  const inFolder = to === 'peft' || to === 'mlx';
  const kind = await kindOf(out);
  if (inFolder ? kind === 'file' : kind === 'folder')
    throw new UserError(`${out}: is a ${kind}, expected a ${inFolder ? 'folder' : 'file'} for ${to}`);
  const paths = new Map([...files].map(([name, bytes]) => [inFolder ? join(out, name) : out, bytes]));
  for (const path of paths.keys()) {
    if (!overwrite && (await kindOf(path)) !== null)
      throw new UserError(`${path}: is there already, expected another place or --overwrite`);
  }
  await makeFolder(inFolder ? out : dirname(out));
  // The config last: a folder without it is no adapter, so that a broken write is not read as one.
  const ordered = [...paths].sort(
    ([a], [b]) => Number(basename(a).endsWith('.json')) - Number(basename(b).endsWith('.json')),
  );
  for (const [path, bytes] of ordered) await writeAtomic(path, bytes);
  return ordered.map(([path]) => path);
}
