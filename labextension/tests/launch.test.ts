import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { commandLine, quoted } from '../src/panels/launch/commandline';
import {
  chosen,
  defaultsOf,
  placed,
  secretsOf,
  splitForm,
  uiSchemaOf,
  type IFormSchema
} from '../src/panels/launch/schema';
import { ANY_TURN } from '../src/panels/launch/turn';

const FORM: IFormSchema = {
  type: 'object',
  required: ['workers', 'path'],
  properties: {
    workers: { type: 'integer', minimum: 1, maximum: 8, default: 2, 'x-zoe': { widget: 'slider' } },
    memory: { type: 'string', format: 'memory', default: '1GiB', 'x-zoe': { level: 'advanced' } },
    path: { type: 'string', 'x-zoe': { level: 'advanced' } },
    token: { type: 'string', 'x-zoe': { widget: 'secret' } },
    open: { type: 'integer', minimum: 1, 'x-zoe': { widget: 'slider' } }
  }
};

describe('splitForm', () => {
  const { basic, advanced } = splitForm(FORM);

  it('puts aside what is advanced', () => {
    assert.deepEqual(Object.keys(advanced.properties ?? {}), ['memory']);
  });

  it('never hides what must be filled in', () => {
    assert.deepEqual(Object.keys(basic.properties ?? {}), ['workers', 'path', 'token', 'open']);
  });

  it('asks of each part only for its own required fields', () => {
    assert.deepEqual([basic.required, advanced.required], [['workers', 'path'], []]);
  });
});

describe('uiSchemaOf', () => {
  const widgets = Object.fromEntries(
    Object.entries(uiSchemaOf(FORM)).map(([name, ui]: [string, Record<string, unknown>]) => [
      name,
      ui['ui:widget']
    ])
  );

  it('draws sliders, sizes and secrets', () => {
    assert.equal(widgets.workers, 'zoe-slider');
    assert.equal(widgets.memory, 'zoe-memory');
    assert.equal(widgets.token, 'password');
  });

  it('draws no slider where there is no range', () => {
    assert.equal(widgets.open, undefined);
  });
});

describe('chosen', () => {
  const defaults = defaultsOf(FORM);

  it('is what differs from the defaults', () => {
    assert.deepEqual(chosen({ workers: 4, memory: '1GiB', path: 'x' }, defaults), {
      workers: 4,
      path: 'x'
    });
  });

  it('leaves out what was cleared', () => {
    assert.deepEqual(chosen({ workers: undefined, memory: '1GiB' }, defaults), {});
  });

  it('compares lists by what is in them', () => {
    assert.deepEqual(chosen({ jars: [] }, { jars: [] }), {});
  });
});

describe('placed', () => {
  it('puts problems at their fields, however the path begins or goes on', () => {
    const problems = [
      { path: 'parameters.workers', message: 'too many' },
      { path: 'workers', message: 'not whole' },
      { path: 'parameters.path.0', message: 'empty' }
    ];
    assert.deepEqual(placed(problems, FORM).fields, {
      workers: ['too many', 'not whole'],
      path: ['empty']
    });
  });

  it('says the others with their paths', () => {
    const problems = [
      { path: 'lifetime.after', message: 'not a duration' },
      { path: '', message: 'no room' }
    ];
    assert.deepEqual(placed(problems, FORM).rest, ['lifetime.after: not a duration', 'no room']);
  });

  it('keeps the name of the execution apart from a parameter of that name', () => {
    const form = { properties: { name: { type: 'string' } } };
    const problems = [
      { path: 'name', message: 'too long' },
      { path: 'parameters.name', message: 'not a file' }
    ];
    assert.deepEqual(placed(problems, form), {
      fields: { name: ['not a file'] },
      frame: { name: ['too long'] },
      rest: []
    });
  });

  it('puts what is wrong with its turn there', () => {
    const problems = [{ path: 'begin', message: 'is no moment' }];
    assert.deepEqual(placed(problems, FORM).frame, { begin: ['is no moment'] });
    const form = { properties: { begin: { type: 'string' } } };
    assert.deepEqual(placed(problems, form).fields, { begin: ['is no moment'] });
  });

  it('takes no name of an object for a field', () => {
    assert.deepEqual(placed([{ path: 'constructor', message: 'no' }], FORM).fields, {});
  });
});

describe('commandLine', () => {
  const line = (parameters: Record<string, unknown>, name = ''): string =>
    commandLine({
      entry: 'spark',
      parameters,
      secrets: secretsOf(FORM),
      name,
      lifetime: 'entry',
      turn: ANY_TURN
    });

  it('is short where all is as it comes', () => {
    assert.equal(line({}), '%zoe start spark');
  });

  it('writes every kind of value as the magic reads it', () => {
    const values = { workers: 4, is_big: true, jars: ['a b'], conf: { k: "it's" } };
    assert.equal(
      line(values),
      `%zoe start spark --workers 4 --is-big true --jars '["a b"]' --conf '{"k":"it'"'"'s"}'`
    );
  });

  it('never shows a secret', () => {
    assert.equal(line({ token: 'hunter2' }), '%zoe start spark --token …');
  });

  it('names the lifetime', () => {
    const plain = { parameters: {}, secrets: new Set<string>(), turn: ANY_TURN };
    const options = { ...plain, entry: 'dask', name: 'a b' };
    const lines = (['kernel', 'server', 'hours', 'forever'] as const).map(lifetime =>
      commandLine({ ...options, lifetime })
    );
    assert.deepEqual(lines, [
      "%zoe start dask --name 'a b' --with kernel",
      "%zoe start dask --name 'a b' --with server",
      "%zoe start dask --name 'a b' --for 8h",
      "%zoe start dask --name 'a b' --keep"
    ]);
  });

  it('makes a cell of code that has several lines', () => {
    const code = 'import time\nprint("it\'s")';
    const job = { entry: 'python-job', secrets: new Set<string>(), name: 'mine', turn: ANY_TURN };
    assert.equal(
      commandLine({ ...job, parameters: { code, memory: '2GiB' }, lifetime: 'kernel' }),
      `%%zoe run python-job --memory 2GiB --name mine\n${code}`
    );
    assert.equal(
      commandLine({ ...job, parameters: { code: 'print(1)' }, lifetime: 'entry' }),
      "%zoe start python-job --code 'print(1)' --name mine"
    );
  });

  it('says when it is its turn', () => {
    const plain = { parameters: {}, secrets: new Set<string>(), name: '', entry: 'dask' };
    const turn = { priority: 'filler', estimate: ' 2h ', begin: '+30m' };
    assert.equal(
      commandLine({ ...plain, lifetime: 'entry', turn }),
      '%zoe start dask --priority filler --estimate 2h --begin +30m'
    );
  });
});

describe('quoted', () => {
  it('leaves plain words alone and quotes the rest', () => {
    assert.deepEqual(['1GiB', 'a/b.c', '', '$x'].map(quoted), ['1GiB', 'a/b.c', "''", "'$x'"]);
  });
});
