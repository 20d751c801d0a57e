import type { TranslationBundle } from '@jupyterlab/translation';
import type { LabIcon } from '@jupyterlab/ui-components';
import React, { useRef, type ReactNode } from 'react';

import type { IExecution } from '../api/types';
import {
  failedIcon,
  lostIcon,
  queuedIcon,
  runningIcon,
  startingIcon,
  stoppedIcon,
  succeededIcon,
  suspendedIcon
} from '../icons';
import { elapsedS, formatDuration, look, stateWord } from '../text';
import { useNow } from './hooks';

const ICONS: Record<string, LabIcon | undefined> = {
  connecting: startingIcon,
  connected: runningIcon,
  submitted: queuedIcon,
  queued: queuedIcon,
  waiting: queuedIcon,
  starting: startingIcon,
  running: runningIcon,
  draining: startingIcon,
  suspended: suspendedIcon,
  stopping: startingIcon,
  succeeded: succeededIcon,
  failed: failedIcon,
  stopped: stoppedIcon,
  ended: stoppedIcon,
  expired: queuedIcon,
  lost: lostIcon
};

/** The icon of a state or an outcome. */
export function iconOf(look: string): LabIcon {
  return ICONS[look] ?? lostIcon;
}

/** A state as icon and word; colour only repeats what they say. */
export function Mark(props: { look: string; word: string }): React.JSX.Element {
  const icon = iconOf(props.look);
  return (
    <span className="zoe-Mark" data-look={props.look}>
      <icon.react tag="span" className="zoe-Mark-icon" aria-hidden="true" />
      <span className="zoe-Mark-word">{props.word}</span>
    </span>
  );
}

export function StateMark(props: {
  execution: IExecution;
  trans: TranslationBundle;
}): React.JSX.Element {
  return <Mark look={look(props.execution)} word={stateWord(props.execution, props.trans)} />;
}

/** How long it has been running, going on by itself; in the words that are given. */
export function Elapsed(props: {
  execution: IExecution;
  trans: TranslationBundle;
  say?: (execution: IExecution, now: number, trans: TranslationBundle) => string;
}): React.JSX.Element {
  const { execution, trans, say } = props;
  const element = useRef<HTMLSpanElement>(null);
  const now = useNow(element, execution.ended_at === null);
  const text = say ? say(execution, now, trans) : formatDuration(elapsedS(execution, now));
  return (
    <span ref={element} className="zoe-Elapsed" title={elapsedTitle(execution, trans)}>
      {text}
    </span>
  );
}

function elapsedTitle(execution: IExecution, trans: TranslationBundle): string {
  const at = (seconds: number): string => new Date(seconds * 1000).toLocaleString();
  const lines = [trans.__('Submitted %1', at(execution.created_at))];
  if (execution.started_at) {
    lines.push(trans.__('Started %1', at(execution.started_at)));
  }
  if (execution.ended_at) {
    lines.push(trans.__('Ended %1', at(execution.ended_at)));
  }
  return lines.join('\n');
}

interface IButtonProps {
  label: string;
  icon?: LabIcon;
  /** What it does, in a sentence; why it cannot, when it is disabled. */
  title?: string;
  isDisabled?: boolean;
  isPressed?: boolean;
  isIconOnly?: boolean;
  /** Enter in the form that it belongs to is a click on it. */
  isSubmit?: boolean;
  kind?: 'neutral' | 'accept' | 'warn' | 'plain';
  onClick: () => void;
}

/** A button as Lab has them. A disabled one stays in the tab order, so that its reason can be read. */
export function Button(props: IButtonProps): React.JSX.Element {
  const { label, icon, title, isDisabled, isPressed, isIconOnly, isSubmit } = props;
  const { kind = 'neutral', onClick } = props;
  return (
    <button
      type={isSubmit ? 'submit' : 'button'}
      className={`zoe-Button zoe-mod-${kind}${isIconOnly ? ' zoe-mod-icon' : ''}`}
      title={title ?? (isIconOnly ? label : undefined)}
      aria-label={isIconOnly ? label : undefined}
      aria-disabled={isDisabled ? true : undefined}
      aria-pressed={isPressed}
      onClick={event => {
        event.stopPropagation();
        event.preventDefault();
        if (!isDisabled) {
          onClick();
        }
      }}
    >
      {icon && <icon.react tag="span" className="zoe-Button-icon" aria-hidden="true" />}
      {!isIconOnly && <span>{label}</span>}
    </button>
  );
}

/** What Zoe says, as text; what stands between backticks, to be typed, as code. */
export function Said({ text }: { text: string }): React.JSX.Element {
  const parts = text.split(/`([^`]+)`/);
  return <>{parts.map((part, index) => (index % 2 ? <code key={index}>{part}</code> : part))}</>;
}

/** What is wrong with one field; its input is described by the id. */
export function Problems(props: {
  id: string;
  problems: readonly string[];
}): React.JSX.Element | null {
  const { id, problems } = props;
  return problems.length ? (
    <ul id={id} className="zoe-Problems">
      {[...new Set(problems)].map(problem => (
        <li key={problem}>
          <Said text={problem} />
        </li>
      ))}
    </ul>
  ) : null;
}

/** Something to read instead of content: what is the matter, and the way out. */
export function Notice(props: {
  kind: 'info' | 'warning' | 'error' | 'busy';
  title: string;
  children?: ReactNode;
}): React.JSX.Element {
  const { kind, title, children } = props;
  return (
    <div className="zoe-Notice" data-kind={kind} role={kind === 'error' ? 'alert' : 'status'}>
      {kind === 'busy' && <span className="zoe-Spinner" aria-hidden="true" />}
      <div className="zoe-Notice-text">
        <p className="zoe-Notice-title">
          <Said text={title} />
        </p>
        {children}
      </div>
    </div>
  );
}
