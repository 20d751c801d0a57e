import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';
import React from 'react';

import type { IExecution } from '../api/types';
import { CommandIDs } from '../commands/ids';
import { connectIcon, succeededIcon } from '../icons';
import type { INotebookLink, IZoeConnector } from '../tokens';
import { useSignals } from './hooks';
import { Button } from './parts';

interface IAttachProps {
  commands: CommandRegistry;
  connector: IZoeConnector;
  label: string;
  title: string;
  /** What the notebook is attached to by it. */
  name: string;
  /** Why it cannot be attached to at all. */
  lack?: string;
  /** Those of which the notebook may hold one already. */
  executions: readonly IExecution[];
  trans: TranslationBundle;
}

/** Attaches the notebook in front; where that is attached already, says so and takes it off. */
export function AttachButton(props: IAttachProps): React.JSX.Element {
  const { connector, label, lack = '', trans } = props;
  useSignals(connector.currentChanged);
  const link = connector.current;
  return link ? (
    <LinkButton {...props} link={link} />
  ) : (
    <Button
      icon={connectIcon}
      label={label}
      title={lack || trans.__('Open a notebook first')}
      isDisabled
      onClick={() => undefined}
    />
  );
}

function LinkButton(props: IAttachProps & { link: INotebookLink }): React.JSX.Element {
  const { commands, executions, label, lack = '', link, name, title, trans } = props;
  useSignals(link.changed);
  const own = executions.find(one => link.holds(one));
  if (own) {
    return (
      <span className="zoe-Attached">
        <span className="zoe-Attached-word">
          <succeededIcon.react tag="span" className="zoe-Button-icon" aria-hidden="true" />
          {trans.__('Attached')}
        </span>
        <Button
          label={trans.__('Detach')}
          title={trans.__('Take the notebook in front off %1', own.name)}
          isDisabled={link.isDetaching(own.id)}
          onClick={() => void commands.execute(CommandIDs.detachNotebook, { name: own.id })}
        />
      </span>
    );
  }
  const why = lack || link.obstacle;
  return (
    <Button
      icon={connectIcon}
      label={label}
      title={why || title}
      isDisabled={Boolean(why) || link.status === 'connecting'}
      onClick={() => void commands.execute(CommandIDs.attachNotebook, { name })}
    />
  );
}
