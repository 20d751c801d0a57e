import {
  LabIcon,
  ReactWidget,
  caretDownIcon,
  caretRightIcon,
  closeIcon,
  stopIcon
} from '@jupyterlab/ui-components';
import React, { useState } from 'react';

import type { IEndpoint, IExecution } from '../../api/types';
import { canDo } from '../../commands/executions';
import { CommandIDs } from '../../commands/ids';
import { scaleIcon, tabIcon } from '../../icons';
import { byAge, isEnded, nameToAttach } from '../../merge';
import { lasting } from '../../text';
import { AttachButton } from '../attach';
import { useSignals } from '../hooks';
import { Button, Elapsed, Notice, Said, StateMark } from '../parts';
import { QueueNotes } from '../queue';
import { Machines } from './machines';
import type { IPanelProps } from './props';

/** How many executions are shown at first, and more at a time. */
const PAGE = 100;

/** The executions: those that live, and those that have ended. */
export class ExecutionsSection extends ReactWidget {
  constructor(private readonly _props: IPanelProps) {
    super();
    this.addClass('zoe-Section');
    this.title.label = _props.trans.__('Executions');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', this.title.label);
  }

  protected render(): React.JSX.Element {
    return <Executions {...this._props} />;
  }
}

function Executions(props: IPanelProps): React.JSX.Element | null {
  const { connector, model, trans } = props;
  useSignals(model.changed, ...(connector ? [connector.currentChanged] : []));
  if (model.phase !== 'ready' && !model.executions.size) {
    return null;
  }
  const all = [...model.executions.values()].sort(byAge);
  const live = all.filter(one => !isEnded(one));
  const ended = all.filter(isEnded);
  return (
    <>
      {live.length ? (
        <Live {...props} live={live} />
      ) : (
        <Notice kind="info" title={trans.__('Nothing is running')}>
          <p>
            <Said
              text={trans.__(
                'Start something from the shop, or run `%zoe attach spark` in a notebook.'
              )}
            />
          </p>
        </Notice>
      )}
      <Ended {...props} ended={ended} />
      <Machines {...props} />
    </>
  );
}

/** Of thousands that wait nobody reads all. */
function Live(props: IPanelProps & { live: readonly IExecution[] }): React.JSX.Element {
  const { live, trans } = props;
  const [most, setMost] = useState(PAGE);
  const left = live.length - most;
  const shown = left > 0 ? [...live].sort(whoWaitsLast).slice(0, most) : live;
  return (
    <>
      <ul className="zoe-List" aria-label={trans.__('Live executions')}>
        {shown.map(execution => (
          <Item key={execution.id} {...props} execution={execution} />
        ))}
      </ul>
      {left > 0 && (
        <div className="zoe-Actions">
          <span>{trans.__('and %1 more', left)}</span>
          <Button label={trans.__('Show more')} onClick={() => setMost(most + PAGE)} />
        </div>
      )}
    </>
  );
}

function whoWaitsLast(a: IExecution, b: IExecution): number {
  return (a.queue?.position ?? 0) - (b.queue?.position ?? 0) || byAge(a, b);
}

function Item(props: IPanelProps & { execution: IExecution }): React.JSX.Element {
  const { commands, execution, trans } = props;
  return (
    <li className="zoe-Item" data-execution={execution.name}>
      <div className="zoe-Item-head">
        <Name commands={commands} execution={execution} title={trans.__('Open details')} />
        <StateMark execution={execution} trans={trans} />
      </div>
      <div className="zoe-Item-line">
        <span>{execution.title}</span>
        <Elapsed execution={execution} trans={trans} say={lasting} />
      </div>
      <Telling {...props} />
      <Actions {...props} />
    </li>
  );
}

function Name(props: {
  commands: IPanelProps['commands'];
  execution: IExecution;
  title: string;
}): React.JSX.Element {
  const { commands, execution, title } = props;
  return (
    <button
      type="button"
      className="zoe-Link zoe-Item-name"
      title={title}
      onClick={() => void commands.execute(CommandIDs.openExecution, { id: execution.id })}
    >
      {execution.name}
    </button>
  );
}

/** One line of what goes on: how far it is, or why it waits. */
function Telling({
  execution,
  trans
}: IPanelProps & { execution: IExecution }): React.JSX.Element | null {
  const { progress, queue, reason, state } = execution;
  if (queue) {
    const place = trans.__('Number %1 in the queue.', queue.position);
    return (
      <>
        <Line text={`${place} ${queue.reason.text}`} />
        <QueueNotes queue={queue} trans={trans} />
      </>
    );
  }
  return <Line text={(state === 'running' ? '' : progress) || (reason?.text ?? '')} />;
}

