import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { TranslationBundle } from '@jupyterlab/translation';

import { backoffMs } from '../src/api/events';
import { attaches } from '../src/panels/connect/code';
import { unquoted } from '../src/panels/connect/kernel';
import { found } from '../src/panels/shop/search';
import {
  elapsedS,
  formatBytes,
  formatCores,
  formatDuration,
  labelled,
  lasting,
  look,
  shortImage
} from '../src/text';
import { entry, execution } from './make';

const english = {
  __: (text: string, ...args: string[]) =>
    text.replace(/%(\d)/g, (_, n: string) => args[Number(n) - 1])
} as unknown as TranslationBundle;

describe('formats', () => {
  it('says bytes as people read them', () => {
    const said = [0, 512, 1536, 2.25 * 2 ** 30, 1023 * 2 ** 20].map(formatBytes);
    assert.deepEqual(said, ['0 B', '512 B', '1.5 KiB', '2.25 GiB', '1023 MiB']);
  });

  it('says cores without needless digits', () => {
    assert.deepEqual([0.5, 2, 0.333333, 12.34].map(formatCores), ['0.5', '2', '0.33', '12.3']);
  });

  it('says durations as people read them', () => {
    const said = [-1, 0, 59, 61, 600, 5400, 7200, 200_000].map(formatDuration);
    assert.deepEqual(said, [
      '0 s',
      '0 s',
      '59 s',
      '1 min 1 s',
      '10 min',
      '1 h 30 min',
      '2 h',
      '2 d'
    ]);
  });
});

describe('executions in words', () => {
  it('counts from the start, or from the submission while there was none', () => {
    assert.equal(elapsedS(execution(), 150), 40);
    assert.equal(elapsedS(execution({ started_at: null }), 150), 50);
    assert.equal(elapsedS(execution({ ended_at: 120 }), 150), 10);
  });

  it('gives each of a list a label of its own', () => {
    const [one, two] = [execution(), execution({ id: 'e2' })];
    const other = execution({ id: 'e3', state: 'ended', outcome: 'failed' });
    assert.deepEqual(
      [...labelled([one, two, other], english)],
      [
        ['spark-1 (running)', one],
        ['spark-1 (running, e2)', two],
        ['spark-1 (failed)', other]
      ]
    );
  });

  it('says what the clock counts', () => {
    const said = [
      execution(),
      execution({ state: 'starting', started_at: null }),
      execution({ state: 'suspended' }),
      execution({ state: 'ended', ended_at: 120 }),
      execution({ state: 'ended', started_at: null, ended_at: 120 })
    ].map(one => lasting(one, 150, english));
    assert.deepEqual(said, [
      'running for 40 s',
      'asked for 50 s ago',
      'started 40 s ago',
      'ran for 10 s',
      'waited for 20 s'
    ]);
  });

  it('looks like its outcome once it has ended', () => {
    assert.equal(look(execution()), 'running');
    assert.equal(look(execution({ state: 'ended', outcome: 'failed' })), 'failed');
    assert.equal(look(execution({ state: 'ended' })), 'ended');
  });
});

describe('search of the shop', () => {
  const spark = entry();
  const dask = entry({ name: 'dask', title: 'Dask', summary: 'Like Spark, in Python', tags: [] });
  const broken = entry({ name: 'ark', title: 'Ark', is_runnable: false });

  it('finds all that carries every word', () => {
    assert.deepEqual(found([spark, dask], 'SQL dist'), [spark]);
    assert.deepEqual(found([spark, dask], 'nothing'), []);
  });

  it('puts what has the name before what only mentions it', () => {
    assert.deepEqual(found([dask, spark], 'spark'), [spark, dask]);
  });

  it('puts what cannot run last', () => {
    assert.deepEqual(found([broken, dask, spark], ''), [spark, dask, broken]);
  });
});

describe('backoffMs', () => {
  it('grows up to a limit, and never in step', () => {
    assert.deepEqual(
      [0, 1, 2].map(attempt => backoffMs(attempt, 1)),
      [500, 1000, 2000]
    );
    assert.equal(backoffMs(50, 1), 20_000);
    assert.equal(backoffMs(0, 0), 250);
  });
});

describe('shortImage', () => {
  it('leaves as much of a digest as tells it from others', () => {
    const digest = `sha256:0123456789ab${'c'.repeat(52)}`;
    assert.equal(shortImage(`site:5000/spark@${digest}`), 'site:5000/spark@sha256:0123456789ab');
    assert.equal(shortImage('site/spark:4'), 'site/spark:4');
    assert.equal(shortImage(''), '');
  });
});

describe('unquoted', () => {
  it('reads what repr wrote', () => {
    assert.equal(unquoted("'/usr/bin/python'"), '/usr/bin/python');
    assert.equal(unquoted('"it\'s"'), "it's");
    assert.equal(unquoted("'a\\\\b'"), 'a\\b');
    assert.equal(unquoted(undefined), '');
    assert.equal(unquoted('42'), '');
  });
});

describe('cells', () => {
  it('knows those that attach something', () => {
    const cells = [
      '%load_ext zoe_jupyter\n%zoe attach spark',
      '  %zoe  attach dask',
      'client = zoe.attach("dask")'
    ];
    assert.deepEqual(cells.map(attaches), [true, true, true]);
    assert.deepEqual(['%zoe attachments', 'print("%zoe attach spark")'].map(attaches), [
      false,
      false
    ]);
  });
});
