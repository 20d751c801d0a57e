import type { ReadonlyJSONObject } from '@lumino/coreutils';
import type { UiSchema as AnyUiSchema } from '@rjsf/utils';

import type { IProblem } from '../../api/types';

/** What is used of JSON Schema here, with Zoe's own hints. */
export interface IFieldSchema {
  type?: string | string[];
  title?: string;
  description?: string;
  default?: unknown;
  enum?: unknown[];
  format?: string;
  minimum?: number;
  maximum?: number;
  multipleOf?: number;
  'x-zoe'?: { level?: 'basic' | 'advanced'; widget?: string };
  [keyword: string]: unknown;
}

export interface IFormSchema {
  type?: string;
  properties?: Record<string, IFieldSchema>;
  required?: string[];
  [keyword: string]: unknown;
}

type UiSchema = AnyUiSchema<ReadonlyJSONObject>;

export type Values = Record<string, unknown>;

/** The form in two: what everybody sees, and the rest; each with its own required fields. */
export function splitForm(form: IFormSchema): { basic: IFormSchema; advanced: IFormSchema } {
  const names = Object.keys(form.properties ?? {});
  const advanced = new Set(names.filter(name => isAdvanced(form, name)));
  return {
    basic: part(form, name => !advanced.has(name)),
    advanced: part(form, name => advanced.has(name))
  };
}

// What must be filled in is never hidden.
function isAdvanced(form: IFormSchema, name: string): boolean {
  const field = form.properties?.[name];
  const isNeeded = form.required?.includes(name) && field?.default === undefined;
  return field?.['x-zoe']?.level === 'advanced' && !isNeeded;
}

function part(form: IFormSchema, isIn: (name: string) => boolean): IFormSchema {
  const fields = Object.entries(form.properties ?? {}).filter(([name]) => isIn(name));
  return {
    ...form,
    title: undefined,
    description: undefined,
    properties: Object.fromEntries(fields),
    required: (form.required ?? []).filter(isIn)
  };
}

/** Which widget draws which field. */
export function uiSchemaOf(form: IFormSchema): UiSchema {
  const widgets = Object.entries(form.properties ?? {}).map(([name, field]) => [name, uiOf(field)]);
  return Object.fromEntries(widgets) as UiSchema;
}

function uiOf(field: IFieldSchema): UiSchema {
  const widget = field['x-zoe']?.widget ?? (field.format === 'memory' ? 'memory' : '');
  const known: Record<string, string> = {
    slider: hasRange(field) ? 'zoe-slider' : '',
    memory: 'zoe-memory',
    secret: 'password',
    code: 'textarea'
  };
  return known[widget] ? { 'ui:widget': known[widget] } : {};
}

function hasRange({ minimum, maximum }: IFieldSchema): boolean {
  return minimum !== undefined && maximum !== undefined;
}

/** What each field is when the user leaves it alone. */
export function defaultsOf(form: IFormSchema): Values {
  const fields = Object.entries(form.properties ?? {});
  return Object.fromEntries(
    fields
      .filter(([, field]) => field.default !== undefined)
      .map(([name, { default: value }]) => [name, value])
  );
}

/** What the user chose other than the defaults. */
export function chosen(values: Values, defaults: Values): Values {
  const differs = ([name, value]: [string, unknown]): boolean =>
    value !== undefined && JSON.stringify(value) !== JSON.stringify(defaults[name]);
  return Object.fromEntries(Object.entries(values).filter(differs));
}

/** Parameters whose values the form itself shows. */
export function secretsOf(form: IFormSchema): Set<string> {
  const fields = Object.entries(form.properties ?? {});
  return new Set(
    fields.filter(([, field]) => field['x-zoe']?.widget === 'secret').map(([name]) => name)
  );
}

export interface IPlacedProblems {
  /** By field. */
  fields: Record<string, string[]>;
  /** About what is asked of every application: its name, and when it is its turn. */
  frame: Record<string, string[]>;
  /** What is about no field of the form. */
  rest: string[];
}

const FRAME = new Set(['name', 'priority', 'estimate', 'begin']);

/** Put the server's problems at their fields; `parameters.workers` and `workers` are the same. */
export function placed(problems: readonly IProblem[], form: IFormSchema): IPlacedProblems {
  const found: IPlacedProblems = { fields: {}, frame: {}, rest: [] };
  for (const { path, message } of problems) {
    const name = path.replace(/^parameters\./, '').split(/[.[]/)[0];
    if (path === 'name') {
      (found.frame[path] ??= []).push(message);
    } else if (Object.hasOwn(form.properties ?? {}, name)) {
      (found.fields[name] ??= []).push(message);
    } else if (FRAME.has(path)) {
      (found.frame[path] ??= []).push(message);
    } else {
      found.rest.push(path ? `${path}: ${message}` : message);
    }
  }
  return found;
}
