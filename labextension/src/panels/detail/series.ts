import type { ISample } from '../../api/types';

/** Values over time, oldest first. */
export interface ISeries {
  name: string;
  points: { at: number; value: number }[];
}

export type Quantity = 'cpu_cores' | 'memory_bytes';

const MOST_LINES = 5;

/** The sum of all services and, where there are several, those that use most now. */
export function seriesOf(
  samples: readonly ISample[],
  quantity: Quantity,
  total: string
): ISeries[] {
  const services = byService(samples, quantity);
  if (services.length <= 1) {
    return services;
  }
  const latest = ({ points }: ISeries): number => points[points.length - 1].value;
  const largest = [...services].sort((a, b) => latest(b) - latest(a)).slice(0, MOST_LINES);
  return [summed(services, total), ...largest.sort((a, b) => a.name.localeCompare(b.name))];
}

function byService(samples: readonly ISample[], quantity: Quantity): ISeries[] {
  const found = new Map<string, ISeries>();
  for (const sample of [...samples].sort((a, b) => a.at - b.at)) {
    const series = found.get(sample.service) ?? { name: sample.service, points: [] };
    series.points.push({ at: sample.at, value: sample[quantity] });
    found.set(sample.service, series);
  }
  return [...found.values()];
}

/** Samples of different services are not of the very same moment: each counts until its next. */
function summed(services: readonly ISeries[], name: string): ISeries {
  const moments = [
    ...new Set(services.flatMap(({ points }) => points.map(point => Math.round(point.at))))
  ];
  const positions = services.map(() => -1);
  const points = moments
    .sort((a, b) => a - b)
    .map(at => ({
      at,
      value: services.reduce((sum, one, index) => sum + current(one, index, at, positions), 0)
    }));
  return { name, points };
}

// How long a service that sends nothing is still taken for what it was.
const SILENCE_S = 15;

function current({ points }: ISeries, index: number, at: number, positions: number[]): number {
  while (points[positions[index] + 1]?.at <= at + 0.5) {
    positions[index] += 1;
  }
  const point = positions[index] >= 0 ? points[positions[index]] : null;
  return point && at - point.at <= SILENCE_S ? point.value : 0;
}

/** Round values for an axis from zero to at least `most`, in steps of 1, 2 or 5 times a power of `base`. */
export function ticksOf(most: number, base: 10 | 2): number[] {
  if (most <= 0) {
    return [0, 1];
  }
  const raw = most / 4;
  const step = base === 2 ? 2 ** Math.ceil(Math.log2(raw)) : decimalStep(raw);
  const count = Math.max(1, Math.ceil(most / step));
  return Array.from({ length: count + 1 }, (_, index) => Number((index * step).toPrecision(12)));
}

function decimalStep(raw: number): number {
  const power = 10 ** Math.floor(Math.log10(raw));
  const factor = [1, 2, 5, 10].find(one => one * power >= raw) ?? 10;
  return factor * power;
}

/** The point of a series that is nearest to a moment. */
export function nearest({ points }: ISeries, at: number): ISeries['points'][number] | null {
  let best: ISeries['points'][number] | null = null;
  for (const point of points) {
    if (!best || Math.abs(point.at - at) < Math.abs(best.at - at)) {
      best = point;
    }
  }
  return best;
}

export function highest({ points }: ISeries): number {
  return points.reduce((most, { value }) => Math.max(most, value), 0);
}
