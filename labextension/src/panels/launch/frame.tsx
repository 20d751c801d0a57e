import type { TranslationBundle } from '@jupyterlab/translation';
import React, { useState, type ReactNode } from 'react';

import type { Lifetime } from '../../tokens';
import { Problems } from '../parts';
import { TURN, type ITurn } from './turn';

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
  isWrong?: boolean;
  children: ReactNode;
}): React.JSX.Element {
  const { id, label, hint, isWrong = false, children } = props;
  return (
    <div className="zoe-Field" data-wrong={isWrong || undefined}>
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
  props: IFieldProps<Lifetime> & { hasKernel: boolean; usual: string }
): React.JSX.Element {
  const { id, value, hasKernel, usual, trans, onChange } = props;
  const choices: [Lifetime, string][] = [
    ['entry', usual ? trans.__('As usual: %1', usual) : trans.__('As usual for this application')],
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

/** When it is its turn, behind a fold: most people leave that to Zoe. */
export function TurnFields(
  props: IFieldProps<ITurn> & { problems: Record<string, string[] | undefined> }
): React.JSX.Element {
  const { id, value, problems, trans, onChange } = props;
  const [isOpen, setOpen] = useState(false);
  const isWrong = TURN.some(wish => problems[wish]?.length);
  return (
    <details
      className="zoe-Advanced"
      open={isOpen || isWrong}
      onToggle={event => setOpen(event.currentTarget.open)}
    >
      <summary>{trans.__('Priority and time')}</summary>
      <div className="zoe-Fields">
        {TURN.map(wish => (
          <WishField
            key={wish}
            id={`${id}-${wish}`}
            wish={wish}
            value={value[wish]}
            problems={problems[wish] ?? []}
            trans={trans}
            onChange={said => onChange({ ...value, [wish]: said })}
          />
        ))}
      </div>
    </details>
  );
}

function WishField(
  props: IFieldProps<string> & { wish: keyof ITurn; problems: string[] }
): React.JSX.Element {
  const { id, wish, value, problems, trans, onChange } = props;
  const [label, hint, placeholder] = {
    priority: [
      trans.__('Priority'),
      trans.__('interactive before batch before filler; empty: as usual for this application.'),
      'batch'
    ],
    estimate: [
      trans.__('Takes about'),
      trans.__('With all that it asks for; empty: as long as earlier ones.'),
      '2h'
    ],
    begin: [
      trans.__('Begins'),
      trans.__('A time of the day, a moment or a delay; empty: as soon as there is room.'),
      '18:30, +2h'
    ]
  }[wish];
  return (
    <Labelled id={id} label={label} hint={hint} isWrong={problems.length > 0}>
      <input
        id={id}
        type="text"
        value={value}
        placeholder={placeholder}
        spellCheck={false}
        list={wish === 'priority' ? `${id}-classes` : undefined}
        aria-describedby={`${id}-hint ${id}-problems`}
        onChange={event => onChange(event.target.value)}
      />
      {wish === 'priority' && (
        <datalist id={`${id}-classes`}>
          {CLASSES.map(name => (
            <option key={name} value={name} />
          ))}
        </datalist>
      )}
      <div aria-live="polite">
        <Problems id={`${id}-problems`} problems={problems} />
      </div>
    </Labelled>
  );
}

// An admin may have named more: the server knows them.
const CLASSES = ['interactive', 'batch', 'filler'];
