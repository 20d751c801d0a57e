import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { IRunningSessionManagers, type IRunningSessions } from '@jupyterlab/running';
import { ITranslator, nullTranslator, type TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';

import { messageOf } from './api/errors';
import type { IExecution } from './api/types';
import { CommandIDs } from './commands/ids';
import { Failures, SHOWN_MS } from './failures';
import { zoeIcon } from './icons';
import { byAge, endedBadly, isEnded } from './merge';
import { shortened, stateWord } from './text';
import { IZoeModel, IZoeSettings } from './tokens';

export const runningPlugin: JupyterFrontEndPlugin<void> = {
  id: 'zoe-jupyter:running',
  description: 'The executions beside the running kernels and terminals.',
  autoStart: true,
  requires: [IZoeModel, IRunningSessionManagers],
  optional: [ITranslator],
  activate: (
    { commands }: JupyterFrontEnd,
    model: IZoeModel,
    managers: IRunningSessionManagers,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load('zoe_jupyter');
    managers.add(managerOf(model, commands, trans));
  }
};

function managerOf(
  model: IZoeModel,
  commands: CommandRegistry,
  trans: TranslationBundle
): IRunningSessions.IManager {
  const live = (): IExecution[] =>
    [...model.executions.values()].filter(one => !isEnded(one)).sort(byAge);
  return {
    name: trans.__('Zoe executions'),
    running: () => live().map(execution => itemOf(execution, commands, trans)),
    shutdownAll: () =>
      live().forEach(({ id, name }) => {
        model.client.act(id, 'stop').then(
          execution => model.put(execution),
          (error: unknown) =>
            Notification.error(
              shortened(trans.__('Could not stop %1: %2', name, messageOf(error))),
              { autoClose: SHOWN_MS }
            )
        );
      }),
    // The Refresh button asks for what is not known yet; Lab's start does not.
    refreshRunning: () => {
      if (model.phase !== 'idle') {
        void model.refresh();
      }
    },
    runningChanged: model.changed,
    shutdownLabel: trans.__('Stop'),
    shutdownAllLabel: trans.__('Stop All'),
    shutdownAllConfirmationText: trans.__('Stop all executions? What they hold in memory is lost.')
  };
}

function itemOf(
  execution: IExecution,
  commands: CommandRegistry,
  trans: TranslationBundle
): IRunningSessions.IRunningItem {
  const { id, name, title } = execution;
  return {
    icon: () => zoeIcon,
    label: () => trans.__('%1 (%2)', name, stateWord(execution, trans)),
    labelTitle: () => trans.__('%1: %2', title, name),
    open: () => void commands.execute(CommandIDs.openExecution, { id }),
    shutdown: () => void commands.execute(CommandIDs.stopExecution, { id })
  };
}

export const notificationsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'zoe-jupyter:notifications',
  description: 'Says so when an execution ends although nobody stopped it.',
  autoStart: true,
  requires: [IZoeModel, IZoeSettings],
  optional: [ITranslator],
  activate: (
    { commands }: JupyterFrontEnd,
    model: IZoeModel,
    settings: IZoeSettings,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load('zoe_jupyter');
    const failures = new Failures(model, commands, trans);
    model.ended.connect((_, execution) => {
      if (settings.notifyEnds && endedBadly(execution)) {
        failures.tell(execution);
      }
    });
  }
};
