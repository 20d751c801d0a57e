import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget, caretDownEmptyIcon } from '@jupyterlab/ui-components';
import type { CommandRegistry } from '@lumino/commands';
import React, { useRef } from 'react';

import type { IEntry, IExecution } from '../../api/types';
import { CommandIDs } from '../../commands/ids';
import { connectIcon, zoeIcon } from '../../icons';
import { byAge, isEnded, nameToAttach } from '../../merge';
import { look, stateWord } from '../../text';
import type { INotebookLink, IZoeModel } from '../../tokens';
import { useSignals } from '../hooks';
import { iconOf } from '../parts';
import { menuOf, type IMenuLine } from './menu';

interface IConnectProps {
  commands: CommandRegistry;
  link: INotebookLink;
  model: IZoeModel;
  trans: TranslationBundle;
}

type Lines = (IMenuLine | 'separator')[];

/** The toolbar item that says what a notebook is connected to, and connects it. */
export class ConnectButton extends ReactWidget {
  constructor(private readonly _props: IConnectProps) {
    super();
    this.addClass('zoe-Connect');
  }

  protected render(): React.JSX.Element {
    return <Connect {...this._props} />;
  }
}

function Connect(props: IConnectProps): React.JSX.Element {
  const { link, trans } = props;
  const button = useRef<HTMLButtonElement>(null);
  useSignals(link.changed, props.model.changed);
  const isLost = link.status === 'lost';
  return (
    <span className="zoe-Connect-group" data-status={statusOf(link)}>
      {isLost && (
        <button
          type="button"
          className="zoe-Connect-button"
          title={trans.__(
            'This notebook was connected to %1, and its kernel is not any more',
            link.targets.join(', ')
          )}
          onClick={() => void link.reattach()}
        >
          <connectIcon.react tag="span" className="zoe-Connect-icon" aria-hidden="true" />
          <span className="zoe-Connect-label">
            {trans.__('Reconnect %1', withOthers(link.target, props))}
          </span>
        </button>
      )}
      <button
        ref={button}
        type="button"
        className="zoe-Connect-button"
        aria-haspopup="menu"
        aria-label={isLost ? trans.__('More ways to connect') : undefined}
        aria-disabled={link.obstacle ? true : undefined}
        title={link.obstacle || titleOf(props)}
        onClick={() => !link.obstacle && openMenu(props, button.current)}
      >
        {!isLost && <Label {...props} />}
        <caretDownEmptyIcon.react tag="span" className="zoe-Connect-icon" aria-hidden="true" />
      </button>
    </span>
  );
}

function Label(props: IConnectProps): React.JSX.Element {
  const { link } = props;
  const icon = link.status === 'none' ? connectIcon : iconOf(statusOf(link));
  return (
    <>
      <icon.react tag="span" className="zoe-Connect-icon" aria-hidden="true" />
      <span className="zoe-Connect-label" role="status">
        {labelOf(props)}
      </span>
    </>
  );
}

function labelOf({ link, model, trans }: IConnectProps): string {
  if (link.status === 'connecting') {
    return link.progress || trans.__('Connecting…');
  }
  if (link.status === 'connected') {
    const state = link.execution ? stateWord(link.execution, trans) : trans.__('connected');
    return withOthers(trans.__('%1 · %2', link.target, state), { link, trans });
  }
  return model.phase === 'loading' ? trans.__('Zoe is starting…') : trans.__('Connect');
}

/** What is said of the newest, and how many more there are. */
function withOthers(
  newest: string,
  { link, trans }: Pick<IConnectProps, 'link' | 'trans'>
): string {
  const others = link.targets.length - 1;
  return others > 0 ? trans._n('%2 and %1 more', '%2 and %1 more', others, newest) : newest;
}

function titleOf(props: IConnectProps): string {
  const { link, trans } = props;
  if (link.status === 'connected' && link.execution && isEnded(link.execution)) {
    const why = link.execution.reason?.text ?? '';
    return trans.__('%1 has ended. %2', link.target, why);
  }
  return link.status === 'none'
    ? trans.__('Connect this notebook to Spark, Dask and the like')
    : trans.__('Connected to %1', link.targets.join(', '));
}

/** What its colour follows; the words say the same. */
function statusOf(link: INotebookLink): string {
  if (link.status === 'connected' && link.execution) {
    return look(link.execution);
  }
  return link.status;
}

