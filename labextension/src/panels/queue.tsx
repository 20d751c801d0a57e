import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import type { IExecution } from '../api/types';
import { formatMoment } from '../text';
import { Said } from './parts';

/** What else keeps it waiting, and when it may start. */
export function QueueNotes(props: {
  queue: NonNullable<IExecution['queue']>;
  trans: TranslationBundle;
}): React.JSX.Element {
  const { queue, trans } = props;
  return (
    <>
      {queue.detail.map(reason => (
        <p key={reason.code} className="zoe-Hint">
          <Said text={trans.__('Also: %1', reason.text)} />
        </p>
      ))}
      {typeof queue.starts_at === 'number' && (
        <p className="zoe-Hint">{trans.__('It may start at %1.', formatMoment(queue.starts_at))}</p>
      )}
    </>
  );
}
