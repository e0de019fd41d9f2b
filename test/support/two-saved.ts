/** Two Linear layers with an adapter of rank 2, for tests of what its files hold. */
import { Linear, type LoraConfig, LoraModel, type Runtime, Sequential } from '../../src/index.js';

export const CONFIG: LoraConfig = { r: 2, loraAlpha: 4, targetModules: ['0', '1'] };

export const attach = (rt: Runtime, config: LoraConfig = CONFIG, name = 'default'): LoraModel<Sequential> =>
  LoraModel.attach(new Sequential(new Linear(rt, 6, 5), new Linear(rt, 5, 4)), config, name);
