import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ISettingRegistry } from '@jupyterlab/settingregistry';

import { ZoeClient } from './api/client';
import { launcherPlugin } from './launcher';
import { ZoeModel } from './model';
import { connectorPlugin, toolbarPlugin } from './panels/connect';
import { detailPlugin } from './panels/detail';
import { endpointPlugin } from './panels/endpoint';
import { launchPlugin } from './panels/launch';
import { panelPlugin } from './panels/shop';
import { notificationsPlugin, runningPlugin } from './running';
import { SETTINGS_ID, ZoeSettings } from './settings';
import { IZoeModel, IZoeSettings } from './tokens';

export * from './tokens';

const settingsPlugin: JupyterFrontEndPlugin<IZoeSettings> = {
  id: SETTINGS_ID,
  description: 'The settings of Zoe.',
  autoStart: true,
  provides: IZoeSettings,
  optional: [ISettingRegistry],
  activate: (_: JupyterFrontEnd, registry: ISettingRegistry | null) => {
    const settings = new ZoeSettings();
    if (registry) {
      settings.load(registry).catch((error: unknown) => {
        console.error('The settings of Zoe could not be loaded; its defaults are used.', error);
      });
    }
    return settings;
  }
};

const modelPlugin: JupyterFrontEndPlugin<IZoeModel> = {
  id: 'zoe-jupyter:model',
  description: 'What is known of the shop and the executions, live.',
  autoStart: true,
  provides: IZoeModel,
  activate: ({ serviceManager }: JupyterFrontEnd) =>
    new ZoeModel(new ZoeClient(serviceManager.serverSettings))
};

export default [
  settingsPlugin,
  modelPlugin,
  connectorPlugin,
  toolbarPlugin,
  panelPlugin,
  launchPlugin,
  detailPlugin,
  endpointPlugin,
  runningPlugin,
  notificationsPlugin,
  launcherPlugin
];
