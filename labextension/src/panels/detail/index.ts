import {
  ILabShell,
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette, MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import { Signal } from '@lumino/signaling';
import React from 'react';

import type { IExecution } from '../../api/types';
import {
  EXECUTION_ARGS,
  addCommands,
  args,
  executionOf,
  text,
  type ICommandContext
} from '../../commands/context';
import { CommandIDs } from '../../commands/ids';
import { zoeIcon } from '../../icons';
import { isEnded } from '../../merge';
import { stateWord } from '../../text';
import { IZoeConnector, IZoeModel, IZoeSettings } from '../../tokens';
import { showInMain } from '../main';
import { Detail, type ILogsWish } from './body';

interface IDetailContext extends ICommandContext {
  labShell: ILabShell | null;
  connector: IZoeConnector | null;
}

/** A tab about one execution. */
class DetailTab extends MainAreaWidget {
  constructor(
    readonly execution: string,
    readonly wish: ILogsWish,
    content: ReactWidget
  ) {
    super({ content });
    this.id = `zoe-execution-${execution}`;
    this.addClass('zoe-Tab');
    this.title.icon = zoeIcon;
    this.title.closable = true;
    this.toolbar.hide();
  }
}

export const detailPlugin: JupyterFrontEndPlugin<void> = {
  id: 'zoe-jupyter:detail',
  description: 'The tab about one execution: services, logs, CPU and memory.',
  autoStart: true,
  requires: [IZoeModel, IZoeSettings],
  optional: [ITranslator, ICommandPalette, ILabShell, ILayoutRestorer, IZoeConnector],
  activate: (
    app: JupyterFrontEnd,
    model: IZoeModel,
    settings: IZoeSettings,
    translator: ITranslator | null,
    palette: ICommandPalette | null,
    labShell: ILabShell | null,
    restorer: ILayoutRestorer | null,
    connector: IZoeConnector | null
  ) => {
    const trans = (translator ?? nullTranslator).load('zoe_jupyter');
    const tracker = new WidgetTracker<DetailTab>({ namespace: 'zoe-execution' });
    addDetailCommands({ app, model, settings, palette, trans, labShell, connector }, tracker);
    void restorer?.restore(tracker, {
      command: CommandIDs.openExecution,
      args: tab => ({ id: tab.execution }),
      name: tab => tab.execution
    });
  }
};

function addDetailCommands(context: IDetailContext, tracker: WidgetTracker<DetailTab>): void {
  const { app, labShell, trans } = context;
  const open = (execution: IExecution): DetailTab => {
    const tab =
      tracker.find(one => one.execution === execution.id) ?? detailTab(context, execution);
    if (!tracker.has(tab)) {
      void tracker.add(tab);
    }
    showInMain(app, labShell, tab);
    return tab;
  };
  addCommands(context, {
    [CommandIDs.openExecution]: {
      label: trans.__('Open Execution…'),
      caption: trans.__('Services, logs, CPU and memory of an execution'),
      describedBy: args(EXECUTION_ARGS),
      execute: async values => {
        const execution = await executionOf(context, values);
        if (execution) {
          open(execution);
        }
      }
    },
    [CommandIDs.showLogs]: {
      label: trans.__('Show Logs of Execution…'),
      caption: trans.__('The logs of an execution, as they are written'),
      describedBy: args({
        ...EXECUTION_ARGS,
        service: { type: 'string', description: 'The first service where absent' }
      }),
      execute: async values => {
        const execution = await executionOf(context, values, one => one.services.length > 0);
        if (execution) {
          const { wish } = open(execution);
          wish.service = text(values, 'service') || (execution.services[0]?.name ?? '');
          wish.changed.emit();
        }
      }
    }
  });
}

function detailTab(context: IDetailContext, execution: IExecution): DetailTab {
  const { app, connector, model, settings, trans } = context;
  const wish = { service: '', changed: new Signal<object, void>({}) };
  const content = ReactWidget.create(
    React.createElement(Detail, {
      id: execution.id,
      commands: app.commands,
      connector,
      model,
      settings,
      trans,
      wish
    })
  );
  content.addClass('zoe-Tab-content');
  const tab = new DetailTab(execution.id, wish, content);
  const name = (): void => {
    const known = model.executions.get(execution.id) ?? execution;
    tab.title.label = isEnded(known)
      ? trans.__('%1 (%2)', known.name, stateWord(known, trans))
      : known.name;
  };
  name();
  tab.title.caption = `${execution.title}: ${execution.name}`;
  model.changed.connect(name);
  tab.disposed.connect(() => model.changed.disconnect(name));
  return tab;
}
