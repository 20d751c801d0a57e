import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { again, isRepeatable } from '../src/api/again';

describe('again', () => {
  const failing = (times: number, error: Error) => {
    let asked = 0;
    return () => (asked++ < times ? Promise.reject(error) : Promise.resolve(asked));
  };
  const broken = new TypeError('Failed to fetch');

  it('asks once more when the network failed', async () => {
    assert.equal(await again(failing(0, broken), true), 1);
    assert.equal(await again(failing(1, broken), true), 2);
    await assert.rejects(again(failing(2, broken), true), broken);
  });

  it('repeats nothing that may have been done, and nothing that was answered or called off', async () => {
    const called = new DOMException('called off', 'AbortError');
    await assert.rejects(again(failing(1, broken), false), broken);
    await assert.rejects(again(failing(1, called), true), called);
  });
});

describe('isRepeatable', () => {
  it('is so of reads and of what has a key', () => {
    assert.ok(isRepeatable({}));
    assert.ok(isRepeatable({ method: 'POST', headers: { 'Idempotency-Key': 'k' } }));
    assert.ok(!isRepeatable({ method: 'POST' }));
    assert.ok(!isRepeatable({ method: 'DELETE' }));
  });
});
