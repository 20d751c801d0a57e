import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import type { IZoeModel } from '../tokens';
import { useSignals } from './hooks';
import { Button, Notice, Said } from './parts';

interface IPhaseProps {
  model: IZoeModel;
  trans: TranslationBundle;
}

/** How things are between the browser and Zoe; nothing while all is well. */
export function PhaseNotice(props: IPhaseProps): React.JSX.Element | null {
  const { model, trans } = props;
  useSignals(model.changed);
  if (model.phase === 'loading') {
    return <Notice kind="busy" title={trans.__('Zoe is starting…')} />;
  }
  if (model.phase === 'missing') {
    return <MissingNotice {...props} />;
  }
  if (model.phase === 'failed') {
    return (
      <Notice kind="error" title={trans.__('Zoe does not answer')}>
        <p>
          <Said text={model.problem} />
        </p>
        <Retry {...props} />
      </Notice>
    );
  }
  if (model.phase === 'ready' && model.link !== 'live') {
    return (
      <Notice kind="busy" title={trans.__('Reconnecting…')}>
        <p>{trans.__('What you see may be old. Nothing that runs is affected.')}</p>
        <Retry {...props} />
      </Notice>
    );
  }
  return null;
}

function MissingNotice(props: IPhaseProps): React.JSX.Element {
  const { trans } = props;
  return (
    <Notice kind="warning" title={trans.__('The server part of Zoe is missing')}>
      <p>
        {trans.__('This page has the Zoe extension, but the Jupyter server behind it does not.')}{' '}
        {trans.__('Install Zoe in the environment that runs the server, and there:')}
      </p>
      <pre className="zoe-Code">jupyter server extension enable zoe_jupyter</pre>
      <p>{trans.__('Then restart the Jupyter server and try again.')}</p>
      <Retry {...props} />
    </Notice>
  );
}

function Retry(props: IPhaseProps): React.JSX.Element {
  return <Button label={props.trans.__('Try again')} onClick={() => void props.model.refresh()} />;
}
