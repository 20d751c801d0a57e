import type { Lifetime } from '../../tokens';
import type { Values } from './schema';
import { TURN, type ITurn } from './turn';

const LIFETIMES: Record<Lifetime, string> = {
  entry: '',
  kernel: '--with kernel',
  server: '--with server',
  hours: '--for 8h',
  forever: '--keep'
};

interface ICommandLine {
  entry: string;
  /** Only what differs from the defaults. */
  parameters: Values;
  secrets: ReadonlySet<string>;
  name: string;
  lifetime: Lifetime;
  turn: ITurn;
}

/** The job whose code may be a cell's. */
const JOB = 'python-job';

/** What a user would write in a cell for the same; code of several lines as that cell's own. Secrets are not shown. */
export function commandLine(options: ICommandLine): string {
  const { code, ...rest } = options.parameters;
  if (options.entry === JOB && typeof code === 'string' && code.includes('\n')) {
    return `${oneLine('%%zoe run', { ...options, parameters: rest, lifetime: 'entry' })}\n${code}`;
  }
  return oneLine('%zoe start', options);
}

function oneLine(verb: string, options: ICommandLine): string {
  const { entry, parameters, secrets, name, lifetime, turn } = options;
  const flags = Object.entries(parameters).map(([parameter, value]) => {
    const shown = secrets.has(parameter) ? '…' : quoted(argument(value));
    return `--${parameter.replaceAll('_', '-')} ${shown}`;
  });
  const naming = name ? `--name ${quoted(name)}` : '';
  const wishes = TURN.map(wish => {
    const said = turn[wish].trim();
    return said ? `--${wish} ${quoted(said)}` : '';
  });
  return [verb, quoted(entry), ...flags, naming, LIFETIMES[lifetime], ...wishes]
    .filter(Boolean)
    .join(' ');
}

function argument(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** As a shell reads it back. */
export function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`;
}
