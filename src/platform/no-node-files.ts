/** In place of `node-files.ts` in a bundle for a page, where package.json's `browser` is read. Nothing here is called: there is no disk. */

export const folderFiles = async (_url: URL): Promise<null> => null;

const noDisk = async (): Promise<never> => {
  throw new Error('lora-wasm: files are kept in Node alone');
};

export { noDisk as fetchedFile, noDisk as sha256Of };
