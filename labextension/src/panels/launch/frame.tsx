import type { TranslationBundle } from '@jupyterlab/translation';
import React, { type ReactNode } from 'react';

import type { Lifetime } from '../../tokens';
import { Problems } from '../parts';

interface IFieldProps<T> {
  id: string;
  value: T;
  trans: TranslationBundle;
  onChange: (value: T) => void;
}

function Labelled(props: {
  id: string;
  label: string;
  hint?: string;
  children: ReactNode;
}): React.JSX.Element {
  const { id, label, hint, children } = props;
  return (
    <div className="zoe-Field">
      <label className="zoe-Field-label" htmlFor={id}>
        {label}
      </label>
      <div className="zoe-Field-input">{children}</div>
      {hint && (
        <p id={`${id}-hint`} className="zoe-Hint">
          {hint}
        </p>
      )}
    </div>
  );
}

export function NameField(
  props: IFieldProps<string> & { placeholder: string; problems: string[] }
): React.JSX.Element {
  const { id, value, placeholder, problems, trans, onChange } = props;
  return (
    <Labelled
      id={id}
      label={trans.__('Name')}
      hint={trans.__('What to call it; empty: Zoe finds one.')}
    >
      <input
        id={id}
        type="text"
        value={value}
        placeholder={placeholder}
        spellCheck={false}
        aria-describedby={`${id}-hint ${id}-problems`}
        onChange={event => onChange(event.target.value)}
      />
      <div aria-live="polite">
        <Problems id={`${id}-problems`} problems={problems} />
      </div>
    </Labelled>
  );
}

/** Whose interpreter and folder it uses. */
export function NotebookField(props: IFieldProps<string> & { paths: string[] }): React.JSX.Element {
  const { id, value, paths, trans, onChange } = props;
  return (
    <Labelled
      id={id}
      label={trans.__('Belongs to')}
      hint={trans.__('It runs with the Python and in the folder of that notebook.')}
    >
      <select
        id={id}
        value={value}
        aria-describedby={`${id}-hint`}
        onChange={event => onChange(event.target.value)}
      >
        <option value="">{trans.__("No notebook (the server's own Python)")}</option>
        {paths.map(path => (
          <option key={path} value={path}>
            {path}
          </option>
        ))}
      </select>
    </Labelled>
  );
}

/** When it goes away by itself. */
export function LifetimeField(
  props: IFieldProps<Lifetime> & { hasKernel: boolean }
): React.JSX.Element {
  const { id, value, hasKernel, trans, onChange } = props;
  const choices: [Lifetime, string][] = [
    ['entry', trans.__('As the application says')],
    ['kernel', trans.__("Together with this notebook's kernel")],
    ['server', trans.__('Together with the Jupyter server')],
    ['hours', trans.__('For 8 hours')],
    ['forever', trans.__('Until stopped')]
  ];
  return (
    <Labelled
      id={id}
      label={trans.__('Runs')}
      hint={
        hasKernel
          ? undefined
          : trans.__('To end it with a kernel, say which notebook it belongs to.')
      }
    >
      <select id={id} value={value} onChange={event => onChange(event.target.value as Lifetime)}>
        {choices.map(([lifetime, label]) => (
          <option key={lifetime} value={lifetime} disabled={lifetime === 'kernel' && !hasKernel}>
            {label}
          </option>
        ))}
      </select>
    </Labelled>
  );
}
