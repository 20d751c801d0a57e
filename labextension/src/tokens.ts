import type { NotebookPanel } from '@jupyterlab/notebook';
import { Token } from '@lumino/coreutils';
import type { ISignal } from '@lumino/signaling';

import type { ZoeClient } from './api/client';
import type { Link } from './api/events';
import type { IEntry, IEntryDetail, IExecution, IInfo } from './api/types';

/** How far the model is: `missing` when there is no server part, `failed` with a problem. */
export type Phase = 'idle' | 'loading' | 'ready' | 'missing' | 'failed';

/** What the browser knows of Zoe: one copy for all panels, live through the event stream. */
export interface IZoeModel {
  readonly client: ZoeClient;
  readonly phase: Phase;
  readonly problem: string;
  readonly link: Link;
  readonly info: IInfo | null;
  readonly executions: ReadonlyMap<string, IExecution>;
  readonly hasMoreEnded: boolean;
  readonly entries: readonly IEntry[];
  /** Anything of the above. */
  readonly changed: ISignal<IZoeModel, void>;
  /** An execution that was seen alive has ended. */
  readonly ended: ISignal<IZoeModel, IExecution>;
  /** Load at the first use, then live from the stream; again after a failure. */
  activate(): Promise<void>;
  /** Load everything again. */
  refresh(): Promise<void>;
  loadMoreEnded(): Promise<void>;
  /** Get one with its story. */
  fetch(id: string): Promise<IExecution>;
  /** An answer about an execution that came another way. */
  put(execution: IExecution): void;
  remove(id: string): void;
  entry(name: string): Promise<IEntryDetail>;
  /** A `blob:` address for an image element; null when there is none. */
  logo(name: string): Promise<string | null>;
}

export const IZoeModel = new Token<IZoeModel>(
  'zoe-jupyter:IZoeModel',
  'What is known of the shop and the executions, live.'
);

/** The user's settings, with their defaults where there is no settings registry. */
export interface IZoeSettings {
  readonly confirmStop: boolean;
  readonly defaultLifetime: Lifetime;
  readonly logLines: number;
  readonly reattach: boolean;
  readonly notifyEnds: boolean;
  readonly changed: ISignal<IZoeSettings, void>;
}

export const IZoeSettings = new Token<IZoeSettings>(
  'zoe-jupyter:IZoeSettings',
  'The settings of Zoe.'
);

/** How long a new execution stays. */
export type Lifetime = 'entry' | 'kernel' | 'server' | 'hours' | 'forever';

/** How a notebook stands to what it is attached to. `lost`: it was, its kernel is not any more. */
export type LinkStatus = 'none' | 'connecting' | 'connected' | 'lost';

/** One notebook's attachment; the choice is kept in the notebook's metadata. */
export interface INotebookLink {
  readonly status: LinkStatus;
  /**
   * Names of the executions, newest last; of the shop entry until there is one. Without those that
   * have ended, and where the kernel has gone without those that do not run.
   */
  readonly targets: readonly string[];
  /** The newest. */
  readonly target: string;
  readonly execution: IExecution | null;
  /** What was suspended or restarted while it was attached, and can be attached to again. */
  readonly left: readonly IExecution[];
  /** The newest line of what the kernel says while it attaches. */
  readonly progress: string;
  /** Why this notebook cannot attach to anything; empty when it can. */
  readonly obstacle: string;
  readonly changed: ISignal<INotebookLink, void>;
  /** Whether its kernel is attached to that very one: others may have had the name, or have it. */
  holds(execution: IExecution): boolean;
  /** Whether the kernel is being told to let go of the one of that id. */
  isDetaching(id: string): boolean;
  /** Attach to an execution or a shop entry; starts the kernel, and shows errors itself. */
  attach(name: string): Promise<boolean>;
  /** To what it was attached to before and still runs. */
  reattach(): Promise<boolean>;
  /** From the one of that id or name, else from everything. */
  detach(word?: string): Promise<void>;
  /** Give up attaching: interrupts the kernel. */
  cancel(): Promise<void>;
}

/** Attaches notebooks, by code that runs in their kernels. */
export interface IZoeConnector {
  /** Of the notebook in front; null when there is none. */
  readonly current: INotebookLink | null;
  readonly currentChanged: ISignal<IZoeConnector, void>;
  of(panel: NotebookPanel): INotebookLink;
}

export const IZoeConnector = new Token<IZoeConnector>(
  'zoe-jupyter:IZoeConnector',
  'Attaches notebooks to executions.'
);
