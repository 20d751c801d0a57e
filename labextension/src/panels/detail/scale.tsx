import type { TranslationBundle } from '@jupyterlab/translation';
import { addIcon } from '@jupyterlab/ui-components';
import React, { useEffect, useState } from 'react';

import type { IScale } from '../../api/types';
import { minusIcon } from '../../icons';
import { useDebounced } from '../hooks';
import { Button } from '../parts';

interface IScaleProps {
  scale: IScale;
  isDisabled: boolean;
  trans: TranslationBundle;
  onScale: (count: number) => void;
}

/** How many services of one process there are to be; sent once the number has settled. */
export function ScaleControl(props: IScaleProps): React.JSX.Element {
  const { scale, isDisabled, trans, onScale } = props;
  const { process, current, wanted, minimum, maximum } = scale;
  const [count, setCount] = useState(wanted);
  const settled = useDebounced(count, 600);
  useEffect(() => setCount(wanted), [wanted]);
  useEffect(() => {
    if (settled !== wanted && settled === count && !isDisabled) {
      onScale(settled);
    }
    // Only the user's own changes are sent.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [settled]);
  const take = (next: number): void => {
    if (Number.isInteger(next)) {
      setCount(Math.min(maximum, Math.max(minimum, next)));
    }
  };
  return (
    <div className="zoe-Scale" role="group" aria-label={trans.__('Number of %1', process)}>
      <span className="zoe-Scale-name">{process}</span>
      <Button
        isIconOnly
        icon={minusIcon}
        label={trans.__('One fewer')}
        isDisabled={isDisabled || count <= minimum}
        onClick={() => take(count - 1)}
      />
      <input
        className="jp-mod-styled"
        type="number"
        aria-label={trans.__('Number of %1', process)}
        min={minimum}
        max={maximum}
        value={count}
        disabled={isDisabled}
        onChange={event => take(event.target.valueAsNumber)}
      />
      <Button
        isIconOnly
        icon={addIcon}
        label={trans.__('One more')}
        isDisabled={isDisabled || count >= maximum}
        onClick={() => take(count + 1)}
      />
      <span className="zoe-Hint" role="status">
        {current === count
          ? trans.__('running; %1 to %2 possible', minimum, maximum)
          : trans.__('%1 running, %2 wanted', current, count)}
      </span>
    </div>
  );
}
