import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { PLAIN, overwritten, plain, spansOf, type ISpan } from '../src/panels/detail/ansi';
import { LogBuffer } from '../src/panels/detail/logbuffer';

const spans = (line: string): ISpan[] => spansOf(line, PLAIN).spans;
const E = '\x1b';

describe('spansOf', () => {
  it('leaves plain text alone, whatever it looks like', () => {
    assert.deepEqual(spans('<b onclick="x">&amp;</b>'), [
      { text: '<b onclick="x">&amp;</b>', look: '' }
    ]);
  });

  it('colours, and stops colouring', () => {
    assert.deepEqual(spans(`a${E}[31mb${E}[0mc`), [
      { text: 'a', look: '' },
      { text: 'b', look: 'zoe-ansi-fg-red' },
      { text: 'c', look: '' }
    ]);
  });

  it('adds marks and colours up, and takes them off one by one', () => {
    const looks = spans(`${E}[1;4;32;41ma${E}[22mb${E}[39;24mc${E}[49md`).map(({ look }) => look);
    assert.deepEqual(looks, [
      'zoe-ansi-bold zoe-ansi-underline zoe-ansi-fg-green zoe-ansi-bg-red',
      'zoe-ansi-underline zoe-ansi-fg-green zoe-ansi-bg-red',
      'zoe-ansi-bg-red',
      ''
    ]);
  });

  it('knows the bright colours, and the first 16 of 256', () => {
    const looks = spans(`${E}[94ma${E}[38;5;3mb${E}[38;5;12mc${E}[38;5;200md${E}[38;2;1;2;3me`);
    assert.deepEqual(
      looks.map(({ look }) => look),
      ['zoe-ansi-fg-bright-blue', 'zoe-ansi-fg-yellow', 'zoe-ansi-fg-bright-blue', '', '']
    );
  });

  it('drops what moves a cursor, sets a title or rings', () => {
    const line = `${E}[2K${E}[?25l${E}[1Ga${E}]0;title\x07b\x07${E}(Bc${E}Pdevice${E}\\d\x9be`;
    assert.equal(plain(line), 'abcde');
    assert.equal(spans(line)[0].look, '');
  });

  it('goes on in the style of the line before', () => {
    const { style } = spansOf(`${E}[35mone`, PLAIN);
    assert.deepEqual(spansOf('two', style).spans, [{ text: 'two', look: 'zoe-ansi-fg-magenta' }]);
  });

  it('takes an empty sequence for a reset', () => {
    assert.equal(spans(`${E}[31m${E}[ma`)[0].look, '');
  });
});

describe('overwritten', () => {
  it('is the last of what a progress bar wrote', () => {
    assert.equal(overwritten('10%\r50%\r100%'), '100%');
    assert.equal(overwritten('done\r'), 'done');
  });
});

describe('LogBuffer', () => {
  const texts = (buffer: LogBuffer): string[] => buffer.lines.map(({ text }) => text);

  it('makes lines of pieces that end anywhere', () => {
    const buffer = new LogBuffer(10);
    ['on', 'e\ntw', 'o\n', 'thr'].forEach(piece => buffer.push(piece));
    assert.deepEqual(texts(buffer), ['one', 'two']);
    buffer.finish();
    assert.deepEqual(texts(buffer), ['one', 'two', 'thr']);
  });

  it('keeps the last lines, counts all, and says how many fell out', () => {
    const buffer = new LogBuffer(3);
    buffer.push('1\n2\n3\n4\n5\n');
    assert.deepEqual(texts(buffer), ['3', '4', '5']);
    assert.deepEqual(
      buffer.lines.map(({ number }) => number),
      [3, 4, 5]
    );
    assert.equal(buffer.dropped, 2);
  });

  it('begins anew when it is cleared', () => {
    const buffer = new LogBuffer(3);
    buffer.push(`${E}[31ma\nrest`);
    buffer.clear();
    buffer.push('b\n');
    assert.deepEqual(buffer.lines, [{ number: 1, text: 'b', spans: [{ text: 'b', look: '' }] }]);
  });

  it('stays bounded under a flood', () => {
    const buffer = new LogBuffer(100);
    for (let round = 0; round < 200; round += 1) {
      buffer.push('x\n'.repeat(1000));
    }
    assert.equal(buffer.lines.length, 100);
    assert.equal(buffer.dropped, 199_900);
  });
});
