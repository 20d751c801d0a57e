import {
  ILabShell,
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import {
  ICommandPalette,
  IFrame,
  InputDialog,
  MainAreaWidget,
  Spinner,
  WidgetTracker,
  showErrorMessage
} from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { ToolbarButton, refreshIcon } from '@jupyterlab/ui-components';

import { messageOf } from '../../api/errors';
import type { IEndpoint, IExecution } from '../../api/types';
import {
  EXECUTION_ARGS,
  addCommands,
  args,
  executionOf,
  text,
  type ICommandContext
} from '../../commands/context';
import { CommandIDs } from '../../commands/ids';
import { externalIcon, zoeIcon } from '../../icons';
import { IZoeModel, IZoeSettings } from '../../tokens';
import { showInMain } from '../main';
import { TicketKeeper } from './ticket';

interface IEndpointContext extends ICommandContext {
  labShell: ILabShell | null;
}

/** A page of an execution inside Lab. */
class EndpointTab extends MainAreaWidget<IFrame> {
  constructor(
    readonly execution: IExecution,
    readonly endpoint: IEndpoint,
    frame: IFrame
  ) {
    super({ content: frame });
    this.id = `zoe-page-${execution.id}-${endpoint.name}`;
    this.addClass('zoe-Page');
    this.title.icon = zoeIcon;
    this.title.closable = true;
    this.title.label = `${endpoint.title || endpoint.name} (${execution.name})`;
  }
}

export const endpointPlugin: JupyterFrontEndPlugin<void> = {
  id: 'zoe-jupyter:endpoint',
  description: "Shows executions' own web pages in tabs.",
  autoStart: true,
  requires: [IZoeModel, IZoeSettings],
  optional: [ITranslator, ICommandPalette, ILabShell, ILayoutRestorer],
  activate: (
    app: JupyterFrontEnd,
    model: IZoeModel,
    settings: IZoeSettings,
    translator: ITranslator | null,
    palette: ICommandPalette | null,
    labShell: ILabShell | null,
    restorer: ILayoutRestorer | null
  ) => {
    const trans = (translator ?? nullTranslator).load('zoe_jupyter');
    const tracker = new WidgetTracker<EndpointTab>({ namespace: 'zoe-page' });
    addEndpointCommand({ app, model, settings, palette, trans, labShell }, tracker);
    void restorer?.restore(tracker, {
      command: CommandIDs.openEndpoint,
      args: tab => ({ id: tab.execution.id, endpoint: tab.endpoint.name }),
      name: tab => tab.id
    });
  }
};

function addEndpointCommand(context: IEndpointContext, tracker: WidgetTracker<EndpointTab>): void {
  const { app, labShell, model, trans } = context;
  addCommands(context, {
    [CommandIDs.openEndpoint]: {
      label: trans.__('Open Page of Execution…'),
      caption: trans.__("An execution's own page, such as the Spark UI, in a tab"),
      describedBy: args({
        ...EXECUTION_ARGS,
        endpoint: {
          type: 'string',
          description: 'Name of the endpoint; asked for when it is absent'
        },
        inBrowser: { type: 'boolean', description: 'In a tab of the browser' }
      }),
      execute: async values => {
        const execution = await executionOf(context, values, one => one.endpoints.length > 0);
        const endpoint =
          execution && (await endpointOf(context, execution, text(values, 'endpoint')));
        if (!endpoint) {
          return;
        }
        if (values.inBrowser === true || !labShell) {
          window.open(model.client.pageUrl(endpoint.url), '_blank', 'noopener');
          return;
        }
        const id = `zoe-page-${execution.id}-${endpoint.name}`;
        const tab = tracker.find(one => one.id === id) ?? endpointTab(context, execution, endpoint);
        if (!tracker.has(tab)) {
          void tracker.add(tab);
        }
        showInMain(app, labShell, tab);
      }
    }
  });
}

async function endpointOf(
  { trans }: IEndpointContext,
  execution: IExecution,
  name: string
): Promise<IEndpoint | undefined> {
  const { endpoints } = execution;
  if (name || endpoints.length < 2) {
    return name ? endpoints.find(one => one.name === name) : endpoints[0];
  }
  const titles = endpoints.map(one => one.title || one.name);
  const { value } = await InputDialog.getItem({
    title: trans.__('Which page of %1?', execution.name),
    items: titles
  });
  return value ? endpoints[titles.indexOf(value)] : undefined;
}

function endpointTab(
  context: IEndpointContext,
  execution: IExecution,
  endpoint: IEndpoint
): EndpointTab {
  const { model, trans } = context;
  const frame = new IFrame({ sandbox: sandboxOf(endpoint), loading: 'eager' });
  const url = model.client.pageUrl(endpoint.url);
  const loading = loadingSign(frame);
  const show = (address: string) => {
    loading.show();
    frame.url = address;
  };
  frame.node.querySelector('iframe')?.setAttribute('title', endpoint.title || endpoint.name);
  const tab = new EndpointTab(execution, endpoint, frame);
  const open = endpoint.is_trusted ? () => show(url) : openByTicket(context, tab, show);
  open();
  tab.toolbar.addItem(
    'reload',
    new ToolbarButton({
      icon: refreshIcon,
      tooltip: trans.__('Load the page again'),
      onClick: open
    })
  );
  tab.toolbar.addItem(
    'external',
    new ToolbarButton({
      icon: externalIcon,
      label: trans.__('New browser tab'),
      tooltip: trans.__('Open the page in a tab of the browser'),
      onClick: () => void window.open(url, '_blank', 'noopener')
    })
  );
  return tab;
}

/** Turns until the page has come, which may take long while the machine is busy; a blank tab would look like a broken one. */
function loadingSign(frame: IFrame): Spinner {
  const sign = new Spinner();
  const page = frame.node.querySelector('iframe');
  frame.node.appendChild(sign.node);
  page?.addEventListener('load', () => {
    if (page.src) {
      sign.hide();
    }
  });
  return sign;
}

/** How to show a page that is not trusted in its tab: the ticket in its address lives as long as the tab. */
function openByTicket(
  { model, trans }: IEndpointContext,
  tab: EndpointTab,
  show: (address: string) => void
): () => void {
  const keeper = new TicketKeeper(model.client, tab.execution, tab.endpoint, show);
  tab.disposed.connect(() => keeper.dispose());
  return () => {
    keeper.show().catch((error: unknown) => {
      void showErrorMessage(trans.__('Could not open the page'), messageOf(error));
    });
  };
}

/** A page that is not trusted runs in an origin of its own: it cannot act as the user in Jupyter. */
function sandboxOf(endpoint: IEndpoint): IFrame.SandboxExceptions[] {
  const always: IFrame.SandboxExceptions[] = [
    'allow-scripts',
    'allow-forms',
    'allow-popups',
    'allow-downloads'
  ];
  return endpoint.is_trusted ? [...always, 'allow-same-origin'] : always;
}
