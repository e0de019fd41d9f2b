/**
 * The story of LoRA on real handwritten digits: train a network, adapt it to its worst digit with 0.242 % more parameters,
 * switch the adapter on and off, merge it, save it, swap another in, and compare with training all weights.
 */
import { mkdtemp, readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Adam, createRuntime, LoraModel, type Runtime } from 'lora-wasm';
import { parseSafetensors, writeSafetensors } from 'lora-wasm/formats';
import { saveAdapter } from 'lora-wasm/node';
import { type Digits, endlessBatches, loadDigits, onePass, onlyDigit, pick, seededRandom } from './data.js';
import { LAYERS, Net, predict, score, trainStep } from './model.js';
import { type DemoOptions, readOptions } from './options.js';
import { heading, parameterTable, withProgress, wrongTable } from './report.js';
import { compareSteps, timeForward, timeSwaps } from './timing.js';

function fineTune(rt: Runtime, lora: LoraModel<Net>, digits: Digits, options: DemoOptions): number {
  const optimizer = new Adam(lora.trainableParameters(), { lr: options.lr });
  const batches = endlessBatches(digits, options.batchSize, seededRandom(options.seed + 1));
  lora.train();
  const loss = withProgress(options.steps, () => trainStep(rt, lora, optimizer, batches.next().value));
  lora.eval();
  optimizer.dispose();
  return loss;
}

/** Digits by their number of errors, most first. */
function worstFirst(wrong: readonly number[]): number[] {
  return [...wrong.keys()].sort((a, b) => wrong[b]! - wrong[a]! || a - b);
}

