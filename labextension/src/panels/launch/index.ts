import {
  ILabShell,
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette, InputDialog, MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import { UUID, type ReadonlyPartialJSONObject } from '@lumino/coreutils';
import { DisposableSet } from '@lumino/disposable';
import type { Message } from '@lumino/messaging';
import React from 'react';

import type { IEntryDetail, IExecution, ISubmission } from '../../api/types';
import { addCommands, args, reporting, text, type ICommandContext } from '../../commands/context';
import { CommandIDs, rankOf } from '../../commands/ids';
import { zoeIcon } from '../../icons';
import { nameToAttach } from '../../merge';
import { IZoeModel, IZoeSettings } from '../../tokens';
import { showInMain } from '../main';
import { LaunchForm } from './body';
import { FORM_TAB, firstField } from './form';
import type { Values } from './schema';

interface ILaunchContext extends ICommandContext {
  labShell: ILabShell | null;
  notebooks: INotebookTracker | null;
  rendermime: IRenderMimeRegistry | null;
}

/** The form; who opens its tab begins with the first field. */
class LaunchContent extends ReactWidget {
  constructor(private readonly _form: React.JSX.Element) {
    super();
    this.addClass(FORM_TAB);
  }

  protected render(): React.JSX.Element {
    return this._form;
  }

  protected onActivateRequest(message: Message): void {
    super.onActivateRequest(message);
    if (document.activeElement === this.node) {
      firstField(this.node)?.focus();
    }
  }
}

/** A tab with the form of one shop entry. */
class LaunchTab extends MainAreaWidget {
  constructor(
    readonly entry: string,
    content: ReactWidget
  ) {
    super({ content });
    this.id = `zoe-launch-${UUID.uuid4()}`;
    this.addClass('zoe-Tab');
    this.title.icon = zoeIcon;
    this.title.closable = true;
    this.toolbar.hide();
  }
}

export const launchPlugin: JupyterFrontEndPlugin<void> = {
  id: 'zoe-jupyter:launch',
  description: 'The form that starts an application of the shop.',
  autoStart: true,
  requires: [IZoeModel, IZoeSettings],
  optional: [
    ITranslator,
    ICommandPalette,
    ILabShell,
    ILayoutRestorer,
    INotebookTracker,
    IRenderMimeRegistry
  ],
  activate: (
    app: JupyterFrontEnd,
    model: IZoeModel,
    settings: IZoeSettings,
    translator: ITranslator | null,
    palette: ICommandPalette | null,
    labShell: ILabShell | null,
    restorer: ILayoutRestorer | null,
    notebooks: INotebookTracker | null,
    rendermime: IRenderMimeRegistry | null
  ) => {
    const trans = (translator ?? nullTranslator).load('zoe_jupyter');
    const tracker = new WidgetTracker<LaunchTab>({ namespace: 'zoe-launch' });
    const context = { app, model, settings, palette, trans, labShell, notebooks, rendermime };
    addLaunchCommand(context, tracker);
    addEntriesToPalette(context);
    void restorer?.restore(tracker, {
      command: CommandIDs.startApplication,
      args: tab => ({ entry: tab.entry }),
      name: tab => tab.entry
    });
  }
};

function addLaunchCommand(context: ILaunchContext, tracker: WidgetTracker<LaunchTab>): void {
  const { app, labShell, model, trans } = context;
  addCommands(context, {
    [CommandIDs.startApplication]: {
      label: values => labelOf(context, values),
      caption: trans.__('Fill in the form of an application of the shop, and start it'),
      describedBy: args({
        entry: { type: 'string', description: 'Name in the shop; asked for when it is absent' },
        parameters: { type: 'object', description: 'What the form shows first' }
      }),
      execute: async values => {
        await model.activate();
        const name = text(values, 'entry') || (await pickEntry(context));
        const open = tracker.find(tab => tab.entry === name);
        if (open) {
          showInMain(app, labShell, open);
        }
        if (!name || open) {
          return;
        }
        const detail = await reporting(trans.__('Could not open the form of %1', name), () =>
          model.entry(name)
        );
        if (detail) {
          const tab = launchTab(context, detail, values);
          void tracker.add(tab);
          showInMain(app, labShell, tab);
        }
      }
    }
  });
}

/** The palette finds by the label alone, also before the shop is known. */
function labelOf(
  { model, trans }: ILaunchContext,
  { entry, isPalette }: ReadonlyPartialJSONObject
): string {
  const known = model.entries.find(one => one.name === entry);
  if (known) {
    return trans.__('Start %1…', known.title);
  }
  return isPalette
    ? trans.__('Start Spark, Dask or Another Application…')
    : trans.__('Start an Application…');
}

/** Each application by its name, as soon as the shop is known. */
function addEntriesToPalette({ model, palette, trans }: ILaunchContext): void {
  const category = trans.__('Zoe');
  let entries = model.entries;
  let added = new DisposableSet();
  model.changed.connect(() => {
    if (!palette || entries === model.entries) {
      return;
    }
    entries = model.entries;
    added.dispose();
    added = DisposableSet.from(
      entries
        .filter(entry => entry.is_runnable)
        .map(({ name }) =>
          palette.addItem({
            command: CommandIDs.startApplication,
            category,
            rank: rankOf(CommandIDs.startApplication),
            args: { entry: name, isPalette: true }
          })
        )
    );
  });
}

function launchTab(
  context: ILaunchContext,
  detail: IEntryDetail,
  values: ReadonlyPartialJSONObject
): LaunchTab {
  const { model, settings, notebooks, rendermime, trans } = context;
  const send = sender(model);
  const start = async (submission: ISubmission, attachTo: string): Promise<IExecution> => {
    const execution = await send(submission);
    model.put(execution);
    tab.dispose();
    await started(context, execution, attachTo);
    return execution;
  };
  const content = new LaunchContent(
    React.createElement(LaunchForm, {
      detail,
      model,
      settings,
      notebooks,
      rendermime,
      trans,
      parameters: (values.parameters ?? {}) as Values,
      idPrefix: `zoe-${UUID.uuid4()}`,
      start
    })
  );
  const tab = new LaunchTab(detail.entry.name, content);
  tab.title.label = trans.__('Start %1', detail.entry.title);
  return tab;
}

/** Sending the same again, after an answer was lost, does not start a second one. */
function sender(model: IZoeModel): (submission: ISubmission) => Promise<IExecution> {
  let last = '';
  let key = '';
  return submission => {
    const body = JSON.stringify(submission);
    key = body === last ? key : UUID.uuid4();
    last = body;
    return model.client.submit(submission, key);
  };
}

async function started(
  { app, notebooks }: ILaunchContext,
  execution: IExecution,
  attachTo: string
): Promise<void> {
  if (attachTo) {
    const notebook = notebooks?.find(one => one.context.path === attachTo);
    app.shell.activateById(notebook?.id ?? '');
    await app.commands.execute(CommandIDs.attachNotebook, {
      name: nameToAttach(execution),
      path: attachTo
    });
  } else {
    await app.commands.execute(CommandIDs.openExecution, { id: execution.id });
  }
}

async function pickEntry({ model, trans }: ILaunchContext): Promise<string> {
  const entries = model.entries.filter(entry => entry.is_runnable);
  const { value } = await InputDialog.getItem({
    title: trans.__('Which application?'),
    items: entries.map(entry => entry.title)
  });
  return entries.find(entry => entry.title === value)?.name ?? '';
}
