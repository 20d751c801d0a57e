import { Dialog, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import React, { useState } from 'react';

import type { IExecution, IScale } from '../api/types';

type Counts = Record<string, number>;

/** Ask how many services each scalable process shall have; null when the user thought better of it. */
export async function askForCounts(
  execution: IExecution,
  trans: TranslationBundle
): Promise<Counts | null> {
  const body = new CountsBody(execution.scalable, trans);
  const { button, value } = await showDialog<Counts>({
    title: trans.__('Scale %1', execution.name),
    body,
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      Dialog.okButton({ label: trans.__('Scale') })
    ],
    focusNodeSelector: 'input'
  });
  return button.accept && value && Object.keys(value).length ? value : null;
}

class CountsBody extends ReactWidget implements Dialog.IBodyWidget<Counts> {
  constructor(
    private readonly _scalable: readonly IScale[],
    private readonly _trans: TranslationBundle
  ) {
    super();
    this.addClass('zoe-Counts');
  }

  getValue(): Counts {
    return Object.fromEntries(this._counts);
  }

  protected render(): React.JSX.Element {
    return (
      <>
        {this._scalable.map(one => (
          <CountField
            key={one.process}
            scale={one}
            trans={this._trans}
            onChange={count => this._take(one, count)}
          />
        ))}
      </>
    );
  }

  /** Only what differs is sent. */
  private _take(one: IScale, count: number): void {
    const isFit = count >= one.minimum && count <= one.maximum && count !== one.wanted;
    if (isFit) {
      this._counts.set(one.process, count);
    } else {
      this._counts.delete(one.process);
    }
  }

  private readonly _counts = new Map<string, number>();
}

function CountField(props: {
  scale: IScale;
  trans: TranslationBundle;
  onChange: (count: number) => void;
}): React.JSX.Element {
  const { scale, trans, onChange } = props;
  const [count, setCount] = useState(String(scale.wanted));
  return (
    <label className="zoe-Counts-field">
      <span>{scale.process}</span>
      <input
        className="jp-mod-styled"
        type="number"
        min={scale.minimum}
        max={scale.maximum}
        value={count}
        onChange={event => {
          setCount(event.target.value);
          onChange(Math.round(event.target.valueAsNumber));
        }}
      />
      <span className="zoe-Hint">
        {trans.__('%1 now; %2 to %3', scale.current, scale.minimum, scale.maximum)}
      </span>
    </label>
  );
}
