import type { TranslationBundle } from '@jupyterlab/translation';
import { FormComponent } from '@jupyterlab/ui-components';
import type { ReadonlyJSONObject } from '@lumino/coreutils';
import {
  TranslatableString,
  englishStringTranslator,
  type ErrorSchema,
  type RJSFSchema,
  type RJSFValidationError
} from '@rjsf/utils';
import React, { useEffect, useMemo, useRef, useState, type ReactNode } from 'react';

import { Field, WIDGETS } from './fields';
import { ListField, ObjectField } from './groups';
import {
  splitForm,
  uiSchemaOf,
  type IFormSchema,
  type IPlacedProblems,
  type Values
} from './schema';
import { useValidator } from './validator';

/** The class of what is scrolled in the form's tab, which has the focus when the tab is opened. */
export const FORM_TAB = 'zoe-Tab-content';

const TEMPLATES = {
  FieldTemplate: Field,
  ArrayFieldTemplate: ListField,
  ObjectFieldTemplate: ObjectField
};

interface IParameterFormProps {
  schema: IFormSchema;
  values: Values;
  setValues: (change: (values: Values) => Values) => void;
  problems: IPlacedProblems | null;
  /** Empty required fields are wrong only once somebody tried to start. */
  hasTried: boolean;
  idPrefix: string;
  trans: TranslationBundle;
  /** What comes between the basic and the advanced parameters. */
  children: ReactNode;
}

/** Where one begins to fill it in. */
export function firstField(node: HTMLElement): HTMLElement | null {
  return node.querySelector<HTMLElement>('.zoe-Form :is(input, select, textarea)');
}

/** Where one goes on, after it was refused. */
export function firstWrongField(node: HTMLElement | null): HTMLElement | null {
  const wrong = '.zoe-Field[data-wrong] :is(input, select, textarea):not([type="range"])';
  return node?.querySelector<HTMLElement>(wrong) ?? null;
}

/** The parameters: the basic ones, and the rest behind a fold. */
export function ParameterForm(props: IParameterFormProps): React.JSX.Element {
  const { schema, problems, children, trans } = props;
  const { basic, advanced } = useMemo(() => splitForm(schema), [schema]);
  const [isOpen, setOpen] = useState(false);
  const hidden = Object.keys(advanced.properties ?? {});
  const hasProblem = hidden.some(name => problems?.fields[name]);
  const validator = useValidator();
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // The tab was opened before its fields were there.
    if (validator && document.activeElement === host.current?.closest(`.${FORM_TAB}`)) {
      firstField(host.current.parentElement ?? host.current)?.focus();
    }
  }, [validator]);
  return (
    <div ref={host} className="zoe-Form">
      <Part {...props} part={basic} />
      {children}
      {hidden.length > 0 && (
        <details
          className="zoe-Advanced"
          open={isOpen || hasProblem}
          onToggle={event => setOpen(event.currentTarget.open)}
        >
          <summary>{trans.__('Advanced (%1)', hidden.length)}</summary>
          <Part {...props} part={advanced} />
        </details>
      )}
    </div>
  );
}

function Part(props: IParameterFormProps & { part: IFormSchema }): React.JSX.Element | null {
  const { part, values, setValues, problems, hasTried, idPrefix, trans } = props;
  const validator = useValidator();
  const names = Object.keys(part.properties ?? {});
  const uiSchema = useMemo(() => uiSchemaOf(part), [part]);
  const data = Object.fromEntries(
    names.filter(name => name in values).map(name => [name, values[name]])
  );
  if (!validator || !names.length) {
    return null;
  }
  const relevant = (errors: RJSFValidationError[]): RJSFValidationError[] =>
    errors.filter(error => (hasTried || error.name !== 'required') && !isSaid(error, problems));
  return (
    <FormComponent
      schema={part as RJSFSchema}
      uiSchema={uiSchema}
      widgets={WIDGETS}
      templates={TEMPLATES}
      formContext={{ trans }}
      translateString={translated}
      validator={validator}
      formData={data as ReadonlyJSONObject}
      extraErrors={errorsOf(problems, names)}
      transformErrors={relevant}
      idPrefix={idPrefix}
      tagName="div"
      liveValidate
      noHtml5Validate
      showErrorList={false}
      onChange={({ formData }) =>
        setValues(old => ({ ...old, ...emptied(names), ...(formData as Values | undefined) }))
      }
    />
  );
}

/** The server says the same in better words. */
function isSaid(error: RJSFValidationError, problems: IPlacedProblems | null): boolean {
  const name = /^\.?([^.[]+)/.exec(error.property ?? '')?.[1] ?? '';
  return name in (problems?.fields ?? {});
}

function translated(key: TranslatableString, parameters?: string[]): string {
  return key === TranslatableString.NewStringDefault
    ? ''
    : englishStringTranslator(key, parameters);
}

function errorsOf(problems: IPlacedProblems | null, names: string[]): ErrorSchema {
  const fields = Object.entries(problems?.fields ?? {}).filter(([name]) => names.includes(name));
  return Object.fromEntries(fields.map(([name, __errors]) => [name, { __errors }])) as ErrorSchema;
}

// A field that was cleared is absent from the new data.
function emptied(names: string[]): Values {
  return Object.fromEntries(names.map(name => [name, undefined]));
}