function openMenu(props: IConnectProps, anchor: HTMLElement | null): void {
  if (!anchor) {
    return;
  }
  void props.model.activate().then(() => {
    const { left, bottom } = anchor.getBoundingClientRect();
    const menu = menuOf([...ownLines(props), ...choiceLines(props)]);
    menu.open(left, bottom);
    menu.activeIndex = 0;
  });
}

/** About all that it is connected to, the newest first. */
function ownLines(props: IConnectProps): Lines {
  const { link, trans } = props;
  if (link.status === 'connecting') {
    return [{ label: trans.__('Cancel'), run: () => link.cancel() }, 'separator'];
  }
  if (link.status === 'none') {
    return [];
  }
  const lines = [
    ...leftLines(props),
    ...[...link.targets].reverse().flatMap(name => linesOf(name, props))
  ];
  const none: IMenuLine = { label: trans.__('Do not reconnect'), run: () => link.detach() };
  return link.status === 'lost' ? [...lines, none, 'separator'] : lines;
}

/** What was suspended or restarted beside what it is connected to. */
function leftLines({ link, trans }: IConnectProps): Lines {
  const lines = link.left.map(({ id, name }) => ({
    label: trans.__('Reconnect %1', name),
    icon: connectIcon,
    run: () => link.attach(id)
  }));
  return lines.length ? [...lines, 'separator'] : [];
}

function linesOf(name: string, { commands, link, model, trans }: IConnectProps): Lines {
  const execution = name === link.target ? link.execution : running(model, link, name);
  const id = execution?.id ?? '';
  const detach: IMenuLine = {
    label: trans.__('Detach from %1', name),
    run: () => link.detach(name)
  };
  return [
    {
      label: trans.__('Details of %1', name),
      icon: zoeIcon,
      isDisabled: !execution,
      run: () => commands.execute(CommandIDs.openExecution, { id })
    },
    ...(link.status === 'lost' ? [] : [detach]),
    {
      label: trans.__('Stop %1', name),
      isDisabled: !execution || isEnded(execution),
      run: () => commands.execute(CommandIDs.stopExecution, { id })
    },
    'separator'
  ];
}

function running(model: IZoeModel, link: INotebookLink, name: string): IExecution | null {
  const isHeld = (one: IExecution): boolean => link.status !== 'connected' || link.holds(one);
  const found = [...model.executions.values()].filter(one => one.name === name && !isEnded(one));
  return found.find(isHeld) ?? null;
}

/** What it may be connected to: what runs first, then what can be started. */
function choiceLines(props: IConnectProps): Lines {
  const { commands, link, model, trans } = props;
  if (model.phase !== 'ready') {
    const label = model.problem || trans.__('Zoe does not answer');
    return [{ label, run: () => commands.execute(CommandIDs.openPanel) }];
  }
  const executions = attachable(model.executions.values()).filter(
    one => !link.holds(one) && !link.left.includes(one)
  );
  const entries = model.entries.filter(isAttachable);
  return [
    ...executions.map(execution => executionLine(execution, props)),
    ...(executions.length && entries.length ? ['separator' as const] : []),
    ...entries.map(entry => ({
      label: trans.__('Start %1', entry.title),
      caption: entry.is_runnable ? entry.summary : entry.lacks.join('; '),
      icon: connectIcon,
      isDisabled: !entry.is_runnable || link.status === 'connecting',
      run: () => link.attach(entry.name)
    })),
    'separator',
    {
      label: trans.__('More in the shop…'),
      icon: zoeIcon,
      run: () => commands.execute(CommandIDs.openShop)
    }
  ];
}

function executionLine(execution: IExecution, props: IConnectProps): IMenuLine {
  const { link, trans } = props;
  return {
    label: trans.__('%1 (%2, %3)', execution.name, execution.title, stateWord(execution, trans)),
    caption: execution.progress,
    icon: iconOf(look(execution)),
    isDisabled: link.status === 'connecting',
    run: () => link.attach(nameToAttach(execution))
  };
}

/** Live executions that a notebook can attach to, newest first. */
export function attachable(executions: Iterable<IExecution>): IExecution[] {
  return [...executions]
    .filter(one => one.connections.length && !isEnded(one) && one.state !== 'stopping')
    .sort(byAge);
}

export function isAttachable(entry: IEntry): boolean {
  return entry.connections.length > 0;
}
