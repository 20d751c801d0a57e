import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Dialog, InputDialog, showDialog, showErrorMessage } from '@jupyterlab/apputils';
import type { ICommandPalette } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';
import type { JSONObject, ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { messageOf } from '../api/errors';
import type { IExecution } from '../api/types';
import { byAge } from '../merge';
import { labelled } from '../text';
import type { IZoeModel, IZoeSettings } from '../tokens';
import { rankOf } from './ids';

/** What a plugin that registers commands has at hand. */
export interface ICommandContext {
  app: JupyterFrontEnd;
  model: IZoeModel;
  settings: IZoeSettings;
  palette: ICommandPalette | null;
  trans: TranslationBundle;
}

/** Arguments of every command that is about one execution. */
export const EXECUTION_ARGS = {
  id: {
    type: 'string',
    description: 'Id or name of the execution; asked for when it is absent'
  }
} as const;

/** Add commands, and those with a label of their own to the palette. */
export function addCommands(
  context: ICommandContext,
  commands: Record<string, CommandRegistry.ICommandOptions & { isHidden?: boolean }>
): void {
  const category = context.trans.__('Zoe');
  for (const [command, { isHidden, ...options }] of Object.entries(commands)) {
    const label = inPalette(options.label, context.trans);
    context.app.commands.addCommand(command, { ...options, label });
    if (!isHidden) {
      const rank = rankOf(command);
      context.palette?.addItem({ command, category, rank, args: { isPalette: true } });
    }
  }
}

/** The palette finds by the label, and sorts by rank only what it finds equally well. */
function inPalette(
  label: CommandRegistry.ICommandOptions['label'],
  trans: TranslationBundle
): (values: ReadonlyPartialJSONObject) => string {
  return values => {
    const said = typeof label === 'function' ? label(values) : (label ?? '');
    return values.isPalette ? trans.__('Zoe: %1', said) : said;
  };
}

/** The description of arguments that Lab 4.4 and later show and check. */
export function args(
  properties: JSONObject,
  required: string[] = []
): CommandRegistry.ICommandOptions['describedBy'] {
  return { args: { type: 'object', properties, required } };
}

export function text(values: ReadonlyPartialJSONObject, name: string): string {
  const value = values[name];
  return typeof value === 'string' ? value : '';
}

/** The execution that the arguments name, else the one that the user picks. */
export async function executionOf(
  context: ICommandContext,
  values: ReadonlyPartialJSONObject,
  isFit: (execution: IExecution) => boolean = () => true
): Promise<IExecution | null> {
  await context.model.activate();
  const named = text(values, 'id');
  if (!named) {
    return pick(context, isFit);
  }
  return context.model.executions.get(named) ?? (await fetched(context, named));
}

/** Do it, and show what went wrong in a dialog. */
export async function reporting<T>(title: string, run: () => Promise<T>): Promise<T | null> {
  try {
    return await run();
  } catch (error) {
    await showErrorMessage(title, messageOf(error));
    return null;
  }
}

/** Ask before something that cannot be taken back. */
export async function confirmed(
  context: ICommandContext,
  question: { title: string; body: string; button: string }
): Promise<boolean> {
  const { button } = await showDialog({
    title: question.title,
    body: question.body,
    buttons: [
      Dialog.cancelButton({ label: context.trans.__('Cancel') }),
      Dialog.warnButton({ label: question.button })
    ]
  });
  return button.accept;
}

function fetched(context: ICommandContext, id: string): Promise<IExecution | null> {
  return reporting(context.trans.__('No execution %1', id), () => context.model.fetch(id));
}

async function pick(
  { model, trans }: ICommandContext,
  isFit: (execution: IExecution) => boolean
): Promise<IExecution | null> {
  const found = [...model.executions.values()].filter(isFit).sort(byAge);
  if (!found.length) {
    await showDialog({
      title: trans.__('No such execution'),
      body: trans.__('There is no execution that this can be done with.'),
      buttons: [Dialog.okButton({ label: trans.__('Ok') })]
    });
    return null;
  }
  const labels = labelled(found, trans);
  const { value } = await InputDialog.getItem({
    title: trans.__('Which execution?'),
    items: [...labels.keys()]
  });
  return labels.get(value ?? '') ?? null;
}
