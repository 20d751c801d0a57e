import { type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { PathExt } from '@jupyterlab/coreutils';
import { ILauncher } from '@jupyterlab/launcher';
import { NotebookPanel } from '@jupyterlab/notebook';
import type { Contents } from '@jupyterlab/services';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { addCommands, args, reporting, text, type ICommandContext } from './commands/context';
import { CommandIDs } from './commands/ids';
import { zoeIcon } from './icons';
import { IZoeModel, IZoeSettings } from './tokens';

const FILE = 'first-notebook.ipynb';

export const launcherPlugin: JupyterFrontEndPlugin<void> = {
  id: 'zoe-jupyter:launcher',
  description: 'Cards of the launcher: the first notebook and the shop.',
  autoStart: true,
  requires: [IZoeModel, IZoeSettings],
  optional: [ILauncher, ITranslator, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    model: IZoeModel,
    settings: IZoeSettings,
    launcher: ILauncher | null,
    translator: ITranslator | null,
    palette: ICommandPalette | null
  ) => {
    const trans = (translator ?? nullTranslator).load('zoe_jupyter');
    addFirstNotebook({ app, model, settings, palette, trans });
    const category = trans.__('Zoe');
    launcher?.add({ command: CommandIDs.openFirstNotebook, category, rank: 1 });
    launcher?.add({ command: CommandIDs.openShop, category, rank: 2, args: { isLauncher: true } });
  }
};

function addFirstNotebook(context: ICommandContext): void {
  const { app, trans } = context;
  addCommands(context, {
    [CommandIDs.openFirstNotebook]: {
      label: values =>
        values.isPalette ? trans.__('Open the First Notebook') : trans.__('First notebook'),
      caption: trans.__('Spark on real data in a few cells: the tour of Zoe'),
      icon: values => (values.isPalette ? undefined : zoeIcon),
      describedBy: args({
        cwd: { type: 'string', description: 'Folder in which it is put' }
      }),
      execute: async values => {
        const file = await reporting(trans.__('Could not open the first notebook'), () =>
          firstNotebook(app.serviceManager.contents, text(values, 'cwd'))
        );
        if (file) {
          const { path, isFresh } = file;
          const opened: unknown = await app.commands.execute('docmanager:open', { path });
          // In Jupyter Notebook it is a browser tab of its own.
          if (isFresh && opened instanceof NotebookPanel) {
            await settle(opened);
          }
        }
      }
    }
  });
}

/** The user's own copy, with what they did to it; a fresh one where there is none. */
async function firstNotebook(
  contents: Contents.IManager,
  folder: string
): Promise<{ path: string; isFresh: boolean }> {
  const path = PathExt.join(folder, FILE);
  try {
    await contents.get(path, { content: false });
    return { path, isFresh: false };
  } catch {
    const { default: content } = await import('./generated/first-notebook.json');
    await contents.save(path, { type: 'notebook', format: 'json', content });
    return { path, isFresh: true };
  }
}

/** Lab adds to a notebook what the kernel says of its language: no change of the user's, so it is saved. */
async function settle({ context, sessionContext }: NotebookPanel): Promise<void> {
  await Promise.all([context.ready, sessionContext.ready]);
  await sessionContext.session?.kernel?.info;
  if (context.model.dirty) {
    await context.save();
  }
}