async function main(): Promise<void> {
  const started = performance.now();
  const options = readOptions(process.argv);
  const rt = await createRuntime({ kernels: options.kernels, seed: options.seed });
  const { kernels, reason } = rt.info();
  const engine = `Node ${process.versions.node}`;
  console.log(`lora-wasm on ${engine}, kernels ${kernels} (${reason}), seed ${options.seed}`);

  const { train: allTrain, test } = loadDigits(options.seed);
  const train = pick(
    allTrain,
    Int32Array.from({ length: options.trainImages }, (_, i) => i),
  );
  const net = new Net(rt);

  heading(
    1,
    `Train the base: ${train.count} images, ${options.epochs} epoch(s), batch ${options.batchSize}, Adam ${options.lr}`,
  );
  const optimizer = new Adam(net.parameters(), { lr: options.lr });
  const random = seededRandom(options.seed);
  for (let epoch = 0; epoch < options.epochs; epoch++) {
    const batches = [...onePass(train, options.batchSize, random)];
    withProgress(batches.length, (i) => trainStep(rt, net, optimizer, batches[i]!));
  }
  optimizer.dispose();
  net.eval();

  heading(2, `The base on ${test.count} unseen images`);
  const base = score(predict(rt, net, test), test);
  wrongTable({ base });
  const order = worstFirst(base.wrong);
  const digit = options.digit ?? order[0]!;
  const second = order.find((candidate) => candidate !== digit)!;

  heading(3, `Attach LoRA of rank ${options.rank}, alpha ${options.alpha}, to ${LAYERS.join(', ')}`);
  console.log('before:');
  const baseParameters = parameterTable(net);
  for (const parameter of net.parameters()) {
    parameter.grad?.dispose();
    parameter.grad = null;
  }
  const config = { r: options.rank, loraAlpha: options.alpha, targetModules: LAYERS };
  const name = `digit-${digit}`;
  const before = net.stateDict();
  const lora = LoraModel.attach(net, config, name);
  console.log('after:');
  const withLora = parameterTable(lora);
  const added = withLora - baseParameters;
  const percent = (100 * added) / baseParameters;
  console.log(
    `base ${baseParameters.toLocaleString('en-US')}, with LoRA ${withLora.toLocaleString('en-US')}: +${added.toLocaleString('en-US')} parameters, ${percent.toFixed(3)} % of the base`,
  );
  console.log(lora.summary().toString());

  heading(4, `Fine-tune on the digit ${digit} only: ${options.steps} batches of ${options.batchSize}`);
  fineTune(rt, lora, onlyDigit(train, digit), options);

  heading(5, 'Every frozen byte is unchanged?');
  const after = lora.stateDict();
  const frozenUnchanged = [...before].every(
    ([key, { data }]) =>
      Buffer.compare(Buffer.from(data.buffer), Buffer.from(after.get(key)!.data.buffer)) === 0,
  );
  console.log(
    frozenUnchanged ? `yes: ${before.size} tensors compared byte for byte` : 'NO: the base changed',
  );

  heading(6, 'LoRA on, off, merged');
  const onPredictions = predict(rt, lora, test);
  const loraOn = score(onPredictions, test);
  const loraOff = lora.withAdaptersDisabled(() => score(predict(rt, lora, test), test));
  const loraOnMs = timeForward(rt, lora, test, options.batchSize);
  const baseMs = lora.withAdaptersDisabled(() => timeForward(rt, lora, test, options.batchSize));
  lora.merge();
  const mergedPredictions = predict(rt, lora, test);
  const merged = score(mergedPredictions, test);
  const mergedSame = onPredictions.every((p, i) => p === mergedPredictions[i]);
  const mergedMs = timeForward(rt, lora, test, options.batchSize);
  lora.unmerge();
  wrongTable({ base, 'LoRA on': loraOn, 'LoRA off': loraOff, merged });
  console.log(
    `digit ${digit}: ${base.wrong[digit]} wrong with the base, ${loraOn.wrong[digit]} with LoRA on.`,
  );
  console.log(
    'The other digits get worse: that is what fine-tuning on one digit does. Off, the base is back exactly:',
    String(loraOff.wrong) === String(base.wrong) ? 'yes.' : 'NO.',
  );
  console.log('merged predictions equal LoRA on:', mergedSame ? 'yes.' : 'not all.');
  const forwardMs = { base: baseMs, loraOn: loraOnMs, merged: mergedMs };
  console.log(
    `forward of ${options.batchSize} images: base ${baseMs.toFixed(3)} ms, LoRA on ${loraOnMs.toFixed(3)} ms, merged ${mergedMs.toFixed(3)} ms`,
  );

  heading(7, 'What LoRA solves: size on disk, and swapping');
  const folder = await mkdtemp(join(tmpdir(), 'lora-wasm-mnist-'));
  const basePath = join(folder, 'base.safetensors');
  await writeFile(basePath, writeSafetensors(before));
  const [weightsPath] = await saveAdapter(lora, name, join(folder, name));
  const bytes = { base: (await stat(basePath)).size, adapter: (await stat(weightsPath!)).size };
  await lora.loadAdapter('read-back', join(folder, name));
  lora.setAdapter('read-back');
  const same = predict(rt, lora, test).every((p, i) => p === onPredictions[i]);
  lora.setAdapter(name);
  console.log(
    `base ${bytes.base.toLocaleString('en-US')} bytes, adapter ${bytes.adapter.toLocaleString('en-US')} bytes: 1/${Math.round(bytes.base / bytes.adapter)}. Read back, its predictions are the same: ${same ? 'yes' : 'NO'}`,
  );
  console.log(`written to ${folder}`);
  lora.deleteAdapter('read-back');

  const secondName = `digit-${second}`;
  lora.addAdapter(secondName, config);
  lora.setTrainable(secondName);
  lora.setAdapter(secondName);
  console.log(`a second adapter, for the digit ${second}, over the same base:`);
  fineTune(rt, lora, onlyDigit(train, second), options);
  wrongTable({ base, [name]: loraOn, [secondName]: score(predict(rt, lora, test), test) });
  const swapMs = timeSwaps(lora, name, secondName);
  console.log(
    `swapping one for the other takes ${(1000 * swapMs).toFixed(1)} µs (median of 1,000 swaps), against reading ${bytes.base.toLocaleString('en-US')} bytes of another base`,
  );
  lora.setAdapter(name);

  heading(8, `The same fine-tuning on all weights: ${options.steps} batches of the digit ${digit}`);
  const full = new Net(rt);
  const fromDisk = parseSafetensors(await readFile(basePath));
  full.loadStateDict(
    new Map(fromDisk.names.map((key) => [key, { shape: fromDisk.info(key).shape, data: fromDisk.f32(key) }])),
  );
  const fullOptimizer = new Adam(full.parameters(), { lr: options.lr });
  const fullBatches = endlessBatches(
    onlyDigit(train, digit),
    options.batchSize,
    seededRandom(options.seed + 1),
  );
  withProgress(options.steps, () => trainStep(rt, full, fullOptimizer, fullBatches.next().value));
  const fullScore = score(predict(rt, full, test), test);
  wrongTable({ base, 'LoRA on': loraOn, 'all weights': fullScore });
  lora.deleteAdapter(secondName);
  lora.setTrainable(name);
  const stepMs = compareSteps(rt, lora, full, fullBatches, options);
  console.log(
    `step: LoRA ${stepMs.lora.toFixed(2)} ms, all weights ${stepMs.full.toFixed(2)} ms (${(stepMs.lora / stepMs.full).toFixed(2)} of it); kept per task: ${bytes.adapter.toLocaleString('en-US')} against ${bytes.base.toLocaleString('en-US')} bytes`,
  );

  if (options.json !== undefined) {
    const results = {
      parameters: { base: baseParameters, withLora, lora: added, percent },
      digit,
      wrong: {
        base: base.wrong,
        loraOn: loraOn.wrong,
        loraOff: loraOff.wrong,
        merged: merged.wrong,
        full: fullScore.wrong,
      },
      accuracy: { base: base.accuracy, loraOn: loraOn.accuracy, full: fullScore.accuracy },
      frozenUnchanged,
      bytes,
      swapMs,
      stepMs,
      forwardMs,
      kernels,
      engine,
    };
    await writeFile(options.json, `${JSON.stringify(results, null, 2)}\n`);
  }
  console.log(`\ndone in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  rt.dispose();
  const broken = !frozenUnchanged || !same || !mergedSame || String(loraOff.wrong) !== String(base.wrong);
  if (broken) process.exitCode = 1;
}

await main();
