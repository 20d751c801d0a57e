import type { Kernel } from '@jupyterlab/services';

import { quoted } from '../launch/commandline';
import { evaluate, unquoted } from './kernel';

/** An execution that a notebook is attached to, or was. */
export interface IHeld {
  /** Names are given again once their executions have ended; empty while it is not known. */
  id: string;
  name: string;
}

// Ids and names of what the kernel is attached to, oldest first; asks only what is loaded already.
const ATTACHED =
  "__import__('json').dumps(__import__('sys').modules['zoe_jupyter.attach.registry'].held()" +
  " if 'zoe_jupyter.attach.registry' in __import__('sys').modules else [])";

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

/** What people copy into a cell. */
export function attachCell(name: string): string {
  return `%load_ext zoe_jupyter\n%zoe attach ${quoted(name)}`;
}

/** The executions that the kernel is attached to; null when it is too busy to say. */
export async function attachedIn(kernel: Kernel.IKernelConnection): Promise<IHeld[] | null> {
  const values = await evaluate(kernel, { held: ATTACHED });
  const held = values && (JSON.parse(unquoted(values.held) || '[]') as [string, string][]);
  return held?.map(([id, name]) => ({ id, name })) ?? null;
}

function verb(name: string, ...words: string[]): string {
  const line = [name, ...words.map(quoted)].join(' ');
  return `get_ipython().run_line_magic('zoe', ${JSON.stringify(line)})`;
}
