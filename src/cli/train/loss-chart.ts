/** The chart of a training: the loss of each step, their running mean, and the losses of evaluations. `files.ts` writes it. */
import type { EvalRecord, StepRecord } from '../../train/events.js';
import { fixed, line, svg, tickStep } from '../svg.js';

const [WIDTH, HEIGHT] = [860, 360];
const [LEFT, RIGHT, TOP, BOTTOM] = [50, 16, 30, 40];
/** Points of a curve at most: what is closer than a pixel says nothing. */
const POINTS = 800;

const STYLE = `
text { font: 12px system-ui, sans-serif; fill: #3d444d }
.grid { stroke: #8b949e; stroke-opacity: .35 }
polyline { fill: none; stroke-width: 1.5 }
.step { stroke: #6e86a6; stroke-opacity: .5; stroke-width: 1 }
.mean { stroke: #1a7f5a } .eval { stroke: #cf222e } .dot { fill: #cf222e }
.mean-text { fill: #1a7f5a } .eval-text { fill: #cf222e }
@media (prefers-color-scheme: dark) {
text { fill: #c9d1d9 } .step { stroke: #7d94b5 } .mean { stroke: #3fb984 } .eval { stroke: #ff7b72 } .dot { fill: #ff7b72 }
.mean-text { fill: #3fb984 } .eval-text { fill: #ff7b72 }
}`.trim();

/** A point of a curve: step and loss. */
type Point = readonly [step: number, loss: number];

/** Steps in which nothing counted have no loss, and are left out. */
export function lossChart(
  steps: readonly StepRecord[],
  evaluations: readonly Omit<EvalRecord, 'best'>[],
): string {
  const losses = steps.filter(({ count }) => count > 0).map(({ step, loss }): Point => [step, loss]);
  const values = evaluations.map(({ step, value }): Point => [step, value]);
  const last = Math.max(1, ...[...losses, ...values].map(([step]) => step));
  const highest = Math.max(...[...losses, ...values].map(([, loss]) => loss), 1e-6);
  const [stepTick, lossTick] = [Math.max(1, tickStep(last)), tickStep(highest)];
  const top = lossTick * Math.ceil(highest / lossTick);
  const x = (step: number): number => LEFT + ((WIDTH - LEFT - RIGHT) * step) / last;
  const y = (loss: number): number => HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * loss) / top;
  const curve = (kind: string, points: readonly Point[]): string =>
    `<polyline class="${kind}" points="${thinned(points)
      .map(([step, loss]) => `${fixed(x(step))},${fixed(y(loss))}`)
      .join(' ')}"/>`;
  const parts: string[] = [];
  for (let loss = 0; loss <= top + lossTick / 2; loss += lossTick) {
    parts.push(line('grid', LEFT, y(loss), WIDTH - RIGHT, y(loss)));
    parts.push(
      `<text x="${LEFT - 8}" y="${fixed(y(loss) + 4)}" text-anchor="end">${Number(loss.toPrecision(6))}</text>`,
    );
  }
  for (let step = 0; step <= last; step += stepTick)
    parts.push(`<text x="${fixed(x(step))}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${step}</text>`);
  parts.push(`<text x="${WIDTH - RIGHT}" y="${HEIGHT - 6}" text-anchor="end">steps</text>`);
  parts.push(
    '<text x="0" y="14">loss</text>',
    `<text class="mean-text" x="${LEFT + 60}" y="14">training, running mean</text>`,
  );
  parts.push(curve('step', losses), curve('mean', running(losses)));
  if (values.length > 0) {
    parts.push(`<text class="eval-text" x="${LEFT + 230}" y="14">validation</text>`, curve('eval', values));
    for (const [step, loss] of values)
      parts.push(`<circle class="dot" cx="${fixed(x(step))}" cy="${fixed(y(loss))}" r="3"/>`);
  }
  return svg(
    WIDTH,
    HEIGHT,
    `Loss over ${losses.length} steps and ${values.length} evaluations`,
    STYLE,
    parts,
  );
}

/** The mean over what was so far, of which the last twentieth of all steps weighs most. */
function running(points: readonly Point[]): Point[] {
  const span = Math.max(1, points.length / 20);
  let [mean, weight] = [0, 0];
  return points.map(([step, loss]) => {
    const keep = Math.exp(-1 / span);
    [mean, weight] = [mean * keep + loss, weight * keep + 1];
    return [step, mean / weight];
  });
}

function thinned(points: readonly Point[]): readonly Point[] {
  if (points.length <= POINTS) return points;
  return Array.from(
    { length: POINTS },
    (_, i) => points[Math.round((i * (points.length - 1)) / (POINTS - 1))]!,
  );
}
