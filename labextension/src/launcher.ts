import { type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { PathExt } from '@jupyterlab/coreutils';
import { ILauncher } from '@jupyterlab/launcher';
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
        values.isPalette ? trans.__('Open the First Zoe Notebook') : trans.__('First notebook'),
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
          await app.commands.execute('docmanager:open', { path: file.path });
        }
      }
    }
  });
}

/** The user's own copy, with what they did to it; a fresh one where there is none. */
async function firstNotebook(
  contents: Contents.IManager,
  folder: string
): Promise<Contents.IModel> {
  const path = PathExt.join(folder, FILE);
  try {
    return await contents.get(path, { content: false });
  } catch {
    const { default: content } = await import('./generated/first-notebook.json');
    return contents.save(path, { type: 'notebook', format: 'json', content });
  }
}
