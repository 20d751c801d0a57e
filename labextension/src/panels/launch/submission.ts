import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';

import type { ISubmission } from '../../api/types';
import type { Lifetime } from '../../tokens';
import type { ITurn } from './turn';
import { evaluate, unquoted } from '../connect/kernel';

/** Which interpreter and folder run it, as the notebook that it belongs to says. */
export type Client = NonNullable<ISubmission['client']>;

const FACTS = {
  python: "__import__('sys').executable",
  cwd: "__import__('os').getcwd()",
  notebook: "__import__('os').environ.get('JPY_SESSION_NAME', '')"
};

const LIFETIMES: Record<Lifetime, Record<string, string> | null> = {
  entry: null,
  kernel: { with: 'kernel' },
  server: { with: 'server' },
  hours: { after: '8h' },
  forever: {}
};

/** The notebooks that are open, by path. */
export function openNotebooks(tracker: INotebookTracker | null): Map<string, NotebookPanel> {
  const found = new Map<string, NotebookPanel>();
  tracker?.forEach(panel => found.set(panel.context.path, panel));
  return found;
}

/** What the notebook's kernel says about itself; its id alone while it is busy. */
export async function clientOf(panel: NotebookPanel | undefined): Promise<Client> {
  const kernel = panel?.sessionContext.session?.kernel;
  if (!kernel) {
    return {};
  }
  const { language_info: language } = await kernel.info;
  const said = language.name === 'python' ? await evaluate(kernel, FACTS) : null;
  return {
    kernel_id: kernel.id,
    notebook: unquoted(said?.notebook),
    python: unquoted(said?.python),
    cwd: unquoted(said?.cwd)
  };
}

interface IParts {
  entry: string;
  name: string;
  parameters: Record<string, unknown>;
  lifetime: Lifetime;
  turn: ITurn;
  client: Client;
  server: string;
}

/** The body of a submission. Its labels are those by which `%zoe attach` finds its own again. */
export function submissionOf(parts: IParts): ISubmission {
  const { entry, name, parameters, lifetime, turn, client, server } = parts;
  const labels = { 'zoe/kernel': client.kernel_id, 'zoe/notebook': client.notebook };
  return {
    use: entry,
    name: name.trim(),
    parameters,
    lifetime: LIFETIMES[lifetime],
    priority: turn.priority.trim(),
    estimate: turn.estimate.trim() || null,
    begin: turn.begin.trim() || null,
    lease: lifetime === 'kernel' || lifetime === 'server' ? lifetime : '',
    client: { ...client, server },
    labels: Object.fromEntries(
      Object.entries(labels).filter((pair): pair is [string, string] => Boolean(pair[1]))
    )
  };
}
