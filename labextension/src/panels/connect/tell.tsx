import { Clipboard, Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import { messageOf } from '../../api/errors';
import { inDialog } from '../../failures';
import { shortened } from '../../text';
import type { INotebookLink } from '../../tokens';
import { Said } from '../parts';
import { KernelError, KernelGone } from './kernel';

const PASSING_MS = 5000;
const DRAWN_MS = 500;
const INSTALL = /`((?:%pip|!)[^`]+)`/g;

/** Say it for a moment. */
export function tell(message: string): void {
  pass(Notification.info(shortened(message), { autoClose: PASSING_MS }));
}

/** A notification of what goes on, until its end. */
class Course {
  constructor(message: string) {
    this._id = Notification.emit(message, 'in-progress', { autoClose: false });
  }

  tell(message: string): void {
    const type = 'in-progress';
    Notification.update({ id: this._id, message: shortened(message), type, autoClose: false });
  }

  endWell(message: string): void {
    const said = { message: shortened(message), type: 'success' as const };
    Notification.update({ id: this._id, ...said, autoClose: PASSING_MS });
    pass(this._id);
  }

  /** Its end is told elsewhere. JupyterLab draws late: what has just changed would be drawn after all. */
  takeBack(): void {
    window.setTimeout(() => Notification.dismiss(this._id), DRAWN_MS);
  }

  private readonly _id: string;
}

/** The progress of attaching where it is seen, also with the toolbar out of sight. */
export async function announce(
  link: INotebookLink,
  name: string,
  running: Promise<void>,
  file: string,
  trans: TranslationBundle
): Promise<void> {
  const course = new Course(trans.__('%1: connecting to %2…', file, name));
  const follow = (): void => course.tell(`${file}: ${link.progress}`);
  link.changed.connect(follow);
  try {
    await running;
    const newest = link.targets.includes(name) ? name : link.target;
    course.endWell(trans.__('%1 is connected to %2.', file, newest));
  } catch (error) {
    course.takeBack();
    throw error;
  } finally {
    link.changed.disconnect(follow);
  }
}

/** What could not be attached to, why, and what to type where something is to be installed. */
export async function explain(
  error: unknown,
  name: string,
  trans: TranslationBundle
): Promise<void> {
  if (error instanceof KernelGone) {
    tell(trans.__('The kernel has gone before it was connected to %1.', name));
    return;
  }
  const told = messageOf(error);
  const isAboutOne = told.startsWith(name) || told.includes(' has ended: ');
  const said = isAboutOne ? told : capitalised(told);
  const isWithoutZoe = error instanceof KernelError && error.ename === 'ModuleNotFoundError';
  const message = isWithoutZoe
    ? trans.__('%1. Install Zoe in the environment of this kernel too.', said)
    : said;
  // After that comes the log of what has failed: not Zoe's words.
  const [own] = message.split(' has ended: ');
  const lines = [...own.matchAll(INSTALL)].map(([, line]) => line).join('\n');
  const close = Dialog.cancelButton({ label: trans.__('Close') });
  const copy = Dialog.okButton({ label: trans.__('Copy the Install Line') });
  const { button } = await inDialog(told, () =>
    showDialog({
      title: trans.__('Could not connect to %1', name),
      body: <Explained message={message} isInstall={lines !== ''} trans={trans} />,
      buttons: lines ? [close, copy] : [close]
    })
  );
  if (lines && button.accept) {
    Clipboard.copyToSystem(lines);
    tell(trans.__('Copied. Run it in a cell, then restart the kernel.'));
  }
}

function Explained(props: {
  message: string;
  isInstall: boolean;
  trans: TranslationBundle;
}): React.JSX.Element {
  const { message, isInstall, trans } = props;
  const isMore = isInstall && !/restart the kernel/i.test(message);
  return (
    <div className="zoe-Explained">
      <p>
        <Said text={message} />
      </p>
      {isMore && <p>{trans.__('Run that line in a cell, then restart the kernel.')}</p>}
    </div>
  );
}

/** Lab's own clock stands still for as long as the window is not in front. */
function pass(id: string): void {
  window.setTimeout(() => Notification.dismiss(id), PASSING_MS);
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
