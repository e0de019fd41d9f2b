/** Every adapter of the golden folder, as PEFT saved it: read, written again, and the same bytes and fields come out. */
import { readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { parseSafetensors, readPeft, writePeft } from '../../src/formats/index.js';
import { goldenBytes, goldenJson } from '../golden-support/files.js';

const asked = process.env.GOLDEN_DIR;
const FOLDER =
  asked === undefined || asked === '' ? fileURLToPath(new URL('../golden', import.meta.url)) : resolve(asked);

test.each(readdirSync(resolve(FOLDER, 'peft')))('%s', (name) => {
  const path = `peft/${name}/adapter`;
  const weights = goldenBytes(`${path}/adapter_model.safetensors`);
  const file = readPeft({ config: goldenBytes(`${path}/adapter_config.json`), weights });
  expect(file.warnings).toEqual([]);
  const written = writePeft(file);
  const [before, after] = [weights, written['adapter_model.safetensors']].map((bytes) =>
    parseSafetensors(bytes),
  );
  expect(after!.names.toSorted()).toEqual(before!.names.toSorted());
  for (const tensor of before!.names) expect(after!.bytes(tensor), tensor).toEqual(before!.bytes(tensor));
  const json: unknown = JSON.parse(new TextDecoder().decode(written['adapter_config.json']));
  expect(json).toEqual(goldenJson<object>(`${path}/adapter_config.json`));
});
