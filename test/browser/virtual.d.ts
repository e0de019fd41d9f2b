/** The modules that `quickstart.ts` makes. */
declare module 'virtual:quickstart/auto' {}
declare module 'virtual:quickstart/simd' {}
declare module 'virtual:quickstart/relaxed-simd' {}