function Line({ text }: { text: string }): React.JSX.Element | null {
  return text ? (
    <p className="zoe-Item-telling">
      <Said text={text} />
    </p>
  ) : null;
}

function Actions(props: IPanelProps & { execution: IExecution }): React.JSX.Element {
  const { commands, connector, execution, trans } = props;
  const { id, name } = execution;
  const can = canDo(execution);
  const run =
    (command: string, args = {}) =>
    () =>
      void commands.execute(command, { id, ...args });
  const isAttachable = connector && execution.connections.length > 0 && can.stop;
  return (
    <div className="zoe-Actions" role="group" aria-label={trans.__('Actions of %1', name)}>
      {isAttachable && (
        <AttachButton
          commands={commands}
          connector={connector}
          label={trans.__('Attach')}
          title={trans.__('Attach the notebook in front to %1', name)}
          name={nameToAttach(execution)}
          executions={[execution]}
          trans={trans}
        />
      )}
      {canDo(execution).resume && (
        <Button
          kind="accept"
          label={trans.__('Resume')}
          onClick={run(CommandIDs.resumeExecution)}
        />
      )}
      {execution.endpoints.map(endpoint => (
        <Button
          key={endpoint.name}
          icon={tabIcon}
          label={shortTitle(endpoint)}
          title={trans.__('Open %1 in a tab', endpoint.title)}
          onClick={run(CommandIDs.openEndpoint, { endpoint: endpoint.name })}
        />
      ))}
      <Icons {...props} run={run} />
    </div>
  );
}

function Icons(props: {
  execution: IExecution;
  trans: IPanelProps['trans'];
  run: (command: string) => () => void;
}): React.JSX.Element | null {
  const { execution, trans, run } = props;
  const { name } = execution;
  const can = canDo(execution);
  return can.stop ? (
    <span className="zoe-Icons">
      {can.scale && (
        <IconAction
          icon={scaleIcon}
          label={trans.__('Scale %1', name)}
          onClick={run(CommandIDs.scaleExecution)}
        />
      )}
      <IconAction
        icon={stopIcon}
        label={trans.__('Stop %1', name)}
        onClick={run(CommandIDs.stopExecution)}
      />
    </span>
  ) : null;
}

function IconAction(props: {
  icon: LabIcon;
  label: string;
  onClick: () => void;
}): React.JSX.Element {
  return <Button {...props} isIconOnly kind="plain" />;
}

function shortTitle(endpoint: IEndpoint): string {
  return endpoint.title || endpoint.name;
}

function Ended(props: IPanelProps & { ended: IExecution[] }): React.JSX.Element | null {
  const { commands, ended, model, trans } = props;
  const [isOpen, setOpen] = useState(false);
  if (!ended.length) {
    return null;
  }
  const Caret = isOpen ? caretDownIcon : caretRightIcon;
  return (
    <section className="zoe-Ended">
      <button
        type="button"
        className="zoe-Ended-title"
        aria-expanded={isOpen}
        onClick={() => setOpen(!isOpen)}
      >
        <Caret.react tag="span" aria-hidden="true" />
        {trans.__('Ended (%1)', model.hasMoreEnded ? `${ended.length}+` : ended.length)}
      </button>
      {isOpen && (
        <>
          <ul className="zoe-List" aria-label={trans.__('Ended executions')}>
            {ended.map(execution => (
              <EndedItem key={execution.id} {...props} execution={execution} />
            ))}
          </ul>
          <div className="zoe-Actions">
            {model.hasMoreEnded && (
              <Button label={trans.__('Show more')} onClick={() => void model.loadMoreEnded()} />
            )}
            <Button
              label={trans.__('Forget these…')}
              onClick={() => void commands.execute(CommandIDs.forgetEnded)}
            />
          </div>
        </>
      )}
    </section>
  );
}

function EndedItem(props: IPanelProps & { execution: IExecution }): React.JSX.Element {
  const { commands, execution, trans } = props;
  return (
    <li className="zoe-Item" data-execution={execution.name}>
      <div className="zoe-Item-head">
        <Name commands={commands} execution={execution} title={trans.__('Open details')} />
        <StateMark execution={execution} trans={trans} />
        <IconAction
          icon={closeIcon}
          label={trans.__('Forget %1', execution.name)}
          onClick={() => void commands.execute(CommandIDs.forgetExecution, { id: execution.id })}
        />
      </div>
      <div className="zoe-Item-line">
        <span>{execution.title}</span>
        <Elapsed execution={execution} trans={trans} say={lasting} />
      </div>
      <Line text={execution.reason?.text ?? ''} />
    </li>
  );
}
