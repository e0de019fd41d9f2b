/** Regular expressions in linear time. The build puts the engine into this file; `formats/patterns.ts` calls it. */
export { RE2JS } from 're2js';
