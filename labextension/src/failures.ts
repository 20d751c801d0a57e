import { Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';

import type { IExecution } from './api/types';
import { CommandIDs } from './commands/ids';
import { shortened, stateWord } from './text';
import type { IZoeModel } from './tokens';

/** Of the time that the window is in front; in the panel and in Lab's list of notifications it stays. */
export const SHOWN_MS = 60_000;

/** Notifications of executions that ended badly; each until it is no news any more. */
export class Failures {
  constructor(
    private readonly _model: IZoeModel,
    private readonly _commands: CommandRegistry,
    private readonly _trans: TranslationBundle
  ) {
    _model.changed.connect(() => this._dismissOld());
  }

  tell(execution: IExecution): void {
    const { id, name, outcome, reason } = execution;
    const isToldInDialog = [...explained].some(text => isAbout(text, name));
    if (isToldInDialog) {
      return;
    }
    const word = stateWord(execution, this._trans);
    const said = this._trans.__('%1 has ended: %2. %3', name, word, reason?.text ?? '');
    const type = outcome === 'expired' ? 'info' : 'error';
    const details = {
      label: this._trans.__('Details'),
      callback: () => void this._commands.execute(CommandIDs.openExecution, { id })
    };
    const options = { autoClose: SHOWN_MS, actions: [details] };
    shown.set(id, { name, notification: Notification.emit(shortened(said), type, options) });
  }

  /** Of what was forgotten, or is started again under its name. */
  private _dismissOld(): void {
    const { executions } = this._model;
    for (const [id, { name }] of shown) {
      const told = executions.get(id);
      const isAgain = [...executions.values()].some(
        one => one.name === name && told && one.created_at > told.created_at
      );
      if (!told || isAgain) {
        dismiss(id);
      }
    }
  }
}

/** Tell it in a dialog, which takes the place of the notification about the same. */
export async function inDialog<T>(text: string, show: () => Promise<T>): Promise<T> {
  explained.add(text);
  for (const [id, { name }] of shown) {
    if (isAbout(text, name)) {
      dismiss(id);
    }
  }
  try {
    return await show();
  } finally {
    explained.delete(text);
  }
}

function dismiss(id: string): void {
  Notification.dismiss(shown.get(id)?.notification);
  shown.delete(id);
}

function isAbout(text: string, name: string): boolean {
  return text.startsWith(`${name} has ended: `);
}

/** By execution. */
const shown = new Map<string, { name: string; notification: string }>();
/** What dialogs tell now. */
const explained = new Set<string>();
