import { InputDialog } from '@jupyterlab/apputils';
import type { INotebookTracker } from '@jupyterlab/notebook';

import { attachable, isAttachable } from '../panels/connect/body';
import { nameToAttach } from '../merge';
import type { INotebookLink, IZoeConnector } from '../tokens';
import { labelled } from '../text';
import { addCommands, args, text, type ICommandContext } from './context';
import { CommandIDs } from './ids';

interface INotebookContext extends ICommandContext {
  connector: IZoeConnector;
  notebooks: INotebookTracker;
}

/** What connects the notebook in front, and takes it off again. */
export function addNotebookCommands(context: INotebookContext): void {
  const { app, connector, notebooks, trans } = context;
  addCommands(context, {
    [CommandIDs.attachNotebook]: {
      label: trans.__('Attach Notebook to an Execution…'),
      caption: trans.__('Connect the notebook in front to an execution, or to something new'),
      describedBy: args({
        name: {
          type: 'string',
          description: 'An execution or a shop entry; asked for when absent'
        },
        path: { type: 'string', description: 'The notebook; the one in front when absent' }
      }),
      isEnabled: () => notebooks.size > 0,
      execute: async values => {
        const link = linkOf(context, text(values, 'path'));
        const name = text(values, 'name') || (link ? await pick(context) : '');
        return link && name ? link.attach(name) : false;
      }
    },
    [CommandIDs.detachNotebook]: {
      label: trans.__('Detach Notebook from Its Executions'),
      caption: trans.__('Take the notebook in front off what it is connected to'),
      describedBy: args({
        name: {
          type: 'string',
          description: 'Only from the one of this name or id; from everything when absent'
        }
      }),
      isEnabled: () => (connector.current?.status ?? 'none') !== 'none',
      execute: values => connector.current?.detach(text(values, 'name'))
    }
  });
  connector.currentChanged.connect(() => {
    app.commands.notifyCommandChanged(CommandIDs.attachNotebook);
    app.commands.notifyCommandChanged(CommandIDs.detachNotebook);
  });
}

function linkOf({ connector, notebooks }: INotebookContext, path: string): INotebookLink | null {
  const panel = path && notebooks.find(one => one.context.path === path);
  return panel ? connector.of(panel) : connector.current;
}

async function pick({ model, trans }: INotebookContext): Promise<string> {
  await model.activate();
  const choices = new Map<string, string>();
  for (const [label, execution] of labelled(attachable(model.executions.values()), trans)) {
    choices.set(label, nameToAttach(execution));
  }
  for (const entry of model.entries.filter(one => isAttachable(one) && one.is_runnable)) {
    choices.set(trans.__('Start %1', entry.title), entry.name);
  }
  const { value } = await InputDialog.getItem({
    title: trans.__('Attach the notebook to'),
    items: [...choices.keys()]
  });
  return choices.get(value ?? '') ?? '';
}
