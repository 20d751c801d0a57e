import {
  ILabShell,
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { ReactWidget, SidePanel } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import type { AccordionPanel } from '@lumino/widgets';
import React from 'react';

import { addCommands, type ICommandContext } from '../../commands/context';
import { addExecutionCommands } from '../../commands/executions';
import { CommandIDs } from '../../commands/ids';
import { zoeIcon } from '../../icons';
import { IZoeConnector, IZoeModel, IZoeSettings } from '../../tokens';
import { PhaseNotice } from '../phase';
import { ExecutionsSection } from './executions';
import type { IPanelProps } from './props';
import { ShopSection } from './shop';

const RANK = 600;

/** The side panel: the shop and the executions. */
export class ZoePanel extends SidePanel {
  constructor(private readonly _props: IPanelProps) {
    super({ translator: nullTranslator });
    const { model, trans } = _props;
    this.id = 'zoe-panel';
    this.addClass('zoe-Panel');
    this.title.icon = zoeIcon;
    this.title.caption = trans.__('Zoe');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Zoe'));
    this.node.tabIndex = -1;
    this.header.addWidget(ReactWidget.create(React.createElement(PhaseNotice, { model, trans })));
    this.shop = new ShopSection(_props);
    this.addWidget(this.shop);
    this.addWidget(new ExecutionsSection(_props));
    (this.content as AccordionPanel).setRelativeSizes([3, 2]);
  }

  readonly shop: ShopSection;

  /** The core is started by the first look, not by Jupyter's start. */
  protected onAfterShow(message: Message): void {
    super.onAfterShow(message);
    void this._props.model.activate();
  }

  protected onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    if (this.isVisible) {
      void this._props.model.activate();
    }
  }
}

export const panelPlugin: JupyterFrontEndPlugin<void> = {
  id: 'zoe-jupyter:panel',
  description:
    'The side panel with the shop and the executions, and the commands about executions.',
  autoStart: true,
  requires: [IZoeModel, IZoeSettings],
  optional: [IZoeConnector, ITranslator, ICommandPalette, ILabShell, ILayoutRestorer],
  activate: (
    app: JupyterFrontEnd,
    model: IZoeModel,
    settings: IZoeSettings,
    connector: IZoeConnector | null,
    translator: ITranslator | null,
    palette: ICommandPalette | null,
    _labShell: ILabShell | null,
    restorer: ILayoutRestorer | null
  ) => {
    const trans = (translator ?? nullTranslator).load('zoe_jupyter');
    const panel = new ZoePanel({ commands: app.commands, connector, model, trans });
    app.shell.add(panel, 'left', { rank: RANK, type: 'Zoe' });
    restorer?.add(panel, panel.id);
    const context = { app, model, settings, palette, trans };
    addExecutionCommands(context);
    addPanelCommands(context, panel);
  }
};

function addPanelCommands(context: ICommandContext, panel: ZoePanel): void {
  const { app, model, trans } = context;
  addCommands(context, {
    [CommandIDs.openPanel]: {
      label: values =>
        values.isPalette ? trans.__('Show the Panel') : trans.__('Show the Zoe Panel'),
      caption: trans.__('Show the shop and the executions in the side bar'),
      execute: () => {
        app.shell.activateById(panel.id);
        // From here on, Tab goes through the panel.
        afterPalette(() => panel.node.focus());
      }
    },
    [CommandIDs.openShop]: {
      label: ({ isLauncher, isPalette }) =>
        isLauncher
          ? trans.__('Zoe shop')
          : isPalette
            ? trans.__('Open the Shop')
            : trans.__('Open the Zoe Shop'),
      caption: trans.__('Spark, Dask and other applications to start'),
      icon: values => (values.isPalette ? undefined : zoeIcon),
      execute: async () => {
        app.shell.activateById(panel.id);
        await model.activate();
        afterPalette(() => panel.shop.search());
      }
    },
    [CommandIDs.refresh]: {
      label: values =>
        values.isPalette ? trans.__('Load Everything Again') : trans.__('Load Zoe Again'),
      caption: trans.__('Ask the server for the shop and all executions again'),
      execute: () => model.refresh()
    }
  });
}

/** The palette gives the focus back to the main area as it closes: what wants it does so later. */
function afterPalette(focus: () => void): void {
  requestAnimationFrame(focus);
}
