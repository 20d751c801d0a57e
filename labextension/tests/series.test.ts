import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { ISample } from '../src/api/types';
import { highest, nearest, seriesOf, ticksOf } from '../src/panels/detail/series';

const sample = (service: string, at: number, cpu: number): ISample => ({
  service,
  at,
  cpu_cores: cpu,
  memory_bytes: cpu * 100
});

describe('seriesOf', () => {
  it('is one line for one service', () => {
    const series = seriesOf([sample('a', 2, 1), sample('a', 1, 0.5)], 'cpu_cores', 'all');
    assert.deepEqual(series, [
      {
        name: 'a',
        points: [
          { at: 1, value: 0.5 },
          { at: 2, value: 1 }
        ]
      }
    ]);
  });

  it('adds services up that were not measured in the same moment', () => {
    const samples = [sample('a', 10, 1), sample('b', 12, 2), sample('a', 14, 3)];
    const [all] = seriesOf(samples, 'cpu_cores', 'all');
    assert.deepEqual(all, {
      name: 'all',
      points: [
        { at: 10, value: 1 },
        { at: 12, value: 3 },
        { at: 14, value: 5 }
      ]
    });
  });

  it('counts a service that has fallen silent no more', () => {
    const samples = [sample('a', 0, 1), sample('b', 0, 2), sample('b', 30, 2)];
    const [all] = seriesOf(samples, 'cpu_cores', 'all');
    assert.deepEqual(
      all.points.map(({ value }) => value),
      [3, 2]
    );
  });

  it('draws the sum and the five that use most, by name', () => {
    const samples = Array.from({ length: 8 }, (_, index) => sample(`s${index}`, 1, 8 - index));
    const names = seriesOf(samples, 'memory_bytes', 'all').map(({ name }) => name);
    assert.deepEqual(names, ['all', 's0', 's1', 's2', 's3', 's4']);
  });

  it('is nothing where nothing was measured', () => {
    assert.deepEqual(seriesOf([], 'cpu_cores', 'all'), []);
  });
});

describe('ticksOf', () => {
  it('goes in round steps from zero to above the most', () => {
    assert.deepEqual(ticksOf(1.3, 10), [0, 0.5, 1, 1.5]);
    assert.deepEqual(ticksOf(0.07, 10), [0, 0.02, 0.04, 0.06, 0.08]);
    assert.deepEqual(
      ticksOf(300 * 2 ** 20, 2),
      [0, 1, 2, 3].map(step => step * 128 * 2 ** 20)
    );
  });

  it('has an axis where all is zero', () => {
    const ticks = ticksOf(0, 10);
    assert.equal(ticks[0], 0);
    assert.ok(ticks[ticks.length - 1] > 0);
  });
});

describe('nearest', () => {
  const series = {
    name: 'a',
    points: [
      { at: 1, value: 10 },
      { at: 5, value: 50 }
    ]
  };

  it('is the point by the cursor', () => {
    assert.equal(nearest(series, 2)?.value, 10);
    assert.equal(nearest(series, 9)?.value, 50);
    assert.equal(nearest({ name: 'b', points: [] }, 9), null);
  });

  it('leaves the highest to its own function', () => {
    assert.equal(highest(series), 50);
  });
});
