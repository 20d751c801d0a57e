import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { TranslationBundle } from '@jupyterlab/translation';

import { backoffMs } from '../src/api/events';
import { attaches } from '../src/panels/connect/code';
import { unquoted } from '../src/panels/connect/kernel';
import { found } from '../src/panels/shop/search';
import {
  aboutNode,
  elapsedS,
  formatBytes,
  formatCores,
  formatDuration,
  formatRoom,
  labelled,
  lasting,
  look,
  shortImage
} from '../src/text';
import { entry, execution, node } from './make';

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

describe('machines', () => {
  it('say what is given away of them', () => {
    assert.equal(formatRoom(node(), english), '1 of 4 cores, 1 GiB of 8 GiB');
    const capacity = { cores: 4, memory_bytes: 2 ** 33, gpus: 2 };
    assert.equal(
      formatRoom(node({ capacity }), english),
      '1 of 4 cores, 1 GiB of 8 GiB, 0 of 2 GPUs'
    );
  });

  it('say what people should know of them', () => {
    assert.equal(aboutNode(node(), english), '');
    assert.equal(aboutNode(node({ about: 'its size is a guess' }), english), 'its size is a guess');
    const shared = node({ cores: 2, is_enabled: false, about: 'old' });
    const told = 'disabled; cores are shares: it has 2, each is given away 2 times; old';
    assert.equal(aboutNode(shared, english), told);
    assert.match(aboutNode(node({ drains_at: 100 }), english), /^will be emptied at /);
    assert.match(
      aboutNode(node({ drains_at: 100, is_enabled: false }), english),
      /^to be empty since /
    );
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
