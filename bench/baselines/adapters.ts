/** What handling adapters costs: loading one from bytes, switching between loaded ones, merging and unmerging. */
import { Linear, LoraModel, type Runtime, Sequential } from 'lora-wasm';
import { measure, summarise } from '../core/measure.js';
import { OP, ownRow, type Row } from '../core/records.js';

const [LAYERS, SIZE, RANK] = [12, 768, 8];

/** Rows over a model of twelve linear layers. Loading waits for promises, so it is timed here, call by call. */
export async function adapterRows(
  rt: Runtime,
  rounds: number,
  wanted: (title: string) => boolean,
): Promise<Row[]> {
  const shape = `${LAYERS} layers of ${SIZE}x${SIZE}, r=${RANK}`;
  const operations = [OP.loadAdapter, OP.switchAdapter, OP.mergeAdapter];
  if (!operations.some((operation) => wanted(`${operation} ${shape}`))) return [];
  const model = new Sequential(...Array.from({ length: LAYERS }, () => new Linear(rt, SIZE, SIZE)));
  const config = { r: RANK, targetModules: 'all-linear', initLoraWeights: false };
  const lora = LoraModel.attach(model, config, 'a');
  lora.addAdapter('b', config);
  const files = lora.exportAdapter('b');
  verifySwitch(rt, lora);

  const loads: number[] = [];
  for (let i = 0; i < rounds + 2; i++) {
    const start = performance.now();
    await lora.loadAdapter('loaded', files);
    if (i >= 2) loads.push(performance.now() - start);
    lora.deleteAdapter('loaded');
  }
  let turn = 0;
  const timings = measure(
    [
      { name: OP.switchAdapter, run: () => lora.setAdapter(turn++ % 2 === 0 ? 'b' : 'a') },
      {
        name: OP.mergeAdapter,
        run: () => {
          lora.merge();
          lora.unmerge();
        },
      },
    ],
    { rounds, roundMs: 20 },
  ).set(OP.loadAdapter, summarise(loads));
  lora.dispose();
  // Handling is no arithmetic: there is no speed to state but the time.
  return operations.map((operation) => ownRow(rt, [operation, shape], timings.get(operation)!, 0, null));
}

/** Switching must change the output, and switching back must give every bit again. @throws Error */
function verifySwitch(rt: Runtime, lora: LoraModel<Sequential>): void {
  const x = rt.normal([2, SIZE]);
  const output = (): string => rt.scope(() => rt.noGrad(() => Array.from(lora.forward(x).toArray()).join()));
  const a = output();
  lora.setAdapter('b');
  const b = output();
  lora.setAdapter('a');
  const again = output();
  x.dispose();
  if (a === b || a !== again) throw new Error('adapters: switching there and back is not exact');
}
