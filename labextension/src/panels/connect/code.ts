import type { Kernel } from '@jupyterlab/services';

import { quoted } from '../launch/commandline';
import { evaluate, unquoted } from './kernel';

/** An execution that a notebook is attached to, or was. */
export interface IHeld {
  /** Names are given again once their executions have ended; empty while it is not known. */
  id: string;
  name: string;
}

/** What a kernel says of itself. */
export interface IAttached {
  /** What it is attached to, oldest first. */
  held: readonly IHeld[];
  /** What was suspended or started anew since: it is attached to nothing there. */
  left: readonly IHeld[];
}

/** More than anybody works with: a notebook comes from anywhere. */
const MOST = 20;
const LONGEST_NAME = 100;

// Asks only what is loaded already.
const ATTACHED =
  "(lambda zoe: __import__('json').dumps([zoe.held(), zoe.left()] if zoe else [[], []]))" +
  "(__import__('sys').modules.get('zoe_jupyter.attach.registry'))";

/** What the toolbar runs instead of the two lines that a user would write. */
export function attachCode(name: string): string {
  return `get_ipython().extension_manager.load_extension('zoe_jupyter')\n${verb('attach', name)}`;
}

/** From everything where no name is given. */
export function detachCode(name: string): string {
  return name ? verb('detach', name) : verb('detach');
}

/** Whether code that a cell runs attaches something. */
export function attaches(code: string): boolean {
  return /^\s*%zoe\s+attach\b|\bzoe\.attach\(/m.test(code);
}

/** Under which variable the kinds of connection come that Zoe brings. */
const VARIABLES = new Map([
  ['spark', 'spark'],
  ['dask', 'client']
]);

/** A connection with the variable that it sets, as far as that is known here. */
export function given(connection: string): string {
  const variable = VARIABLES.get(connection);
  return variable ? `${connection} (\`${variable}\`)` : connection;
}

/** Whether code may attach or detach. */
export function mentionsZoe(code: string): boolean {
  return /\bzoe/.test(code);
}

/** Whether a word of the user's means that one. */
export function isMeant({ id, name }: IHeld, word: string): boolean {
  return word === id || word === name;
}

/** What people copy into a cell. */
export function attachCell(name: string): string {
  return `%load_ext zoe_jupyter\n%zoe attach ${quoted(name)}`;
}

/** What the kernel is attached to; null when it is too busy to say. */
export async function attachedIn(kernel: Kernel.IKernelConnection): Promise<IAttached | null> {
  const values = await evaluate(kernel, { attached: ATTACHED });
  if (!values) {
    return null;
  }
  type Pairs = [string, string][];
  const said = JSON.parse(unquoted(values.attached) || '[[], []]') as [Pairs, Pairs];
  const [held, left] = said.map(pairs => pairs.map(([id, name]) => ({ id, name })));
  return { held, left };
}

/** What is saved in a notebook is looked at before it is believed. */
export function savedIn(saved: unknown): readonly IHeld[] {
  const { attached } = (saved ?? {}) as { attached?: unknown };
  const found = (Array.isArray(attached) ? (attached as unknown[]) : [])
    .slice(0, MOST)
    .map(one => (one ?? {}) as { id?: unknown; name?: unknown })
    .filter((one): one is IHeld =>
      [one.id, one.name].every(said => said && typeof said === 'string')
    )
    .map(({ id, name }): [string, IHeld] => [id, { id, name: name.slice(0, LONGEST_NAME) }]);
  return [...new Map(found).values()];
}

function verb(name: string, ...words: string[]): string {
  const line = [name, ...words.map(quoted)].join(' ');
  return `get_ipython().run_line_magic('zoe', ${JSON.stringify(line)})`;
}
