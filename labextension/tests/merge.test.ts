import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Refetcher, endedBadly, isUp, merged, nameToAttach, replaceLive } from '../src/merge';
import { execution } from './make';

/** Timers that a test lets go of. */
class Later {
  readonly add = (run: () => void): void => {
    this._due.push(run);
  };

  get count(): number {
    return this._due.length;
  }

  run(): void {
    this._due.splice(0).forEach(run => run());
  }

  private readonly _due: (() => void)[] = [];
}

/** Fetches that a test answers. */
class Fetches {
  readonly ids: string[] = [];

  readonly fetch = (id: string): Promise<void> => {
    this.ids.push(id);
    return new Promise((resolve, reject) => this._open.push({ resolve, reject }));
  };

  async answer(error?: Error): Promise<void> {
    const { resolve, reject } = this._open.shift() ?? assert.fail('nothing was asked');
    if (error) {
      reject(error);
    } else {
      resolve();
    }
    await new Promise(setImmediate);
  }

  private readonly _open: { resolve: () => void; reject: (error: Error) => void }[] = [];
}

describe('merged', () => {
  it('keeps the story that an answer about a list does not have', () => {
    const older = execution({ story: [{ at: 1, text: 'submitted' }] });
    assert.deepEqual(merged(older, execution({ state: 'ended' })).story, older.story);
  });

  it('takes the newer story where there is one', () => {
    const older = execution({ story: [{ at: 1, text: 'submitted' }] });
    const newer = execution({ story: [{ at: 2, text: 'running' }] });
    assert.equal(merged(older, newer), newer);
  });

  it('is the newer one where nothing was known', () => {
    const newer = execution();
    assert.equal(merged(undefined, newer), newer);
  });
});

describe('replaceLive', () => {
  const ended = execution({ id: 'old', state: 'ended' });

  it('keeps the ended ones and takes the new list for the rest', () => {
    const known = new Map([[ended.id, ended]]);
    const { executions, gone } = replaceLive(known, [execution({ id: 'new' })]);
    assert.deepEqual([...executions.keys()], ['old', 'new']);
    assert.deepEqual(gone, []);
  });

  it('names those that were alive and are not in the list any more', () => {
    const known = new Map([['e1', execution()]]);
    assert.deepEqual(replaceLive(known, []).gone, ['e1']);
  });
});

describe('endedBadly', () => {
  it('is about ends that nobody asked for', () => {
    const ends = (['failed', 'lost', 'expired', 'stopped', 'succeeded'] as const).filter(outcome =>
      endedBadly(execution({ state: 'ended', outcome }))
    );
    assert.deepEqual(ends, ['failed', 'lost', 'expired']);
  });
});

describe('isUp', () => {
  it('is what nobody has to start again', () => {
    const states = [
      'submitted',
      'queued',
      'starting',
      'running',
      'suspended',
      'stopping',
      'ended'
    ] as const;
    const up = states.filter(state => isUp(execution({ state })));
    assert.deepEqual(up, ['submitted', 'queued', 'starting', 'running']);
  });
});

describe('nameToAttach', () => {
  it('is the id where the name alone would start another one', () => {
    assert.equal(nameToAttach(execution({ name: 'spark' })), 'e1');
    assert.equal(nameToAttach(execution({ name: 'mine' })), 'mine');
  });
});

describe('Refetcher', () => {
  it('fetches once however often it was marked', () => {
    const later = new Later();
    const fetches = new Fetches();
    const refetcher = new Refetcher(fetches.fetch, later.add);
    ['a', 'b', 'a', 'a'].forEach(id => refetcher.mark(id));
    assert.equal(later.count, 1);
    later.run();
    assert.deepEqual(fetches.ids, ['a', 'b']);
  });

  it('fetches again what was marked while it was being fetched, and not before', async () => {
    const later = new Later();
    const fetches = new Fetches();
    const refetcher = new Refetcher(fetches.fetch, later.add);
    refetcher.mark('a');
    later.run();
    refetcher.mark('a');
    later.run();
    assert.deepEqual(fetches.ids, ['a']);
    await fetches.answer();
    later.run();
    assert.deepEqual(fetches.ids, ['a', 'a']);
  });

  it('goes on after a fetch that failed', async () => {
    const later = new Later();
    const fetches = new Fetches();
    const refetcher = new Refetcher(id => fetches.fetch(id).catch(() => undefined), later.add);
    refetcher.mark('a');
    later.run();
    await fetches.answer(new Error('gone'));
    refetcher.mark('a');
    later.run();
    assert.deepEqual(fetches.ids, ['a', 'a']);
  });
});
