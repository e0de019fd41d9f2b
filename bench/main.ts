/**
 * `npm run bench` and its like. What they measure is the built package, by its own name: `bench/tsconfig.json` leaves that to
 * Node. Compiled on the fly the sources run slower, and nobody uses them so. It is made anew first where sources have changed.
 */
import { freshPackage } from '../scripts/build/fresh.js';

freshPackage();
await import('./command.js');
