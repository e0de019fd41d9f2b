/** The modules that `quickstart.ts` makes. */
declare module 'virtual:quickstart/auto' {}
declare module 'virtual:quickstart/simd' {}
declare module 'virtual:quickstart/relaxed-simd' {}
declare module 'virtual:quickstart/page' {}
declare module 'virtual:quickstart/markup' {
  const markup: string;
  export default markup;
}
/** What `language-model.ts` makes. */
declare module 'virtual:language-model' {
  const model: { readonly address: string; readonly text: string } | null;
  export default model;
}
