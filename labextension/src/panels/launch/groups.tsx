import type { TranslationBundle } from '@jupyterlab/translation';
import { addIcon, closeIcon } from '@jupyterlab/ui-components';
import {
  ADDITIONAL_PROPERTY_FLAG,
  canExpand,
  descriptionId,
  type ArrayFieldTemplateProps,
  type ObjectFieldTemplateProps,
  type RJSFSchema
} from '@rjsf/utils';
import React, { useState } from 'react';

import { Button, Said } from '../parts';

/** What the form passes down to its templates. */
export interface IFormContext {
  trans: TranslationBundle;
}

interface IFormContextProps {
  formContext?: unknown;
}

function transOf(props: IFormContextProps): TranslationBundle {
  return (props.formContext as IFormContext).trans;
}

/** A list: its items, each with its way out, and one more. */
export function ListField(props: ArrayFieldTemplateProps): React.JSX.Element {
  const trans = transOf(props);
  const { title, schema, idSchema, items, canAdd, onAddClick } = props;
  return (
    <fieldset className="zoe-Group" aria-describedby={descriptionId(idSchema)}>
      <legend className="zoe-Field-label">{title}</legend>
      {schema.description && (
        <p id={descriptionId(idSchema)} className="zoe-Hint">
          <Said text={schema.description} />
        </p>
      )}
      {items.map(item => (
        <div key={item.key} className="zoe-Group-item">
          {item.children}
          {item.hasRemove && (
            <Button
              isIconOnly
              icon={closeIcon}
              label={trans.__('Remove item %1 of %2', item.index + 1, title)}
              onClick={item.onDropIndexClick(item.index)}
            />
          )}
        </div>
      ))}
      {canAdd && (
        <Button
          icon={addIcon}
          label={trans.__('Add')}
          title={trans.__('Add an item to %1', title)}
          onClick={onAddClick}
        />
      )}
    </fieldset>
  );
}

/** The fields of the form; or one parameter that has fields, or pairs of name and value, of its own. */
export function ObjectField(props: ObjectFieldTemplateProps): React.JSX.Element {
  const trans = transOf(props);
  const { title, schema, idSchema, uiSchema, properties, onAddClick } = props;
  const fields = properties.map(property => property.content);
  if (isRoot(idSchema.$id)) {
    return <div className="zoe-Fields">{fields}</div>;
  }
  return (
    <fieldset className="zoe-Group" aria-describedby={descriptionId(idSchema)}>
      <legend className="zoe-Field-label">{title}</legend>
      {schema.description && (
        <p id={descriptionId(idSchema)} className="zoe-Hint">
          <Said text={schema.description} />
        </p>
      )}
      {fields}
      {canExpand(schema, uiSchema, props.formData) && (
        <Button
          icon={addIcon}
          label={trans.__('Add')}
          title={trans.__('Add a pair to %1', title)}
          onClick={onAddClick(schema)}
        />
      )}
    </fieldset>
  );
}

/** Its id has no parent's in it. */
export function isRoot(id: string): boolean {
  return !id.includes('_');
}

/** One of a list: the list's own label says what it is. */
export function isItem(id: string): boolean {
  return /_[0-9]+$/.test(id);
}

/** A pair that the user added. */
export function isPair(schema: RJSFSchema): boolean {
  return ADDITIONAL_PROPERTY_FLAG in schema;
}

interface IPairProps extends IFormContextProps {
  id: string;
  label: string;
  onKeyChange: (name: string) => void;
  onDropPropertyClick: (name: string) => () => void;
  children: React.ReactNode;
}

/** Name and value of a pair. The name counts once the pair is left: a new name is a new pair for the form. */
export function PairField(props: IPairProps): React.JSX.Element {
  const trans = transOf(props);
  const { id, label, children, onKeyChange, onDropPropertyClick } = props;
  const [name, setName] = useState(label);
  return (
    <div
      className="zoe-Group-item"
      onBlur={event => {
        if (!event.currentTarget.contains(event.relatedTarget) && name !== label) {
          onKeyChange(name);
        }
      }}
    >
      <input
        type="text"
        id={`${id}-key`}
        aria-label={trans.__('Name')}
        value={name}
        spellCheck={false}
        onChange={event => setName(event.target.value)}
      />
      <label className="zoe-mod-hidden" htmlFor={id}>
        {trans.__('Value of %1', label)}
      </label>
      {children}
      <Button
        isIconOnly
        icon={closeIcon}
        label={trans.__('Remove %1', label)}
        onClick={onDropPropertyClick(label)}
      />
    </div>
  );
}
