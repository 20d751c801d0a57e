import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, IToolbarWidgetRegistry } from '@jupyterlab/apputils';
import { INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { addNotebookCommands } from '../../commands/notebook';
import { IZoeConnector, IZoeModel, IZoeSettings } from '../../tokens';
import { ConnectButton } from './body';
import { ZoeConnector } from './connector';

/** The item of `jupyter.lab.toolbars` in the settings schema. */
const ITEM = 'zoe-connect';

export const connectorPlugin: JupyterFrontEndPlugin<IZoeConnector> = {
  id: 'zoe-jupyter:connector',
  description: 'Attaches notebooks to executions.',
  autoStart: true,
  provides: IZoeConnector,
  requires: [IZoeModel, IZoeSettings, INotebookTracker],
  optional: [ITranslator, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    model: IZoeModel,
    settings: IZoeSettings,
    notebooks: INotebookTracker,
    translator: ITranslator | null,
    palette: ICommandPalette | null
  ) => {
    const trans = (translator ?? nullTranslator).load('zoe_jupyter');
    const connector = new ZoeConnector(notebooks, { model, settings, trans });
    addNotebookCommands({ app, model, settings, palette, trans, connector, notebooks });
    return connector;
  }
};

export const toolbarPlugin: JupyterFrontEndPlugin<void> = {
  id: 'zoe-jupyter:toolbar',
  description: 'The item of the notebook toolbar that connects the notebook.',
  autoStart: true,
  requires: [IZoeModel, IZoeConnector, IToolbarWidgetRegistry],
  optional: [ITranslator],
  activate: (
    { commands }: JupyterFrontEnd,
    model: IZoeModel,
    connector: IZoeConnector,
    toolbars: IToolbarWidgetRegistry,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load('zoe_jupyter');
    toolbars.addFactory<NotebookPanel>(
      'Notebook',
      ITEM,
      panel => new ConnectButton({ commands, link: connector.of(panel), model, trans })
    );
  }
};
