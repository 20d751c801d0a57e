import {
  ariaDescribedByIds,
  descriptionId,
  errorId,
  type FieldTemplateProps,
  type RegistryWidgetsType,
  type WidgetProps
} from '@rjsf/utils';
import React, { useState } from 'react';

import { Problems, Said } from '../parts';
import { PairField, isItem, isPair, isRoot } from './groups';

/** One field: a label that belongs to its input, what it is about, and what is wrong. */
export function Field(props: FieldTemplateProps): React.JSX.Element {
  const { id, schema, hidden, children, rawErrors = [] } = props;
  if (hidden) {
    return <div hidden>{children}</div>;
  }
  if (isRoot(id)) {
    return <>{children}</>;
  }
  if (isPair(schema)) {
    return <PairField {...props}>{children}</PairField>;
  }
  const isGroup = schema.type === 'object' || schema.type === 'array';
  return (
    <div className="zoe-Field" data-wrong={rawErrors.length ? true : undefined}>
      {isGroup || schema.type === 'boolean' ? children : <Labelled {...props} />}
      <div className="zoe-Field-errors" aria-live="polite">
        <Problems id={errorId(id)} problems={rawErrors} />
      </div>
    </div>
  );
}

function Labelled(props: FieldTemplateProps): React.JSX.Element {
  const { id, label, displayLabel, required, schema, children } = props;
  return (
    <>
      {displayLabel && (
        <label className={isItem(id) ? 'zoe-mod-hidden' : 'zoe-Field-label'} htmlFor={id}>
          {label}
          {required && <span aria-hidden="true"> *</span>}
        </label>
      )}
      <div className="zoe-Field-input">{children}</div>
      {schema.description && (
        <p id={descriptionId(id)} className="zoe-Hint">
          <Said text={schema.description} />
        </p>
      )}
    </>
  );
}

/** A range to drag, and the number beside it to type. */
function SliderWidget(props: WidgetProps): React.JSX.Element {
  const { id, label, schema, onChange, disabled, readonly } = props;
  const value: unknown = props.value;
  const { minimum, maximum, multipleOf } = schema;
  const step = multipleOf ?? (schema.type === 'integer' ? 1 : 'any');
  const limits = { min: minimum, max: maximum, step };
  const take = (text: string): void => onChange(text === '' ? undefined : Number(text));
  const shown = typeof value === 'number' ? value : '';
  return (
    <div className="zoe-Slider">
      <input
        type="range"
        aria-label={label}
        {...limits}
        value={shown === '' ? (minimum ?? 0) : shown}
        disabled={disabled ?? readonly}
        onChange={event => take(event.target.value)}
      />
      <input
        id={id}
        type="number"
        {...limits}
        value={shown}
        disabled={disabled ?? readonly}
        aria-describedby={ariaDescribedByIds(id)}
        onChange={event => take(event.target.value)}
      />
    </div>
  );
}

const UNITS = ['MiB', 'GiB', 'TiB'];
const SIZE = /^\s*([0-9.]*)\s*(MiB|GiB|TiB)\s*$/;

/** A number and its unit. What it cannot read, such as a count of bytes, it leaves as text. */
function MemoryWidget(props: WidgetProps): React.JSX.Element {
  const { id, label, onChange, disabled, readonly } = props;
  const value: unknown = props.value;
  const text = typeof value === 'string' || typeof value === 'number' ? String(value) : '';
  const match = SIZE.exec(text);
  const [unit, setUnit] = useState(match?.[2] ?? 'GiB');
  const isDisabled = disabled ?? readonly;
  const isPlain = text !== '' && !match;
  const take = (count: string, of: string): void => onChange(count === '' ? undefined : count + of);
  if (isPlain) {
    return (
      <input
        id={id}
        type="text"
        value={text}
        disabled={isDisabled}
        onChange={event => onChange(event.target.value)}
      />
    );
  }
  const count = match?.[1] ?? '';
  return (
    <div className="zoe-Memory">
      <input
        id={id}
        type="number"
        min={0}
        step="any"
        value={count}
        disabled={isDisabled}
        aria-describedby={ariaDescribedByIds(id)}
        onChange={event => take(event.target.value, unit)}
      />
      <select
        aria-label={`${label}: MiB, GiB, TiB`}
        value={unit}
        disabled={isDisabled}
        onChange={event => {
          setUnit(event.target.value);
          take(count, event.target.value);
        }}
      >
        {UNITS.map(one => (
          <option key={one}>{one}</option>
        ))}
      </select>
    </div>
  );
}

export const WIDGETS: RegistryWidgetsType = {
  'zoe-slider': SliderWidget,
  'zoe-memory': MemoryWidget
};
